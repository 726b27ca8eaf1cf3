// The records of a raffle's log, decoded as strictly as services/draw does: whatever the
// formats do not have is an error.
import { hex, readUint, utf8 } from "./bytes.js";

export const maxRecord = 64 << 10;
const maxSize = 2 ** 30;
const maxInt64 = 2n ** 63n - 1n;

// decode returns a record as { kind, ... } with the fields of its kind.
export function decode(bytes) {
  if (bytes.length < 1 || bytes.length > maxRecord) throw new Error(`a record has 1 to ${maxRecord} bytes, not ${bytes.length}`);
  const body = bytes.subarray(1);
  switch (bytes[0]) {
    case 2:
      if (body.length !== 36 || readUint(body, 4) === 0n) throw new Error(`${hex(bytes)} is no entry`);
      return { kind: "ENTRY", tag: hex(body.subarray(4)) };
    case 3:
      if (body.length !== 8 || readUint(body, 8) >= BigInt(maxSize)) throw new Error(`${hex(bytes)} is no withdrawal`);
      return { kind: "WITHDRAWAL", ticket: Number(readUint(body, 8)) };
  }
  if (!(bytes[0] in jsonRecords)) throw new Error(`unknown kind of record ${bytes[0]}`);
  const [kind, read] = jsonRecords[bytes[0]];
  const text = utf8(body);
  const reader = new Reader(text);
  const value = read(reader);
  reader.end();
  return { kind, ...value, text };
}

const token = /[ \t\n\r]*(?:([{}[\]:,]|null)|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(0|-?[1-9]\d*))/y;

// Reader reads JSON whose fields come in a known order. So it finds fields that are
// unknown, missing or doubled, which JSON.parse does not.
class Reader {
  #text;
  #at = 0;

  constructor(text) {
    this.#text = text;
  }

  // #next returns the next token: { mark }, { string } or { number }.
  #next() {
    token.lastIndex = this.#at;
    const found = token.exec(this.#text);
    if (!found) throw new Error(`unexpected JSON at character ${this.#at}`);
    this.#at = token.lastIndex;
    return { mark: found[1], string: found[2] && JSON.parse(found[2]), number: found[3] };
  }

  #peek() {
    const at = this.#at;
    const next = this.#next();
    this.#at = at;
    return next;
  }

  mark(want) {
    const { mark } = this.#next();
    if (mark !== want) throw new Error(`the JSON has something in place of ${want}`);
  }

  string() {
    const { string } = this.#next();
    if (string === undefined) throw new Error("the JSON has something in place of a string");
    return string;
  }

  // integer returns a number from least to most; a BigInt, if these are.
  integer(least, most) {
    const { number } = this.#next();
    if (number === undefined || BigInt(number) < least || BigInt(number) > most) {
      throw new Error(`${number} is not an integer within ${least} and ${most}`);
    }
    return typeof most === "bigint" ? BigInt(number) : Number(number);
  }

  // object reads the fields in their order.
  object(fields) {
    const value = {};
    let before = "{";
    for (const [name, read] of Object.entries(fields)) {
      this.mark(before);
      if (this.string() !== name) throw new Error(`the JSON has another field in place of ${name}`);
      this.mark(":");
      value[name] = read(this);
      before = ",";
    }
    this.mark("}");
    return value;
  }

  list(read) {
    const values = [];
    this.mark("[");
    if (this.#peek().mark === "]") {
      this.mark("]");
      return values;
    }
    for (;;) {
      values.push(read(this));
      const { mark } = this.#next();
      if (mark === "]") return values;
      if (mark !== ",") throw new Error("the JSON has something in place of a comma");
    }
  }

  orNull(read) {
    if (this.#peek().mark !== "null") return read(this);
    this.mark("null");
    return null;
  }

  // raw returns what read reads as it is written.
  raw(read) {
    const from = this.#at;
    read(this);
    return this.#text.slice(from, this.#at).trim();
  }

  end() {
    if (this.#text.slice(this.#at).trim() !== "") throw new Error("something stands behind the JSON");
  }
}

const string = (reader) => reader.string();
const integer = (least, most) => (reader) => reader.integer(least, most);
const oneOf = (...known) => (reader) => {
  const value = reader.string();
  if (!known.includes(value)) throw new Error(`unknown ${JSON.stringify(value)}`);
  return value;
};

// time returns microseconds since 1970 as a BigInt.
function time(reader) {
  const text = reader.string();
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z$/.exec(text);
  const milliseconds = parts && Date.parse(`${parts[1]}.000Z`);
  if (!parts || Number.isNaN(milliseconds) || new Date(milliseconds).toISOString() !== `${parts[1]}.000Z`) {
    throw new Error(`a time has the form 2006-01-02T15:04:05.000000Z, not ${JSON.stringify(text)}`);
  }
  return BigInt(milliseconds) * 1000n + BigInt(parts[2]);
}

function signature(reader) {
  const text = reader.string();
  if (!/^[0-9a-f]{96}$/.test(text)) throw new Error("a signature has 96 lowercase hexadecimal digits");
  return text;
}

function root(reader) {
  const text = reader.string();
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text) || btoa(atob(text)) !== text) throw new Error("a root has 44 characters of base64");
  return text;
}

const maxPrizes = 1_000_000;
const prize = (reader) => reader.object({ name: string, count: integer(1, maxPrizes) });

function rules(reader) {
  const value = reader.object({
    format: oneOf("rafflecast/1"),
    raffle: integer(1n, maxInt64),
    title: string,
    prizes: (r) => r.list(prize),
    rule: oneOf("ENTRY_WINS", "MEMBER_WINS_ONCE"),
    maxEntriesPerMember: integer(1, 1000),
    alternates: integer(0, maxPrizes),
    chain: string,
    delaySeconds: integer(1, 7 * 24 * 60 * 60),
    opensAt: (r) => r.orNull(time),
    closesAt: (r) => r.orNull(time),
  });
  const winners = winnersOf(value);
  if (winners < 1 || winners > maxPrizes) throw new Error(`number of prizes: ${winners} is not within 1 and ${maxPrizes}`);
  return value;
}

export const winnersOf = ({ prizes }) => prizes.reduce((sum, { count }) => sum + count, 0);

const drawing = integer(-(2 ** 53), 2 ** 53);
const round = integer(0, 2 ** 53);
const count = integer(-(2 ** 53), 2 ** 53);
const object = (fields) => (reader) => reader.object(fields);

const jsonRecords = {
  1: ["RULES", rules],
  4: ["CLOSE", object({ closedAt: time, drawing, round, entries: count, members: count, rules: (r) => r.raw(rules) })],
  5: ["DRAW", object({ drawing, round, signature })],
  6: ["STRIKE", object({ ticket: count, reason: oneOf("UNCLAIMED", "DECLINED", "INELIGIBLE", "DUPLICATE", "OTHER") })],
  7: ["REDRAW", object({ at: time, drawing, round })],
  8: ["CANCEL", object({ at: time })],
  9: ["RESTORED", object({ seenSize: integer(1, maxSize), seenRoot: root })],
};

// recordsOf reads the records of a log's file or page.
export function* recordsOf(file) {
  for (let at = 0; at < file.length; ) {
    const size = at + 4 <= file.length ? Number(readUint(file.subarray(at), 4)) : 0;
    if (size < 1 || size > maxRecord || at + 4 + size > file.length) throw new Error("the log can't be read on");
    yield file.subarray(at + 4, at + 4 + size);
    at += 4 + size;
  }
}
