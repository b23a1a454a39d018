import { announce, card, chip, empty, fill, h, table, worded } from "./dom.js";
import { brief, ms, stamp } from "./format.js";
import { address, api, mayChange, post, set } from "./state.js";

const KIND = { critical: "bad", warning: "warn", ok: "ok", firing: "bad", pending: "warn", resolved: "ok" };

// The period around an alert: from half an hour before it was first found.
const around = (alert) => address("explore", { since: new Date(Date.parse(alert.since) - 1800000).toISOString(), until: null, f: "failed:yes" });

export async function show(context) {
  const told = await api("alerts", {}, context.signal);
  context.tell(told);
  const { alerts } = told;
  const checks = h("div", {}, h("p.loading", {}, "Checking…"));
  const firing = alerts.alerts.filter((one) => one.state === "firing" && !one.suppressed).length;
  const group = (title, list) => list.length ? card(title, { flush: true }, table([{ title: "Alert" }, { title: "Severity" }, { title: "What" }, { title: "Value", n: true }, { title: "Limit", n: true }, { title: "Since", n: true }, { title: "" }],
    list.map((one) => [one.name, chip(one.severity, KIND[one.severity] ?? ""), h("div", {}, one.message, one.remedy && h("div.note", {}, one.remedy)), brief(one.value), brief(one.threshold), stamp(one.since),
      h("span.actions", {}, h("a", { href: around(one) }, "See the calls"), mayChange && !one.suppressed && h("button", { type: "button", onclick: async () => { try { await post("silence", { rule: one.rule, label: one.label, hours: 1 }); set({}, { replace: true }); } catch (error) { announce(error.message); } } }, "Silence 1 h"))]), { caption: title })) : null;
  const body = alerts.why ? [empty("No alerts yet", worded(alerts.why))] : [
    group("Firing", alerts.alerts.filter((one) => one.state === "firing" && !one.suppressed)),
    group("Pending", alerts.alerts.filter((one) => one.state === "pending" && !one.suppressed)),
    group("Silenced, or a consequence of another", alerts.alerts.filter((one) => one.suppressed)),
    alerts.alerts.length ? null : empty("No alert is pending or firing", "Alerts appear here when a rule of the monitor matches."),
    alerts.silences.length ? card("Silences", { flush: true }, table([{ title: "Number", n: true }, { title: "Rule, label" }, { title: "Until" }, { title: "By" }, { title: "Why" }], alerts.silences.map((one) => [one.number, `${one.rule} ${one.label}`, stamp(one.ends), one.by, one.comment]), { caption: "Silences" })) : null,
    alerts.changes.length ? card("Changes", { flush: true }, table([{ title: "At" }, { title: "Alert" }, { title: "Change" }, { title: "What" }], alerts.changes.map((one) => [stamp(one.at), one.name, h("span", {}, one.before, " → ", chip(one.state, KIND[one.state] ?? "")), one.message]), { caption: "Changes of state" })) : null,
  ];
  api("health", {}, context.signal).then(({ health }) => fill(checks, table([{ title: "Check" }, { title: "State" }, { title: "What" }, { title: "Took", n: true }],
    health.checks.map((one) => [one.name, chip(one.state, KIND[one.state] ?? ""), h("div", {}, one.message, one.remedy && h("div.note", {}, worded(one.remedy))), ms(one.latency_ms)]), { caption: "Health" }))).catch((error) => fill(checks, h("p.failed-view", {}, error.message)));
  return {
    nodes: [h("div.head", {}, h("h1", {}, firing ? `${firing} ${firing === 1 ? "alert fires" : "alerts fire"}` : "Alerts and health")), h("div.grid", {}, ...body.map((one) => one && (one.matches(".card") ? one : h("div.card", {}, one))), card("Health", { flush: true, side: h("button", { type: "button", onclick: () => set({}, { replace: true }) }, "Check again") }, checks))],
  };
}
