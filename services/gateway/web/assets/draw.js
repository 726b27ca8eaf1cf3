// The draw of a raffle on the page: its winners, and the check of it in the browser.

import { formatInteger, t } from "./text.js";

const $ = (id) => document.getElementById(id);

// setUpDraw shows the draw of one raffle; show(odds, own) is called with each odds and the
// visitor's own entries.
export function setUpDraw(id) {
  const kept = new Set(); // checkpoints that were seen before the draw
  $("check-button").addEventListener("click", () => check(id, [...kept]));
  return {
    show(odds, own) {
      if (odds.checkpoint) kept.add(odds.checkpoint);
      const isDrawn = odds.state === "DRAWN" && odds.logSize > 0;
      $("draw").hidden = !isDrawn;
      if (!isDrawn) return;
      const winning = odds.winningTickets ?? [];
      $("winning").replaceChildren(...winning.map((ticket) => winnerItem(odds, ticket, own.tickets)));
      $("draw-heading").textContent = t(winning.length === 0 ? "noWinner" : "drawHeading");
    },
  };
}

function winnerItem({ prizes, title }, { ticket, prize }, mine) {
  const item = document.createElement("li");
  const number = document.createElement("span");
  number.className = "number";
  number.textContent = t("ticket", { number: formatInteger(ticket) });
  const what = document.createElement("bdi");
  what.textContent = prizes?.[prize - 1]?.name ?? title;
  item.append(number, " ", what);
  item.dataset.ticket = ticket;
  if (mine.includes(ticket)) {
    const yours = document.createElement("strong");
    yours.textContent = t("yours");
    item.append(" ", yours);
    item.className = "mine";
  }
  return item;
}

// check verifies the draw in this browser, by nothing but the log and the published
// randomness.
async function check(id, kept) {
  const button = $("check-button");
  button.disabled = true;
  $("checks").replaceChildren();
  $("check-result").textContent = t("checking");
  try {
    const { verifyRaffle } = await import("/draw/verify.js");
    const { outcome, cautions } = await verifyRaffle("", id, { kept, onCheck: (c) => addCheck(c.outcome, `${c.name}: ${c.text}`) });
    for (const caution of cautions) addCheck("caution", caution);
    $("check-result").textContent = t(`checked.${outcome}`);
    $("check-result").dataset.outcome = outcome;
  } catch (error) {
    $("check-result").textContent = t("checkFailed");
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
