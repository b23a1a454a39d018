import { card, chip, empty, h, table } from "./dom.js";
import { count, ms, stamp } from "./format.js";
import { quoted } from "./page-now.js";
import { address, api, params, set } from "./state.js";

export async function show(context) {
  const id = params().get("id") ?? "", at = params().get("at");
  const told = await api("session", { id }, context.signal);
  context.tell(told);
  const find = h("input", { id: "find", value: id, placeholder: "Session, such as k3v9x0ab", "aria-label": "Session (/)", autocomplete: "off", spellcheck: "false" });
  const form = h("form.actions", { css: { "margin-bottom": "14px" }, onsubmit: (event) => { event.preventDefault(); set({ id: find.value.trim(), at: null }); } }, h("div.filter", {}, find), h("button", { type: "submit" }, "Show"));
  const one = told.session;
  if (!one) {
    const recent = told.recent.length ? card("The newest sessions", { flush: true }, table([{ title: "Session" }, { title: "Newest event", nowrap: true }, { title: "What", main: true }, { title: "By", short: true }],
      told.recent.map((one) => [h("a.mono", { href: address("session", { id: one.session }) }, one.session), stamp(one.at), one.name, one.user]), { caption: "The newest sessions" })) : null;
    const why = id ? empty(`No event of session ${id}`, "The log has none; it may have been erased.") : recent ? null : empty("No sessions yet", "The log has none. Give the id of one, as in ", h("code", {}, "session_id"), ".");
    return { nodes: [h("div.head", {}, h("h1", {}, "What a session did")), form, why, recent] };
  }
  const whole = Math.max(one.total_ms, 0.001);
  const bars = h("ol.fall", {}, one.bars.map((bar) => {
    const line = h(`li${bar.failed ? ".failed" : ""}`, { id: bar.event_id === at ? "here" : null, css: bar.event_id === at ? { background: "var(--accent-soft)" } : null },
      h("span.name", { css: { "padding-left": `${bar.depth * 12}px` }, title: bar.name }, bar.name, " ", bar.failed ? chip(bar.outcome ?? "error", "bad") : null, " ", bar.key ? h("a.note", { href: address("entity", { key: bar.key }) }, bar.key.length > 14 ? `${bar.key.slice(0, 12)}…` : bar.key) : null),
      h("span.track", { role: "img", "aria-label": `begins after ${ms(bar.start_ms)}, takes ${ms(bar.duration_ms)}` }, h("span.bar", { css: { left: `${Math.min((100 * bar.start_ms) / whole, 99.8)}%`, width: `${Math.max((100 * (bar.duration_ms ?? 0)) / whole, 0.15)}%` } })),
      h("span.ms.note", {}, ms(bar.duration_ms)),
      bar.text ? h("span.why", {}, bar.text) : null);
    return line;
  }));
  const nodes = [
    h("div.head", {}, h("h1", {}, `Session ${id}`), h("p", {}, `${count(one.events)} events in ${ms(one.total_ms)}${one.users.length ? `, by ${one.users.join(", ")}` : ""} · `, one.errors ? h("span.bad", {}, `${count(one.errors)} ${one.errors === 1 ? "failure" : "failures and errors"}`) : "no failures")),
    form,
    card(`From ${stamp(one.since, { fraction: true })} to ${stamp(one.until, { fraction: true })}`, { flush: true, side: h("a", { href: address("explore", { since: "all", f: `session:${quoted(id)}` }) }, "In Explore") }, bars),
    one.events > one.bars.length ? h("p.note", {}, `The first ${count(one.bars.length)} are shown; leadlog session ${id} has them all.`) : null,
    h("details.beside", {}, h("summary", {}, "Table"), table([{ title: "Begins", n: true }, { title: "Takes", n: true }, { title: "What" }, { title: "Outcome" }, { title: "Row" }], one.bars.map((bar) => [ms(bar.start_ms), ms(bar.duration_ms), bar.name, bar.outcome, bar.key]), { caption: "What the session did" })),
  ];
  queueMicrotask(() => setTimeout(() => document.getElementById("here")?.scrollIntoView({ block: "center" }), 30));
  return { nodes };
}
