import { readEvents } from "./sse.js";

// In milliseconds. The option timing changes them.
export const defaultTiming = {
  firstEvent: 3_000, // a stream that says nothing for so long is held back: polling begins
  silence: 25_000, // after which a stream is opened again; a gateway sends something at least every 18 s
  firstRetry: 1_000, // the first of waits that double with each failure
  lastRetry: 30_000,
  pollPause: 1_000, // between two long polls of one raffle
  pollInterval: 4_000, // between two polls of several raffles
  streamAgain: 60_000, // until the next attempt to stream, if polling works
  missing: 15_000, // raffles that have just been created may not have reached the gateway yet
  answer: 10_000, // for an answer that need not wait
  hidden: 60_000, // after which a hidden tab lets go of the stream
};

const longestRetryAfter = 5 * 60_000; // nobody should sleep for a day, whatever a proxy says
const longestRetry = 60_000;
const forever = 2 ** 31 - 1;
const fresh = 5_000; // an event that a held-back stream brings counts as live if it is no older

// isFinal reports whether odds will never change again: a closed raffle whose draw lies ahead
// will have its winners.
export const isFinal = ({ state, drawsAt }) =>
  state === "CANCELLED" || state === "DRAWN" || (state === "CLOSED" && !drawsAt);

// sleep resolves after a time, or when the signal aborts.
const sleep = (milliseconds, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, milliseconds);
  const end = () => resolve(clearTimeout(timer));
  signal.aborted ? end() : signal.addEventListener("abort", end, { once: true });
});

// linked returns a controller that aborts when the signal does.
const linked = (signal) => {
  const controller = new AbortController();
  signal.aborted ? controller.abort() : signal.addEventListener("abort", () => controller.abort(), { once: true });
  return controller;
};

// spread draws a wait at random, so that the viewers of a gateway that stopped do not all come
// back at once.
const spread = (milliseconds) => milliseconds * (0.75 + Math.random() / 2);

// Connection follows raffles by a stream and, if that is held back or refused, by polling. It
// calls report with what it learns of the raffles in ids: { ids, state, reason, time, odds, reset,
// lastEventId }, where all but ids may be missing. time is what the server's clock showed, and
// reset the id of a raffle whose next odds count whatever their version.
export class Connection {
  #options; // { base, fetch, headers, credentials, timing, now, knows, report }
  #timing;
  #lastEventId;
  #ids = [];
  #streamed = []; // those of the stream
  #settled = new Set(); // those whose odds are final, or that do not exist
  #blocked = new Set(); // those that are refused for now; a stream would be refused with them
  #missingSince = new Map();
  #etags = new Map();
  #woken = new AbortController();
  #polling = null;
  #pollingWorks = false;
  #isHeard = false; // the stream has brought an event
  #isHeld = false; // the stream brought nothing at first
  #heardAt = 0;
  #failures = 0;
  #changes = 0; // of the streamed ids since the last event
  #asked = 0; // the wait of the last Retry-After
  #retry = 2_000; // the wait of the last retry field
  #isClosed = false;

  constructor(options, lastEventId) {
    this.#options = options;
    this.#timing = options.timing;
    this.#lastEventId = lastEventId;
    this.#run();
  }

  // setIds changes the raffles. A stream that has all of them goes on.
  setIds(ids) {
    this.#ids = ids;
    this.#streamed = this.#streamed.filter((id) => ids.includes(id));
    for (const known of [this.#settled, this.#blocked, this.#missingSince]) {
      for (const id of known.keys()) if (!ids.includes(id)) known.delete(id);
    }
    const rest = this.#pending();
    if (rest.length === 0) this.#stopPolling();
    if (rest.length === 0 || rest.some((id) => !this.#streamed.includes(id) && !this.#blocked.has(id))) this.wake();
  }

  // wake opens a new stream at once, of all raffles.
  wake() {
    this.#failures = this.#changes = 0;
    this.#blocked.clear();
    if (this.#polling) {
      this.#stopPolling();
      this.#startPolling();
    }
    this.#woken.abort();
  }

  // check opens a new stream if the present one has been silent for almost too long.
  check() {
    if (performance.now() - this.#heardAt > 0.8 * this.#timing.silence) this.wake();
  }

  close() {
    this.#isClosed = true;
    this.#stopPolling();
    this.#woken.abort();
  }

  #pending() {
    return this.#ids.filter((id) => !this.#settled.has(id));
  }

  #open() {
    return this.#pending().filter((id) => !this.#blocked.has(id));
  }

  #report(report) {
    if (!this.#isClosed) this.#options.report(report);
  }

  #settle(ids, reason) {
    for (const id of ids) this.#settled.add(id);
    this.#report({ ids, state: "ended", reason });
    if (this.#pending().length > 0) return;
    this.#stopPolling();
    this.#woken.abort();
  }

  async #run() {
    await null; // setIds comes first
    while (!this.#isClosed) {
      this.#woken = new AbortController();
      const { signal } = this.#woken;
      await sleep(await this.#follow(signal), signal);
    }
  }

  // follow follows the raffles for as long as one stream lasts, and returns how long to wait
  // before the next one.
  async #follow(signal) {
    this.#asked = 0;
    const ids = (this.#streamed = this.#open());
    const wait = ids.length > 0 ? await this.#stream(ids, signal) : undefined;
    this.#streamed = [];
    const rest = this.#pending();
    if (signal.aborted) return 0;
    if (rest.length === 0) return forever;
    if (wait !== undefined) return wait;
    // The answers keep the odds current, and tell which raffle a stream was refused for.
    if (!this.#polling) await this.#ask(rest, signal);
    const { firstRetry, lastRetry, streamAgain } = this.#timing;
    const doubled = 2 ** this.#failures++;
    const isChanged = this.#open().length > 0 && this.#open().join() !== ids.join();
    if (isChanged && this.#changes++ < 3) return 0;
    if (this.#polling && this.#pollingWorks) return spread(Math.min(streamAgain * doubled, 10 * streamAgain));
    return this.#asked + spread(Math.min(firstRetry * doubled, lastRetry));
  }

  // stream reads a stream to its end. It returns how long to wait before the next one, or
  // nothing if the stream failed.
  async #stream(ids, woken) {
    const request = linked(woken);
    const { firstEvent, silence } = this.#timing;
    this.#isHeard = this.#isHeld = false;
    this.#heardAt = performance.now();
    let isSilent = false;
    const held = setTimeout(() => this.#hold(ids), firstEvent);
    const watchdog = setInterval(() => {
      isSilent = performance.now() - this.#heardAt > silence;
      if (isSilent) request.abort();
    }, silence / 10);
    if (this.#blocked.size > 0) this.#askBlocked(request.signal);
    try {
      const query = new URLSearchParams(ids.length > 1 ? ids.map((id) => ["id", id]) : []);
      // Whoever resumes is not sent what it has had, so it must still have it.
      if (this.#lastEventId && ids.every(this.#options.knows)) query.set("lastEventId", this.#lastEventId);
      const path = ids.length > 1 ? "subscribe" : `${ids[0]}/subscribe`;
      const response = await this.#get(`${path}?${query}`, request.signal, { Accept: "text/event-stream" });
      this.#report({ ids, time: Date.parse(response.headers.get("Date")) });
      if (response.status === 204) {
        this.#settle(ids, "final");
        return 0;
      }
      if (response.status !== 200 || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        response.body?.cancel().catch(() => {});
        this.#noteRetryAfter(response.headers);
        return undefined;
      }
      await readEvents(response.body, {
        retry: (wait) => (this.#retry = Math.min(Math.max(wait, this.#timing.firstRetry), longestRetry)),
        event: (event) => this.#take(event, ids),
      });
    } catch {
      if (woken.aborted || (isSilent && this.#isHeard && !this.#isHeld)) return 0;
    } finally {
      clearTimeout(held);
      clearInterval(watchdog);
      request.abort();
    }
    if (!this.#isHeard || this.#isHeld) return undefined;
    this.#say("connecting", "interrupted", ids);
    return spread(this.#retry);
  }

  #hold(ids) {
    if (this.#isHeard) return;
    this.#isHeld = true;
    if (this.#polling) return;
    this.#say("connecting", "held", ids);
    this.#startPolling();
  }

  #say(state, reason, ids) {
    const rest = ids.filter((id) => !this.#settled.has(id) && !this.#blocked.has(id));
    if (rest.length > 0) this.#report({ ids: rest, state, reason });
  }

  #take({ name, data, id }, ids) {
    if (!["raffle-winning-probability", "heartbeat", "reset"].includes(name)) return;
    const value = JSON.parse(data);
    const at = Date.parse(value.at);
    const isWanted = (one) => this.#ids.includes(one) && !this.#settled.has(one);
    const report = { ids: ids.filter(isWanted) };
    if (name === "heartbeat") report.time = at;
    if (name === "reset") report.reset = String(value.id);
    if (name === "raffle-winning-probability" && isWanted(String(value.id))) report.odds = value;
    if (id) report.lastEventId = this.#lastEventId = id;
    this.#isHeard = true;
    this.#heardAt = performance.now();
    this.#failures = this.#changes = 0;
    // What was held back, and now comes in a burst, is not live.
    this.#isHeld &&= !(Math.abs(this.#options.now() - at) < fresh);
    if (!this.#isHeld) {
      this.#stopPolling();
      Object.assign(report, { state: "live", reason: "" });
    }
    this.#report(report);
    if (report.odds && isFinal(value)) this.#settle([String(value.id)], "final");
  }

  async #startPolling() {
    const { signal } = (this.#polling = new AbortController());
    const { firstRetry, lastRetry, pollPause, pollInterval } = this.#timing;
    this.#pollingWorks = false;
    for (let failures = 0; !signal.aborted;) {
      const ids = this.#pending();
      this.#asked = 0;
      const isLong = ids.length === 1 && this.#pollingWorks;
      const works = await this.#ask(ids, signal, isLong ? 25 : 0);
      if (signal.aborted) return;
      this.#pollingWorks = works;
      failures = works ? 0 : failures + 1;
      const pause = ids.length === 1 ? pollPause : spread(pollInterval);
      await sleep(works ? pause : this.#asked + spread(Math.min(firstRetry * 2 ** failures, lastRetry)), signal);
    }
  }

  #stopPolling() {
    this.#polling?.abort();
    this.#polling = null;
  }

  // askBlocked asks for the raffles that the stream leaves out, until one can be streamed.
  async #askBlocked(signal) {
    for (let wait = this.#timing.firstRetry; ; wait = Math.min(2 * wait, this.#timing.lastRetry)) {
      await sleep(spread(wait), signal);
      const ids = this.#pending().filter((id) => this.#blocked.has(id));
      if (signal.aborted || ids.length === 0) return;
      await this.#ask(ids, signal);
      if (!signal.aborted && ids.some((id) => !this.#blocked.has(id) && !this.#settled.has(id))) this.wake();
    }
  }

  // ask asks for the odds of each raffle; with a wait in seconds, for newer ones than before. It
  // reports whether all was answered.
  async #ask(ids, signal, wait = 0) {
    for (const id of ids) {
      const request = linked(signal);
      const timer = setTimeout(() => request.abort(), this.#timing.answer + wait * 1_000);
      let response, odds;
      try {
        const etag = this.#etags.get(id);
        const path = `${id}/odds${wait > 0 ? `?wait=${wait}s` : ""}`;
        response = await this.#get(path, request.signal, etag ? { "If-None-Match": etag } : {});
        if (response.status === 200) odds = await response.json();
        if (odds && String(odds.id) !== id) response = undefined; // the page of a proxy
      } catch {
        response = undefined;
      } finally {
        clearTimeout(timer);
        request.abort();
      }
      if (signal.aborted) return false;
      if (!this.#takeAnswer(id, response, odds)) {
        const reason = !response ? "network" : response.status === 503 || response.status === 429 ? "busy" : "failed";
        this.#say("offline", reason, ids);
        return false;
      }
    }
    return true;
  }

  // takeAnswer reports whether an answer says something about the raffle.
  #takeAnswer(id, response, odds) {
    if (!response) return false;
    const { status, headers } = response;
    if (status !== 404) this.#missingSince.delete(id);
    if (status === 200 || status === 304) {
      this.#blocked.delete(id);
      if (headers.get("ETag")) this.#etags.set(id, headers.get("ETag"));
      this.#report({ ids: [id], time: Date.parse(headers.get("Date")), odds, state: "delayed", reason: "polling" });
      if (odds && isFinal(odds)) this.#settle([id], "final");
      return true;
    }
    this.#noteRetryAfter(headers);
    const reason = { 400: "invalid", 401: "unauthenticated", 403: "forbidden", 404: "missing" }[status];
    if (!reason) return false;
    if (status === 404 && !this.#missingSince.has(id)) this.#missingSince.set(id, performance.now());
    const isLasting = status === 404 && performance.now() - this.#missingSince.get(id) >= this.#timing.missing;
    if (status === 400 || isLasting) {
      this.#settle([id], reason);
    } else {
      this.#blocked.add(id);
      this.#report({ ids: [id], state: "connecting", reason });
    }
    return true;
  }

  // noteRetryAfter reads both forms of the header, seconds and a date.
  #noteRetryAfter(headers) {
    const value = headers.get("Retry-After") ?? "0";
    const asked = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - this.#options.now();
    this.#asked = Math.max(this.#asked, Math.min(asked || 0, longestRetryAfter));
  }

  async #get(path, signal, more) {
    const { base, fetch, headers, credentials } = this.#options;
    const own = typeof headers === "function" ? await headers() : headers;
    return fetch(`${base}api/v1/raffles/${path}`, {
      cache: "no-store", credentials, signal, headers: { ...own, ...more },
    });
  }
}
