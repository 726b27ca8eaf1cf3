// Tabs of a browser that share one stream. One of them leads: it holds a Web Lock, which the
// browser hands on when the tab closes, and posts what it learns to the others' channel. A leader
// that posts nothing, since the browser has frozen its tab, loses the lock to another tab.

const patience = 6_000; // milliseconds, to which each tab adds up to half at random

export class Tabs {
  isLeading = false;
  #name;
  #on;
  #channel = null;
  #turn = 0; // counts requests of the lock, so that late answers are known
  #release = () => {};
  #pending = new AbortController();
  #term = 0; // of the leader; each leader's is higher than the one before
  #heardAt = 0;
  #patience = 0;

  // on.lead() and on.follow() are called when this tab becomes, or no longer is, the leader,
  // on.message(data) with what another tab has posted, and on.leader() when another tab begins
  // to lead. Without a name, or if the browser has no locks, each tab is its own leader.
  constructor(name, on) {
    this.#name = name;
    this.#on = on;
  }

  start() {
    const canShare = this.#name && globalThis.document && globalThis.BroadcastChannel && globalThis.navigator?.locks;
    if (!canShare) return this.#lead();
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#take(data);
    this.#hear();
    this.#request(false);
    this.#on.follow();
  }

  stop() {
    this.#turn++;
    this.#pending.abort();
    this.#release();
    this.#channel?.close();
    this.#channel = null;
    this.isLeading = false;
  }

  post(data) {
    this.#channel?.postMessage({ ...data, term: this.isLeading ? this.#term : 0 });
  }

  // tick is called every two seconds; hasSlept says that this tab itself has been asleep.
  tick(hasSlept) {
    if (this.isLeading) return this.post({});
    if (!this.#channel || (!hasSlept && performance.now() - this.#heardAt < this.#patience)) return;
    this.#hear();
    if (!hasSlept) this.#request(true);
  }

  #hear() {
    this.#heardAt = performance.now();
    this.#patience = patience * (1 + Math.random() / 2);
  }

  async #request(steal) {
    const turn = ++this.#turn;
    this.#pending.abort();
    this.#pending = new AbortController();
    try {
      await navigator.locks.request(this.#name, steal ? { steal } : { signal: this.#pending.signal }, () => {
        if (turn !== this.#turn) return undefined;
        const released = new Promise((resolve) => (this.#release = resolve));
        this.#lead();
        return released;
      });
    } catch {
      if (turn !== this.#turn) return;
      if (!this.isLeading) return this.#lead(); // locks are forbidden here
      this.isLeading = false; // another tab has stolen the lock
      this.#hear();
      this.#request(false);
      this.#on.follow();
    }
  }

  #lead() {
    this.isLeading = true;
    this.#term = Math.max(this.#term + 1, Date.now());
    this.#on.lead();
    this.post({});
  }

  #take({ term, ...data }) {
    if (term > 0) {
      if (term < this.#term || this.isLeading) return; // from a tab that leads no more
      this.#hear();
      if (term > this.#term) {
        this.#term = term;
        this.#on.leader();
      }
    }
    this.#on.message(data);
  }
}
