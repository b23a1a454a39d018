import { announce, card, chip, dotted, empty, fill, h, table } from "./dom.js";
import { spark } from "./charts.js";
import { count, stamp } from "./format.js";
import { quoted } from "./page-now.js";
import { address, api, mayChange, params, period, post, set } from "./state.js";

const KIND = { open: "bad", reopened: "bad", resolved: "ok", ignored: "" };
const name = (one) => one.exception ?? one.error_type ?? one.fingerprint;

export async function show(context) {
  const told = await api("errors", period(), context.signal);
  const chosen = params().get("fingerprint");
  const left = h("div", {}), right = h("div", {});
  let groups = told.groups;
  const place = () => groups.findIndex((one) => one.fingerprint === params().get("fingerprint"));

  function list() {
    if (!groups.length) { fill(left, empty("No errors", "None in this period. That is good news, or nothing ran.")); return; }
    fill(left, table([{ title: "Error", main: true }, { title: "State" }, { title: "Count", n: true }, { title: "" }, { title: "Last, first seen", n: true }],
      groups.map((one) => [
        h("div", {}, h("div", {}, h("button.link", { type: "button", id: `group-${one.fingerprint}`, onclick: () => set({ fingerprint: one.fingerprint, number: null }) }, dotted(name(one)))), h("div.note.clamp", { title: one.message }, one.message)),
        one.state ? chip(one.state, KIND[one.state]) : "–", count(one.events, one.approx), spark(one.spark, { bars: true, bad: true, width: 64, height: 20 }), h("div", {}, stamp(one.last_seen), h("div.note", { title: "first seen" }, stamp(one.first_seen))),
      ]), { caption: "Errors by cause", row: (line, at) => line.setAttribute("aria-selected", String(groups[at].fingerprint === params().get("fingerprint"))) }));
  }
  async function detail() {
    const fingerprint = params().get("fingerprint");
    if (!fingerprint) { context.tell(told); fill(right, groups.length ? empty("Choose an error", "or go through them with ", h("kbd", {}, "j"), " and ", h("kbd", {}, "k"), ".") : null); return; }
    const one = await api("error", { ...period(), fingerprint, number: params().get("number") }, context.signal);
    context.tell(one);
    const go = (number) => h("button", { type: "button", disabled: number === null, onclick: () => set({ number: String(number) }) });
    const older = go(one.previous), newer = go(one.next);
    older.textContent = "Older"; newer.textContent = "Newer";
    const marks = (word, text) => h("button", { type: "button", disabled: !mayChange, title: mayChange ? null : "Start with --allow-changes to mark errors here", onclick: async () => { try { await post("mark", { fingerprint, word }); announce(`marked as ${word}`); set({}, { replace: true }); } catch (error) { announce(error.message); } } }, text);
    fill(right,
      h("div.head", {}, h("h1", {}, dotted(name(one.group))), one.group.state && chip(one.group.state, KIND[one.group.state])),
      h("p", { css: { "overflow-wrap": "anywhere", "margin-bottom": "10px" } }, one.message),
      h("p.actions", {}, newer, older, h("span.note", {}, `${count(one.place)} of ${count(one.of)} · in ${count(one.sessions)} ${one.sessions === 1 ? "session" : "sessions"} in this period`)),
      h("p.actions", { css: { margin: "8px 0" } }, h("span", {}, stamp(one.at, { fraction: true })), one.session_id && h("a", { href: address("session", { id: one.session_id, at: one.event_id }) }, "Its session"), one.lead_id && h("a", { href: address("entity", { key: one.lead_id }) }, "History of the row"), h("a", { href: address("explore", { f: `fingerprint:${quoted(fingerprint)}` }) }, "In Explore"),
        marks("resolved", "Resolve"), marks("ignored", "Ignore for 30 days"), one.group.state === "open" ? null : marks("open", "Reopen")),
      one.trace ? h("pre.box", { tabindex: "0", "aria-label": "Trace" }, one.trace) : h("p.note", {}, "This error has no trace."),
      h("div.grid", { css: { margin: "12px 0" } }, Object.entries(one.shares).map(([facet, values]) => h("div.half", { css: { "grid-column": "span 6" } }, h("h3", {}, facet),
        values.map(([value, n]) => h("div", {}, h("span.meter", {}, h("i", { css: { width: `${(100 * n) / one.shared_of}%` } })), ` ${Math.round((100 * n) / one.shared_of)} % `, h("span", { css: { "overflow-wrap": "anywhere" } }, value)))))),
      one.shared_of > 1 ? h("p.note", {}, `Shares of the newest ${count(one.shared_of)}.`) : null,
      h("details.beside", {}, h("summary", {}, "The whole record"), h("pre.box", { tabindex: "0" }, one.record)));
  }
  list();
  await detail();
  return {
    nodes: [h("div.head", {}, h("h1", {}, groups.length ? `${count(groups.length)} ${groups.length === 1 ? "cause" : "causes"} of errors` : "Errors")),
      h("div.grid", {}, h(`section.card.flush${chosen || groups.length ? ".half" : ""}`, {}, left), chosen || groups.length ? card("", { size: `half.beside-list${chosen ? ".chosen" : ""}` }, right) : null)],
    again: async (next) => {
      if (!next.quiet) return show(next);
      ({ groups } = await api("errors", period(), next.signal));
      const at = document.activeElement?.id;
      list();
      if (at) document.getElementById(at)?.focus();
      return null;
    },
    move: (by) => { if (groups.length) set({ fingerprint: groups[Math.min(Math.max(place() + by, 0), groups.length - 1)].fingerprint, number: null }, { replace: true }); },
    escape: () => set({ fingerprint: null, number: null }),
  };
}
