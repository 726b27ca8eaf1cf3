// The draw of a raffle on the page: the member's own tickets and chance before it, the winners
// after it, and the check of it in the browser.

import { formatInteger, formatOdds, text } from "./text.js";

const $ = (id) => document.getElementById(id);

const storageKey = (id, epoch) => `rafflecast.tickets.${id}.${epoch}`;

// rememberTicket keeps a ticket of this browser's member, from the answer to an entry, so that
// the page can tell later whether it has won.
export function rememberTicket(id, { entry, odds, opening }) {
  if (entry?.ticket === undefined || !odds?.epoch) return;
  const tickets = ticketsOf(id, odds.epoch);
  if (tickets.some(({ ticket }) => ticket === Number(entry.ticket))) return;
  tickets.push({ ticket: Number(entry.ticket), member: entry.memberId, opening });
  try {
    localStorage.setItem(storageKey(id, odds.epoch), JSON.stringify(tickets));
  } catch {
    // Without storage the page forgets them when it is closed.
  }
  document.dispatchEvent(new CustomEvent("ticket"));
}

function ticketsOf(id, epoch) {
  try {
    return JSON.parse(localStorage.getItem(storageKey(id, epoch))) ?? [];
  } catch {
    return [];
  }
}

// setUpDraw shows the draw of one raffle; show(odds) is called with each odds.
export function setUpDraw(id) {
  let shown = null;
  const kept = new Set(); // checkpoints that were seen before the draw

  const show = (odds) => {
    shown = odds;
    if (odds.checkpoint) kept.add(odds.checkpoint);
    const tickets = ticketsOf(id, odds.epoch);
    showTickets(odds, tickets);
    showWinners(odds, tickets);
  };
  document.addEventListener("ticket", () => shown && show(shown));
  $("check-button").addEventListener("click", () => check(id, [...kept]));
  return { show };
}

function showTickets(odds, tickets) {
  $("tickets").hidden = tickets.length === 0;
  if (tickets.length === 0) return;
  const numbers = tickets.map(({ ticket }) => formatInteger(ticket)).join(", ");
  $("tickets-numbers").textContent = text.yourTickets(tickets.length, numbers);
  showOwnChance(odds, tickets);
}

// showOwnChance shows the chance of the member who has entered last. Entries at other browsers
// are not known here.
async function showOwnChance(odds, tickets) {
  const { member } = tickets.at(-1);
  const mine = tickets.filter((t) => t.member === member).length;
  if (odds.state !== "OPEN" && odds.state !== "CLOSED") {
    $("own-chance").textContent = "";
    return;
  }
  try {
    const { ownChance } = await import("/draw/chance.js");
    $("own-chance").textContent = text.ownChance(formatOdds(100 * ownChance(odds, mine)));
  } catch {
    $("own-chance").textContent = ""; // these tickets are not among the entries that the odds count
  }
}

function showWinners(odds, tickets) {
  const isDrawn = odds.state === "DRAWN" && odds.logSize > 0;
  $("draw").hidden = !isDrawn;
  if (!isDrawn) return;
  const winning = odds.winningTickets ?? [];
  const mine = new Set(tickets.map(({ ticket }) => ticket));
  $("winning").replaceChildren(...winning.map((w) => winnerItem(odds, w, mine)));
  $("winning-note").textContent = winning.length === 0 ? text.noWinner : "";
  if (tickets.length > 0) {
    const won = winning.some(({ ticket }) => mine.has(ticket));
    $("own-result").textContent = won ? text.youWon : text.youLost;
    $("own-result").dataset.kind = won ? "good" : "";
  }
}

function winnerItem({ prizes, title }, { ticket, prize }, mine) {
  const item = document.createElement("li");
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = text.ticket(formatInteger(ticket));
  const what = document.createElement("span");
  what.dir = "auto";
  what.textContent = prizes?.[prize - 1]?.name ?? title;
  item.append(number, " ", what);
  item.dataset.ticket = ticket;
  item.classList.toggle("mine", mine.has(ticket));
  return item;
}

// check verifies the draw in this browser, by nothing but the log and the published
// randomness.
async function check(id, kept) {
  const button = $("check-button");
  button.disabled = true;
  $("checks").replaceChildren();
  $("check-result").textContent = text.checking;
  try {
    const { verifyRaffle } = await import("/draw/verify.js");
    const { outcome, cautions } = await verifyRaffle("", id, { kept, onCheck: (c) => addCheck(c.outcome, `${c.name}: ${c.text}`) });
    for (const caution of cautions) addCheck("caution", caution);
    $("check-result").textContent = text.checked[outcome];
    $("check-result").dataset.outcome = outcome;
  } catch (error) {
    $("check-result").textContent = text.checkFailed;
    console.error(error);
  }
  button.disabled = false;
}

function addCheck(outcome, words) {
  const item = document.createElement("li");
  item.dataset.outcome = outcome;
  item.textContent = words;
  $("checks").append(item);
}
