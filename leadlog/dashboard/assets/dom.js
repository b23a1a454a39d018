// Elements are created one by one and texts set as text: stored values are never parsed as markup.
export function h(name, given, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag || "div");
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(given ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "css") for (const [one, text] of Object.entries(value)) made.style.setProperty(one, text);
    else if (key === "value" || key === "checked" || key === "disabled") made[key] = value;
    else made.setAttribute(key, value === true ? "" : visible(value));
  }
  return add(made, children);
}

// Invisible characters that change how a text is shown, such as a direction override (which shows
// gpj.exe as exe.jpg), are written as JSON escapes.
const UNSEEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b\u2028-\u202e\u2060\u2066-\u2069\ufeff]/g;
export const visible = (text) => String(text).replace(UNSEEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);

export function add(parent, children) {
  for (const child of [children].flat(9)) {
    if (child === undefined || child === null || child === false) continue;
    parent.append(child instanceof Node ? child : visible(child));
  }
  return parent;
}

// If the same table is already shown, its rows are replaced: it keeps its place, scroll position and
// focus; and Chromium keeps some 400 bytes for each table head that a document ever had.
const tables = new WeakMap();
export function fill(parent, ...children) {
  const kept = new Set();
  const wanted = [children].flat(9).filter((one) => one !== undefined && one !== null && one !== false).map((one) => {
    const like = one instanceof Node ? tables.get(one) : undefined;
    const old = like && [...parent.children].find((other) => tables.get(other) === like && !kept.has(other));
    if (!old) return one instanceof Node ? one : document.createTextNode(visible(one));
    if (old !== one) old.querySelector("tbody").replaceWith(one.querySelector("tbody"));
    kept.add(old);
    return old;
  });
  for (const child of [...parent.childNodes]) if (!kept.has(child)) child.remove();
  let before = parent.firstChild;
  for (const one of wanted) {
    if (kept.has(one)) before = one.nextSibling;
    else parent.insertBefore(one, before);
  }
  return parent;
}

export function svg(tag, given, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(given)) made.setAttribute(key, String(value));
  return add(made, children);
}

// A table: columns are {title, n (right-aligned), cut (to the available width), short (to a few
// words), nowrap, main (takes the remaining width)}, rows are lists of cells.
export function table(columns, rows, { caption, tall, row } = {}) {
  const kind = (column) => ["n", "cut", "short", "nowrap", "main"].filter((one) => column[one]).join(" ");
  const region = h(`div.scroll${tall ? ".tall" : ""}`, { tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption.hidden", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((one) => h("th", { scope: "col", class: kind(one) }, one.title)))),
      h("tbody", {}, rows.map((cells, place) => {
        const made = h("tr", {}, cells.map((cell, at) => h("td", { class: kind(columns[at]), title: (columns[at].cut || columns[at].short) && typeof cell === "string" ? cell : null }, cell ?? "–")));
        if (row) row(made, place);
        return made;
      }))));
  tables.set(region, JSON.stringify([columns, caption, tall]));
  return region;
}

export const card = (title, { size = "", flush = false, side } = {}, ...children) =>
  h(`section.card${size ? `.${size}` : ""}${flush ? ".flush" : ""}`, {},
    title && h("div.title", {}, h("h2", {}, title), side), ...children);

export const empty = (title, ...text) => h("div.empty", {}, h("h2", {}, title), h("p", {}, ...text));

// A dotted name, which may wrap after a dot.
export const dotted = (text) => String(text).split(/(?<=\.)/).flatMap((part, at) => (at ? [h("wbr"), part] : [part]));

// A stored text with http addresses as links, opened in a new tab without referrer or opener.
export function linked(text) {
  const said = String(text), found = /^https?:\/\/[^\s"'<>\\\p{C}]+$/iu.test(said) && URL.canParse(said) ? new URL(said) : null;
  if (!found || !["http:", "https:"].includes(found.protocol) || found.username || found.password) return said;
  return h("a", { href: found.href, target: "_blank", rel: "noopener noreferrer nofollow", referrerpolicy: "no-referrer" }, said);
}

// One of our own texts, with `commands` in backticks.
export const worded = (text) => text.split("`").map((part, at) => (at % 2 ? h("code", {}, part) : part));

export const chip = (text, kind = "") => h(`span.chip${kind ? `.${kind}` : ""}`, {}, text);

export function announce(text) {
  document.getElementById("said").textContent = text;
}
