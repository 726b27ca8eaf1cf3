// The server's clock. A viewer's own may be wrong by hours.

let offset = 0; // milliseconds that the server's clock is ahead of ours
let isKnown = false;

// now returns the time by the server's clock, in milliseconds.
export const now = () => Date.now() + offset;

// setNow notes a time that the server has just told.
export function setNow(text) {
  const time = Date.parse(text);
  if (Number.isNaN(time)) return;
  offset = time - Date.now();
  isKnown = true;
}

// setPast notes a time that has passed by the server's clock.
export function setPast(text) {
  if (text) offset = Math.max(offset, Date.parse(text) - Date.now());
}

// askNow asks the server for its time, unless it is known.
export async function askNow() {
  if (isKnown) return;
  try {
    const signal = AbortSignal.timeout(10_000);
    const response = await fetch(location.pathname, { method: "HEAD", cache: "no-store", signal });
    const date = response.headers.get("Date");
    if (date && !isKnown) setNow(date);
  } catch {
    // The next heartbeat tells.
  }
}
