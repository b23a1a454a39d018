// The frame around the pages: navigation, period, age of the data, keys, commands.
import { announce, fill, h } from "./dom.js";
import { ago, utc, zone } from "./format.js";
import * as live from "./live.js";
import { address, go, onChange, pageName, params, root, set } from "./state.js";

const PAGES = [
  ["", "Now", "now"], ["explore", "Explore", "explore"], ["errors", "Errors", "errors"], ["entity", "Entity", "entity"],
  ["session", "Session", "session"], ["runs", "Runs", "runs"], ["quality", "Quality", "quality"], ["alerts", "Alerts", "alerts"], ["sql", "SQL", "sql"],
];
const RANGES = ["15m", "1h", "6h", "24h", "7d", "30d", "all"];
const main = document.getElementById("main");
let view = null, shown = null, loading = null;

function navigation() {
  const here = pageName();
  fill(document.getElementById("nav"), PAGES.map(([path, title]) =>
    h("a", { href: address(path), "aria-current": path === here ? "page" : null }, title)));
  document.querySelector("#nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  const bar = document.getElementById("bar");
  const since = params().get("since") ?? "1h", until = params().get("until") ?? "";
  const own = !RANGES.includes(since) || until;
  const timeless = ["entity", "session", "alerts"].includes(here);
  fill(bar,
    !timeless && h("div.ranges", { role: "group", "aria-label": "Period" }, RANGES.map((one) =>
      h("button", { type: "button", "aria-pressed": String(since === one && !until), onclick: () => set({ since: one, until: null, before: null }) }, one === "all" ? "All" : one))),
    !timeless && h("button", { type: "button", id: "times", "aria-pressed": String(Boolean(own)), title: "Period (t)", onclick: times }, own ? `${short(since)} – ${short(until || "now")}` : "Period…"),
    h("span.grow", {}),
    h("span", { id: "age" }),
    h("button.quiet", { type: "button", title: "Time zone (u)", "aria-label": `Times are in ${zone()}; change (u)`, onclick: () => set({ utc: utc() ? null : "1" }) }, zone().replace("_", " ")),
    h("button.quiet", { type: "button", id: "commands", "aria-expanded": "false", onclick: commands }, "Copy ", h("span.few", {}, "the "), "command"),
    h("button.quiet.few", { type: "button", title: "Help (?)", "aria-label": "Help: keys", onclick: help }, "?"));
  age();
}

const short = (text) => text.replace(/:\d\d\.\d+Z$/, "Z").replace("T", " ");

function age() {
  const place = document.getElementById("age");
  if (!place) return;
  const told = live.status;
  const last = told?.last ? Date.now() / 1000 - Date.parse(told.last) / 1000 : null;
  const kind = live.connected ? (told?.trouble ? "warning" : "ok") : "critical";
  const state = live.connected ? "live" : told ? "not connected" : "connecting…";
  const newest = last !== null ? ago(Math.max(last, 0)) : live.connected ? "no events yet" : told ? "unknown" : "";
  if (place.dataset.text !== state + newest + kind) {
    place.dataset.text = state + newest + kind;
    fill(place, h(`span.dot${live.connected || told ? `.${kind}` : ""}`, {}), h("span", {}, h(live.connected ? "span.few" : "span", {}, newest ? `${state} · ` : state), last !== null && h("span.few", {}, "newest event "), newest));
  }
}

function notice() {
  const place = document.getElementById("notice");
  const told = live.status, lines = [];
  if (told && told.progress < 1) {
    lines.push(h("p", {}, `Indexing the log for the first time: ${Math.floor(told.progress * 100)} %. Newest days come first; figures grow meanwhile.`,
      h("span.bar-progress", { css: { display: "block" } }, h("i", { css: { width: `${told.progress * 100}%` } }))));
  }
  if (told?.trouble) lines.push(h("p.bad", {}, `The index is not up to date: ${told.trouble}`));
  if (shown?.sealed?.length) lines.push(h("p", {}, `${shown.sealed.length === 1 ? "A day is" : `${shown.sealed.length} days are`} sealed in the archive (${shown.sealed[0]}${shown.sealed.length > 1 ? ` to ${shown.sealed.at(-1)}` : ""}) and not counted here; the SQL page and leadlog query read them.`));
  fill(place, lines);
}

async function render() {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  navigation();
  const here = PAGES.find(([path]) => path === pageName()) ?? PAGES[0];
  document.title = `${here[1]} · leadlog`;
  const same = view?.page === here[0];
  if (!same) { view?.close?.(); view = null; fill(main, h("p.loading", {}, "Loading…")); }
  main.setAttribute("aria-busy", "true");
  try {
    const module = await import(`./page-${here[2]}.js`);
    const context = { signal, tell: (told) => { shown = told; notice(); if (document.querySelector(".cmd")) showCommands(); } };
    const made = same && view.again ? await view.again(context) : await module.show(context);
    if (signal.aborted) return;
    if (made) replace({ page: here[0], ...made });
    main.classList.remove("stale");
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    failed(error);
  } finally {
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

function replace(made) {
  const focused = main.contains(document.activeElement) ? document.activeElement.id : "";
  view?.close?.();
  view = { page: view?.page, ...made };
  fill(main, made.nodes);
  if (focused) document.getElementById(focused)?.focus();
}

function failed(error) {
  if (error.status === 401) { location.reload(); return; }
  if (view && error.status === undefined) { main.classList.add("stale"); return; } // not connected: keep what is shown
  view?.close?.();
  view = null;
  fill(main, h("div.failed-view", {}, h("h2", {}, error.status === 400 ? "This view cannot be shown" : "The server did not answer"), h("p", {}, error.message), h("p", {}, h("button", { type: "button", onclick: render }, "Try again"))));
}

// Reloads the page's data when there are new events; at most once a second.
let timer = null, last = 0;
function refresh(message) {
  age();
  notice();
  if (message.refused) { location.reload(); return; }
  if (!message.status) { main.classList.toggle("stale", message.connected === false && Boolean(view)); return; }
  if (!view) { if (main.querySelector(".failed-view")) render(); return; }
  main.classList.remove("stale");
  if (view.live) view.live(message.status);
  else if (view.again && !timer) {
    timer = setTimeout(async () => {
      timer = null;
      last = Date.now();
      const { signal } = loading, before = view;
      try {
        const made = await before?.again?.({ signal, quiet: true, tell: (told) => { shown = told; notice(); } });
        if (made && view === before && !signal.aborted) replace(made);
        else made?.close?.();
      } catch { /* the next one reports it */ }
    }, Math.max(1000 - (Date.now() - last), 20));
  }
}

function commands() {
  const there = document.querySelector(".cmd");
  const button = document.getElementById("commands");
  if (there) { there.remove(); button.setAttribute("aria-expanded", "false"); return; }
  button.setAttribute("aria-expanded", "true");
  document.getElementById("bar").append(h("div.cmd", {}));
  showCommands();
}

function showCommands() {
  const told = Object.entries(shown?.commands ?? {});
  fill(document.querySelector(".cmd"), told.length ? told.map(([name, text]) =>
    h("div", {}, h("span", {}, name), h("code", {}, text), h("button", { type: "button", onclick: (event) => copy(text, event.target) }, "Copy"))) : "This view has no command yet.");
}

async function copy(text, button) {
  try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; announce("Copied"); } catch { button.textContent = "Select and copy"; }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function dialog(title, ...nodes) {
  const made = h("dialog", { "aria-label": title }, h("h2", {}, title), nodes);
  made.addEventListener("close", () => made.remove());
  document.body.append(made);
  made.showModal();
  return made;
}

function help() {
  const keys = [["?", "this help"], ["/", "filter, or what the page is about"], ["t", "period"], ["u", "UTC or local times"], ["j k", "next and previous row"], ["Enter", "open the row"], ["Esc", "close"], ["g n … g s", "Now, e Explore, r Errors, s SQL"]];
  const made = dialog("Keys", h("dl.facts", {}, keys.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    h("p", {}, h("button", { type: "button", onclick: () => made.close() }, "Close")));
}

function times() {
  const input = (name, value) => h("input", { id: `time-${name}`, name, value, size: "28" });
  const from = input("since", params().get("since") ?? "1h"), to = input("until", params().get("until") ?? "now");
  const made = dialog("Period", h("form", { method: "dialog", onsubmit: () => set({ since: from.value.trim() || "1h", until: ["", "now"].includes(to.value.trim()) ? null : to.value.trim(), before: null }) },
    h("p", {}, h("label", { for: "time-since" }, "From "), h("br"), from), h("p", {}, h("label", { for: "time-until" }, "To "), h("br"), to),
    h("p.note", {}, "2h for two hours ago, 2026-11-23, 2026-11-23T10:00:00Z, yesterday, or all; times without an offset are UTC."),
    h("p.actions", {}, h("button.primary", { type: "submit" }, "Show"), h("button", { type: "button", onclick: () => made.close() }, "Cancel"))));
  from.select();
}

let gone = 0;
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select, dialog");
  if (event.key === "Escape" && !event.target.closest("dialog")) { if (typing) event.target.blur(); else view?.escape?.(); return; }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (Date.now() - gone < 1000) {
    const page = { n: "", e: "explore", r: "errors", i: "entity", w: "session", u: "runs", q: "quality", a: "alerts", s: "sql" }[event.key];
    gone = 0;
    if (page !== undefined) { event.preventDefault(); go(address(page)); return; }
  }
  const call = {
    "?": help, t: () => document.getElementById("times") && times(), u: () => set({ utc: utc() ? null : "1" }), g: () => { gone = Date.now(); },
    "/": () => document.getElementById("find")?.focus(), j: () => view?.move?.(1), k: () => view?.move?.(-1),
  }[event.key];
  if (call) { event.preventDefault(); call(); }
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target || link.hash) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || !url.pathname.startsWith(`${root}/`)) return;
  event.preventDefault();
  go(link.href);
  main.focus();
  scrollTo(0, 0);
});

addEventListener("popstate", render);
onChange(render);
live.listen(refresh);
setInterval(age, 1000);
live.start();
render();
