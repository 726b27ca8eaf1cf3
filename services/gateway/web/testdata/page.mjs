// Tries the page's modules with a browser of stubs. Prints what is wrong, nothing if all is well.
const [assets] = process.argv.slice(2);
const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
const hour = 3_600_000;
const realNow = Date.now;
let skew = 0;
Date.now = () => realNow() + skew;

let source;
class EventSource extends EventTarget {
  constructor() {
    super();
    source = this;
    this.readyState = 2;
  }
  close() {}
  tell(name, data, lastEventId = "") {
    this.dispatchEvent(Object.assign(new Event(name), { data: JSON.stringify(data), lastEventId }));
  }
}
EventSource.CONNECTING = 0;
let statuses = [];
let fetched = 0;
let answer = 401;
define("EventSource", EventSource);
define("navigator", { onLine: true, languages: ["en-US"] });
define("document", Object.assign(new EventTarget(), { hidden: false }));
define("location", { pathname: "/raffle/1" });
define("addEventListener", () => {});
define("matchMedia", () => ({ matches: true }));
define("fetch", async (_, { method } = {}) => {
  if (method === "HEAD") return { headers: new Headers({ Date: new Date(realNow()).toUTCString() }) };
  fetched++;
  return { ok: false, status: answer, headers: new Headers() };
});

const expect = (what, got, want) => {
  if (JSON.stringify(got) !== JSON.stringify(want)) console.log(`${what}: ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
};
const { Link } = await import(`${assets}/link.js`);
const clock = await import(`${assets}/clock.js`);
const { formatOneIn, formatDateAndTime, text } = await import(`${assets}/text.js`);

for (skew of [-hour, hour]) {
  clock.setNow(new Date(realNow()).toISOString());
  expect(`clock ${skew} ms off`, Math.abs(clock.now() - realNow()) < 100, true);
}
skew = 0;
clock.setNow(new Date(realNow()).toISOString());

const seen = [];
let missing = 0;
let locked = 0;
const link = new Link("1", {
  onOdds: ({ epoch, version }) => seen.push(`${epoch}:${version}`),
  onStatus: (status) => statuses.push(status),
  onMissing: () => missing++,
  onLocked: () => locked++,
});
link.start();
const odds = (epoch, version) => source.tell("raffle-winning-probability", { epoch, version, state: "OPEN", at: null });
odds("a", 41);
odds("a", 40);
odds("a", 41);
source.tell("reset", {});
odds("a", 5);
odds("b", 1);
odds("b", 2);
expect("shown", seen, ["a:41", "a:5", "b:1", "b:2"]);

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));
source.dispatchEvent(new Event("error"));
await settle();
expect("locked at 401, and not missing", [locked, missing, fetched], [1, 0, 1]);
answer = 404;
fetched = 0;
source.dispatchEvent(new Event("error"));
await settle();
expect("missing at the first 404", [missing, fetched], [0, 1]);
skew = 16_000;
source.dispatchEvent(new Event("error"));
await settle();
expect("missing after 16 s", [missing, fetched], [1, 2]);

expect("1 in 1", formatOneIn({ entries: 104, winners: 100 }), text.oneIn("1.1"));
expect("all win", formatOneIn({ entries: 100, winners: 100 }), text.everyoneWins);
expect("another year", formatDateAndTime(Date.UTC(2030, 0, 2, 12)).includes("2030"), true);
expect("this year", formatDateAndTime(Date.now()).includes(String(new Date().getFullYear())), false);
process.exit();
