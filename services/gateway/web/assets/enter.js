import { Backoff, retryAfter, sleep } from "./backoff.js";
import { text } from "./text.js";

const memberPattern = /^[A-Za-z0-9_.:@-]{1,64}$/;
const storageKey = "rafflecast.member";
const answerTimeout = 10_000;
const maxAttempts = 5;

// Whoever is told to wait longer than this should be told, not left looking at a button.
const patience = 10_000;

// What went wrong, by the reason or the code of the answer.
const refusals = {
  ENTRY_LIMIT_REACHED: text.limitReached,
  RAFFLE_NOT_OPEN: text.notOpen,
  RAFFLE_NOT_FOUND: text.raffleMissing,
  INVALID_ARGUMENT: text.nameInvalid,
};

// setUpEntering makes the form enter members into one raffle. The caller says with setOpen whether it may.
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
    // Not the disabled attribute: it would take the focus from a keyboard user.
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
    // Whoever presses again after no answer means the same entry, and sends the same request id.
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

// send tries until there is an answer to rely on, or for a while. A repeat is harmless: the service answers a request
// id it has seen with the first success.
async function send(raffleId, { memberId, requestId }, onRetry) {
  const backoff = new Backoff(600, 5_000);
  const address = `/api/v1/raffle/${raffleId}?${new URLSearchParams({ memberId, requestId })}`;
  for (let attempt = 1; ; attempt++) {
    let asked = 0;
    try {
      const response = await fetch(address, { method: "POST", signal: AbortSignal.timeout(answerTimeout) });
      if (response.ok) return { final: true, words: text.entered(memberId, (await response.json()).memberEntries), kind: "good" };
      if (response.status < 500 && response.status !== 429) return refusal(await errorOf(response));
      asked = retryAfter(response);
    } catch {
      // The network, the time limit or half an answer: none of them says what became of the entry.
    }
    if (attempt === maxAttempts || asked > patience) return { final: false, words: text.unreachable, kind: "bad" };
    onRetry();
    await sleep(backoff.next(asked));
  }
}

// errorOf is empty where a proxy refused with a page of its own.
async function errorOf(response) {
  try {
    return (await response.json()).error ?? {};
  } catch {
    return {};
  }
}

function refusal(error) {
  const words = refusals[error.reason] ?? refusals[error.code] ?? text.refused;
  return { final: true, words, kind: error.code === "INVALID_ARGUMENT" ? "name" : "bad" };
}

// newRequestId is a version 4 UUID; crypto.randomUUID is missing on a page that came over plain HTTP.
function newRequestId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = bytes[6] & 0x0f | 0x40;
  bytes[8] = bytes[8] & 0x3f | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

// Storage throws where the browser was told to keep nothing; the name is then typed again.
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
    // See remembered.
  }
}
