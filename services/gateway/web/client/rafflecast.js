import { Connection, defaultTiming, isFinal } from "./connection.js";
import { Tabs } from "./tabs.js";

export { isFinal };

const tickInterval = 2_000; // milliseconds, as are all times here
const wantLife = 20_000; // a tab that has not said for so long what it wants is gone
const maxRaffles = 100; // on one stream

// States of raffles, from the best to the worst: those of several raffles are the worst of them.
const states = ["ended", "live", "delayed", "connecting", "offline"];

// watchOdds follows the odds of raffles. rafflecast.d.ts and README.md describe it.
export function watchOdds(options) {
  const { ids, onOdds, onState, signal } = options;
  const watch = new Watch(hubFor(options), onOdds, onState);
  signal?.addEventListener("abort", () => watch.close(), { once: true });
  watch.setIds(ids);
  if (signal?.aborted) watch.close();
  return watch;
}

class Watch {
  #hub;
  #onOdds;
  #onState;
  #ids = [];
  #given = new Map(); // the last odds that were given, by id
  #said = "";
  #isClosed = false;

  constructor(hub, onOdds = () => {}, onState = () => {}) {
    this.#hub = hub;
    this.#onOdds = onOdds;
    this.#onState = onState;
  }

  get ids() {
    return this.#ids;
  }

  now() {
    return this.#hub.now();
  }

  setIds(ids) {
    const texts = [...new Set((typeof ids === "object" ? [...ids] : [ids]).map(String))];
    const wrong = texts.find((text) => !/^[1-9][0-9]{0,18}$/.test(text));
    if (wrong !== undefined) throw new TypeError(`ids: must be whole numbers from 1 (got ${wrong.slice(0, 40)})`);
    if (this.#isClosed) return;
    this.#ids = texts;
    this.#hub.watches.add(this);
    for (const id of this.#given.keys()) if (!texts.includes(id)) this.#given.delete(id);
    this.#hub.changed();
    this.update();
  }

  close() {
    this.#isClosed = true;
    this.#hub.watches.delete(this);
    this.#ids = [];
    this.#hub.changed();
  }

  // update calls back with what is new.
  update() {
    for (const id of this.#ids) {
      const odds = this.#hub.newest.get(id);
      if (!odds || this.#given.get(id) === odds) continue;
      this.#given.set(id, odds);
      this.#call(this.#onOdds, odds);
    }
    const all = this.#ids.map((id) => this.#hub.stateOf(id));
    if (all.length === 0) return;
    const { state, reason } = all.reduce((a, b) => (states.indexOf(b.state) > states.indexOf(a.state) ? b : a));
    if (this.#said === state + reason) return;
    this.#said = state + reason;
    this.#call(this.#onState, { state, reason, asOf: Math.round(Math.min(...all.map(({ asOf }) => asOf))) });
  }

  // call lets what a callback throws be seen, without harm to the connection.
  #call(callback, value) {
    try {
      if (!this.#isClosed) callback(value);
    } catch (error) {
      queueMicrotask(() => { throw error; });
    }
  }
}

const hubs = new Map();

// hubFor returns what all watches with the same options share.
function hubFor(options) {
  const here = globalThis.location?.origin;
  const base = new URL(options.url ?? here ?? "").href.replace(/\/?$/, "/");
  const { credentials = "same-origin", headers, timing, share = true } = options;
  const settings = { base, credentials, headers, timing: { ...defaultTiming, ...timing } };
  const fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
  // Whoever brings a token, or a way to fetch, may see what others may not.
  if (!share || headers || options.fetch) return new Hub({ ...settings, fetch }, "");
  const name = `rafflecast ${JSON.stringify([base, credentials, timing])}`;
  if (!hubs.has(name)) hubs.set(name, new Hub({ ...settings, fetch }, name));
  return hubs.get(name);
}

// Hub holds what is known of the raffles of this tab's watches. If the tab leads, it has the
// connections for all tabs.
class Hub {
  watches = new Set();
  newest = new Map(); // odds by id
  #settings;
  #tabs;
  #tab = Math.random().toString(36).slice(2);
  #states = new Map(); // { state, reason, asOf } by id
  #resets = new Set();
  #lastEventId = "";
  #connections = [];
  #wants = new Map(); // { ids, at } by tab
  #isRunning = false;
  #lifetime; // of listeners
  #timer;
  #ticks = 0;
  #tickedAt = 0;
  #hideTimer;
  #offset = Date.now() - performance.now(); // of the server's clock; performance.now never jumps
  #knowsOffset = false;

  constructor(settings, name) {
    this.#settings = {
      ...settings, now: () => this.now(), knows: (id) => this.newest.has(id), report: (report) => this.#learn(report),
    };
    this.#tabs = new Tabs(name, {
      lead: () => this.#balance(),
      follow: () => (this.#disconnect(), this.#say()),
      leader: () => this.#say(),
      message: (data) => this.#take(data),
    });
  }

  now() {
    return performance.now() + this.#offset;
  }

  stateOf(id) {
    return this.#states.get(id) ?? { state: "connecting", reason: "", asOf: 0 };
  }

  // changed is called when the watches or their ids are others.
  changed() {
    if (this.watches.size === 0) {
      this.#stop();
      this.#lifetime?.abort();
      this.#lifetime = undefined;
      return;
    }
    if (!this.#lifetime) this.#listen();
    this.#isRunning ? this.#say() : this.#start();
  }

  #start() {
    if (this.#isRunning || this.watches.size === 0) return;
    this.#isRunning = true;
    this.#tickedAt = Date.now();
    this.#timer = setInterval(() => this.#tick(), tickInterval);
    this.#tabs.start();
  }

  // stop lets go of the stream, and lets another tab lead.
  #stop() {
    if (!this.#isRunning) return;
    this.#isRunning = false;
    clearInterval(this.#timer);
    this.#tabs.post({ tab: this.#tab, wants: [] });
    this.#disconnect();
    this.#tabs.stop();
    this.#wants.clear();
    const lost = [...this.#states].filter(([, { state }]) => state !== "ended").map(([id]) => id);
    this.#learn({ ids: lost, state: "connecting", reason: "" });
  }

  #disconnect() {
    for (const connection of this.#connections) connection.close();
    this.#connections = [];
  }

  #own() {
    return [...new Set([...this.watches].flatMap((watch) => watch.ids))];
  }

  // say makes the leader know what this tab wants.
  #say() {
    if (this.#tabs.isLeading) this.#balance();
    else this.#tabs.post({ tab: this.#tab, wants: this.#own() });
  }

  // balance gives the connections the raffles of all tabs.
  #balance() {
    const all = [...new Set([this.#own(), ...[...this.#wants.values()].map(({ ids }) => ids)].flat())];
    const forgotten = [...this.#states.keys()].filter((id) => !all.includes(id));
    if (forgotten.length > 0) this.#learn({ ids: forgotten, forget: true });
    const rest = all.filter((id) => this.stateOf(id).state !== "ended");
    for (let i = 0; i * maxRaffles < Math.max(rest.length, 1) || i < this.#connections.length; i++) {
      const ids = rest.slice(i * maxRaffles, (i + 1) * maxRaffles);
      if (ids.length > 0) this.#connections[i] ??= new Connection(this.#settings, this.#lastEventId);
      this.#connections[i]?.setIds(ids);
    }
  }

  // take takes a message of another tab: what it wants, or what the leader has learned.
  #take({ tab, wants, ...report }) {
    if (report.ids) return this.#learn(report);
    if (!tab || !this.#tabs.isLeading) return undefined;
    const before = this.#wants.get(tab)?.ids ?? [];
    if (wants.length === 0) this.#wants.delete(tab);
    else this.#wants.set(tab, { ids: wants, at: performance.now() });
    if (before.join() === wants.join()) return undefined;
    const isHeard = (id) => ["live", "delayed", "ended"].includes(this.stateOf(id).state);
    for (const id of wants) {
      const odds = this.newest.get(id);
      const state = isHeard(id) ? this.stateOf(id) : {};
      this.#tabs.post({ ...state, ids: [id], odds, time: this.now(), lastEventId: this.#lastEventId });
    }
    // A new tab tries at once: its visitor may have signed in.
    if (wants.some((id) => !isHeard(id) && this.stateOf(id).reason)) this.#wake();
    return this.#balance();
  }

  // learn takes a report of a connection, here or in the leading tab. It forgets raffles that
  // nobody watches any more.
  #learn(report) {
    if (this.#tabs.isLeading) this.#tabs.post(report);
    const { ids, state, reason, time, odds, reset, lastEventId, forget } = report;
    if (time) this.#learnTime(time);
    if (lastEventId) this.#lastEventId = lastEventId;
    if (reset) this.#resets.add(reset);
    if (odds) this.#learnOdds(odds);
    for (const id of ids) {
      if (forget) [this.#states, this.newest].map((map) => map.delete(id));
      const asOf = ["live", "delayed", "ended"].includes(state) ? this.now() : this.stateOf(id).asOf;
      if (state) this.#states.set(id, { state, reason, asOf });
    }
    for (const watch of [...this.watches]) watch.update();
  }

  #learnOdds(odds) {
    const id = String(odds.id);
    const known = this.newest.get(id);
    const isReset = this.#resets.delete(id) && JSON.stringify(known) !== JSON.stringify(odds);
    const isNewer = !known || known.epoch !== odds.epoch || odds.version > known.version;
    if (isNewer || isReset) this.newest.set(id, odds);
  }

  // learnTime takes what the server's clock showed: the latest came the shortest way.
  #learnTime(time) {
    const offset = time - performance.now();
    this.#offset = this.#knowsOffset ? Math.max(this.#offset, offset) : offset;
    this.#knowsOffset = true;
  }

  #tick() {
    const hasSlept = Date.now() - this.#tickedAt > 5 * tickInterval;
    this.#tickedAt = Date.now();
    this.#tabs.tick(hasSlept);
    if (hasSlept && !globalThis.document?.hidden) this.#wake();
    if (this.#ticks++ % 3 > 0) return;
    for (const [tab, { at }] of this.#wants) if (performance.now() - at > wantLife) this.#wants.delete(tab);
    if (!this.#tabs.isLeading) this.#say();
  }

  #wake() {
    for (const connection of this.#connections) connection.wake();
  }

  #listen() {
    const { signal } = (this.#lifetime = new AbortController());
    const { document } = globalThis;
    if (!document) return;
    addEventListener("online", () => this.#wake(), { signal });
    addEventListener("offline", () => this.#wentOffline(), { signal });
    // An open connection, a lock and a channel keep a page out of the back-forward cache.
    addEventListener("pagehide", () => this.#stop(), { signal });
    addEventListener("pageshow", () => this.#start(), { signal });
    // A tab that the browser freezes can't lead.
    document.addEventListener("freeze", () => this.#stop(), { signal });
    document.addEventListener("resume", () => this.#start(), { signal });
    const visibilityChanged = () => {
      clearTimeout(this.#hideTimer);
      if (document.hidden) {
        this.#hideTimer = setTimeout(() => this.#stop(), this.#settings.timing.hidden);
      } else {
        this.#start();
        for (const connection of this.#connections) connection.check();
      }
    };
    document.addEventListener("visibilitychange", visibilityChanged, { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#hideTimer));
    if (document.hidden) visibilityChanged();
  }

  #wentOffline() {
    const ids = this.#own().filter((id) => this.stateOf(id).state !== "ended");
    this.#learn({ ids, state: "offline", reason: "network" });
  }
}
