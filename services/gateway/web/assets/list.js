import { Backoff, retryAfter, sleep } from "./backoff.js";
import { now, setNow } from "./clock.js";
import { roll } from "./roll.js";
import { formatDuration, formatEntries, formatInteger, formatOdds, formatOneIn, text } from "./text.js";

const pageSize = 50;
const interval = 4_000;
const answerTimeout = 10_000;

// showList shows the list of open raffles and keeps it current. If the list was empty so far
// and exactly one raffle is open, it calls onOnly(id) and ends: a list that somebody reads
// stays a list.
export async function showList({ show, showConnection, onOnly }) {
  const cards = new Map();
  const backoff = new Backoff(1_000, 30_000);
  const note = document.getElementById("list-note");
  let heardAt = 0;
  let wait;
  document.title = `${text.openRaffles} – Rafflecast`;
  note.textContent = text.looking;

  for (;;) {
    await visible();
    const answer = await openRaffles();
    if (answer.raffles) {
      const { raffles, nextPageToken } = answer;
      if (cards.size === 0 && raffles.length === 1) return onOnly(String(raffles[0].id));
      heardAt = Date.now();
      backoff.reset();
      showCards(cards, raffles);
      note.textContent = noteOf(raffles, nextPageToken);
      show("list-view");
      showConnection("live");
      wait = interval * (0.75 + Math.random() / 2);
    } else {
      show("list-view");
      showConnection(navigator.onLine ? "connecting" : "offline", heardAt);
      wait = backoff.next(answer.asked);
    }
    await sleep(wait);
  }
}

function noteOf(raffles, nextPageToken) {
  if (raffles.length === 0) return text.noneOpen;
  return nextPageToken ? text.firstShown(formatInteger(raffles.length)) : "";
}

// visible returns a promise that resolves when the page is visible.
function visible() {
  if (!document.hidden) return;
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

// openRaffles returns the API's answer, or { asked } with the milliseconds of its Retry-After.
async function openRaffles() {
  try {
    const address = `/api/v1/raffles?state=OPEN&pageSize=${pageSize}`;
    const response = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(answerTimeout) });
    if (response.headers.has("Date")) setNow(response.headers.get("Date"));
    return response.ok ? await response.json() : { asked: retryAfter(response) };
  } catch {
    return { asked: 0 };
  }
}

// showCards adds, updates and removes cards. It never replaces a card, since its link may
// have the focus.
function showCards(cards, raffles) {
  const open = new Set(raffles.map(({ id }) => id));
  for (const [id, card] of cards) {
    if (open.has(id)) continue;
    card.remove();
    cards.delete(id);
  }
  for (const odds of raffles) {
    const card = cards.get(odds.id) ?? createCard(odds.id);
    cards.set(odds.id, card);
    updateCard(card, odds);
  }
}

// Tag and class of each part of a card.
const cardParts = [
  ["p", "serial"], ["h2", "name"], ["p", "odds"], ["p", "one-in"], ["p", "meta"],
  ["span", "count"], ["span", "closing"],
];

function createCard(id) {
  const card = document.createElement("li");
  const link = document.createElement("a");
  link.href = `/raffle/${id}`;
  link.append(...cardParts.map(([tag, name]) => {
    const part = document.createElement(tag);
    part.className = name;
    return part;
  }));
  link.querySelector(".meta").append(link.querySelector(".count"), link.querySelector(".closing"));
  link.querySelector(".name").dir = "auto";
  link.querySelector(".serial").textContent = text.serial(id);
  card.append(link);
  document.getElementById("cards").append(card);
  return card;
}

function closing({ closesAt }) {
  if (closesAt === null) return "";
  const rest = Date.parse(closesAt) - now();
  return rest > 0 ? text.closesIn(formatDuration(rest)) : text.closesNow;
}

function updateCard(card, odds) {
  const part = (name) => card.querySelector(`.${name}`);
  // Answers may come from different gateways, of which one may lag.
  const isSame = card.dataset.epoch === odds.epoch;
  if (isSame && odds.version < Number(card.dataset.version)) return;
  card.dataset.epoch = odds.epoch;
  card.dataset.version = odds.version;
  const percent = odds.winnerProbability;
  const element = part("odds");
  const words = percent === null ? text.noEntry.OPEN : formatOdds(percent);
  if (percent === null) {
    element.textContent = words;
  } else if (words !== element.textContent) {
    roll(element, words, percent > Number(card.dataset.odds));
  }
  card.dataset.odds = percent ?? "";
  element.classList.toggle("words", percent === null);
  part("name").textContent = odds.title;
  part("one-in").textContent = percent === null ? "" : formatOneIn(odds);
  part("count").textContent = formatEntries(odds.entries);
  part("closing").textContent = closing(odds);
}
