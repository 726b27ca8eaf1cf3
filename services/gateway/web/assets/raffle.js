import { watchOdds } from "../client/rafflecast.js";
import { createAnnouncer } from "./announcer.js";
import { Chart } from "./chart.js";
import { setUpDraw } from "./draw.js";
import { setUpEntering } from "./enter.js";
import { showFigure } from "./figure.js";
import { chanceOf, countdownOf, hasEnded, heroOf, prizesOf, sentenceOf, stubNoteOf, until } from "./odds.js";
import { Own } from "./own.js";
import { showReceipt } from "./receipt.js";
import { clockFrom, setUpStatus } from "./status.js";
import { formatClock, t } from "./text.js";

const $ = (id) => document.getElementById(id);

// The last minute before a raffle closes, in milliseconds.
const lastMinute = 60_000;

// showRaffle keeps the page of one raffle current, beginning with what the gateway has rendered.
export function showRaffle(rendered) {
  const { odds, course, needsToken } = rendered;
  const { id } = odds;
  const isStage = document.body.classList.contains("stage");
  const say = createAnnouncer($("announcer"));
  const status = setUpStatus(() => show());
  const chart = new Chart($("chart"), course);
  const now = clockFrom(rendered.now, () => watch);
  let newest = odds;
  let shown = null;
  let own = new Own(odds, () => show());

  const watch = watchOdds({
    ids: [id],
    onOdds: (odds) => {
      if (odds.epoch !== newest.epoch) own = new Own(odds, () => show()); // another raffle has its id
      // The page may come from another instance than the first event, which is a little behind.
      const isBehind = newest === rendered.odds && odds.epoch === newest.epoch && odds.version < newest.version;
      if (!isBehind) newest = odds;
      show();
    },
    onState: (state) => {
      status.showState(state);
      now(state.asOf > 0);
      const isGone = state.state === "ended" && state.reason === "missing";
      if (isGone || state.reason === "unauthenticated") location.reload(); // to a page that says so
      chart.setLive(["live", "delayed", "ended"].includes(state.state), now());
      showStale(status);
    },
  });

  const draw = setUpDraw(id);
  const showEntering = isStage ? () => {} : setUpEntering(id, needsToken, () => own);

  // show shows the newest odds, unless the visitor has paused the page.
  const show = () => {
    if (status.isPaused()) return;
    const odds = newest;
    const before = shown;
    shown = odds;
    showFacts(odds, own, now());
    tick();
    if (!isStage) showReceipt(odds, own, now());
    showEntering(odds);
    draw.show(odds, own);
    chart.add(odds, now());
    if (before && before.state !== odds.state) say(`${t(`state.${odds.state}`)}. ${$("label").textContent} ${figureOf($("figure"))}.`);
  };

  const tick = () => {
    if (!shown || status.isPaused()) return;
    showHero(shown, own, now());
    showCountdown(shown, now());
    if (!hasEnded(shown)) chart.draw(now());
  };

  show();
  setInterval(tick, 1_000);
}

const figureOf = (element) => element.firstElementChild.textContent;

function showFacts(odds, own, now) {
  const { dataset } = $("raffle");
  Object.assign(dataset, { state: odds.state, entries: odds.entries, version: odds.version, own: own.count });
  $("ticket").classList.toggle("own", own.count > 0);
  $("title").firstElementChild.textContent = odds.title;
  $("state").textContent = t(`state.${odds.state}`);
  $("state").dataset.state = odds.state;
  $("sentence").textContent = sentenceOf(odds, now);
  $("prizes").firstElementChild.textContent = prizesOf(odds);
  $("prizes").hidden = prizesOf(odds) === "";
  if ($("stub-note")) $("stub-note").textContent = stubNoteOf(odds) || t("elsewhere");
}

let shownChance = 0;

function showHero(odds, own, now) {
  const hero = heroOf(odds, own, now);
  const chance = chanceOf(odds, own.count) ?? 0;
  $("label").textContent = hero.label;
  showFigure($("figure"), hero, chance >= shownChance);
  $("detail").textContent = hero.detail;
  shownChance = chance;
  document.title = `${hero.figure} · ${odds.title} – Rafflecast`;
}

function showCountdown(odds, now) {
  const countdown = countdownOf(odds);
  $("countdown").hidden = !countdown;
  const rest = countdown ? countdown.moment - now : 0;
  const isLast = odds.state === "OPEN" && rest > 0 && rest <= lastMinute;
  $("ticket").classList.toggle("last-minute", isLast);
  if (!countdown) return;
  $("countdown-label").textContent = t(countdown.key);
  $("countdown-rest").textContent = until(countdown.moment, now);
}

// showStale dims numbers that may be old, and says how old.
function showStale(status) {
  const isStale = status.isStale();
  $("raffle").classList.toggle("stale", isStale);
  $("as-of").hidden = !isStale;
  $("as-of").textContent = isStale ? t("asOf", { time: formatClock(status.asOf()) }) : "";
}
