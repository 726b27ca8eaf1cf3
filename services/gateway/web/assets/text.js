// All texts of the page by language, and the formats of numbers, times and odds. A text with a
// value in it is a function.

import { now } from "./clock.js";

const tables = {
  en: {
    skip: "Skip to the content",
    serial: (id) => `No. ${id}`,
    connecting: "Connecting…",
    reconnecting: (since) => `Reconnecting… as of ${since}`,
    live: "Live",
    offline: "Offline",
    offlineSince: (since) => `Offline, as of ${since}`,
    ended: "Ended",
    state: { SCHEDULED: "Scheduled", OPEN: "Open", CLOSED: "Closed", CANCELLED: "Cancelled", DRAWN: "Drawn" },
    chance: "Your chance of winning",
    finalChance: "The final chance of winning",
    cancelledChance: "The chance when it was cancelled",
    noEntry: {
      SCHEDULED: "Opening soon", OPEN: "Be the first",
      CLOSED: "No entries", CANCELLED: "No entries", DRAWN: "No entries",
    },
    firstHint: "No entries yet. The odds are never better than now.",
    oneIn: (n) => `1 in ${n} for each entry`,
    everyoneWins: "As it stands, every entry wins",
    entries: "Entries",
    members: "Members",
    winners: "Winners",
    opens: "Opens in",
    closes: "Closes in",
    draws: "The draw is in",
    drawHeading: "The winning tickets",
    ticket: (number) => `Ticket ${number}`,
    yourTickets: (n, numbers) => n === 1 ? `Your ticket is ${numbers}.` : `Your tickets are ${numbers}.`,
    ownChance: (odds) => `Your own chance of a prize: ${odds}`,
    youWon: "Your ticket has won. Congratulations!",
    youLost: "Your ticket has not won this time.",
    noWinner: "There was no ticket to draw.",
    checkButton: "Check this draw",
    checking: "Checking in your browser…",
    checked: {
      true: "The draw is right: every check is true.",
      false: "The draw is wrong: a check is false.",
      unknown: "The draw can't be checked completely.",
    },
    checkFailed: "The log of the raffle can't be read right now. Please try again later.",
    closed: { CLOSED: "Closed", CANCELLED: "Cancelled", DRAWN: "Drawn" },
    anyMoment: "any moment now",
    closing: "Closing time",
    noClosing: "None set",
    noOpening: "Not announced yet",
    history: "The odds since you opened this page",
    now: "now",
    historyEmpty: "No odds yet.",
    historySummary: (from, to, since, changes) =>
      `Since ${since} the odds went from ${from} to ${to}, changes: ${changes}.`,
    enterHeading: "Enter the draw",
    memberLabel: "Your member name",
    memberHint: "Letters, digits and _ . : @ -",
    enterButton: "Enter",
    entering: "Entering…",
    ifYouEnter: (odds) => `If you enter now: ${odds} per entry`,
    notOpenYet: "Entries are not open yet.",
    entriesOver: {
      CLOSED: "Entries are closed.", CANCELLED: "This raffle was cancelled.",
      DRAWN: "The winners have been drawn.",
    },
    entered: (member, count) => count > 1
      ? `You are in, ${member}, with ${count} entries. Good luck!`
      : `You are in, ${member}. Good luck!`,
    youAre: (member) => `You enter as ${member}.`,
    signIn: "Please sign in to enter.",
    signInAgain: "Your sign-in has ended. Please sign in again.",
    tooOften: "That was too often. Please wait a little.",
    membersOnly: "This raffle is for members",
    membersOnlyHint: "Sign in, and its odds appear here by themselves.",
    nameNeeded: "Please type your member name.",
    nameInvalid: "A name may have letters, digits and _ . : @ - only, up to 64 of them.",
    limitReached: "This member already has every entry allowed.",
    withdrawnTooOften: "This member has withdrawn too many entries to enter again.",
    notOpen: "This raffle is not taking entries now.",
    raffleMissing: "This raffle no longer exists.",
    retrying: "The answer is slow to come. Trying again…",
    unreachable: "The raffle is hard to reach right now. Press Enter again in a moment: " +
      "the same entry is never counted twice.",
    refused: "The entry was not accepted. Please try again later.",
    openRaffles: "Open raffles",
    looking: "Looking for open raffles…",
    noneOpen: "No raffle is open right now. The next one shows up here by itself.",
    firstShown: (n) => `The first ${n} open raffles.`,
    entriesCount: { one: (n) => `${n} entry`, other: (n) => `${n} entries` },
    closesIn: (time) => `closes in ${time}`,
    closesNow: "closes any moment",
    missing: "There is no such raffle",
    missingHint: "The number in the address may be mistyped, or the raffle was removed.",
    seeOpen: "See the open raffles",
    fair: "Every entry has the same chance. The numbers change by themselves as entries come in.",
    spoken: (chance, odds, oneIn) => `${chance}: ${odds}. ${oneIn}.`,
  },
  ko: {
    skip: "본문으로 건너뛰기",
    serial: (id) => `제${id}호`,
    connecting: "연결 중…",
    reconnecting: (since) => `다시 연결 중… ${since} 기준`,
    live: "실시간",
    offline: "오프라인",
    offlineSince: (since) => `오프라인, ${since} 기준`,
    ended: "종료",
    state: { SCHEDULED: "예정", OPEN: "응모 중", CLOSED: "마감", CANCELLED: "취소", DRAWN: "추첨 완료" },
    chance: "지금 당첨 확률",
    finalChance: "최종 당첨 확률",
    cancelledChance: "취소 당시 당첨 확률",
    noEntry: {
      SCHEDULED: "곧 시작해요", OPEN: "첫 응모를 기다려요",
      CLOSED: "응모 없음", CANCELLED: "응모 없음", DRAWN: "응모 없음",
    },
    firstHint: "아직 응모가 없어요. 지금이 확률이 가장 높은 때예요.",
    oneIn: (n) => `응모 ${n}건 중 1건꼴로 당첨`,
    everyoneWins: "지금대로라면 모든 응모가 당첨돼요",
    entries: "응모 수",
    members: "응모한 회원",
    winners: "당첨자 수",
    opens: "시작까지",
    closes: "마감까지",
    draws: "추첨까지",
    drawHeading: "당첨 응모권",
    ticket: (number) => `응모권 ${number}번`,
    yourTickets: (n, numbers) => `내 응모권: ${numbers}번`,
    ownChance: (odds) => `내 당첨 확률: ${odds}`,
    youWon: "축하해요! 내 응모권이 당첨됐어요.",
    youLost: "이번에는 당첨되지 않았어요.",
    noWinner: "추첨할 응모권이 없었어요.",
    checkButton: "추첨 검증하기",
    checking: "브라우저에서 검증하는 중…",
    checked: {
      true: "추첨이 올바르게 이루어졌어요. 모든 검증을 통과했어요.",
      false: "추첨이 올바르지 않아요. 통과하지 못한 검증이 있어요.",
      unknown: "추첨을 끝까지 검증할 수 없어요.",
    },
    checkFailed: "지금은 추첨 기록을 읽을 수 없어요. 잠시 후 다시 시도해 주세요.",
    closed: { CLOSED: "마감 시각", CANCELLED: "취소 시각", DRAWN: "추첨 시각" },
    anyMoment: "곧",
    closing: "마감 시각",
    noClosing: "정해지지 않음",
    noOpening: "시작 시각 미정",
    history: "페이지를 연 뒤의 확률 변화",
    now: "지금",
    historyEmpty: "아직 확률이 없어요.",
    historySummary: (from, to, since, changes) =>
      `${since}부터 확률이 ${from}에서 ${to}(으)로 ${changes}번 바뀌었어요.`,
    enterHeading: "응모하기",
    memberLabel: "회원 이름",
    memberHint: "영문, 숫자, _ . : @ - 사용 가능",
    enterButton: "응모",
    entering: "응모하는 중…",
    ifYouEnter: (odds) => `지금 응모하면 건당 ${odds}`,
    notOpenYet: "아직 응모를 받지 않아요.",
    entriesOver: {
      CLOSED: "응모가 마감됐어요.", CANCELLED: "취소된 추첨이에요.", DRAWN: "당첨자 추첨이 끝났어요.",
    },
    entered: (member, count) => count > 1
      ? `${member} 님, ${count}건 응모했어요. 행운을 빌어요!`
      : `${member} 님, 응모했어요. 행운을 빌어요!`,
    youAre: (member) => `${member} 님으로 응모해요.`,
    signIn: "응모하려면 로그인해 주세요.",
    signInAgain: "로그인이 끝났어요. 다시 로그인해 주세요.",
    tooOften: "너무 자주 응모했어요. 잠시 후 다시 시도해 주세요.",
    membersOnly: "회원만 볼 수 있는 추첨이에요",
    membersOnlyHint: "로그인하면 확률이 여기에 나타나요.",
    nameNeeded: "회원 이름을 입력해 주세요.",
    nameInvalid: "이름은 영문, 숫자, _ . : @ - 만 64자까지 쓸 수 있어요.",
    limitReached: "이 회원은 이미 응모할 수 있는 만큼 응모했어요.",
    withdrawnTooOften: "이 회원은 응모를 너무 여러 번 취소해서 다시 응모할 수 없어요.",
    notOpen: "지금은 응모를 받지 않는 추첨이에요.",
    raffleMissing: "더 이상 없는 추첨이에요.",
    retrying: "응답이 늦어지고 있어요. 다시 시도하는 중…",
    unreachable: "지금 연결이 어려워요. 잠시 후 다시 눌러 주세요. 같은 응모는 한 번만 처리돼요.",
    refused: "응모를 처리하지 못했어요. 잠시 후 다시 시도해 주세요.",
    openRaffles: "응모 중인 추첨",
    looking: "응모 중인 추첨을 찾고 있어요…",
    noneOpen: "지금 응모 중인 추첨이 없어요. 새 추첨이 열리면 여기에 나타나요.",
    firstShown: (n) => `응모 중인 추첨 가운데 처음 ${n}개예요.`,
    entriesCount: { other: (n) => `응모 ${n}건` },
    closesIn: (time) => `마감까지 ${time}`,
    closesNow: "곧 마감",
    missing: "없는 추첨이에요",
    missingHint: "주소의 번호가 잘못되었거나 삭제된 추첨이에요.",
    seeOpen: "응모 중인 추첨 보기",
    fair: "모든 응모의 당첨 확률은 같아요. 숫자는 응모가 들어오는 대로 바뀌어요.",
    spoken: (chance, odds, oneIn) => `${chance} ${odds}. ${oneIn}.`,
  },
};

const language = (tag) => tag.split("-")[0].toLowerCase();

// The whole tag, since en-GB writes dates in another way than en-US.
const locale = navigator.languages.find((tag) => language(tag) in tables) ?? "en";

export const text = tables[language(locale)];

// translate fills every element that names its text, and sets the language of the document.
export function translate() {
  document.documentElement.lang = locale;
  for (const element of document.querySelectorAll("[data-text]")) {
    element.textContent = text[element.dataset.text];
  }
}

const integer = new Intl.NumberFormat(locale);
const oneDecimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const clockShort = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
const dateAndTime = new Intl.DateTimeFormat(locale, {
  weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "2-digit",
});
const dateWithYear = new Intl.DateTimeFormat(locale, {
  weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "numeric", minute: "2-digit",
});
const plural = new Intl.PluralRules(locale);

export const formatInteger = (n) => integer.format(n);
export const formatClock = (time) => clock.format(time);
export const formatClockShort = (time) => clockShort.format(time);

// formatDateAndTime names the year unless it is this one.
export function formatDateAndTime(time) {
  const isThisYear = new Date(time).getFullYear() === new Date(now()).getFullYear();
  return (isThisYear ? dateAndTime : dateWithYear).format(time);
}

const fixed = (digits) => new Intl.NumberFormat(locale, {
  style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits,
});
const whole = fixed(0);
const hundredths = fixed(2);
const threeDigits = new Intl.NumberFormat(locale, {
  style: "percent", minimumSignificantDigits: 3, maximumSignificantDigits: 3,
});

// formatOdds writes percent with enough digits to show the difference of one entry. It never
// rounds up to 100 %.
export function formatOdds(percent) {
  if (Number.isInteger(percent)) return whole.format(percent / 100);
  if (percent < 1) return threeDigits.format(percent / 100);
  return hundredths.format(Math.min(percent, 99.99) / 100);
}

// formatPercent writes percent with a fixed number of decimals, as the labels of an axis need.
export const formatPercent = (percent, digits) => fixed(digits).format(percent / 100);

// formatOneIn returns the phrase "1 in n" for a raffle with entries. n is 1 only if all win.
export function formatOneIn({ entries, winners }) {
  if (entries <= winners) return text.everyoneWins;
  const n = entries / winners;
  return text.oneIn(n < 10 ? oneDecimal.format(Math.max(n, 1.1)) : integer.format(Math.round(n)));
}

export function formatEntries(n) {
  const phrase = text.entriesCount[plural.select(n)] ?? text.entriesCount.other;
  return phrase(integer.format(n));
}

const unit = (name) => new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "short" });
const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]]
  .map(([name, seconds]) => ({ format: unit(name), seconds }));

// formatDuration writes a duration by its two largest units.
export function formatDuration(milliseconds) {
  let rest = Math.max(0, Math.floor(milliseconds / 1000));
  const largest = units.findIndex(({ seconds }) => rest >= seconds);
  const start = largest < 0 ? units.length - 1 : largest;
  return units.slice(start, start + 2).map(({ format, seconds }) => {
    const n = Math.floor(rest / seconds);
    rest -= n * seconds;
    return format.format(n);
  }).join(" ");
}
