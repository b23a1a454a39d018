// One connection for all tabs of a browser (which allows six per server), none for hidden tabs.
import { root } from "./state.js";

const channel = "BroadcastChannel" in window ? new BroadcastChannel(`leadlog-live${root}`) : null;
const listeners = new Set();
export let status = null;
export let connected = false;

function tell(message) {
  if (message.status) status = message.status;
  if ("connected" in message) connected = message.connected;
  for (const call of listeners) call(message);
}

channel?.addEventListener("message", (event) => tell(event.data));

function share(message) {
  tell(message);
  channel?.postMessage(message);
}

export const listen = (call) => { listeners.add(call); return () => listeners.delete(call); };

// Reads the stream itself: an EventSource gives up permanently on a response such as 503.
async function follow(signal) {
  let wait = 250;
  while (!signal.aborted) {
    try {
      const response = await fetch(`${root}/live`, { signal, headers: { accept: "text/event-stream" } });
      if (response.status === 401) { share({ connected: false, refused: true }); return; }
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      wait = 250;
      for (;;) {
        const { value, done } = await beat(reader, signal);
        if (done) break;
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        const last = parts.filter((one) => one.startsWith("data: ")).pop();
        if (last) share({ connected: true, status: JSON.parse(last.slice(6)) });
        else if (!connected) share({ connected: true });
      }
    } catch {
      if (signal.aborted) return;
    }
    share({ connected: false });
    await new Promise((done) => setTimeout(done, wait));
    wait = Math.min(wait * 2, 5000);
  }
}

// The server sends a heartbeat every ten seconds; a connection silent for longer is dead.
function beat(reader, signal) {
  return new Promise((done, fail) => {
    const cancel = () => { reader.cancel().catch(() => {}); };
    const timer = setTimeout(() => { cancel(); fail(new Error("silent")); }, 25000);
    signal.addEventListener("abort", cancel, { once: true });
    reader.read().then(done, fail).finally(() => { clearTimeout(timer); signal.removeEventListener("abort", cancel); });
  });
}

let stop = null;
function begin() {
  if (stop || document.hidden) return;
  stop = new AbortController();
  const { signal } = stop;
  if (!navigator.locks) { follow(signal); return; }
  navigator.locks.request(`leadlog-live${root}`, { signal }, () => follow(signal)).catch(() => {});
}

function end() {
  stop?.abort();
  stop = null;
}

export function start() {
  document.addEventListener("visibilitychange", () => (document.hidden ? end() : begin()));
  begin();
}
