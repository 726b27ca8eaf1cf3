// Replays the log of a raffle and carries out its drawings, as services/draw does. The
// rules are described there (doc.go).
import { ascii, hex, readUint, sha256 } from "./bytes.js";
import { isSignature, roundAt } from "./chain.js";
import { decode, winnersOf } from "./record.js";
import { leafHash, Tree } from "./tree.js";

const second = 1_000_000n;
const minute = 60n * second;

// vacant stands for the ticket of a place that nobody has. Record 0 is no entry.
export const vacant = 0;

export class Log {
  tree = new Tree();
  rules = null;
  closed = null;
  drawings = [];
  places = []; // tickets by prize and place
  alternates = [];
  cautions = [];
  entries = 0; // that are not withdrawn
  holders = 0; // members that have such entries
  chain = null; // of the rules, if it is known
  announced = null; // the drawing that lies ahead

  #origin;
  #chains;
  #rulesText = "";
  #cancelled = false;
  #tickets = []; // by index: { member, withdrawn, drawn }, or null
  #members = new Map(); // by tag
  #size = 0; // the index of CLOSE
  #drawnTickets = 0;
  #drawnMembers = 0;

  constructor(origin, chains) {
    this.#origin = origin;
    this.#chains = chains;
  }

  // append replays the next record. It throws if that may not stand there.
  append(bytes) {
    try {
      const record = decode(bytes);
      const ticket = this.#apply(record);
      this.#tickets.push(ticket ?? null);
    } catch (error) {
      throw new Error(`record ${this.tree.size}: ${error.message}`, { cause: error });
    }
    this.tree.append(leafHash(bytes));
    if (this.announced && !this.announced.head) this.announced.head = this.head();
  }

  // head returns the three lines of the checkpoint of the records so far.
  head() {
    return `${this.#origin}\n${this.tree.size}\n${this.tree.root()}\n`;
  }

  // winners returns the tickets that have the places of each prize.
  winners() {
    if (!this.closed) return [];
    let at = 0;
    return this.rules.prizes.map(({ count }) => this.places.slice(at, (at += count)));
  }

  #apply(record) {
    switch (record.kind) {
      case "RULES":
        return this.#setRules(record);
      case "ENTRY":
        return this.#enter(record);
      case "WITHDRAWAL":
        return this.#withdraw(record);
      case "CLOSE":
        return this.#close(record);
      case "DRAW":
        return this.#draw(record);
      case "STRIKE":
        return this.#strike(record);
      case "REDRAW":
        return this.#redraw(record);
      case "CANCEL":
        this.#needOpen();
        this.#cancelled = true;
        return null;
      case "RESTORED":
        if (this.tree.size > 0) throw new Error("a log can only begin as restored");
        this.#caution(`a restore of the database lost records of an earlier log, which had ${record.seenSize}`);
    }
    return null;
  }

  #caution(text) {
    this.cautions.push(`record ${this.tree.size}: ${text}`);
  }

  #needOpen() {
    if (!this.rules) throw new Error("it stands before the rules");
    if (this.closed) throw new Error("it stands after the close");
    if (this.#cancelled) throw new Error("it stands after the cancellation");
  }

  #setRules(rules) {
    const [logName] = this.#origin.split("/raffle/");
    if (!`${this.#origin}/`.startsWith(`${logName}/raffle/${rules.raffle}/`)) {
      throw new Error(`the rules are those of raffle ${rules.raffle}, the log is ${this.#origin}`);
    }
    if (this.rules) {
      this.#needOpen();
      for (const fixed of ["raffle", "rule", "chain", "delaySeconds", "alternates", "maxEntriesPerMember"]) {
        if (rules[fixed] !== this.rules[fixed]) throw new Error("the rules change more than title, prizes and times");
      }
      if (this.#members.size > 0) this.#caution("the rules changed after the first entry");
    }
    this.rules = rules;
    this.#rulesText = rules.text;
  }

  #enter({ tag }) {
    this.#needOpen();
    const member = this.#members.get(tag) ?? { live: 0, drawn: false };
    this.#members.set(tag, member);
    if (member.live >= this.rules.maxEntriesPerMember) throw new Error(`the member has ${member.live} entries already, all that the rules allow`);
    if (member.live === 0) this.holders++;
    member.live++;
    this.entries++;
    return { member, withdrawn: false, drawn: false };
  }

  #withdraw({ ticket: number }) {
    this.#needOpen();
    const ticket = this.#tickets[number];
    if (!ticket || ticket.withdrawn) throw new Error(`ticket ${number} is no entry, or is withdrawn already`);
    ticket.withdrawn = true;
    ticket.member.live--;
    this.entries--;
    if (ticket.member.live === 0) this.holders--;
  }

  #close(close) {
    this.#needOpen();
    if (close.rules !== this.#rulesText) throw new Error("the rules are not those of the newest RULES record");
    if (close.entries !== this.entries || close.members !== this.holders) {
      throw new Error(`it counts ${close.entries} entries of ${close.members} members, the log has ${this.entries} of ${this.holders}`);
    }
    if (close.drawing !== 1) throw new Error(`the first drawing is 1, not ${close.drawing}`);
    const { closesAt, delaySeconds, chain } = this.rules;
    this.chain = this.#chains.find(({ hash }) => hash === chain) ?? null;
    if (closesAt !== null && (close.closedAt < closesAt || close.closedAt > closesAt + minute)) {
      this.#caution("the raffle was not closed when its rules close it");
    }
    if (delaySeconds < 60) this.#caution(`viewers had only ${delaySeconds} s to keep the closing checkpoint before the round`);
    this.closed = close;
    this.#size = this.tree.size;
    this.places = new Array(winnersOf(this.rules)).fill(vacant);
    this.#announce(1, close.closedAt, close.round);
  }

  #redraw({ at, drawing, round }) {
    if (this.drawings.length === 0 || this.announced) {
      throw new Error("there can't be another drawing before the first, or while one lies ahead");
    }
    if (drawing !== this.drawings.length + 1) throw new Error(`the next drawing is ${this.drawings.length + 1}, not ${drawing}`);
    if (!this.places.includes(vacant)) throw new Error("no prize is vacant");
    if (round <= this.drawings.at(-1).round) throw new Error(`round ${round} was out at the drawing before`);
    this.#announce(drawing, at, round);
  }

  #announce(drawing, at, round) {
    const { delaySeconds } = this.rules;
    if (this.chain) {
      const want = roundAt(this.chain, at + BigInt(delaySeconds) * second);
      if (BigInt(round) !== want) throw new Error(`it names round ${round}, the first one ${delaySeconds} s later is ${want}`);
    }
    this.announced = { drawing, round, head: null };
  }

  #draw({ drawing, round, signature }) {
    const next = this.announced;
    if (!next || drawing !== next.drawing || round !== next.round) {
      throw new Error(`no drawing ${drawing} from round ${round} lies ahead`);
    }
    if (this.chain && !isSignature(this.chain, round, signature)) {
      throw new Error(`the signature is not that of round ${round} of chain ${this.chain.hash}`);
    }
    const bytes = Uint8Array.from(signature.match(/../g), (pair) => parseInt(pair, 16));
    const randomness = hex(sha256(bytes));
    const text =
      `rafflecast draw\n${next.head}drawing ${drawing}\n` +
      `drand ${this.rules.chain}\nround ${round}\nrandomness ${randomness}\n`;
    const seed = hex(sha256(ascii(text)));
    const want = drawing === 1 ? this.places.length + this.rules.alternates : this.places.filter((t) => t === vacant).length;
    const tickets = this.#choose(want, seed);
    this.#place(tickets);
    this.drawings.push({ drawing, round, randomness, text, seed, tickets });
    this.announced = null;
  }

  #choose(want, seed) {
    const once = this.rules.rule === "MEMBER_WINS_ONCE";
    const left = once ? this.holders - this.#drawnMembers : this.entries - this.#drawnTickets;
    const n = BigInt(this.#size);
    const limit = 2n ** 64n - (2n ** 64n % n);
    const tickets = [];
    for (let j = 0; tickets.length < Math.min(want, left); j++) {
      const x = readUint(sha256(ascii(`${seed} ${j}`)), 8);
      if (x >= limit) continue;
      const number = Number(x % n);
      const ticket = this.#tickets[number];
      if (!ticket || ticket.withdrawn || ticket.drawn || (once && ticket.member.drawn)) continue;
      ticket.drawn = true;
      if (!ticket.member.drawn) this.#drawnMembers++;
      ticket.member.drawn = true;
      tickets.push(number);
    }
    this.#drawnTickets += tickets.length;
    return tickets;
  }

  #place(tickets) {
    let at = 0;
    for (const ticket of tickets) {
      while (at < this.places.length && this.places[at] !== vacant) at++;
      if (at < this.places.length) this.places[at] = ticket;
      else this.alternates.push(ticket);
    }
  }

  #strike({ ticket, reason }) {
    if (this.announced) throw new Error("nobody can be disqualified while a drawing lies ahead");
    const alternate = this.alternates.indexOf(ticket);
    const place = ticket === vacant ? -1 : this.places.indexOf(ticket);
    if (alternate >= 0) this.alternates.splice(alternate, 1);
    else if (place >= 0) this.places[place] = this.alternates.shift() ?? vacant;
    else throw new Error(`ticket ${ticket} has no place`);
    this.#caution(`ticket ${ticket} was disqualified: ${reason}`);
  }
}
