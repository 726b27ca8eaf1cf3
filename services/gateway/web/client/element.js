import { watchOdds } from "./rafflecast.js";

// <rafflecast-odds raffle="1" src="https://odds.example"> shows the odds of a raffle on anybody's
// page. README.md says how it is styled. It announces nothing by itself: its text can be read
// whenever somebody wants to, and a page that has more to say can listen for the event "odds".

const words = {
  en: {
    next: "If you enter now", oneIn: (n) => `1 in ${n}`, all: "Every entry wins",
    SCHEDULED: "Not open yet", CLOSED: "Entries are closed", DRAWN: "The winners are drawn", CANCELLED: "Cancelled",
    counts: (members, entries, winners) => `Members: ${members} · entries: ${entries} · winners: ${winners}`,
    opens: (time) => `Opens ${time}`, closes: (time) => `Closes ${time}`, draws: (time) => `Winners are drawn ${time}`,
    connecting: "Connecting", stale: (time) => `No connection. As of ${time}`, offline: "No connection",
    missing: "There is no such raffle", invalid: "There is no such raffle", unauthenticated: "This raffle is for members", forbidden: "This raffle is for members",
  },
  ko: {
    next: "지금 응모하면", oneIn: (n) => `${n}건 중 1건 당첨`, all: "모든 응모 당첨",
    SCHEDULED: "아직 시작 전이에요", CLOSED: "응모가 마감됐어요", DRAWN: "당첨자가 나왔어요", CANCELLED: "취소됐어요",
    counts: (members, entries, winners) => `참여 ${members}명 · 응모 ${entries}건 · 당첨 ${winners}명`,
    opens: (time) => `${time} 시작`, closes: (time) => `${time} 마감`, draws: (time) => `${time} 추첨`,
    connecting: "연결 중", stale: (time) => `연결이 끊겼어요. ${time} 기준`, offline: "연결이 끊겼어요",
    missing: "없는 래플이에요", invalid: "없는 래플이에요", unauthenticated: "회원 전용 래플이에요", forbidden: "회원 전용 래플이에요",
  },
};

// A style element would need the permission of the page's content security policy.
const style = `
  :host { display: inline-block; font: inherit; color: var(--rafflecast-color, inherit); }
  :host([hidden]) { display: none; }
  p { margin: 0; overflow-wrap: anywhere; }
  p:empty { display: none; }
  [part~=title] { font-weight: 600; }
  [part~=chance] { font-size: var(--rafflecast-size, 2em); font-weight: 700; line-height: 1.2;
    font-variant-numeric: tabular-nums; color: var(--rafflecast-accent, inherit); }
  [part~=stale] { opacity: 0.6; }
`;

// Node.js and servers that render pages may import the module, too.
const Base = globalThis.HTMLElement ?? class {};

export class RafflecastOdds extends Base {
  static observedAttributes = ["raffle", "src", "lang"];
  #parts = {};
  #watch = null;
  #odds = null;
  #state = { state: "connecting", reason: "", asOf: 0 };

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(style);
    root.adoptedStyleSheets = [sheet];
    for (const name of ["title", "label", "chance", "counts", "time", "status"]) {
      this.#parts[name] = document.createElement("p");
      this.#parts[name].part = name;
      root.append(this.#parts[name]);
    }
    this.#parts.title.dir = "auto";
  }

  connectedCallback() {
    this.#start();
  }

  disconnectedCallback() {
    this.#watch?.close();
    this.#watch = null;
  }

  attributeChangedCallback(name, before, after) {
    if (!this.#watch || before === after) return;
    name === "lang" ? this.#show() : this.#start();
  }

  #start() {
    this.#watch?.close();
    this.#odds = null;
    const raffle = this.getAttribute("raffle") ?? "";
    const isId = /^[1-9][0-9]{0,18}$/.test(raffle);
    this.#state = isId ? { state: "connecting", reason: "", asOf: 0 } : { state: "ended", reason: "invalid", asOf: 0 };
    this.#watch = watchOdds({
      url: this.getAttribute("src") ?? undefined,
      ids: isId ? raffle : [],
      onOdds: (odds) => {
        this.#odds = odds;
        this.#show();
        this.dispatchEvent(new CustomEvent("odds", { detail: odds }));
      },
      onState: (state) => {
        this.#state = state;
        this.#show();
      },
    });
    this.#show();
  }

  #show() {
    const language = this.closest("[lang]")?.lang || navigator.language;
    const text = language.toLowerCase().startsWith("ko") ? words.ko : words.en;
    const shown = { title: "", label: "", chance: "", counts: "", time: "", status: statusText(this.#state, text, language) };
    if (this.#odds) Object.assign(shown, oddsText(this.#odds, text, language));
    for (const [name, value] of Object.entries(shown)) {
      if (this.#parts[name].textContent !== value) this.#parts[name].textContent = value;
    }
    const isStale = ["connecting", "offline"].includes(this.#state.state);
    this.#parts.chance.part = `chance ${this.#odds?.state.toLowerCase() ?? ""} ${isStale ? "stale" : ""}`;
    this.#parts.status.part = `status ${this.#state.state}`;
  }
}

const time = (moment, language) => new Intl.DateTimeFormat(language, {
  year: "numeric", month: "short", day: "numeric", weekday: "short", hour: "numeric", minute: "2-digit", timeZoneName: "short",
}).format(moment);

function oddsText(odds, text, language) {
  const number = (value, digits) => new Intl.NumberFormat(language, digits && { maximumSignificantDigits: digits }).format(value);
  const moment = { SCHEDULED: ["opens", odds.opensAt], OPEN: ["closes", odds.closesAt], CLOSED: ["draws", odds.drawsAt] }[odds.state];
  const next = odds.nextEntryProbability;
  let chance = text[odds.state] ?? "";
  if (odds.state === "OPEN" && next >= 100) chance = text.all;
  else if (odds.state === "OPEN") {
    const percent = new Intl.NumberFormat(language, { style: "percent", maximumSignificantDigits: 3 }).format(next / 100);
    chance = next > 40 ? percent : `${text.oneIn(number(100 / next, 3))} (${percent})`;
  }
  return {
    title: odds.title,
    label: odds.state === "OPEN" ? text.next : "",
    chance,
    counts: text.counts(number(odds.members), number(odds.entries), number(odds.winners)),
    time: moment?.[1] ? text[moment[0]](time(Date.parse(moment[1]), language)) : "",
  };
}

function statusText({ state, reason, asOf }, text, language) {
  if (text[reason]) return text[reason];
  if (state === "connecting" && asOf === 0) return text.connecting;
  if (state !== "offline") return "";
  return asOf > 0 ? text.stale(time(asOf, language)) : text.offline;
}

globalThis.customElements?.get("rafflecast-odds") ?? globalThis.customElements?.define("rafflecast-odds", RafflecastOdds);
