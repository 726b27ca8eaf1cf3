import { Backoff, retryAfter } from "./backoff.js";
import { askNow, setNow, setPast } from "./clock.js";

// hasEnded reports whether no entries will be taken any more.
export const hasEnded = ({ state }) => state === "CLOSED" || state === "CANCELLED" || state === "DRAWN";

// isFinal reports whether odds will never change again: a closed raffle whose draw lies ahead
// will have its winners.
export const isFinal = (odds) => hasEnded(odds) && !(odds.state === "CLOSED" && odds.drawsAt);

// Milliseconds without any event after which a connection counts as dead. The gateway sends
// one at least every 18 s, so two heartbeats are missing then.
const deadAfter = 45_000;

// A tab that was hidden for longer may not have noticed the end of its connection.
const longHidden = 60_000;

const answerTimeout = 10_000;

// A raffle that has just been created may not have reached the gateway yet.
const missingFor = 15_000;

// Link follows the odds of one raffle until they are final. It calls
//   onOdds(odds)               with each version at most once, and never a lower one after a
//                              higher one, unless the gateway has sent a reset or the epoch
//                              says that this is another raffle;
//   onStatus(status, heardAt)  with "connecting", "live", "offline" or "ended", and the time in
//                              milliseconds at which the odds were last known to be the newest
//                              (0 if never);
//   onMissing()                if there is no such raffle; the link has ended then;
//   onLocked()                 if only members may watch it, and nobody has signed in; the link
//                              goes on trying.
export class Link {
  #id;
  #on;
  #epoch = "";
  #version = 0;
  #missingSince = 0;
  #lastEventId = "";
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
    askNow();
  }

  #open() {
    this.#drop();
    this.#quietSince = Date.now();
    this.#sayConnecting();
    const after = this.#lastEventId && `?${new URLSearchParams({ lastEventId: this.#lastEventId })}`;
    const source = new EventSource(`/api/v1/raffles/${this.#id}/subscribe${after}`);
    source.addEventListener("open", () => this.#opened());
    source.addEventListener("error", () => this.#failed());
    source.addEventListener("raffle-winning-probability", (event) => {
      this.#heard();
      this.#lastEventId = event.lastEventId;
      this.#take(JSON.parse(event.data));
    });
    source.addEventListener("heartbeat", (event) => {
      this.#heard();
      setNow(JSON.parse(event.data).at);
    });
    // The newest odds follow a reset, whatever their version.
    source.addEventListener("reset", () => {
      this.#heard();
      this.#version = 0;
    });
    this.#source = source;
  }

  // drop ends the stream, a waiting attempt, and a request under way.
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

  // failed lets the browser make the first attempt after a lost connection, after the wait that
  // the gateway's retry: field asks for. Later attempts are made here: the browser would keep
  // that pace forever, and would give up after a refusal.
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

  // askWhy asks for the odds once, since EventSource does not tell the status that refused it.
  // The odds in the answer keep the page current while the stream is refused.
  async #askWhy() {
    const attempt = this.#attempt;
    let asked = 0;
    try {
      const address = `/api/v1/raffles/${this.#id}/odds`;
      const response = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(answerTimeout) });
      const odds = response.ok ? await response.json() : null;
      if (attempt !== this.#attempt) return;
      if (response.status === 400 || (response.status === 404 && this.#staysMissing())) {
        this.#end();
        this.#on.onMissing();
        return;
      }
      if (response.status === 401) this.#on.onLocked();
      if (response.status !== 404) this.#missingSince = 0;
      if (odds) {
        this.#heardAt = Date.now();
        this.#take(odds);
      }
      asked = retryAfter(response);
    } catch {
      // No network or no answer: try again later, as after any refusal.
    }
    if (attempt !== this.#attempt) return;
    this.#timer = setTimeout(() => this.#open(), this.#backoff.next(asked));
  }

  // staysMissing reports whether the raffle has been missing for so long that it does not exist.
  #staysMissing() {
    this.#missingSince ||= Date.now();
    return Date.now() - this.#missingSince >= missingFor;
  }

  #take(odds) {
    if (odds.epoch === this.#epoch && odds.version <= this.#version) return;
    this.#epoch = odds.epoch;
    this.#version = odds.version;
    setPast(odds.at);
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
