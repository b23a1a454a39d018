import { card, chip, empty, h, linked, table } from "./dom.js";
import { count, stamp } from "./format.js";
import { address, api, params, set } from "./state.js";

const WORDS = { create: "created", update: "changed", delete: "deleted", read: "read" };
const said = (value) => (value === null ? "null" : typeof value === "string" ? value : JSON.stringify(value));

function diff(changes) {
  const names = Object.keys(changes ?? {});
  if (!names.length) return null;
  return h("dl.diff", {}, names.map((one) => {
    const cell = changes[one], parts = [];
    if (cell !== null && typeof cell === "object" && ("old" in cell || "new" in cell)) {
      if ("old" in cell) parts.push(h("span.old", {}, linked(said(cell.old))));
      if ("old" in cell && "new" in cell) parts.push(" → ");
      if ("new" in cell) parts.push(h("span.new", {}, linked(said(cell.new))));
    } else parts.push(linked(said(cell)));
    return [h("dt", {}, one), h("dd", {}, parts)];
  }));
}

function entry(one) {
  const done = one.effective || one.kind === "read";
  return h(`li${done ? "" : ".undone"}`, {},
    h("div.when", {}, stamp(one.at, { fraction: true }), h("div.note", {}, one.user ? `by ${one.user}` : "no user")),
    h("div", {},
      one.gap && h("p.gap", {}, "Something in between is not in the log: ", Object.entries(one.gap.columns ?? {}).map(([name, [was, really]]) => `${name} was ${said(was)}, and had become ${said(really)}. `)),
      h("div.actions", {}, h("b", {}, WORDS[one.kind] ?? "changed"), h("span.note", {}, one.operation),
        chip(one.outcome || "unknown", one.effective ? "ok" : one.outcome === "completed" ? "" : "bad"),
        !done && h("span.note", {}, one.named && one.outcome !== "unknown" ? "changed nothing" : "may have changed it"),
        one.session_id && h("a", { href: address("session", { id: one.session_id, at: one.event_id }) }, "session"),
        h("button.link", { type: "button", onclick: () => set({ at: one.at }) }, "the row then")),
      diff(one.changes),
      one.lost_update && h("p.gap", {}, "Lost update: it overwrote a change that it had not read."),
      one.error && h("p.bad", {}, one.error)));
}

export async function show(context) {
  const key = params().get("key") ?? "", at = params().get("at");
  const told = await api("entity", { key, at, reads: params().get("reads") }, context.signal);
  context.tell(told);
  const find = h("input", { id: "find", value: key, placeholder: "Key of a lead, or of any captured row", "aria-label": "Key of the row (/)", autocomplete: "off", spellcheck: "false" });
  const form = h("form.actions", { css: { "margin-bottom": "14px" }, onsubmit: (event) => { event.preventDefault(); set({ key: find.value.trim(), at: null }); } },
    h("div.filter", {}, find), h("button", { type: "submit" }, "Show"),
    key && h("button", { type: "button", "aria-pressed": String(params().get("reads") === "1"), onclick: () => set({ reads: params().get("reads") === "1" ? null : "1" }) }, params().get("reads") === "1" ? "Without reads" : "With reads"));
  const near = told.near.length ? h("div", { css: { "margin-top": "12px" } }, "In the log: ", h("ul", {}, told.near.map((one) => h("li", {}, h("a.mono", { href: address("entity", { key: one }) }, one))))) : null;
  let body;
  if (!told.rows.length) body = [h("div.empty", {}, h("h2", {}, key ? `No call on ${key}` : "Which row?"), h("p", {}, key ? "The log has no call that names this key." : "Give the primary key, as records have it in lead_identifier.lead_id."), near)];
  else body = told.rows.map((row) => h("div.grid", {},
    card(`${row.entity || "No class"} · ${count(row.entries.length + row.left_out)} calls`, { size: "wide.wide-xl", flush: true },
      h("ol.timeline", {}, row.entries.map(entry)), row.left_out ? h("p.note", { css: { padding: "10px 14px" } }, `and ${count(row.left_out)} older ones; leadlog history has them all`) : null),
    card(row.at ? `The row as of ${stamp(row.at)}` : "The row at the end of the log", { size: "third.rest-xl.beside-list", side: row.at && h("button.link", { type: "button", onclick: () => set({ at: null }) }, "as it is now") },
      row.row ? table([{ title: "Column" }, { title: "Value" }], Object.entries(row.row).filter(([name]) => !name.startsWith("_")).map(([name, value]) => [name, h("span", { css: { "overflow-wrap": "anywhere" } }, linked(said(value)))]), { caption: "The row" }) : h("p", {}, "No such row: deleted, or not created yet."),
      row.row?._unknown ? h("p.note", {}, `Not known from the log: ${row.row._unknown.join(", ")}`) : null,
      row.doubts.length ? h("p.gap", {}, `${count(row.doubts.length)} times the log tells of lost records that may have been about it; the last at ${stamp(row.doubts.at(-1).at)}.`) : null)));
  return { nodes: [h("div.head", {}, h("h1", {}, key ? key : "History of a row")), form, ...body], escape: () => set({ at: null }) };
}
