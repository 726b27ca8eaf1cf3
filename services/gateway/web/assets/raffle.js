import { Chart } from "./chart.js";
import { now } from "./clock.js";
import { setUpDraw } from "./draw.js";
import { setUpEntering } from "./enter.js";
import { hasEnded, Link } from "./link.js";
import { roll } from "./roll.js";
import { formatDateAndTime, formatDuration, formatInteger, formatOdds, formatOneIn, text } from "./text.js";

const $ = (id) => document.getElementById(id);

// showRaffle shows one raffle and keeps it current. The id is the text from the address.
export function showRaffle(id, { show, showConnection, say }) {
  const chart = new Chart($("chart"));
  const form = setUpEntering(id);
  const draw = setUpDraw(id);
  let shown = null;

  const onOdds = (odds) => {
    const before = shown;
    shown = odds;
    show("raffle-view");
    showOdds(odds, before);
    showFacts(odds);
    showEntering(odds, form);
    draw.show(odds);
    tick();
    chart.add(odds.winnerProbability);
    if (hasEnded(odds)) chart.stop();
    // A viewer who comes after the end has no history to see.
    if (!before) $("history").hidden = hasEnded(odds);
    say(text.spoken(oddsLabel(odds), $("odds").getAttribute("aria-label"), $("one-in").textContent));
  };

  const tick = () => {
    if (!shown) return;
    showTime(shown);
    if (!hasEnded(shown)) chart.draw();
  };

  const onMissing = () => {
    $("connection").hidden = true;
    $("see-open").hidden = true;
    $("missing-serial").textContent = text.serial(id);
    document.title = `${text.missing} – Rafflecast`;
    show("missing-view");
  };

  const onLocked = () => {
    $("missing-serial").textContent = text.serial(id);
    $("missing-heading").textContent = text.membersOnly;
    $("missing-hint").textContent = text.membersOnlyHint;
    document.title = `${text.membersOnly} – Rafflecast`;
    show("missing-view");
  };

  $("serial").textContent = text.serial(id);
  show("raffle-view");
  setInterval(tick, 1_000);
  setInterval(() => chart.describe(), 5_000);
  new Link(id, { onOdds, onMissing, onLocked, onStatus: showConnection }).start();
}

function oddsLabel({ state }) {
  if (state === "CANCELLED") return text.cancelledChance;
  return hasEnded({ state }) ? text.finalChance : text.chance;
}

function showOdds(odds, before) {
  const element = $("odds");
  const percent = odds.winnerProbability;
  const words = percent === null ? text.noEntry[odds.state] : formatOdds(percent);
  if (percent === null) {
    element.textContent = words;
  } else if (words !== element.textContent) {
    roll(element, words, percent > (before?.winnerProbability ?? 0));
  }
  element.classList.toggle("words", percent === null);
  element.classList.toggle("long", percent !== null && words.length > 7);
  element.setAttribute("aria-label", words);
  element.dataset.version = odds.version;
  element.dataset.odds = percent ?? "";
  $("odds-label").textContent = oddsLabel(odds);
  $("one-in").textContent = percent !== null ? formatOneIn(odds) : odds.state === "OPEN" ? text.firstHint : "";
  document.title = `${words} · ${odds.title} – Rafflecast`;
}

function showFacts({ title, state, entries, members, winners }) {
  $("title").textContent = title;
  $("state").textContent = text.state[state];
  $("state").dataset.state = state;
  $("state").hidden = false;
  $("entries").textContent = formatInteger(entries);
  $("members").textContent = formatInteger(members);
  $("winners").textContent = formatInteger(winners);
}

function showEntering({ state, nextEntryProbability }, form) {
  form.setOpen(state === "OPEN");
  if (state === "OPEN") {
    const next = nextEntryProbability;
    $("enter-note").textContent = next === null ? "" : text.ifYouEnter(formatOdds(next));
  } else {
    $("enter-note").textContent = state === "SCHEDULED" ? text.notOpenYet : text.entriesOver[state];
  }
}

// showTime shows the time until the raffle opens, closes or is drawn, or when it ended.
function showTime({ state, opensAt, closesAt, drawsAt, at }) {
  if (state === "SCHEDULED") return showCountdown(text.opens, opensAt, text.noOpening);
  if (state === "OPEN") return showCountdown(closesAt === null ? text.closing : text.closes, closesAt, text.noClosing);
  if (state === "CLOSED" && drawsAt) return showCountdown(text.draws, drawsAt, "");
  $("when-label").textContent = text.closed[state];
  $("countdown").textContent = "";
  showMoment(at);
}

function showCountdown(label, moment, unknown) {
  $("when-label").textContent = label;
  const rest = moment === null ? null : Date.parse(moment) - now();
  $("countdown").textContent = rest === null ? unknown : rest > 0 ? formatDuration(rest) : text.anyMoment;
  showMoment(moment);
}

function showMoment(moment) {
  $("when").dateTime = moment ?? "";
  $("when").textContent = moment === null ? "" : formatDateAndTime(Date.parse(moment));
}
