import { formatClock, t } from "./text.js";

const $ = (id) => document.getElementById(id);

// setUpStatus shows whether the page is live, delayed or offline, and lets its visitor pause
// what moves. onResume is called when they go on. It returns showState, which takes what
// watchOdds calls onState with, isPaused, and isStale, which reports whether the numbers may be
// old.
export function setUpStatus(onResume) {
  const button = $("pause");
  let state = { state: "connecting", asOf: 0 };
  let pausedAt = 0;

  const show = () => {
    const connection = $("connection");
    const name = pausedAt ? "paused" : state.state;
    connection.dataset.connection = name;
    connection.hidden = name === "connecting" && !state.asOf || name === "ended";
    button.hidden = state.state === "ended";
    const words = t(name === "connecting" ? "delayed" : name === "ended" ? "live" : name);
    const since = pausedAt || (isStale() && state.asOf);
    $("connection-text").textContent = since ? `${words}${t("comma")}${t("asOf", { time: formatClock(since) })}` : words;
  };

  const isStale = () => !["live", "delayed", "ended"].includes(state.state) && state.asOf > 0;

  button.addEventListener("click", () => {
    pausedAt = pausedAt ? 0 : Date.now();
    document.body.classList.toggle("paused", pausedAt > 0);
    button.textContent = t(pausedAt ? "resume" : "pause");
    button.setAttribute("aria-pressed", pausedAt > 0);
    show();
    if (!pausedAt) onResume();
  });

  return {
    showState(now) {
      state = now;
      show();
    },
    isPaused: () => pausedAt > 0,
    isStale,
    asOf: () => state.asOf,
  };
}

// clockFrom returns now(), which tells the time by the server's clock: from that at which the
// page was rendered, until the connection knows better. A visitor's own clock may be wrong by
// hours.
export function clockFrom(rendered, watch) {
  const offset = Date.parse(rendered) - performance.now();
  let isKnown = false;
  return (heard) => {
    isKnown ||= heard === true;
    return isKnown ? watch().now() : offset + performance.now();
  };
}
