import { card, chip, dotted, empty, fill, h, table } from "./dom.js";
import { spark, timeChart } from "./charts.js";
import { brief, byUnit, count, ms, share, stamp } from "./format.js";
import { address, api, period, set } from "./state.js";

const change = (tile) => {
  if (tile.before === null) return "no week before";
  const format = byUnit(tile.unit);
  return `${format(tile.before)} a week ago`;
};

export async function show(context) {
  const told = await api("now", period(), context.signal);
  context.tell(told);
  const head = h("div.head", {}), tiles = h("div.grid", {}), rest = h("div.grid", {});
  rest.style.setProperty("margin-top", "12px");
  let charts = null;
  const operations = h("div", {}), errors = h("div", {});

  function head_(now) {
    fill(head, h("h1", {}, h("span.state", {}, h(`span.dot.${now.state.word}`, { role: "img", "aria-label": now.state.word }), now.state.sentence)),
      now.state.operation && h("p", {}, h("a", { href: address("explore", { f: `operation:${quoted(now.state.operation)} failed:yes` }) }, "See the calls")));
  }
  function tiles_(now) {
    fill(tiles, now.tiles.map((tile) => h("section.card.tile", {},
      h("h2", {}, tile.name), h("div.value", {}, byUnit(tile.unit)(tile.value)), h("div.before", {}, change(tile)),
      spark(tile.spark, { bad: tile.rising && (tile.value ?? 0) > 0 && tile.unit !== "ms", bars: tile.unit === "count", width: 110, height: 38 }))));
  }
  function operations_(now) {
    if (!now.operations.length) { fill(operations, empty("No operations in this period", "Choose a longer period above, or run ", h("code", {}, "leadlog demo"), " to create some.")); return; }
    fill(operations, table([
      { title: "Operation", main: true }, { title: "Calls", n: true }, { title: "Failed", n: true }, { title: "p50", n: true }, { title: "p95", n: true }, { title: "Week before", n: true }, { title: "Total time", n: true }, { title: "" },
    ], now.operations.map((one) => [
      h("a", { href: address("explore", { f: `operation:${quoted(one.name)} category:${one.category}` }) }, dotted(one.name)),
      count(one.n, one.approx),
      one.failed ? h("span.bad", {}, `${brief(one.failed)} · ${share(one.failed_share)}`) : "0",
      ms(one.p50), ms(one.p95),
      one.p95_before === null ? h("span.note", {}, "–") : h(one.p95 > one.p95_before * 1.5 ? "span.warn" : "span.note", {}, ms(one.p95_before)),
      ms(one.total_ms), spark(one.spark, { bars: true, width: 80, height: 18, bad: one.failed_share > 0.02 }),
    ]), { caption: "Operations, most troubled first" }), now.operations_left_out ? h("p.note", {}, `and ${now.operations_left_out} more`) : null);
  }
  function errors_(now) {
    if (!now.errors.length) { fill(errors, empty("No errors", "None in this period.")); return; }
    fill(errors, table([{ title: "Error", main: true }, { title: "Count", n: true }, { title: "Last", n: true }], now.errors.map((one) => [
      h("div", {}, h("div.name-cell", {}, h("a", { href: address("errors", { fingerprint: one.fingerprint }) }, dotted(one.exception ?? one.error_type ?? one.fingerprint)), one.state && one.state !== "open" ? chip(one.state, one.state === "reopened" ? "bad" : "") : null),
        h("div.note.clamp", { title: one.message }, one.message)),
      count(one.events, one.approx), stamp(one.last_seen, { date: false }),
    ]), { caption: "Newest error groups" }));
  }
  const data = (chart) => [[chart.at, chart.calls, chart.failed], [chart.at, chart.errors], [chart.at, chart.p95, chart.p50]];
  function charts_(told) {
    const { now, window } = told;
    const [rate, wrong, slow] = data(now.chart);
    const common = { step: now.chart.step, markers: now.markers, sync: "now", onSelect: (from, to) => set({ since: iso(from), until: iso(to) }) };
    if (!charts) {
      charts = [
        timeChart({ ...common, title: "Calls", series: [{ label: "calls", colour: "s1", fill: true }, { label: "failed", colour: "s2", dash: true }], data: rate }),
        timeChart({ ...common, title: "Errors", series: [{ label: "errors", colour: "s2", bars: true }], data: wrong }),
        timeChart({ ...common, title: "Latency", unit: "ms", series: [{ label: "p95", colour: "s1" }, { label: "p50", colour: "s3", dash: true }], data: slow }),
      ];
    } else charts.forEach((one, at) => one.update({ data: [rate, wrong, slow][at], step: now.chart.step, markers: now.markers }));
    return window;
  }
  function all(told) {
    head_(told.now); tiles_(told.now); charts_(told); operations_(told.now); errors_(told.now);
  }
  all(told);
  fill(rest,
    card(`Calls per ${slot(told.now.chart.step)}`, { size: "third" }, charts[0].box), card(`Errors per ${slot(told.now.chart.step)}`, { size: "third" }, charts[1].box), card("Latency", { size: "third" }, charts[2].box),
    card("Operations", { size: "wide.wide-xl", flush: true, side: h("span.note", {}, "those that fail most first") }, operations),
    card("Newest errors", { size: "third.rest-xl", flush: true, side: h("a", { href: address("errors") }, "All") }, errors));
  const step = told.now.chart.step;
  return {
    nodes: [head, tiles, rest],
    again: async (next) => {
      const told = await api("now", period(), next.signal);
      next.tell(told);
      if (told.now.chart.step !== step) return show(next);
      all(told);
      return null;
    },
    close: () => charts.forEach((one) => one.close()),
  };
}

// A value as written in a filter.
export const quoted = (text) => (text && !/^"|[\s\p{Cc}]/u.test(text) ? text : `"${text.replaceAll(/[\\"]/g, "\\$&")}"`);
export const iso = (seconds) => new Date(seconds * 1000).toISOString();
export const slot = (step) => (step === 1 ? "second" : step < 60 ? `${step} s` : step === 60 ? "minute" : step < 3600 ? `${step / 60} min` : step === 3600 ? "hour" : step < 86400 ? `${step / 3600} h` : step === 86400 ? "day" : `${step / 86400} days`);
