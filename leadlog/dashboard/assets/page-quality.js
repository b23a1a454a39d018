import { card, empty, fill, h, table } from "./dom.js";
import { heatChart } from "./charts.js";
import { count, share } from "./format.js";
import { api, params, period, set } from "./state.js";

const score = (value) => (value === null ? "–" : value.toFixed(2));
const LABELS = Array.from({ length: 20 }, (_, at) => `${(at / 20).toFixed(2)} – ${((at + 1) / 20).toFixed(2)}`);
const asked = () => (params().has("since") ? period() : { since: "30d", until: "" });

export async function show(context) {
  const told = await api("quality", asked(), context.signal);
  context.tell(told);
  const title = h("h1", {}), issues = h("div", {}), sources = h("div", {});
  const head = h("div.head", {}, title, h("p", {}, params().has("since") ? "" : "the last 30 days"));
  if (!told.quality.total) {
    fill(title, "Quality of leads");
    const again = async (next) => { const made = await show(next); return next.quiet && !made.close ? null : made; };
    return { again, nodes: [head, empty("No scores", "No lead was scored in this period. ", h("button", { type: "button", onclick: () => set({ since: "all" }) }, "See all of the log"))] };
  }
  let heat = null;
  const meter = (part) => h("span.meter", {}, h("i", { css: { width: `${Math.round(part * 100)}%` } }));
  function all(found) {
    const drawn = { columns: found.days, cells: found.cells, most: found.most, axis: (at) => found.days[at] };
    if (heat) heat.update(drawn);
    else heat = heatChart({ ...drawn, title: "Scores by day", rowLabels: LABELS, height: 240 });
    fill(title, `Mean score ${score(found.mean)} in ${count(found.total)} calls`);
    fill(issues, found.issues.length ? table([{ title: "Issue" }, { title: "Calls", n: true }, { title: "Share", n: true }, { title: "" }], found.issues.map((one) => [one.code, count(one.leads), share(one.share), meter(one.share)]), { caption: "Issues, the most frequent first" }) : empty("No issues", "Every lead was complete."));
    fill(sources, table([{ title: "Source" }, { title: "Calls", n: true }, { title: "Mean", n: true }, { title: "Below 0.5", n: true }, { title: "Most frequent issue" }], found.sources.map((one) => [one.name ?? h("span.note", {}, "not known"), count(one.leads), score(one.mean), share(one.low), one.issue]), { caption: "Sources" }));
  }
  all(told.quality);
  return {
    nodes: [head, h("div.grid", {},
      card("Scores by day (UTC)", { side: h("span.note", {}, "0 is worst, 1 is best") }, heat.box),
      card("Why scores are low", { size: "half", flush: true }, issues),
      card("By source", { size: "half", flush: true }, sources))],
    again: async (next) => {
      if (!next.quiet) return show(next);
      const newer = await api("quality", asked(), next.signal);
      next.tell(newer);
      if (!newer.quality.total) return show(next);
      all(newer.quality);
      return null;
    },
    close: () => heat.close(),
  };
}
