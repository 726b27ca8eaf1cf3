import { chanceOf, hasEnded } from "./odds.js";
import { formatChance, formatInteger, formatTime, t } from "./text.js";

const $ = (id) => document.getElementById(id);

// showReceipt shows what the visitor holds, in the place of the stub that they have torn off.
export function showReceipt(odds, own, now) {
  $("receipt").hidden = own.count === 0;
  if (own.count === 0) return;
  $("receipt-heading").textContent = t(own.count === 1 ? "receiptHeading" : "receiptHeadings");
  const facts = [
    ["receiptMember", own.member],
    ["receiptEntries", formatInteger(own.count)],
  ];
  if (own.tickets.length > 0) {
    facts.push([own.tickets.length === 1 ? "receiptTicket" : "receiptTickets", own.tickets.map(formatInteger).join(t("comma"))]);
  }
  const chance = odds.state === "OPEN" || odds.state === "CLOSED" ? chanceOf(odds, own.count) : null;
  if (chance !== null) facts.push([hasEnded(odds) ? "receiptFinalChance" : "receiptChance", formatChance(chance)]);
  if (own.since) facts.push(["receiptSince", formatTime(own.since, now)]);
  $("receipt-facts").replaceChildren(...facts.map(([key, value]) => fact(key, value)));
  for (const element of [$("receipt-note"), $("withdraw-button").parentElement]) element.hidden = odds.state !== "OPEN";
  if ($("withdraw-keep").hidden) $("withdraw-button").textContent = t("withdraw", { n: own.count });
}

function fact(key, value) {
  const group = document.createElement("div");
  const [name, content] = ["dt", "dd"].map((tag) => document.createElement(tag));
  group.dataset.fact = key;
  name.textContent = t(key);
  content.textContent = value;
  group.append(name, content);
  return group;
}
