const answerTimeout = 10_000;
const maxAttempts = 5;

// The longest wait before another attempt, in milliseconds. If the server asks for more, the
// member learns of it instead of looking at a button.
const longestWait = 10_000;

// change sends a request that changes something, a few times if no answer comes. To repeat it is
// harmless: the service answers a known request id with its first success. It returns { answer },
// or { reason } of a refusal, or {} if it is unknown what has become of it.
export async function change(address, body, onRetry) {
  for (let attempt = 1; ; attempt++) {
    let asked = 0;
    try {
      const response = await post(address, body);
      if (response.ok) return { answer: await response.json() };
      asked = 1000 * (Number(response.headers.get("Retry-After")) || 0);
      const isRefused = response.status < 500 && response.status !== 429;
      if (isRefused || response.status === 429 && asked > longestWait) return { reason: await reasonOf(response) };
    } catch {
      // The network failed, the time limit passed, or the answer was cut: the change may or may
      // not be made.
    }
    if (attempt === maxAttempts || asked > longestWait) return {};
    onRetry();
    const wait = 600 * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, asked + wait));
  }
}

function post(address, body) {
  return fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(answerTimeout),
  });
}

// reasonOf returns the reason of an error. A proxy refuses with its own page.
async function reasonOf(response) {
  try {
    return (await response.json()).error.reason;
  } catch {
    return "UNKNOWN";
  }
}

// newRequestId returns a random UUID. crypto.randomUUID is missing on pages over plain HTTP.
export function newRequestId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
