import { Backoff, retryAfter, sleep } from "./backoff.js";
import { text } from "./text.js";

const memberPattern = /^[A-Za-z0-9_.:@-]{1,64}$/;
const storageKey = "rafflecast.member";
const answerTimeout = 10_000;
const maxAttempts = 5;

// The longest wait before another attempt, in milliseconds. If the server asks for more, the
// member learns of it instead of looking at a button.
const longestWait = 10_000;

// What to say about a refusal, by the reason in the error. Of the request only the member's
// name can be invalid.
const refusals = {
  ENTRY_LIMIT_REACHED: text.limitReached,
  RAFFLE_NOT_OPEN: text.notOpen,
  RAFFLE_NOT_FOUND: text.raffleMissing,
  INVALID: text.nameInvalid,
};

// setUpEntering makes the form enter members into one raffle, as long as setOpen(true) was
// called last.
export function setUpEntering(raffleId) {
  const form = document.getElementById("enter-form");
  const input = document.getElementById("member-id");
  const button = document.getElementById("enter-button");
  const message = document.getElementById("enter-message");
  let unanswered = null;
  let sending = false;
  input.value = remembered();

  const say = (words, kind) => {
    message.textContent = words;
    message.dataset.kind = kind;
    input.toggleAttribute("aria-invalid", kind === "name");
  };

  const setSending = (now) => {
    sending = now;
    // The disabled attribute would take the focus from a keyboard user.
    button.setAttribute("aria-disabled", now);
    button.textContent = now ? text.entering : text.enterButton;
  };

  const nameIsRight = (memberId) => {
    if (memberPattern.test(memberId)) return true;
    say(memberId === "" ? text.nameNeeded : text.nameInvalid, "name");
    input.focus();
    return false;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const memberId = input.value.trim();
    if (sending || !nameIsRight(memberId)) return;
    // After no answer, pressing again means the same entry, so it has the same request id.
    if (unanswered?.memberId !== memberId) unanswered = { memberId, requestId: newRequestId() };
    setSending(true);
    say("", "");
    const outcome = await send(raffleId, unanswered, () => say(text.retrying, "wait"));
    setSending(false);
    if (outcome.final) unanswered = null;
    if (outcome.kind === "good") remember(memberId);
    say(outcome.words, outcome.kind);
  });

  return {
    setOpen(open) {
      input.disabled = !open;
      button.disabled = !open;
    },
  };
}

// send tries a few times to get an answer. To repeat a request is harmless: the service
// answers a known request id with its first success.
async function send(raffleId, { memberId, requestId }, onRetry) {
  const backoff = new Backoff(600, 5_000);
  const address = `/api/v1/raffles/${raffleId}/entries`;
  const entry = { memberId, requestId };
  for (let attempt = 1; ; attempt++) {
    let asked = 0;
    try {
      const response = await post(address, entry);
      if (response.ok) {
        const { memberEntries } = await response.json();
        return { final: true, words: text.entered(memberId, memberEntries), kind: "good" };
      }
      if (response.status < 500 && response.status !== 429) return refusal(await errorOf(response));
      asked = retryAfter(response);
    } catch {
      // The network failed, the time limit passed, or the answer was cut: the entry may or may
      // not be stored.
    }
    if (attempt === maxAttempts || asked > longestWait) return { final: false, words: text.unreachable, kind: "bad" };
    onRetry();
    await sleep(backoff.next(asked));
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

// errorOf returns the error of an answer; it is empty if a proxy refused with its own page.
async function errorOf(response) {
  try {
    return (await response.json()).error ?? {};
  } catch {
    return {};
  }
}

function refusal(error) {
  const words = refusals[error.reason] ?? text.refused;
  return { final: true, words, kind: error.reason === "INVALID" ? "name" : "bad" };
}

// newRequestId returns a random UUID. crypto.randomUUID is missing on pages over plain HTTP.
function newRequestId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

// remembered returns the name of the last entry. Storage throws if the browser is set to keep
// nothing; then the name is typed again.
function remembered() {
  try {
    return localStorage.getItem(storageKey) ?? "";
  } catch {
    return "";
  }
}

function remember(memberId) {
  try {
    localStorage.setItem(storageKey, memberId);
  } catch {
    // As in remembered.
  }
}
