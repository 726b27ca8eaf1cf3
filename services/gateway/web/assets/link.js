import { Backoff, retryAfter } from "./backoff.js";

const finalStates = new Set(["CLOSED", "CANCELLED", "DRAWN"]);

// isFinal tells odds that will never change again.
export const isFinal = ({ state }) => finalStates.has(state);

// The gateway says something at least every 18 s, so this much silence is two heartbeats missed and a dead link.
const deadAfter = 45_000;

// A tab hidden for longer may have slept through the end of its connection without being told.
const longHidden = 60_000;

const answerTimeout = 10_000;

// Link keeps the newest odds of one raffle coming for as long as there can be any. It calls
//   onOdds(odds)               with each version once, and never a lower one after a higher;
//   onStatus(status, heardAt)  with "connecting", "live", "offline" or "ended", and when what is shown was last known
//                              to be the newest (milliseconds, 0 if never);
//   onMissing()                when there is no such raffle, after which it has ended.
export class Link {
  #id;
  #on;
  #version = 0;
  #source = null;
  #wasOpen = false;
  #attempt = 0;
  #heardAt = 0;
  #quietSince = 0;
  #hiddenAt = 0;
  #timer;
  #backoff = new Backoff(1_000, 30_000);
  #ended = new AbortController();

  constructor(id, on) {
    this.#id = id;
    this.#on = on;
  }

  start() {
    const { signal } = this.#ended;
    addEventListener("online", () => this.#open(), { signal });
    addEventListener("offline", () => this.#say("offline"), { signal });
    // An open connection would keep the page out of the back-forward cache.
    addEventListener("pagehide", () => this.#drop(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.#open(), { signal });
    document.addEventListener("visibilitychange", () => this.#visibilityChanged(), { signal });
    const watchdog = setInterval(() => this.#checkSilence(), 5_000);
    signal.addEventListener("abort", () => clearInterval(watchdog));
    this.#open();
  }

  #open() {
    this.#drop();
    this.#quietSince = Date.now();
    this.#sayConnecting();
    const after = this.#version > 0 ? `?lastEventId=${this.#id}:${this.#version}` : "";
    const source = new EventSource(`/api/v1/raffle/${this.#id}/subscribe${after}`);
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("error", () => this.#failed());
    source.addEventListener("raffle-winning-probability", (event) => {
      this.#heard();
      this.#take(JSON.parse(event.data));
    });
    source.addEventListener("heartbeat", () => this.#heard());
    // The newest odds follow a reset by themselves; all it means here is that the link is alive.
    source.addEventListener("reset", () => this.#heard());
    this.#source = source;
  }

  // drop leaves nothing under way: no stream, no waiting attempt, and no answer that would still count.
  #drop() {
    this.#source?.close();
    this.#source = null;
    this.#wasOpen = false;
    this.#attempt++;
    clearTimeout(this.#timer);
  }

  #opened() {
    this.#wasOpen = true;
    this.#quietSince = Date.now();
    this.#say("live");
  }

  #heard() {
    this.#heardAt = this.#quietSince = Date.now();
    this.#backoff.reset();
    this.#say("live");
  }

  // failed leaves the first attempt after a lost connection to the browser, which waits as the gateway's retry: field
  // says. The browser would go on at that pace for ever, and gives up when refused, so from then on we wait ourselves.
  #failed() {
    if (this.#wasOpen && this.#source.readyState === EventSource.CONNECTING) {
      this.#wasOpen = false;
      this.#sayConnecting();
      return;
    }
    this.#drop();
    this.#sayConnecting();
    this.#askWhy();
  }

  // askWhy finds out what EventSource does not tell: which status refused it. The odds that come with the answer keep
  // the page current while the stream is refused.
  async #askWhy() {
    const attempt = this.#attempt;
    let asked = 0;
    try {
      const response = await fetch(`/api/v1/raffle/${this.#id}/odds`, { cache: "no-store", signal: AbortSignal.timeout(answerTimeout) });
      const odds = response.ok ? await response.json() : null;
      if (attempt !== this.#attempt) return;
      if (response.status === 404 || response.status === 400) {
        this.#end();
        this.#on.onMissing();
        return;
      }
      if (odds) {
        this.#heardAt = Date.now();
        this.#take(odds);
      }
      asked = retryAfter(response);
    } catch {
      // No network or no answer: wait and try again, as for any refusal.
    }
    if (attempt !== this.#attempt) return;
    this.#timer = setTimeout(() => this.#open(), this.#backoff.next(asked));
  }

  #take(odds) {
    if (odds.version <= this.#version) return;
    this.#version = odds.version;
    this.#on.onOdds(odds);
    if (isFinal(odds)) this.#end();
  }

  #end() {
    this.#drop();
    this.#ended.abort();
    this.#say("ended");
  }

  #sayConnecting() {
    this.#say(navigator.onLine ? "connecting" : "offline");
  }

  #say(status) {
    this.#on.onStatus(status, this.#heardAt);
  }

  #checkSilence() {
    if (this.#source && Date.now() - this.#quietSince > deadAfter) this.#open();
  }

  #visibilityChanged() {
    if (document.hidden) {
      this.#hiddenAt = Date.now();
    } else if (this.#hiddenAt && Date.now() - this.#hiddenAt > longHidden) {
      this.#open();
    }
  }
}
