import { card, chip, empty, fill, h, table } from "./dom.js";
import { brief, count, ms, stamp } from "./format.js";
import { address, api, period } from "./state.js";

const words = (text) => text.replaceAll("_", " ");

const tile = (name, value, bad) => h("section.card.tile", {}, h("h2", {}, name), h(`div.value${bad ? ".bad" : ""}`, {}, value));

const dropped = (causes) => {
  if (causes === null) return "–";
  const listed = Object.entries(causes);
  return listed.length ? h("div", { css: { "overflow-wrap": "anywhere" } }, listed.map(([cause, n]) => h("div", {}, `${count(n)} `, h("span.note", {}, cause)))) : "0";
};

export async function show(context) {
  const title = h("h1", {}), tiles = h("div.grid", { css: { "margin-bottom": "12px" } });
  const runs = h("div", {}), shipping = h("div", {});
  const runsCard = card("Runs", { flush: true }, runs), none = h("div", {});
  const shippingCard = h("div", { css: { "margin-top": "12px" } }, card("Shipping, now", { flush: true }, shipping));
  function all(found) {
    fill(title, `${count(found.total)} ${found.total === 1 ? "run" : "runs"} of sync and migration`);
    const some = found.runs.length > 0, foretold = found.runs.some((run) => run.expected_ms !== null);
    tiles.hidden = runsCard.hidden = !some;
    shippingCard.hidden = !found.shipping.length;
    fill(none, some ? null : empty("No runs", "Neither a sync nor a migration ended in this period. ", h("code", {}, "leadlog sync both"), " and ", h("code", {}, "leadlog migrate"), " make some."));
    if (some) {
      const of = found.total > found.runs.length ? `, newest ${count(found.runs.length)}` : "";
      fill(tiles, tile("Failed", count(found.failed), found.failed > 0), tile(`Conflicts${of}`, count(found.conflicts)), tile(`Waited for rate limits${of}`, ms(found.waited_ms)), tile(`Rejected${of}`, count(found.rejected), found.rejected > 0));
      fill(runs, table([{ title: "Ended", nowrap: true }, { title: "What", nowrap: true }, { title: "Result" }, { title: "Took", n: true }, ...(foretold ? [{ title: "Expected", n: true }] : []), { title: "Waited", n: true }, { title: "Conflicts", n: true }, { title: "Rejected", n: true }, { title: "Counts", main: true }],
        found.runs.map((run) => [
          stamp(run.at), h("span", {}, `${run.kind} ${words(run.type ?? "")} `, run.session_id && h("a.note", { href: address("session", { id: run.session_id, at: run.event_id }) }, "session")),
          run.success === null ? "–" : run.success ? chip("succeeded", "ok") : chip("failed", "bad"), ms(run.ms), ...(foretold ? [ms(run.expected_ms)] : []), ms(run.waited_ms), count(run.conflicts), count(run.rejected),
          h("div", {}, h("span.note", {}, Object.entries(run.figures).filter(([, n]) => n).map(([name, n]) => `${words(name).replace(/^(leads|records|total records) /, "")} ${brief(n)}`).join(" · ")),
            run.error && h("div.bad", { css: { "overflow-wrap": "anywhere" } }, run.error),
            run.listed.length ? h("details", {}, h("summary.note", {}, `${run.listed.length} of them`), h("ul", {}, run.listed.map((one) => h("li.note", { css: { "overflow-wrap": "anywhere" } }, one)))) : null),
        ]), { caption: "Runs, the newest first" }));
    }
    if (found.shipping.length) fill(shipping, table([{ title: "Destination" }, { title: "Behind", n: true }, { title: "Files", n: true }, { title: "Left", n: true }, { title: "Refused", n: true }, { title: "Dropped" }, { title: "Last error" }],
    found.shipping.map((one) => [h("div", {}, one.name, one.target && h("div.note", { css: { "overflow-wrap": "anywhere" } }, one.target)), one.seconds === null ? "–" : one.files ? ms(one.seconds * 1000) : "nothing", count(one.files), one.bytes === null ? "–" : `${brief(one.bytes)}B`, count(one.refused), dropped(one.dropped), one.error ? h("span.bad", { css: { "overflow-wrap": "anywhere" } }, one.error) : "–"]), { caption: "How far each destination is behind" }));
  }
  const told = await api("runs", period(), context.signal);
  context.tell(told);
  all(told.runs);
  return {
    nodes: [h("div.head", {}, title), none, tiles, runsCard, shippingCard],
    again: async (next) => {
      if (!next.quiet) return show(next);
      // Does not replace the table while a list in it is open.
      if (runs.querySelector("details[open]")) return null;
      const newer = await api("runs", period(), next.signal);
      next.tell(newer);
      all(newer.runs);
      return null;
    },
  };
}
