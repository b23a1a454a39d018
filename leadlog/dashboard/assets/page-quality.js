import { card, empty, h, table } from "./dom.js";
import { heatChart } from "./charts.js";
import { count, share } from "./format.js";
import { api, params, period, set } from "./state.js";

const score = (value) => (value === null ? "–" : value.toFixed(2));

export async function show(context) {
  const asked = params().has("since") ? period() : { since: "30d", until: "" };
  const told = await api("quality", asked, context.signal);
  context.tell(told);
  const found = told.quality;
  const head = h("div.head", {}, h("h1", {}, found.total ? `Mean score ${score(found.mean)} in ${count(found.total)} calls` : "Quality of leads"), h("p", {}, params().has("since") ? "" : "the last 30 days"));
  if (!found.total) return { nodes: [head, empty("No scores", "No lead was scored in this period. ", h("button", { type: "button", onclick: () => set({ since: "all" }) }, "See all of the log"))] };
  const labels = Array.from({ length: 20 }, (_, at) => `${(at / 20).toFixed(2)} – ${((at + 1) / 20).toFixed(2)}`);
  const heat = heatChart({ title: "Scores by day", columns: found.days, rowLabels: labels, cells: found.cells, most: found.most, axis: (at) => found.days[at], height: 240 });
  const meter = (part) => h("span.meter", {}, h("i", { css: { width: `${Math.round(part * 100)}%` } }));
  return {
    nodes: [head, h("div.grid", {},
      card("Scores by day (UTC)", { side: h("span.note", {}, "0 is worst, 1 is best") }, heat.box),
      card("Why scores are low", { size: "half", flush: true }, found.issues.length ? table([{ title: "Issue" }, { title: "Calls", n: true }, { title: "Share", n: true }, { title: "" }], found.issues.map((one) => [one.code, count(one.leads), share(one.share), meter(one.share)]), { caption: "Issues, the most frequent first" }) : empty("No issues", "Every lead was complete.")),
      card("By source", { size: "half", flush: true }, table([{ title: "Source" }, { title: "Calls", n: true }, { title: "Mean", n: true }, { title: "Below 0.5", n: true }, { title: "Most frequent issue" }], found.sources.map((one) => [one.name ?? h("span.note", {}, "not told"), count(one.leads), score(one.mean), share(one.low), one.issue]), { caption: "Sources" })))],
    close: () => heat.close(),
  };
}
