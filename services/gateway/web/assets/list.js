import { watchOdds } from "../client/rafflecast.js";
import { showFigure } from "./figure.js";
import { countdownOf, heroOf, momentOf, until } from "./odds.js";
import { keptOf } from "./own.js";
import { clockFrom, setUpStatus } from "./status.js";
import { t } from "./text.js";

// The list is read again this often, in milliseconds, and when a raffle on it changes its state.
const interval = 30_000;
const soon = 1_000;

const none = { count: 0, tickets: [] };

// showList keeps the raffles of a page of the list current: their odds by one stream, and which
// they are by reading the page again.
export function showList({ list, now: rendered }) {
  const newest = new Map(list.map((odds) => [odds.id, odds]));
  const status = setUpStatus(() => show());
  const now = clockFrom(rendered, () => watch);
  let timer;

  const watch = watchOdds({
    ids: list.map(({ id }) => id),
    onOdds: (odds) => {
      const before = newest.get(odds.id);
      newest.set(odds.id, odds);
      if (before?.state !== odds.state) readLater(soon);
      show();
    },
    onState: (state) => {
      status.showState(state);
      now(state.asOf > 0);
      document.getElementById("list").classList.toggle("stale", status.isStale());
    },
  });

  const show = () => {
    if (status.isPaused()) return;
    for (const card of document.querySelectorAll("#cards > li")) showCard(card, newest.get(Number(card.dataset.id)), now());
  };

  const readLater = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(read, wait);
  };

  // read takes over the cards of the page as it is now. A caches' answer of this second is good
  // enough, and one that has not changed costs a 304.
  const read = async () => {
    readLater(interval * (0.75 + Math.random() / 2));
    if (document.hidden || status.isPaused()) return;
    try {
      const response = await fetch(location.href);
      if (!response.ok) return;
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (page.getElementById("raffle") && newest.size === 0) return location.assign(response.url); // the only one
      if (page.getElementById("cards")) takeOver(page, newest, watch);
      show();
    } catch {
      // The status tells that there is no network.
    }
  };

  document.addEventListener("visibilitychange", () => !document.hidden && readLater(0));
  readLater(interval);
  show();
  setInterval(show, 1_000);
}

// takeOver puts the cards in the order of another rendering of the page. It keeps a card that
// stays, since its link may have the focus.
function takeOver(page, newest, watch) {
  const cards = document.getElementById("cards");
  const kept = new Map([...cards.children].map((card) => [card.dataset.id, card]));
  const wanted = [...page.querySelectorAll("#cards > li")].map((card) => kept.get(card.dataset.id) ?? document.importNode(card, true));
  for (const card of cards.children) if (!wanted.includes(card)) card.remove();
  wanted.forEach((card, i) => cards.children[i] !== card && cards.insertBefore(card, cards.children[i] ?? null));
  document.getElementById("none").hidden = wanted.length > 0;
  for (const odds of JSON.parse(page.getElementById("data").textContent).list) {
    if (!newest.has(odds.id)) newest.set(odds.id, odds);
  }
  watch.setIds(wanted.map((card) => card.dataset.id));
}

function showCard(card, odds, now) {
  if (!odds) return;
  const part = (name) => card.querySelector(`.${name}`);
  const own = odds.state === "SCHEDULED" ? none : keptOf(odds);
  const hero = heroOf(odds, own, now);
  const isRising = odds.entries < Number(card.dataset.entries);
  Object.assign(card.dataset, { entries: odds.entries, state: odds.state });
  part("name").firstElementChild.textContent = odds.title;
  part("label").textContent = hero.label;
  showFigure(part("figure"), hero, isRising);
  part("count").textContent = t("entries", { n: odds.entries });
  const countdown = countdownOf(odds);
  part("when").textContent = countdown ? `${t(countdown.key)} ${until(countdown.moment, now)}` : momentOf(odds, now);
}
