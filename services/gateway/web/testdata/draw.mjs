// Tries the page's check of a draw, and own chances, on the vectors of services/draw. Prints
// what is wrong, nothing if all is well.
import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const [modules, vectors] = process.argv.slice(2);
const { ascii, concat, fromHex, hex, uint, utf8 } = await import(`${modules}/bytes.js`);
const { isSignature, parseChain, quicknet, roundAt } = await import(`${modules}/chain.js`);
const { bls12_381 } = await import(`${modules}/noble.js`);
const { Log } = await import(`${modules}/log.js`);
const { decode } = await import(`${modules}/record.js`);
const { leafHash, Tree } = await import(`${modules}/tree.js`);
const { verifyLog, verifyRaffle } = await import(`${modules}/verify.js`);
const { nextChance, ownChance } = await import(`${modules}/chance.js`);

const expect = (what, got, want) => {
  const [g, w] = [JSON.stringify(got), JSON.stringify(want)];
  if (g !== w) console.log(`${what}: ${g}, want ${w}`);
};
const read = (name) => JSON.parse(readFileSync(`${vectors}/${name}`, "utf8"));
const vector = read("vector.json");
const beacon = read("beacon.json");
const records = vector.records.map((text) => {
  const space = text.indexOf(" ");
  return space < 0 ? fromHex(text) : concat(fromHex(text.slice(0, space)), ascii(text.slice(space + 1)));
});
const input = {
  records,
  checkpoint: vector.finalCheckpoint,
  kept: [vector.closingCheckpoint, vector.aliceFirstReceipt],
  key: vector.verifierKey,
};

// The vector is true, with every number in it.
const seen = [];
const report = await verifyLog({ ...input, member: "alice", opening: vector.aliceOpeningHex, onCheck: (c) => seen.push(c) });
expect("checks", report.checks.filter(({ outcome }) => outcome !== "true"), []);
expect("checks seen", seen, report.checks);
expect("names", report.checks.map(({ name }) => name), [
  "checkpoint", "records", "log", "saved 1", "saved 2", "close", "drawing 1", "drawing 2", "member",
]);
const { log } = report;
expect("drawn", log.drawings.map(({ tickets }) => tickets), vector.drawn);
expect("seed text", log.drawings[0].text, vector.seedText1);
expect("seed", log.drawings[0].seed, vector.seed1);
expect("winners", log.winners(), vector.holders);
expect("alternates", log.alternates, vector.alternates);
expect("tickets of alice", report.tickets, vector.entries.filter(({ member }) => member === "alice").map(({ ticket }) => ticket));
expect("cautions", report.cautions.length, 3);

// What can't be told, and what is wrong.
const outcome = async (what, changes, want, name) => {
  const { outcome, checks } = await verifyLog({ ...input, ...changes });
  expect(what, [outcome, checks.some((c) => c.name === name && c.outcome === want)], [want, true]);
};
await outcome("no key", { key: undefined }, "unknown", "checkpoint");
await outcome("no key but a receipt", { key: undefined }, "unknown", "saved 2");
const otherKey = "raffles.example.com+6f0701a5+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
await outcome("another key", { key: otherKey }, "false", "checkpoint");
await outcome("no key at all", { key: "x" }, "false", "checkpoint");
await outcome("another key beside", { key: `${otherKey}\n${vector.verifierKey}` }, "true", "saved 1");
await outcome("alice by base64", { member: "alice", opening: "/z50mg/5kbkTgZEH/9unaZj6P4ddLSMwJLcs/pyZ+jM=" }, "true", "member");
await outcome("another member", { member: "bob", opening: vector.aliceOpeningHex }, "false", "member");
await outcome("the closing checkpoint", { checkpoint: vector.closingCheckpoint }, "false", "log");
await outcome("a signature of another checkpoint", { checkpoint: vector.finalCheckpoint.replace(/—.*/, /—.*/.exec(vector.closingCheckpoint)[0]) }, "false", "checkpoint");
for (const [from, to] of [["index 1\n", "index 2\n"], ["index 1\n", "index 13\n"], ["lFL1", "lFL2"], ["lFL1mSosS/nuH+dOGpAfARGubh7xQGZ56wEHYpfvS8U=\n", ""], ["\n13\n", "\n12\n"], ["index 1", "index 01"]]) {
  await outcome(`receipt with ${to}`, { kept: [vector.aliceFirstReceipt.replace(from, to)] }, "false", "saved 1");
}

// signed returns a checkpoint with the vector's signature.
const signed = (text) => {
  const seed = Buffer.from(`302e020100300506032b657004220420${vector.signerSeedHex}`, "hex");
  const signature = sign(null, ascii(text), createPrivateKey({ key: seed, format: "der", type: "pkcs8" }));
  const [name, hash] = vector.verifierKey.split("+");
  return `${text}\n— ${name} ${Buffer.concat([Buffer.from(hash, "hex"), signature]).toString("base64")}\n`;
};
expect("signed", signed(/^(.*\n){3}/.exec(vector.finalCheckpoint)[0]), vector.finalCheckpoint);

const other = signed(/^(.*\n){3}/.exec(vector.closingCheckpoint)[0].replace("raffles.", "other."));
await outcome("the checkpoint of another host", { records: records.slice(0, 13), kept: [], checkpoint: other }, "false", "checkpoint");

// Tampered logs are refused, and those that the operator signs again by what was kept.
const tampered = (i) => [
  ["flipped", records.with(i, records[i].with(records[i].length - 1, records[i].at(-1) ^ 1))],
  ["dropped", records.toSpliced(i, 1)],
  ["doubled", records.toSpliced(i, 0, records[i])],
  ["moved", records.toSpliced(i, 1).toSpliced((i + 5) % 17, 0, records[i])],
];
for (const i of records.keys()) {
  for (const [what, changed] of tampered(i)) {
    await outcome(`record ${i} ${what}`, { records: changed }, "false", "log");
    const tree = new Tree();
    for (const record of changed) tree.append(leafHash(record));
    const checkpoint = signed(`${vector.origin}\n${tree.size}\n${tree.root()}\n`);
    if (changed.slice(0, 13).some((record, at) => hex(record) !== hex(records[at]))) {
      await outcome(`record ${i} ${what}, signed again`, { records: changed, checkpoint }, "false", "saved 1");
    }
  }
}

// Records that are, or are not, what they should be.
const edits = read("edits.json");
const refusal = (act) => {
  try {
    act();
  } catch {
    return true;
  }
  return false;
};
const edited = ({ hex: whole, of, old, new: changed }) => {
  if (whole !== undefined) return fromHex(whole);
  return old === "" ? records[of] : concat(records[of].subarray(0, 1), ascii(utf8(records[of].subarray(1)).replaceAll(old, changed)));
};
for (const edit of edits.refused) expect(`${edit.what} is refused`, refusal(() => decode(edited(edit))), true);
for (const edit of edits.taken) expect(`${edit.what} is refused`, refusal(() => decode(edited(edit))), false);
for (const edit of edits.logs) {
  const part = new Log(vector.origin, [quicknet]);
  for (const record of records.slice(0, edit.at)) part.append(record);
  expect(`${edit.what} is refused`, refusal(() => part.append(edited(edit))), true);
}
expect("a record that is too long is refused", refusal(() => decode(new Uint8Array(65537).fill(32).with(0, 1))), true);

// Rounds of drand, and the other form of a signature.
for (const { round, signature } of beacon.rounds) {
  expect(`round ${round}`, isSignature(quicknet, round, signature), true);
  expect(`round ${round} as the next`, isSignature(quicknet, round + 1, signature), false);
  const long = bls12_381.shortSignatures.Signature.fromHex(signature).toHex(false);
  expect(`round ${round} uncompressed`, [long.length, isSignature(quicknet, round, long)], [192, false]);
}
expect("the identity", isSignature(quicknet, 1, `c0${"00".repeat(47)}`), false);
expect("round at", [2995n, 2997n, 2998n, -5n].map((s) => Number(roundAt(quicknet, (1692803367n + s) * 1_000_000n))), [1000, 1000, 1001, 1]);
const info = {
  public_key: beacon.publicKey, period: 3, genesis_time: beacon.genesisTime, groupHash: beacon.genesisSeed,
  hash: beacon.chain, schemeID: beacon.scheme, metadata: { beaconID: beacon.id },
};
expect("chain", parseChain(info).hash, quicknet.hash);
for (const change of [{ period: 4 }, { genesis_time: 1 }, { hash: "52" }, { schemeID: "x" }, { groupHash: "" }, { metadata: {} }, { public_key: "c0" }]) {
  expect(`a chain with ${JSON.stringify(change)} is refused`, refusal(() => parseChain({ ...info, ...change })), true);
}

// Fetching: pages, a lying server, a server that fails.
const framed = (part) => concat(...part.map((record) => concat(uint(record.length, 4), record)));
let served;
globalThis.fetch = async (url) => {
  const { pathname, searchParams } = new URL(url);
  const body = {
    "/api/v1/raffles/1/draw": () => JSON.stringify({ verifierKey: vector.verifierKey, chainInfo: info }),
    "/api/v1/raffles/1/checkpoint": () => vector.finalCheckpoint,
    "/api/v1/raffles/1/log": () => framed(served.records.slice(Number(searchParams.get("from")), Number(searchParams.get("from")) + 4096)),
  }[pathname];
  return new Response(body?.(), { status: body ? 200 : 404 });
};
served = { records: [...records, records[14]] };
const fetched = await verifyRaffle("http://host", 1, { kept: [vector.closingCheckpoint] });
expect("fetched", [fetched.outcome, fetched.log.winners(), fetched.cautions.length], ["true", vector.holders, 4]);
served = { records: records.slice(0, 17) };
expect("a log that ends early", (await verifyRaffle("http://host", 1)).outcome, "false");
await verifyRaffle("http://host", 2).then(() => console.log("raffle 2 is there"), () => {});

// Own chances.
const chances = [
  [{ rule: "ENTRY_WINS", winners: 1, entries: 42 }, 1, 1 / 42, 1 / 43],
  [{ rule: "MEMBER_WINS_ONCE", winners: 1, entries: 42, holders: [{ entries: 1, members: 42 }] }, 1, 1 / 42],
  [{ rule: "ENTRY_WINS", winners: 3, entries: 22 }, 1, 3 / 22],
  [{ rule: "ENTRY_WINS", winners: 3, entries: 22 }, 4, 181 / 385],
  [{ rule: "ENTRY_WINS", winners: 3, entries: 22 }, 5, 43 / 77],
  [{ rule: "ENTRY_WINS", winners: 3, entries: 4 }, 2, 1],
  [{ rule: "ENTRY_WINS", winners: 5, entries: 4 }, 0, 0],
  [{ rule: "MEMBER_WINS_ONCE", winners: 3, entries: 22, holders: [{ entries: 1, members: 5 }, { entries: 4, members: 3 }, { entries: 5, members: 1 }] }, 1, 54347 / 340340],
  [{ rule: "MEMBER_WINS_ONCE", winners: 3, entries: 22, holders: [{ entries: 1, members: 5 }, { entries: 4, members: 3 }, { entries: 5, members: 1 }] }, 4, 108127 / 204204],
  [{ rule: "MEMBER_WINS_ONCE", winners: 3, entries: 22, holders: [{ entries: 1, members: 5 }, { entries: 4, members: 3 }, { entries: 5, members: 1 }] }, 5, 1605 / 2618],
  [{ rule: "MEMBER_WINS_ONCE", winners: 1, entries: 4, holders: [{ entries: 1, members: 2 }, { entries: 2, members: 1 }] }, 2, 1 / 2],
  [{ rule: "MEMBER_WINS_ONCE", winners: 2, entries: 4, holders: [{ entries: 1, members: 2 }, { entries: 2, members: 1 }] }, 2, 5 / 6],
  [{ rule: "MEMBER_WINS_ONCE", winners: 2, entries: 4, holders: [{ entries: 1, members: 2 }, { entries: 2, members: 1 }] }, 1, 7 / 12],
  [{ rule: "MEMBER_WINS_ONCE", winners: 3, entries: 4, holders: [{ entries: 1, members: 2 }, { entries: 2, members: 1 }] }, 1, 1],
];
for (const [odds, mine, want] of chances) {
  const got = ownChance(odds, mine);
  if (!(Math.abs(got - want) <= 1e-15)) console.log(`own chance of ${mine} in ${JSON.stringify(odds)}: ${got}, want ${want}`);
}
const next = [
  [{ rule: "ENTRY_WINS", winners: 1, entries: 42 }, 0, 1 / 43],
  [{ rule: "ENTRY_WINS", winners: 1, entries: 0 }, 0, 1],
  [{ rule: "MEMBER_WINS_ONCE", winners: 3, entries: 21, holders: [{ entries: 1, members: 5 }, { entries: 4, members: 4 }] }, 4, 1605 / 2618],
  [{ rule: "MEMBER_WINS_ONCE", winners: 3, entries: 21, holders: [{ entries: 1, members: 4 }, { entries: 4, members: 3 }, { entries: 5, members: 1 }] }, 0, 54347 / 340340],
];
for (const [odds, mine, want] of next) {
  const got = nextChance(odds, mine);
  if (!(Math.abs(got - want) <= 1e-15)) console.log(`next chance of ${mine} in ${JSON.stringify(odds)}: ${got}, want ${want}`);
}
