// The key of what to say about a refusal, by its reason. Of the request only the member's name
// can be invalid.
import refusals from "../text/refusals.json" with { type: "json" };
import { change, newRequestId } from "./change.js";
import { keptMember } from "./own.js";
import { readSession } from "./session.js";
import { t } from "./text.js";

const memberPattern = /^[A-Za-z0-9_.:@-]{1,64}$/;

const $ = (id) => document.getElementById(id);

// setUpEntering makes the form enter members into one raffle, and the button of the receipt
// withdraw entries. If callers are authenticated, it shows who one is and asks for no name.
// own holds the visitor's entries. It returns show(odds).
export function setUpEntering(raffleId, needsToken, own) {
  const [form, input, button, message] = ["enter-form", "member-id", "enter-button", "enter-message"].map($);
  const address = `/api/v1/raffles/${raffleId}/entries`;
  let unanswered = null;
  let session = { member: null };
  let shown = null;

  const say = (words, kind = "") => {
    message.textContent = words;
    message.dataset.kind = kind;
    if (kind === "name") input?.setAttribute("aria-invalid", "true");
    else input?.removeAttribute("aria-invalid");
  };

  // attempt sends a request and says what has become of it.
  const attempt = async (busy, busyText, path, body) => {
    const words = busy.textContent;
    busy.setAttribute("aria-disabled", "true"); // disabled would take the focus from a keyboard user
    busy.textContent = busyText;
    say("");
    const { answer, reason } = await change(path, body, () => say(t("retrying"), "wait"));
    busy.removeAttribute("aria-disabled");
    busy.textContent = words;
    if (reason) say(t(refusals[reason] ?? "refused"), reason === "INVALID" ? "name" : "bad");
    else if (!answer) say(t("unreachable"), "bad");
    if (reason?.startsWith("TOKEN_")) learnSession();
    return { answer, isKnown: Boolean(answer || reason) };
  };

  const nameIsRight = (memberId) => {
    if (memberPattern.test(memberId)) return true;
    say(t(memberId === "" ? "nameNeeded" : "nameInvalid"), "name");
    input.focus();
    return false;
  };

  const learnSession = async () => {
    session = await readSession();
    if (session.member !== null) own().refresh("");
    update();
  };

  const update = () => {
    if (!form || !shown) return;
    const isOpen = shown.state === "OPEN";
    const isFull = own().count >= shown.maxEntriesPerMember && (needsToken || input.value.trim() === own().member);
    form.hidden = !isOpen || isFull;
    $("stub-heading").hidden = form.hidden;
    $("stub-heading").textContent = t(own().count > 0 ? "enterAgain" : "enterHeading");
    button.disabled = !isOpen || needsToken && session.member === null;
    if (input) input.disabled = !isOpen;
    $("who").hidden = !needsToken;
    $("who").textContent = needsToken ? session.member === null ? t("signIn") : t("youAre", { member: session.member }) : "";
    if (isOpen) $("stub-note").textContent = t(isFull ? "limitDone" : "limit", { n: shown.maxEntriesPerMember });
  };

  if (form) form.noValidate = true; // the page says itself what is wrong
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const memberId = needsToken ? session.member : input.value.trim();
    if (button.disabled || button.ariaDisabled || !(needsToken || nameIsRight(memberId))) return;
    // After no answer, pressing again means the same entry, so it has the same request id.
    if (unanswered?.memberId !== memberId) unanswered = { memberId, requestId: newRequestId() };
    const { requestId } = unanswered;
    const { answer, isKnown } = await attempt(button, t("entering"), address, needsToken ? { requestId } : { memberId, requestId });
    if (isKnown) unanswered = null;
    if (!answer) return;
    own().add(answer);
    say(t("entered", { member: memberId, n: answer.memberEntries }), "good");
    if (form.hidden) $("receipt-heading").focus(); // the button that had the focus is gone
  });

  let withdrawal = null;
  setUpWithdrawing(own, async (busy) => {
    withdrawal ??= { requestId: newRequestId(), ...(!needsToken && { memberId: own().member }) };
    const { answer, isKnown } = await attempt(busy, t("withdrawing"), `${address}:withdraw`, withdrawal);
    if (isKnown) withdrawal = null;
    if (!answer) return;
    own().remove(answer);
    say(t("withdrawn"), "good");
  });

  if (input) {
    input.value ||= own().member || keptMember();
    input.addEventListener("input", update);
    if (input.value) own().refresh(input.value);
  }
  if (needsToken && form) {
    learnSession();
    // Whoever has signed in, in another tab or at another page of this host, comes back to this one.
    document.addEventListener("visibilitychange", () => !document.hidden && learnSession());
  }
  return (odds) => {
    shown = odds;
    update();
  };
}

// setUpWithdrawing asks once more before an entry is withdrawn.
function setUpWithdrawing(own, withdraw) {
  const [button, keep] = ["withdraw-button", "withdraw-keep"].map($);
  const ask = (isAsking) => {
    keep.hidden = !isAsking;
    button.textContent = isAsking ? t("withdrawSure") : t("withdraw", { n: own().count });
  };
  keep.addEventListener("click", () => {
    ask(false);
    button.focus();
  });
  button.addEventListener("click", async () => {
    if (button.ariaDisabled) return;
    if (keep.hidden) return ask(true);
    await withdraw(button);
    ask(false);
    $("receipt-heading").focus();
  });
}
