// Charts over time (uPlot), heatmaps on our own canvas, sparklines. Each also has a table.
import { add, announce, fill, h, svg, table } from "./dom.js";
import { axisTime, brief, byUnit, full } from "./format.js";

const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(`--${name}`).trim();
const charts = new Set();

// Draws only isolated values as points.
function alone(u, place) {
  const values = u.data[place], found = [];
  values.forEach((value, at) => { if (value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null) found.push(at); });
  return found;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const one of charts) one.repaint();
});

export function spark(values, { bars = false, bad = false, width = 96, height = 28 } = {}) {
  const known = values.filter((one) => one !== null);
  const box = svg("svg", { class: `spark${bad ? " bad" : ""}`, width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", preserveAspectRatio: "none" });
  const most = Math.max(...known, 0);
  if (!known.length || most === 0) {
    box.append(svg("path", { d: `M0,${height - 1}H${width}`, opacity: 0.35 }));
    return box;
  }
  const step = width / Math.max(values.length - (bars ? 0 : 1), 1);
  if (bars) {
    values.forEach((value, at) => {
      const tall = value ? Math.max((value / most) * (height - 2), 1.5) : 0;
      if (tall) box.append(svg("rect", { x: (at * step).toFixed(2), y: (height - tall).toFixed(2), width: Math.max(step - 1, 1).toFixed(2), height: tall.toFixed(2), rx: 0.5 }));
    });
    return box;
  }
  let path = "", pen = false;
  values.forEach((value, at) => {
    if (value === null) { pen = false; return; }
    path += `${pen ? "L" : "M"}${(at * step).toFixed(2)},${(height - 1.5 - (value / most) * (height - 3)).toFixed(2)}`;
    if (!pen && (values[at + 1] ?? null) === null) path += "h1.5";
    pen = true;
  });
  box.append(svg("path", { d: path }));
  return box;
}

// series: {label, colour: "s1", dash, bars, fill}; data: [at, values of each series].
export function timeChart({ title, unit = "count", series, data, step, markers = [], sync, height = 170, onSelect }) {
  const format = byUnit(unit);
  const legend = h("div.legend", {});
  const plot = h("div.plot", { tabindex: "0", role: "group", "aria-label": `${title}: chart; arrow keys move along it, a table is below` });
  const values = series.map((one) => h("b", {}, ""));
  fill(legend, series.map((one, at) => h("span", {}, h(`i${one.bars ? ".swatch" : one.dash ? ".dashed" : ""}`, { css: { [one.bars ? "background" : "border-color"]: `var(--${one.colour})` } }), `${one.label} `, values[at])), h("span.when", {}));
  const details = h("details.beside", {}, h("summary", {}, "Table"));
  const box = h("div.chart", {}, legend, plot, details);
  // A bar of height 0 would draw a line along the axis.
  const drawn = (given) => given.map((values, place) => (place && series[place - 1].bars ? values.map((one) => one || null) : values));
  let now = { data, step, markers };

  const paths = uPlot.paths;
  const drawMarkers = (u) => {
    const { ctx } = u;
    ctx.save();
    ctx.strokeStyle = colour("s3");
    ctx.setLineDash([4, 3]);
    for (const one of now.markers) {
      const x = u.valToPos(one.at, "x", true);
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, u.bbox.top);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  };
  const told = (u) => {
    const at = u.cursor.idx;
    const known = at !== null && at !== undefined;
    series.forEach((_, place) => { values[place].textContent = known ? format(now.data[place + 1][at]) : ""; });
    const mark = known ? now.markers.find((one) => Math.abs(one.at - u.data[0][at]) <= now.step) : null;
    legend.lastChild.textContent = known ? full(u.data[0][at]) + (mark ? ` · ${mark.text}` : "") : "";
  };
  const axis = { stroke: () => colour("muted"), grid: { stroke: () => colour("grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const options = () => ({
    width: Math.max(plot.clientWidth, 120), height, legend: { show: false }, padding: [8, 22, 0, 0], // half the width of the last label
    cursor: { sync: sync ? { key: sync } : undefined, drag: { x: Boolean(onSelect), y: false, setScale: false }, points: { size: 6 } },
    scales: { x: { time: false, range: (_, low, high) => [low, series.some((one) => one.bars) ? high + now.step : high] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, size: 30, gap: 8, space: 64, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000], values: (_, splits, __, ___, gap) => splits.map((one) => axisTime(one, gap)) },
      { ...axis, size: 54, space: 34, values: (_, splits) => splits.map((one) => format(one)) },
    ],
    series: [{}, ...series.map((one) => ({
      label: one.label, stroke: () => colour(one.colour), width: 1.5, dash: one.dash ? [6, 4] : undefined, spanGaps: false,
      points: one.bars ? { show: false } : { show: true, size: 5, fill: () => colour(one.colour), filter: alone },
      fill: one.bars ? () => colour(one.colour) : one.fill ? () => `color-mix(in srgb, ${colour(one.colour)} 12%, transparent)` : undefined,
      paths: one.bars ? paths.bars({ size: [0.86, 60], align: 1 }) : undefined,
    }))],
    hooks: {
      draw: [drawMarkers], setCursor: [told],
      setSelect: [(u) => {
        if (!onSelect || u.select.width < 3) return;
        const from = u.posToVal(u.select.left, "x"), to = u.posToVal(u.select.left + u.select.width, "x");
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        onSelect(from, to);
      }],
    },
  });
  let chart = null;
  const make = () => { chart = new uPlot(options(), drawn(now.data), plot); };
  const fillTable = () => {
    if (!details.open) return;
    details.replaceChildren(details.firstChild);
    const rows = now.data[0].map((at, place) => [full(at), ...series.map((_, one) => format(now.data[one + 1][place]))]);
    add(details, table([{ title: "Time" }, ...series.map((one) => ({ title: one.label, n: true }))], rows, { caption: title }));
  };
  details.addEventListener("toggle", fillTable);
  plot.addEventListener("keydown", (event) => {
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!side || !chart) return;
    event.preventDefault();
    const last = chart.data[0].length - 1;
    const at = Math.min(Math.max((chart.cursor.idx ?? (side < 0 ? last + 1 : -1)) + side, 0), last);
    chart.setCursor({ left: chart.valToPos(chart.data[0][at], "x"), top: 10 });
    announce(`${full(chart.data[0][at])}: ${series.map((one, n) => `${one.label} ${format(now.data[n + 1][at])}`).join(", ")}`);
  });
  const sized = new ResizeObserver(() => {
    if (!chart) { if (plot.clientWidth) make(); return; }
    if (plot.clientWidth && plot.clientWidth !== chart.width) chart.setSize({ width: plot.clientWidth, height });
  });
  sized.observe(plot);
  const self = {
    box,
    repaint: () => chart?.redraw(false, true),
    update(next) { now = { ...now, ...next }; chart?.setData(drawn(now.data)); fillTable(); },
    close() { sized.disconnect(); chart?.destroy(); charts.delete(self); },
  };
  charts.add(self);
  return self;
}

// cells: column by column; rowLabels from the lowest to the highest; onBox({c0, c1, r0, r1}).
export function heatChart({ title, columns, rowLabels, cells, most, axis, onBox, height = 220, format = brief }) {
  const canvas = h("canvas.heat", { tabindex: onBox ? "0" : null, role: "img", "aria-label": `${title}: heatmap; a table is below${onBox ? ". Arrow keys move, Shift extends the box, Enter selects it" : ""}` });
  canvas.style.height = `${height}px`;
  const hint = h("p.note.hint", {}, onBox ? "Drag a box to see what differs in it." : "");
  const rows = h("div.rows", { "aria-hidden": "true" });
  const below = h("div.cols", { "aria-hidden": "true" });
  const details = h("details.beside", {}, h("summary", {}, "Table"));
  const heatbox = h("div.heatbox", {}, rows, canvas, below);
  const box = h("div.chart", {}, hint, heatbox, details);
  let now = { columns, rowLabels, cells, most, axis };
  let chosen = null, cell = null;

  function label() {
    const all = now.rowLabels, every = Math.ceil(all.length / 8);
    fill(rows, all.map((one, at) => at % every === 0 && h("span", { css: { bottom: `${(100 * (at + 0.5)) / all.length}%` } }, one)), h("b", {}, all.reduce((one, other) => (other.length > one.length ? other : one), "")));
    const columns = now.columns.length, many = Math.max(1, Math.min(8, columns, Math.floor((canvas.clientWidth || 300) / 110)));
    fill(below, Array.from({ length: many }, (_, at) => h("span", {}, now.axis(many > 1 ? Math.round((at * (columns - 1)) / (many - 1)) : 0))));
    heatbox.style.maxWidth = `${160 + 110 * columns}px`; // a few days do not fill the whole width
  }
  function draw() {
    const scale = devicePixelRatio || 1, width = canvas.clientWidth, tall = height;
    if (!width) return;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(tall * scale);
    const ctx = canvas.getContext("2d");
    ctx.scale(scale, scale);
    const wide = width / now.columns.length, high = tall / Math.max(now.rowLabels.length, 1);
    ctx.fillStyle = colour("sunken");
    ctx.fillRect(0, 0, width, tall);
    ctx.fillStyle = colour("heat");
    now.cells.forEach((column, c) => column.forEach((n, r) => {
      if (!n) return;
      ctx.globalAlpha = 0.14 + 0.86 * Math.sqrt(n / now.most);
      ctx.fillRect(c * wide, tall - (r + 1) * high, Math.max(wide - 0.6, 0.8), Math.max(high - 0.6, 0.8));
    }));
    ctx.globalAlpha = 1;
    if (chosen) {
      ctx.strokeStyle = colour("s2");
      ctx.lineWidth = 2;
      ctx.strokeRect(chosen.c0 * wide + 1, tall - (chosen.r1 + 1) * high + 1, (chosen.c1 - chosen.c0 + 1) * wide - 2, (chosen.r1 - chosen.r0 + 1) * high - 2);
    }
  }
  const place = (event) => {
    const at = canvas.getBoundingClientRect();
    const c = Math.floor(((event.clientX - at.left) / at.width) * now.columns.length);
    const r = Math.floor((1 - (event.clientY - at.top) / at.height) * now.rowLabels.length);
    return { c: Math.min(Math.max(c, 0), now.columns.length - 1), r: Math.min(Math.max(r, 0), now.rowLabels.length - 1) };
  };
  const span = (one, other) => ({ c0: Math.min(one.c, other.c), c1: Math.max(one.c, other.c), r0: Math.min(one.r, other.r), r1: Math.max(one.r, other.r) });
  let from = null;
  if (onBox) {
    canvas.addEventListener("pointerdown", (event) => { from = place(event); chosen = span(from, from); canvas.setPointerCapture(event.pointerId); draw(); });
    canvas.addEventListener("pointerup", () => { if (from && chosen) onBox(chosen); from = null; });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (move) {
        event.preventDefault();
        const start = cell ?? { c: 0, r: 0 };
        cell = { c: Math.min(Math.max(start.c + move[0], 0), now.columns.length - 1), r: Math.min(Math.max(start.r + move[1], 0), now.rowLabels.length - 1) };
        if (!event.shiftKey || !from) from = event.shiftKey ? start : cell;
        chosen = span(from, cell);
        announce(`${now.axis(cell.c)}, ${now.rowLabels[cell.r]}: ${format(now.cells[cell.c][cell.r])}`);
        draw();
      } else if (event.key === "Enter" && chosen) onBox(chosen);
    });
  }
  canvas.addEventListener("pointermove", (event) => {
    const at = place(event);
    if (!now.cells[at.c]) return;
    if (from) { chosen = span(from, at); draw(); }
    hint.textContent = `${now.axis(at.c)} · ${now.rowLabels[at.r]} · ${format(now.cells[at.c][at.r])}`;
  });
  canvas.addEventListener("pointerleave", () => { hint.textContent = onBox ? "Drag a box to see what differs in it." : "\u00a0"; });
  const fillTable = () => {
    if (!details.open) return;
    details.replaceChildren(details.firstChild);
    const told = [];
    now.cells.forEach((column, c) => column.forEach((n, r) => { if (n) told.push([now.axis(c), now.rowLabels[r], format(n)]); }));
    add(details, table([{ title: "When" }, { title: "Range" }, { title: "Count", n: true }], told.slice(-500), { caption: title }));
  };
  details.addEventListener("toggle", fillTable);
  const sized = new ResizeObserver(() => { label(); draw(); });
  sized.observe(canvas);
  const self = {
    box, repaint: draw,
    update(next) { now = { ...now, ...next }; label(); draw(); fillTable(); },
    close() { sized.disconnect(); charts.delete(self); },
  };
  charts.add(self);
  return self;
}
