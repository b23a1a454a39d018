// Numbers to three digits, durations, shares and times, the same on every page.
import { params } from "./state.js";

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const small = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3 });
const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumSignificantDigits: 3 });

export const count = (n, approx) => (n === null || n === undefined ? "–" : `${approx ? "≈" : ""}${whole.format(n)}`);
export const brief = (n) => (n === null || n === undefined ? "–" : n >= 10000 ? short.format(n) : small.format(n));

export function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 ms";
  if (value < 1) return `${small.format(value * 1000)} µs`;
  if (value < 1000) return `${small.format(value)} ms`;
  if (value < 60000) return `${small.format(value / 1000)} s`;
  if (value < 3600000) return `${small.format(value / 60000)} min`;
  return `${small.format(value / 3600000)} h`;
}

export function share(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 %";
  return value < 0.0001 ? "< 0.01 %" : `${small.format(value * 100)} %`;
}

export const byUnit = (unit) => ({ count: brief, ms, share }[unit] ?? brief);

export const utc = () => params().get("utc") === "1";
export const zone = () => (utc() ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone);

const made = new Map();
function formatter(options) {
  const key = JSON.stringify([zone(), options]);
  if (!made.has(key)) made.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone(), hourCycle: "h23", ...options }));
  return made.get(key);
}

const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
const day = { day: "numeric", month: "short" };
export const full = (seconds) => formatter({ ...day, year: "numeric", ...clock }).format(seconds * 1000);

export function stamp(text, { date = true, fraction = false } = {}) {
  if (!text) return "–";
  const at = new Date(text);
  const shown = formatter(date ? { ...day, ...clock } : clock).format(at);
  return fraction ? `${shown}${text.slice(19, 23)}` : shown;
}

export function axisTime(seconds, step) {
  const at = seconds * 1000;
  if (step >= 86400) return formatter(day).format(at);
  if (step < 60) return formatter(clock).format(at);
  const time = formatter({ hour: "2-digit", minute: "2-digit" }).format(at);
  return time === "00:00" ? formatter(day).format(at) : time;
}

export function ago(seconds) {
  if (seconds < 2) return "now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}
