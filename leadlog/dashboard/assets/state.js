// The whole state of a view is in its address.
export const root = document.body.dataset.root;
export const mayChange = document.body.dataset.changes === "yes";

export const params = () => new URLSearchParams(location.search);
export const pageName = () => location.pathname.slice(root.length).replace(/^\/+|\/+$/g, "");

// Parameters kept from page to page; the others belong to one view.
const SHARED = ["since", "until", "utc"];

export function address(page, given = {}) {
  const now = params();
  const found = new URLSearchParams();
  for (const key of SHARED) if (now.has(key)) found.set(key, now.get(key));
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === "") found.delete(key);
    else found.set(key, value);
  }
  const text = found.toString();
  return `${root}/${page}${text ? `?${text}` : ""}`;
}

let listener = () => {};
export const onChange = (call) => { listener = call; };

export function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  listener();
}

// Changes parts of this view's address.
export function set(given, options) {
  const found = params();
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === "") found.delete(key);
    else found.set(key, value);
  }
  const text = found.toString();
  go(`${location.pathname}${text ? `?${text}` : ""}`, options);
}

export class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

export async function api(name, given = {}, signal) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(given)) if (value !== null && value !== undefined && value !== "") query.set(key, value);
  return answer(await fetch(`${root}/api/${name}?${query}`, { signal, headers: { accept: "application/json" } }));
}

export async function post(name, body) {
  return answer(await fetch(`${root}/api/${name}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));
}

async function answer(response) {
  const told = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, told.error ?? `the server answered ${response.status}`);
  return told;
}

// The period and the filter of this view, as request parameters.
export const period = () => ({ since: params().get("since") ?? "1h", until: params().get("until") ?? "" });
