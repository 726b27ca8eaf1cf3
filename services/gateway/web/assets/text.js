// The page's texts, which the gateway has, too, and the formats of numbers, times and chances.
import en from "../text/en.json" with { type: "json" };
import ko from "../text/ko.json" with { type: "json" };

const tables = { en, ko };
let table = en;
let times;

// setLanguage chooses the texts. Dates follow the visitor's own variety of the language, since
// en-GB writes them in another way than en-US.
export function setLanguage(lang, wanted = navigator.languages) {
  table = tables[lang];
  const locale = wanted.find((tag) => tag.split("-")[0].toLowerCase() === lang) ?? lang;
  const format = (options) => new Intl.DateTimeFormat(locale, options);
  const minute = { hour: "numeric", minute: "2-digit" };
  const day = { weekday: "short", day: "numeric", month: "short" };
  times = {
    clock: format({ ...minute, second: "2-digit" }),
    minute: format(minute),
    day: format({ ...day, ...minute, timeZoneName: "short" }),
    year: format({ ...day, year: "numeric", ...minute, timeZoneName: "short" }),
  };
}

// t returns the text of a key, with values for its placeholders. Numbers are grouped. n chooses
// between "one" and "other".
export function t(key, values = {}) {
  const found = table[key];
  const phrase = found.other === undefined ? found : values.n === 1 ? found.one : found.other;
  return phrase.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? formatInteger(values[name]) : values[name]);
}

const integer = new Intl.NumberFormat("en");

export const formatInteger = (n) => integer.format(n);
export const formatClock = (time) => times.clock.format(time);
export const formatMinute = (time) => times.minute.format(time);

// formatTime names the zone, and the year unless it is this one.
export function formatTime(time, now) {
  const isThisYear = new Date(time).getFullYear() === new Date(now).getFullYear();
  return (isThisYear ? times.day : times.year).format(new Date(time));
}

// formatChance writes a chance from 0 to 1 in percent, with three digits that count. It never
// rounds up to 100 %.
export function formatChance(chance) {
  if (chance >= 1) return "100%";
  const percent = Math.min(100 * chance, 99.9);
  if (percent <= 0) return "0%";
  const digits = percent.toFixed(Math.max(0, 2 - Math.floor(Math.log10(percent))));
  return `${digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits}%`;
}

// The chance from which percents are easier to read than "1 in n".
export const likely = 0.2;

// formatOneIn writes a chance as "1 in n", or in percent if that is easier to read.
export function formatOneIn(chance) {
  if (chance >= likely) return formatChance(chance);
  const n = 1 / chance;
  return t("oneIn", { n: n < 10 ? n.toFixed(1).replace(/\.0$/, "") : formatInteger(Math.round(n)) });
}

// formatDuration writes a duration by its two largest units, and minutes with seconds as a clock
// does.
export function formatDuration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return t("unit.day", { n: days }) + t("unit.join") + t("unit.hour", { n: hours });
  if (hours > 0) return t("unit.hour", { n: hours }) + t("unit.join") + t("unit.minute", { n: minutes });
  return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}
