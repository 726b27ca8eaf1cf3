// What the page says of a raffle's odds. The gateway says the same in the HTML, of a visitor
// without entries; a test compares the two.
import { nextChance, ownChance } from "../draw/chance.js";
import { formatChance, formatDuration, formatInteger, formatMinute, formatOneIn, formatTime, likely, t } from "./text.js";

export const hasEnded = ({ state }) => state !== "SCHEDULED" && state !== "OPEN";

const time = (text) => (text ? Date.parse(text) : null);

// chanceOf returns the own chance of whoever holds so many entries, or null if that can't be
// known: the odds do not count them yet, or no longer.
export function chanceOf(odds, entries) {
  try {
    return entries > odds.entries ? null : ownChance(odds, entries);
  } catch {
    return null;
  }
}

// heroOf returns the largest thing on the page: what a visitor wants to know now. own are the
// visitor's entries: { count, tickets }.
export function heroOf(odds, own, now) {
  switch (odds.state) {
    case "SCHEDULED": return opening(odds, now);
    case "OPEN": return own.count > 0 ? held(odds, own) : entering(odds);
    case "CLOSED": return closed(odds, own, now);
    case "DRAWN": return drawn(odds, own);
    default: return { label: "", figure: t("cancelled"), isText: true, detail: t("cancelledDetail") };
  }
}

function opening({ opensAt }, now) {
  if (!opensAt) return { label: "", figure: t("soon"), isText: true, detail: t("soonDetail") };
  return { label: t("opensIn"), figure: until(time(opensAt), now), isText: true, detail: formatTime(time(opensAt), now) };
}

function entering(odds) {
  const next = nextChance(odds, 0);
  const detail = next >= 1 ? t("sure") : next < likely ? formatChance(next) : "";
  return { label: t("enterNow"), figure: formatOneIn(next), isText: false, detail };
}

function held(odds, { count }) {
  const chance = chanceOf(odds, count);
  const label = t("ownChance", { n: count });
  if (chance === null) return { label, figure: "…", isText: false, detail: "" };
  const detail = chance >= 1 ? t("sure") : chance < likely ? formatOneIn(chance) : "";
  return { label, figure: formatChance(chance), isText: false, detail };
}

function closed(odds, own, now) {
  const { members, winners, drawsAt } = odds;
  const turnout = t("turnout", { people: t("people", { n: members }), winners: t("winners", { n: winners }) });
  const chance = own.count > 0 ? chanceOf(odds, own.count) : null;
  const detail = chance === null ? turnout : t("ownPercent", { chance: formatChance(chance) });
  if (!drawsAt) return { label: t("closedLabel"), figure: t("closed"), isText: true, detail };
  const isSoon = Math.abs(time(drawsAt) - now) < 18 * 3600_000;
  const figure = isSoon ? formatMinute(time(drawsAt)) : formatTime(time(drawsAt), now);
  return { label: t("drawingAt"), figure, isText: true, detail };
}

function drawn({ winningTickets = [], winners, entries, prizes, title }, own) {
  const won = winningTickets.find(({ ticket }) => own.tickets.includes(ticket));
  const label = t("drawn");
  if (won) {
    const detail = t("wonDetail", { ticket: formatInteger(won.ticket), prize: prizes?.[won.prize - 1]?.name ?? title });
    return { label, figure: t("youWon"), isText: true, detail };
  }
  if (own.tickets.length > 0 && winningTickets.length > 0) {
    return { label, figure: t("youLost"), isText: true, detail: t("lostDetail", { n: own.tickets.length }) };
  }
  const n = winningTickets.length || Math.min(winners, entries);
  return { label, figure: n > 0 ? t("winners", { n }) : t("noWinner"), isText: true, detail: "" };
}

// until writes the time until a moment.
export const until = (moment, now) => (moment > now ? formatDuration(moment - now) : t("anyMoment"));

// countdownOf returns what the countdown leads to: { key, moment }, or null without one.
export function countdownOf({ state, closesAt, drawsAt }) {
  if (state === "OPEN" && closesAt) return { key: "closesIn", moment: time(closesAt) };
  if (state === "CLOSED" && drawsAt) return { key: "drawsIn", moment: time(drawsAt) };
  return null;
}

// sentenceOf returns the facts of a raffle in one sentence.
export function sentenceOf(odds, now) {
  const { state, members, entries, winners } = odds;
  const parts = [];
  if (members > 0) {
    parts.push(t(hasEnded(odds) ? "held" : "hold", { n: members, entries: t("entries", { n: entries }) }));
  } else if (state === "OPEN") {
    parts.push(t("nobody"));
  }
  if (state !== "CANCELLED" && state !== "DRAWN") parts.push(t(state === "OPEN" ? "win" : "toWin", { n: winners }));
  // The hero tells when a raffle opens.
  if (state !== "SCHEDULED") parts.push(momentOf(odds, now));
  else if (odds.closesAt) parts.push(t("closesAt", { time: formatTime(time(odds.closesAt), now) }));
  return t("sentence", { parts: parts.filter(Boolean).join(t("semicolon")) });
}

// prizesOf lists what can be won, if that is more than the title says.
export function prizesOf({ prizes = [], title }) {
  if (prizes.length === 1 && prizes[0].name === title) return "";
  return prizes.map(({ name, count }) => t("prize", { n: count, name })).join(t("comma"));
}

// momentOf tells when a raffle opens, closes, or ended.
export function momentOf({ state, opensAt, closesAt, at }, now) {
  const [key, moment] = {
    SCHEDULED: ["opensAt", opensAt], OPEN: ["closesAt", closesAt], CLOSED: ["closedAt", at], CANCELLED: ["cancelledAt", at],
  }[state] ?? ["drawnAt", at];
  if (moment) return t(key, { time: formatTime(time(moment), now) });
  return state === "OPEN" ? t("noClosing") : "";
}

// stubNoteOf tells why nobody can enter; "" if they can.
export function stubNoteOf({ state, drawsAt, maxEntriesPerMember }) {
  if (state === "SCHEDULED") return `${t("notOpenYet")} ${t("limit", { n: maxEntriesPerMember })}`;
  const keys = { OPEN: "", CLOSED: drawsAt ? "overDrawing" : "overClosed", CANCELLED: "overCancelled" };
  const key = keys[state] ?? "overDrawn";
  return key && t(key);
}
