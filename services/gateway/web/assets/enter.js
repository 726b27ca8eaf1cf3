import { Backoff, retryAfter, sleep } from "./backoff.js";
import { rememberTicket } from "./draw.js";
import { readSession } from "./session.js";
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
  WITHDRAWAL_LIMIT_REACHED: text.withdrawnTooOften,
  RAFFLE_NOT_OPEN: text.notOpen,
  RAFFLE_NOT_FOUND: text.raffleMissing,
  INVALID: text.nameInvalid,
  RATE_LIMITED: text.tooOften,
  TOKEN_MISSING: text.signIn,
  TOKEN_EXPIRED: text.signInAgain,
  TOKEN_INVALID: text.signInAgain,
};

// setUpEntering makes the form enter members into one raffle, as long as setOpen(true) was
// called last. Where callers are authenticated, it shows who one is and asks for no name.
export function setUpEntering(raffleId) {
  const form = document.getElementById("enter-form");
  const input = document.getElementById("member-id");
  const button = document.getElementById("enter-button");
  const message = document.getElementById("enter-message");
  let unanswered = null;
  let sending = false;
  let isOpen = false;
  let session = null; // unknown yet
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

  const update = () => {
    const required = session?.required ?? false;
    for (const id of ["member-label", "member-id", "member-hint"]) document.getElementById(id).hidden = required;
    const who = document.getElementById("who");
    who.hidden = !required;
    who.textContent = required ? session.member === null ? text.signIn : text.youAre(session.member) : "";
    input.disabled = !isOpen || required;
    button.disabled = !isOpen || session === null || (required && session.member === null);
  };

  const learnSession = async () => {
    session = await readSession();
    update();
  };
  learnSession();
  // Whoever has signed in, in another tab or at another page of this host, comes back to this one.
  document.addEventListener("visibilitychange", () => !document.hidden && learnSession());

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const memberId = session?.required ? session.member : input.value.trim();
    if (sending || button.disabled || !(session.required || nameIsRight(memberId))) return;
    // After no answer, pressing again means the same entry, so it has the same request id.
    if (unanswered?.memberId !== memberId) unanswered = { memberId, requestId: newRequestId() };
    setSending(true);
    say("", "");
    const outcome = await send(raffleId, unanswered, !session.required, () => say(text.retrying, "wait"));
    setSending(false);
    if (outcome.final) unanswered = null;
    if (outcome.kind === "good" && !session.required) remember(memberId);
    if (outcome.isUnknown) learnSession();
    say(outcome.words, outcome.kind);
  });

  return {
    setOpen(open) {
      isOpen = open;
      update();
    },
  };
}

// send tries a few times to get an answer. To repeat a request is harmless: the service
// answers a known request id with its first success.
async function send(raffleId, { memberId, requestId }, byName, onRetry) {
  const backoff = new Backoff(600, 5_000);
  const address = `/api/v1/raffles/${raffleId}/entries`;
  const entry = byName ? { memberId, requestId } : { requestId };
  for (let attempt = 1; ; attempt++) {
    let asked = 0;
    try {
      const response = await post(address, entry);
      if (response.ok) {
        const answer = await response.json();
        const { memberEntries } = answer;
        rememberTicket(raffleId, answer);
        return { final: true, words: text.entered(memberId, memberEntries), kind: "good" };
      }
      if (response.status < 500 && response.status !== 429) return refusal(await errorOf(response));
      asked = retryAfter(response);
      if (response.status === 429 && asked > longestWait) return refusal(await errorOf(response));
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
  const isUnknown = error.reason?.startsWith("TOKEN_") ?? false;
  return { final: true, isUnknown, words, kind: error.reason === "INVALID" ? "name" : "bad" };
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
