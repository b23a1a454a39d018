import { announce, card, empty, fill, h, table } from "./dom.js";
import { count } from "./format.js";
import { api, params, period, post, root, set } from "./state.js";

const FIRST = "SELECT operation_type, count(*) AS calls\nFROM operations\nGROUP BY operation_type\nORDER BY calls DESC";
const number = (type) => /int|double|float|decimal/.test(type);
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export async function show(context) {
  const told = await api("questions", {}, context.signal);
  const { limits } = told;
  const editor = h("textarea.sql", { id: "find", "aria-label": "SQL (/)", spellcheck: "false", value: params().get("sql") ?? FIRST });
  const out = h("div", {}, empty("Not run yet", "Ctrl+Enter runs the statement. It reads the log's files, sealed days too."));
  const run = h("button.primary", { type: "button", onclick: () => go() }, "Run"), stop = h("button", { type: "button", hidden: true, onclick: () => post("sql/cancel", { name }) }, "Cancel");
  let name = "", rows = null;
  const text = () => editor.value.trim();
  function commands() {
    const { since, until } = period();
    const range = `${since && since !== "all" ? ` --since ${since}` : ""}${until ? ` --until ${until}` : ""}`;
    const question = told.questions.find((one) => one.sql === text());
    context.tell({ commands: { leadlog: `leadlog query ${quoted(text())}${range} --directory ${told.directory}`, jq: question ? question.jq : `leadlog query ${quoted(text())}${range} --directory ${told.directory} --json | jq -c '.[]'` } });
  }
  const ask = () => ({ name, sql: text(), ...period() });
  async function go() {
    name = Math.random().toString(36).slice(2);
    const url = new URL(location.href);
    url.searchParams.set("sql", text());
    history.replaceState(null, "", url);
    run.disabled = true; stop.hidden = false;
    const began = performance.now();
    fill(out, h("p.loading", { role: "status" }, "Running…"));
    try {
      rows = await post("sql", ask());
      const took = ((performance.now() - began) / 1000).toFixed(2);
      announce(`${rows.rows.length} rows in ${took} s`);
      fill(out, h("p.note", { css: { padding: "8px 14px" } }, `${rows.more ? "the first " : ""}${count(rows.rows.length)} ${rows.rows.length === 1 ? "row" : "rows"} in ${took} s${rows.more ? "; export for all of them" : ""}${rows.damaged ? ` · ${count(rows.damaged)} damaged lines passed over` : ""}`),
        rows.rows.length ? table(rows.columns.map((one, at) => ({ title: one, n: number(rows.types[at]) })), rows.rows.map((row) => row.map((cell) => (cell === null ? h("span.note", {}, "null") : typeof cell === "object" ? JSON.stringify(cell) : String(cell)))), { caption: "Result", tall: true }) : empty("No rows", "The statement ran and returned none."));
    } catch (error) {
      fill(out, h("div.failed-view", {}, h("h2", {}, "The query did not run"), h("pre", {}, error.message)));
    } finally { run.disabled = false; stop.hidden = true; commands(); }
  }
  async function save(form) {
    name = Math.random().toString(36).slice(2);
    const response = await fetch(`${root}/api/sql/export`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ...ask(), form }) });
    if (!response.ok) { const why = await response.json().catch(() => ({})); fill(out, h("div.failed-view", {}, h("h2", {}, "The export failed"), h("pre", {}, why.error ?? ""))); return; }
    const url = URL.createObjectURL(await response.blob());
    const link = h("a", { href: url, download: `leadlog.${form}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }
  editor.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); go(); } });
  editor.addEventListener("change", commands);
  const questions = h("select", { "aria-label": "Twenty questions", onchange: (event) => { const one = told.questions[event.target.value]; if (one) { editor.value = one.sql; go(); } } }, h("option", { value: "" }, "Twenty questions…"), told.questions.map((one, at) => h("option", { value: String(at) }, one.title)));
  commands();
  if (params().get("sql")) setTimeout(go, 0);
  return {
    nodes: [h("div.head", {}, h("h1", {}, "Ask in SQL"), h("p", {}, `DuckDB's dialect; up to ${limits.seconds} s, ${limits.memory_mb} MB, ${limits.threads} threads; 1,000 rows are shown`)),
      h("div.grid", {}, card("", {}, editor, h("p.actions", { css: { "margin-top": "8px" } }, run, stop, questions, h("span.grow", { css: { flex: 1 } }), h("button", { type: "button", onclick: () => save("csv") }, "Save CSV"), h("button", { type: "button", onclick: () => save("parquet") }, "Save Parquet")), h("p.note", { css: { "margin-top": "8px" } }, `Tables: ${told.tables.join(", ")}. The period above chooses which events are read.`)),
        card("Result", { flush: true }, out))],
    again: async () => null,
    live: () => {},
  };
}
