// Tries the client against a server that does what a test tells it to. Run by node --test.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { afterEach, test } from "node:test";

import { watchOdds } from "../client/rafflecast.js";
import { createParser } from "../client/sse.js";

// Waits that tests wait for are short. The others are long, so that a slow machine changes nothing.
const timing = {
  firstEvent: 60_000, silence: 60_000, firstRetry: 10, lastRetry: 40, pollPause: 10, pollInterval: 20,
  streamAgain: 300, missing: 200, answer: 60_000,
};
const held = { ...timing, firstEvent: 150 };

const odds = (version, more = {}) =>
  ({ id: 1, epoch: "a", version, state: "OPEN", at: new Date().toISOString(), ...more });

const frame = (data, id = `${data.id}:${data.epoch}:${data.version}`) =>
  `id: ${id}\nevent: raffle-winning-probability\ndata: ${JSON.stringify(data)}\n\n`;

const heartbeat = (at = Date.now()) => `event: heartbeat\ndata: {"at":"${new Date(at).toISOString()}"}\n\n`;

const ends = [];
afterEach(() => { while (ends.length > 0) ends.pop()(); });

// serve starts a server. on.stream and on.odds answer, with the number of the request and its
// URL. The server notes the requests.
async function serve(on) {
  const requests = { stream: [], odds: [] };
  const server = createServer((request, response) => {
    const kind = request.url.includes("/subscribe") ? "stream" : "odds";
    const url = new URL(request.url, "http://gateway");
    const number = requests[kind].push({ at: performance.now(), url, headers: request.headers });
    (on[kind] ?? ((response) => response.destroy()))(response, number, url);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => (server.closeAllConnections(), server.close()));
  return { url: `http://127.0.0.1:${server.address().port}`, requests };
}

const stream = (response, ...pieces) => {
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
  for (const piece of pieces) response.write(piece);
};

const answer = (response, data) => {
  response.setHeader("ETag", `"${data.version}"`);
  response.end(JSON.stringify(data));
};

const refuse = (status, headers = {}) => (response) => response.writeHead(status, headers).end("{}");

// watch follows raffles and keeps what it is told. until waits until that meets a condition.
function watch(url, options = {}) {
  const seen = [];
  const states = [];
  let told = () => {};
  const w = watchOdds({
    url, ids: 1, timing, share: false,
    onOdds: (one) => (seen.push(one), told()),
    onState: (one) => (states.push(one), told()),
    ...options,
  });
  ends.push(() => w.close());
  const until = (condition) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not within 10 s; ${JSON.stringify({ seen, states })}`)), 10_000);
    (told = () => condition() && resolve(clearTimeout(timer)))();
  });
  const untilState = (state, reason) => until(() => {
    const last = states.at(-1);
    return last?.state === state && (reason === undefined || last.reason === reason);
  });
  const versions = () => seen.map((one) => `${one.epoch}${one.version}`).join(" ");
  const names = () => states.map(({ state }) => state).filter((state, i, all) => state !== all[i - 1]).join(" ");
  return { w, seen, states, versions, until, untilState, names };
}

test("each version once, and none that is older", async () => {
  const { url } = await serve({
    stream: (response) => stream(response, ...[41, 40, 41, 43, 42].map((version) => frame(odds(version))),
      frame(odds(5, { epoch: "b" })), frame(odds(6, { epoch: "b" }))),
  });
  const it = watch(url);
  await it.until(() => it.seen.at(-1)?.version === 6);
  assert.equal(it.versions(), "a41 a43 b5 b6");
  assert.equal(it.names(), "connecting live");
});

test("after a reset, lower versions count, but not the same odds again", async () => {
  const same = odds(41);
  const reset = 'event: reset\ndata: {"id":1,"reason":"gone"}\n\n';
  const { url } = await serve({ stream: (response) => stream(response, frame(same), reset, frame(same), reset, frame(odds(5)), frame(odds(6))) });
  const it = watch(url);
  await it.until(() => it.seen.at(-1)?.version === 6);
  assert.equal(it.versions(), "a41 a5 a6");
});

test("live only after an event, not when the stream opens", async () => {
  let open;
  const { url } = await serve({ stream: (response) => (stream(response), response.flushHeaders(), (open = response)) });
  const it = watch(url);
  await until(() => open);
  await quiet();
  assert.equal(it.names(), "connecting");
  open.write(heartbeat());
  await it.untilState("live");
});

// quiet waits until what has been sent must have arrived.
const quiet = () => new Promise((resolve) => setTimeout(resolve, 50));

async function until(condition) {
  for (const end = performance.now() + 10_000; !condition();) {
    if (performance.now() > end) throw new Error(`not within 10 s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const [what, hold] of [
  ["body", (response) => { stream(response); response.flushHeaders(); }],
  ["headers", () => {}],
]) {
  test(`a proxy that holds back the ${what} means long polling, and a stream that speaks ends it`, async () => {
    let version = 1;
    let silent;
    const waiting = [];
    const { url, requests } = await serve({
      stream: (response) => { hold(response); silent = response; },
      odds: (response, _, address) => address.searchParams.has("wait") ? waiting.push(response) : answer(response, odds(version)),
    });
    const it = watch(url, { timing: held });
    await it.untilState("delayed");
    assert.equal(it.versions(), "a1");
    await until(() => waiting.length === 1);
    assert.equal(requests.odds.at(-1).headers["if-none-match"], '"1"');
    version = 2;
    answer(waiting[0], odds(2));
    await it.until(() => it.versions() === "a1 a2");
    assert.equal(it.states.at(-1).state, "delayed");
    // What was held back comes late and is not live; what is new is.
    if (!silent.headersSent) stream(silent);
    silent.write(heartbeat(Date.now() - 30_000));
    silent.write(frame(odds(1, { at: new Date(Date.now() - 30_000).toISOString() })));
    await quiet();
    assert.equal(it.states.at(-1).state, "delayed");
    await until(() => waiting.length === 2); // which nobody answers
    silent.write(frame(odds(3)));
    await it.untilState("live");
    assert.equal(it.versions(), "a1 a2 a3");
    await until(() => waiting.every((response) => response.destroyed)); // it polls no more
  });
}

test("where streams are held back, another is tried later, while polling goes on", async () => {
  const { url, requests } = await serve({
    stream: (response, number) => number < 3 ? (stream(response), response.flushHeaders()) : stream(response, frame(odds(number))),
    odds: (response, number) => answer(response, odds(1)),
  });
  const it = watch(url, { timing: { ...held, silence: 600 } });
  await it.untilState("live");
  assert.equal(it.names(), "connecting delayed live");
  assert.equal(requests.stream.length, 3);
});

test("503, then 429 with Retry-After, then OK", async () => {
  const { url, requests } = await serve({
    stream: (response, number) => number === 1 ? refuse(503)(response)
      : number === 2 ? refuse(429, { "Retry-After": "1" })(response) : stream(response, frame(odds(2))),
    odds: (response, number) => number === 1 ? refuse(503)(response) : answer(response, odds(1)),
  });
  const it = watch(url);
  await it.untilState("live");
  assert.deepEqual(it.states.map(({ state, reason }) => `${state} ${reason}`), ["connecting ", "offline busy", "delayed polling", "live "]);
  assert.equal(it.versions(), "a1 a2");
  const waited = requests.stream[2].at - requests.stream[1].at;
  assert.ok(waited >= 1_000, `came back after ${waited} ms`);
});

test("a stream that is cut is resumed with the last event id, after the wait that it named", async () => {
  const { url, requests } = await serve({
    stream: (response, number) => {
      stream(response, "retry: 400\n", frame(odds(number), number === 1 ? "opaque,1&2" : undefined));
      if (number === 1) setTimeout(() => response.destroy(), 20);
    },
  });
  const it = watch(url);
  await it.until(() => it.versions() === "a1 a2");
  assert.equal(requests.stream[1].url.searchParams.get("lastEventId"), "opaque,1&2");
  assert.ok(requests.stream[1].at - requests.stream[0].at >= 300, "it came back at once");
  assert.equal(requests.odds.length, 0);
  assert.equal(it.names(), "connecting live connecting live");
});

test("silence for longer than a heartbeat opens another stream, and stays live if that speaks", async () => {
  const { url, requests } = await serve({ stream: (response) => stream(response, frame(odds(1))) });
  const it = watch(url, { timing: { ...timing, silence: 600 } });
  await until(() => requests.stream.length === 3);
  await quiet();
  assert.equal(it.names(), "connecting live");
});

test("nobody answers", async () => {
  const { url, requests } = await serve({});
  const it = watch(url);
  await it.untilState("offline", "network");
  await until(() => requests.stream.length > 3);
  assert.equal(it.names(), "connecting offline");
  assert.equal(it.states.at(-1).asOf, 0);
});

test("the page of a captive portal is no stream and no odds", async () => {
  const portal = (response) => (response.setHeader("Content-Type", "text/html"), response.end(frame(odds(1))));
  const { url, requests } = await serve({ stream: portal, odds: (response) => response.end('{"login":true}') });
  const it = watch(url);
  await until(() => requests.stream.length > 2);
  assert.equal(it.names(), "connecting offline");
  assert.equal(it.seen.length, 0);
});

test("204 and final odds end", async () => {
  const done = await serve({ stream: (response) => refuse(204)(response) });
  await watch(done.url).untilState("ended", "final");
  const final = await serve({ stream: (response) => stream(response, frame(odds(9, { state: "DRAWN" }))) });
  const it = watch(final.url);
  await it.untilState("ended", "final");
  assert.equal(it.versions(), "a9");
  await quiet();
  assert.deepEqual([done, final].map(({ requests }) => requests.stream.length), [1, 1]);
});

test("a raffle that is closed and will be drawn is not final", async () => {
  const { url } = await serve({
    stream: (response) => stream(response, frame(odds(1, { state: "CLOSED", drawsAt: "2030-01-01T00:00:00Z" })), frame(odds(2, { state: "DRAWN" }))),
  });
  const it = watch(url);
  await it.untilState("ended");
  assert.equal(it.versions(), "a1 a2");
});

test("401 waits, and a raffle that appears is streamed; 400 ends at once, 404 after a while", async () => {
  let status = 401;
  const both = { stream: (r) => status ? refuse(status)(r) : stream(r, frame(odds(1))), odds: (r) => status ? refuse(status)(r) : answer(r, odds(1)) };
  const { url } = await serve(both);
  const it = watch(url);
  await it.untilState("connecting", "unauthenticated");
  status = 0;
  await it.untilState("live");
  for (const [refusal, reason] of [[400, "invalid"], [404, "missing"]]) {
    const other = await serve({ stream: refuse(refusal), odds: refuse(refusal) });
    const refused = watch(other.url);
    await refused.untilState("ended", reason);
    assert.equal(other.requests.odds.length > 1, refusal === 404);
  }
});

test("one raffle of several that is refused does not silence the others", async () => {
  const { url, requests } = await serve({
    stream: (response, _, address) => address.searchParams.getAll("id").includes("9") ? refuse(401)(response)
      : stream(response, ...address.searchParams.getAll("id").map((id) => frame(odds(2, { id: Number(id) })))),
    odds: (response, _, { pathname }) => pathname.includes("/9/") ? refuse(401)(response) : answer(response, odds(1, { id: Number(pathname.split("/")[4]) })),
  });
  const it = watch(url, { ids: [1, 2, 9] });
  await it.until(() => it.seen.filter(({ version }) => version === 2).length === 2);
  assert.deepEqual(it.seen.map(({ id, version }) => `${id}:${version}`).sort(), ["1:1", "1:2", "2:1", "2:2"]);
  assert.deepEqual(requests.stream.at(-1).url.searchParams.getAll("id"), ["1", "2"]);
});

test("ids can be changed, and watches of one address share a stream", async () => {
  const { url, requests } = await serve({
    stream: (response, _, address) => stream(response, ...(address.searchParams.has("id") ? address.searchParams.getAll("id") : ["1"])
      .map((id) => frame(odds(1, { id: Number(id) })))),
  });
  const it = watch(url, { share: true });
  await it.untilState("live");
  it.w.setIds([2, "1", 1]);
  await it.until(() => it.seen.length === 2);
  const other = watch(url, { share: true, ids: new Set([2]) });
  await other.until(() => other.seen.length === 1);
  assert.deepEqual(other.states.map(({ state }) => state), ["live"]);
  assert.equal(requests.stream.length, 2);
  // Another token is another stream.
  const own = watch(url, { share: true, headers: async () => ({ Authorization: "Bearer x" }) });
  await own.untilState("live");
  assert.equal(requests.stream.length, 3);
  assert.equal(requests.stream[2].headers.authorization, "Bearer x");
  for (const one of [it, other]) one.w.close();
  const again = watch(url, { share: true });
  assert.equal(again.seen.length, 0, "it shows odds that nobody has followed since");
  assert.throws(() => again.w.setIds(["1/../2"]), /whole numbers/);
});

test("the clock is the server's", async () => {
  for (const skew of [26 * 3_600_000, -600_000]) {
    const { url } = await serve({
      stream: (response) => {
        response.setHeader("Date", new Date(Date.now() + skew).toUTCString());
        // An answer that took long, and one that did not.
        stream(response, heartbeat(Date.now() + skew - 4_000), heartbeat(Date.now() + skew), heartbeat(Date.now() + skew - 2_000), frame(odds(1)));
      },
    });
    const it = watch(url);
    await it.until(() => it.seen.length === 1);
    assert.ok(Math.abs(it.w.now() - Date.now() - skew) < 500, `${it.w.now() - Date.now()} ms instead of ${skew}`);
  }
});

test("a watch that is closed hears nothing more, and asks for nothing", async () => {
  const { url, requests } = await serve({ stream: (response) => (stream(response, frame(odds(1))), response.on("close", () => (closed = true))) });
  let closed = false;
  const controller = new AbortController();
  const it = watch(url, { signal: controller.signal });
  await it.untilState("live");
  controller.abort();
  await until(() => closed);
  await quiet();
  assert.equal(it.names(), "connecting live");
  assert.equal(requests.stream.length, 1);
});

test("waits are drawn at random", async () => {
  const { url, requests } = await serve({ stream: refuse(503), odds: refuse(503) });
  const { random } = Math;
  Math.random = () => 0.999;
  ends.push(() => (Math.random = random));
  watch(url, { timing: { ...timing, firstRetry: 400, lastRetry: 400 } });
  await until(() => requests.stream.length === 3);
  const waited = requests.stream[2].at - requests.stream[1].at;
  assert.ok(waited >= 480, `came back after ${waited} ms`);
});

test("what a callback throws is seen, and does no harm", async () => {
  const { url } = await serve({ stream: (response) => stream(response, frame(odds(1)), frame(odds(2))) });
  const { queueMicrotask } = globalThis;
  const thrown = new Promise((resolve) => {
    globalThis.queueMicrotask = (throws) => { try { throws(); } catch (error) { resolve(error); } };
  });
  const it = watch(url, { onOdds: ({ version }) => { if (version === 1) throw new Error("mine"); it.seen.push(version); } });
  assert.equal((await thrown).message, "mine");
  globalThis.queueMicrotask = queueMicrotask;
  await until(() => it.seen.includes(2));
});

test("events are read as the standard says, however they are cut", async () => {
  const text = '\uFEFF: hello\r\nid: 1\r\nevent: raffle-winning-probability\r\ndata: {"id":1,"epoch":"a","version":7,\r\ndata: "state":"OPEN","title":"민지 🎸"}\r\n\r\n';
  const bytes = Buffer.from(text);
  const { url } = await serve({
    stream: async (response) => {
      stream(response);
      for (const byte of bytes) {
        response.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
    },
  });
  const it = watch(url);
  await it.until(() => it.seen.length === 1);
  assert.equal(it.seen[0].title, "민지 🎸");

  const parsed = (...pieces) => {
    const events = [];
    const parse = createParser({ event: ({ name, data, id }) => events.push([name, data, id]), retry: (wait) => events.push(wait) });
    pieces.forEach(parse);
    return events;
  };
  assert.deepEqual(parsed("data: a\r", "\ndata:  b\n\n"), [["message", "a\n b", ""]]);
  assert.deepEqual(parsed("data: a\r\r"), [["message", "a", ""]]);
  assert.deepEqual(parsed("event: x\nid: 5\n\n", "data\n\n"), [["message", "", "5"]]);
  assert.deepEqual(parsed("id: 1\0\ndata: a\n\nretry: 5\nretry: 5x\n: c\ndata: cut"), [["message", "a", ""], 5]);
});

test("a line and an event are bounded", async () => {
  for (const piece of [`data: ${"x".repeat(64_000)}`, `data: ${"x".repeat(64_000)}\n`]) {
    let sent = 0;
    const { url } = await serve({
      stream: (response) => {
        stream(response);
        const more = () => { while (!response.destroyed && (sent += piece.length) && response.write(piece)); };
        response.on("drain", more);
        more();
      },
    });
    const it = watch(url, { timing: { ...timing, firstRetry: 60_000, lastRetry: 60_000 } });
    await it.untilState("offline");
    assert.ok(sent < 20 << 20, `${sent} bytes were sent`);
  }
});
