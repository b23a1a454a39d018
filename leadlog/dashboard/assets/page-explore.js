import { card, chip, empty, fill, h, table } from "./dom.js";
import { heatChart, timeChart } from "./charts.js";
import { axisTime, brief, count, ms, share, stamp } from "./format.js";
import { iso, quoted, slot } from "./page-now.js";
import { address, api, params, period, set } from "./state.js";

const ROWS = 500;
const KINDS = { database_operations: "operation", sync_operations: "sync", migration_operations: "migration", performance_metrics: "measurement", error_logs: "error", monitoring_data: "monitoring" };

const filterText = () => params().get("f") ?? "";
const asked = () => ({ ...period(), f: filterText(), before: params().get("before") });
const has = (name, value) => words().includes(`${name}:${quoted(value)}`);
const words = () => filterText().match(/-?[a-z]+(?::|>=|<=|>|<)(?:"(?:[^"\\]|\\.)*"|\S+)/gs) ?? [];

function toggle(name, value) {
  const word = `${name}:${quoted(value)}`;
  const found = words();
  set({ f: (found.includes(word) ? found.filter((one) => one !== word) : [...found, word]).join(" "), before: null });
}

// Where the rows before one begin: its microsecond, and its number among those of the same one.
const place = (row) => `${Date.parse(`${row.at.slice(0, 23)}Z`) * 1000 + Number(row.at.slice(23, 26))}.${row.number}`;
const newestFirst = (a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : b.number - a.number);

export const outcome = (row) => {
  if (row.category === "error_logs") return chip("error", "bad");
  if (row.failed) return chip(row.outcome ?? "failed", "bad");
  if (row.outcome && row.outcome !== "committed" && row.outcome !== "completed") return chip(row.outcome, "warn");
  return h("span.note", {}, row.outcome ?? "");
};

export async function show(context) {
  const mode = params().get("view") === "heat" ? "heat" : "rows";
  const told = await api("explore", asked(), context.signal);
  context.tell(told);
  let rows = told.rows, position = told.status.number, generation = told.status.generation, waiting = [], picked = -1;
  const title = h("h1", {}), pill = h("button.newpill.primary", { type: "button", hidden: true });
  const facets = h("div.facets", { role: "region", "aria-label": "Facets", tabindex: "0" });
  const list = h("div.list", {}), drawer = h("aside.drawer", { hidden: true, "aria-label": "Event", tabindex: "-1" });
  const find = h("input", { id: "find", value: filterText(), placeholder: "operation:add_lead failed:yes user:ana ms>=100", "aria-label": "Filter (/)", spellcheck: "false", autocomplete: "off" });
  const form = h("form.filter", { onsubmit: (event) => { event.preventDefault(); set({ f: find.value.trim(), before: null }); } }, find);
  let heat = null;

  const shown = (found) => { title.textContent = `${count(Math.round(found.total), found.approx)} ${found.total === 1 ? "event" : "events"}`; };
  const data = (found) => [found.at, found.well.map((n, at) => n + found.failed[at]), found.failed];
  const histogram = timeChart({
    title: "Events", height: 110, step: told.found.step, data: data(told.found),
    series: [{ label: "all", colour: "s1", bars: true }, { label: "failed", colour: "s2", bars: true }],
    onSelect: (from, to) => set({ since: iso(from), until: iso(to), before: null }),
  });
  function facets_(found) {
    fill(facets, found.facets.map((facet) => h("section.facet", {}, h("h3", {}, facet.name),
      h("ul", {}, facet.values.map(([value, n]) => h("li", {}, h("button", { type: "button", "aria-pressed": String(has(facet.name, value)), title: value, onclick: () => toggle(facet.name, value) },
        h("span.v", {}, facet.name === "category" ? KINDS[value] ?? value : value), h("span.c", {}, brief(n)))))), facet.more ? h("p.note", {}, `${facet.more} more`) : null)));
  }
  const COLUMNS = [{ title: "Time", nowrap: true }, { title: "What", nowrap: true }, { title: "Outcome", nowrap: true }, { title: "Took", n: true }, { title: "User", short: true }, { title: "Says", cut: true }];
  const cells = (row) => [stamp(row.at, { fraction: true }), h("button.link", { type: "button", onclick: (event) => { event.stopPropagation(); open(row); } }, row.name || row.category), outcome(row), ms(row.ms), row.user ?? "", row.text ?? ""];
  const listed = (some) => table(COLUMNS, some.map(cells), { caption: "Events, the newest first", row: (line, at) => { line.className = "pick"; lines.set(some[at].number, line); line.addEventListener("click", () => open(some[at])); } });
  let lines = new Map();
  function rows_() {
    if (!rows.length) { fill(list, empty("No events", "No event in this period matches the filter. Choose a longer period, or remove a term from the filter.")); return; }
    lines = new Map();
    fill(list, pill, listed(rows),
      rows.length >= ROWS ? h("p.actions", { css: { padding: "10px 14px" } }, h("button", { type: "button", onclick: () => set({ before: place(rows.at(-1)) }) }, "Older"), h("span.note", {}, `The newest ${ROWS} are shown; the counts are of all.`)) : null);
    mark();
  }
  // Creates only the new lines and keeps the others.
  function more_() {
    const body = list.querySelector("tbody");
    if (!body || rows.length >= ROWS !== Boolean(list.querySelector(":scope > p"))) { rows_(); return; }
    listed(rows.filter((row) => !lines.has(row.number)));
    const kept = rows.map((row) => lines.get(row.number)), staying = new Set(kept);
    for (const [number, line] of lines) if (!staying.has(line)) { line.remove(); lines.delete(number); }
    kept.forEach((line, at) => { if (body.children[at] !== line) body.insertBefore(line, body.children[at] ?? null); });
    mark();
  }
  function mark() {
    list.querySelectorAll("tbody tr").forEach((line, at) => line.setAttribute("aria-selected", String(at === picked)));
  }
  async function open(row) {
    picked = rows.indexOf(row);
    mark();
    drawer.hidden = false;
    fill(drawer, h("p.loading", {}, "Loading…"));
    try {
      const event = await api("event", { number: row.number });
      fill(drawer, h("div.head", {}, h("h1", {}, row.name), h("button", { type: "button", onclick: close }, "Close (Esc)")),
        h("p.actions", {}, outcome(row), h("span", {}, stamp(row.at, { fraction: true })), h("span", {}, ms(row.ms)),
          event.session_id && h("a", { href: address("session", { id: event.session_id, at: event.event_id }) }, "Its session"),
          event.lead_id && h("a", { href: address("entity", { key: event.lead_id }) }, "History of the row"),
          event.log_type === "error_log" && event.fingerprint && h("a", { href: address("errors", { fingerprint: event.fingerprint }) }, "All with this cause")),
        h("p.note", {}, event.commands.leadlog), h("pre.box", { tabindex: "0", "aria-label": "The record" }, event.record));
      drawer.focus();
    } catch (error) { fill(drawer, h("p.failed-view", {}, error.message), h("button", { type: "button", onclick: close }, "Close")); }
  }
  function close() { drawer.hidden = true; list.querySelectorAll("tbody tr button")[picked]?.focus(); }

  function follow() {
    const chosen = rows[picked];
    rows = [...waiting, ...rows].sort(newestFirst).slice(0, ROWS); // what was recovered may be older
    picked = rows.indexOf(chosen);
    waiting = [];
    pill.hidden = true;
    more_();
  }
  pill.addEventListener("click", () => { follow(); scrollTo({ top: 0 }); });

  let busy = false, again = false;
  async function live(status) {
    if (!params().get("until") && !params().get("before")) {
      if (busy) { again = true; return; }
      busy = true;
      try {
        if (status.generation !== generation) { // the index was rebuilt and its numbers changed: start over
          const next = await api("explore", asked());
          ({ generation } = next.status); position = next.status.number; rows = next.rows; waiting = [];
          update(next);
          rows_();
        } else if (status.number > position) {
          for (;;) {
            const next = await api("after", { ...period(), number: position, f: filterText() });
            position = next.number;
            const known = new Set([...rows, ...waiting].map((one) => one.number));
            waiting.push(...next.rows.filter((one) => !known.has(one.number)));
            if (!next.more) break;
          }
          waiting = waiting.sort(newestFirst).slice(0, ROWS);
          if (waiting.length) {
            if (scrollY < 40 && drawer.hidden && mode === "rows") follow();
            else if (waiting.length) { pill.hidden = false; pill.textContent = `${waiting.length} new`; }
          }
          refresh();
        }
      } catch { again = false; } finally { busy = false; }
      if (again) { again = false; live(status); }
    }
  }
  let timer = null;
  function refresh() {
    timer ??= setTimeout(async () => {
      timer = null;
      try { update(await api("explore", { ...asked() }, context.signal)); } catch { /* the next update retries */ }
    }, 1000);
  }
  function update(next) {
    context.tell(next);
    shown(next.found);
    histogram.update({ data: data(next.found), step: next.found.step });
    facets_(next.found);
  }
  async function heat_() {
    const { heatmap } = await api("heatmap", asked(), context.signal);
    if (!heatmap.edges.length) { fill(list, empty("No durations", "No event in this period has a duration.")); return; }
    const differ = h("div", {});
    const label = (at) => `${ms(heatmap.edges[at])} – ${ms(heatmap.edges[at + 1])}`;
    heat = heatChart({
      title: "Latency", columns: heatmap.at, rowLabels: heatmap.cells[0].map((_, at) => label(at)), cells: heatmap.cells, most: heatmap.most, height: 300,
      axis: (at) => axisTime(heatmap.at[at] ?? heatmap.at.at(-1), heatmap.step),
      onBox: async (box) => {
        fill(differ, h("p.loading", {}, "Comparing…"));
        const found = await api("differences", { ...asked(), start: heatmap.at[box.c0], end: heatmap.at[box.c1] + heatmap.step, low: heatmap.edges[box.r0], high: heatmap.edges[box.r1 + 1] });
        if (!found.differences.length) { fill(differ, empty("Nothing stands out", "The box has no events, or the same kinds as the rest.")); return; }
        fill(differ, h("h2", {}, "More often in the box than outside"), table([{ title: "" }, { title: "Value" }, { title: "In the box", n: true }, { title: "Outside", n: true }, { title: "" }],
          found.differences.map((one) => [one.facet, one.value, share(one.inside), share(one.outside), h("button", { type: "button", onclick: () => toggle(one.facet, one.value) }, "Filter")]), { caption: "What differs in the box" }));
      },
    });
    fill(list, h("div", { css: { padding: "12px 14px" } }, heat.box, differ));
  }
  shown(told.found);
  facets_(told.found);
  if (mode === "heat") await heat_(); else rows_();
  const modes = h("div.ranges", { role: "group", "aria-label": "View" }, [["rows", "Events"], ["heat", "Latency"]].map(([one, text]) => h("button", { type: "button", "aria-pressed": String(one === mode), onclick: () => set({ view: one === "rows" ? null : one }) }, text)));
  return {
    nodes: [h("div.head", {}, title, params().get("before") && h("p", {}, `before ${stamp(new Date(Number(params().get("before").split(".")[0]) / 1000).toISOString())} · `, h("a", { href: address("explore", { f: filterText() }) }, "newest"))),
      h("div.explore", {}, facets, h("div", { css: { "min-width": "0" } },
        h("div.actions", { css: { "margin-bottom": "10px" } }, form, modes),
        card(`Events per ${slot(told.found.step)}`, {}, histogram.box), h("section.card.flush", { css: { "margin-top": "12px" } }, list))), drawer],
    live, escape: close,
    move: (by) => { if (!rows.length) return; picked = Math.min(Math.max(picked + by, 0), rows.length - 1); mark(); const line = list.querySelectorAll("tbody tr")[picked]; line?.scrollIntoView({ block: "nearest" }); line?.querySelector("button")?.focus(); },
    close: () => { histogram.close(); heat?.close(); clearTimeout(timer); timer = 1; },
  };
}
