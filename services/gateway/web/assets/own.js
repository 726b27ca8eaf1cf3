// The visitor's own entries: what this browser has kept, and what the service says of its member.

const answerTimeout = 10_000;
const memberKey = "rafflecast.member";
const entriesKey = (id, epoch) => `rafflecast.entries.${id}.${epoch}`;

// Storage throws if the browser is set to keep nothing. Then the page forgets when it is closed.
function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // As above.
  }
}

// keptMember returns the name of the last entry, to any raffle.
export const keptMember = () => read(memberKey) ?? "";

// keptOf returns the entries in a raffle that this browser has kept, of the member who entered
// last: { member, count, tickets, since, entries }.
export function keptOf({ id, epoch }) {
  let kept;
  try {
    kept = JSON.parse(read(entriesKey(id, epoch)));
  } catch {
    // Somebody else has written it.
  }
  return summary(kept?.member ?? "", Array.isArray(kept?.entries) ? kept.entries : []);
}

function summary(member, entries) {
  return {
    member,
    entries,
    count: entries.length,
    tickets: entries.map(({ ticket }) => ticket).filter((ticket) => ticket !== undefined),
    since: entries[0]?.at ?? null,
  };
}

// Own keeps the own entries in one life of a raffle, and calls onChange when they change.
export class Own {
  #raffle;
  #onChange;
  #entries;

  constructor(raffle, onChange) {
    this.#raffle = raffle;
    this.#onChange = onChange;
    this.#entries = keptOf(raffle);
    // Another tab of this browser has entered or withdrawn.
    addEventListener("storage", ({ key }) => {
      if (key !== entriesKey(raffle.id, raffle.epoch)) return;
      this.#entries = keptOf(raffle);
      onChange();
    });
  }

  get member() {
    return this.#entries.member;
  }

  get count() {
    return this.#entries.count;
  }

  get tickets() {
    return this.#entries.tickets;
  }

  get since() {
    return this.#entries.since;
  }

  // add keeps the entry of an answer, with the opening by which its member can prove it later.
  add({ entry, opening, memberEntries }) {
    const before = entry.memberId === this.#entries.member ? this.#entries.entries : [];
    const others = before.filter(({ ordinal }) => ordinal !== entry.ordinal);
    this.#set(entry.memberId, [...others, { ...entryOf(entry), opening }]);
    write(memberKey, entry.memberId);
    if (memberEntries !== this.#entries.count) this.refresh(entry.memberId); // more were made elsewhere
  }

  remove({ entry }) {
    this.#set(entry.memberId, this.#entries.entries.filter(({ ordinal }) => ordinal !== entry.ordinal));
  }

  // refresh asks the service for a member's entries, "" for who is signed in. Without an answer,
  // those that are kept count.
  async refresh(member) {
    const query = new URLSearchParams({ pageSize: 1000, ...(member && { memberId: member }) });
    let entries;
    try {
      const signal = AbortSignal.timeout(answerTimeout);
      const response = await fetch(`/api/v1/raffles/${this.#raffle.id}/entries?${query}`, { cache: "no-store", signal });
      if (!response.ok) return;
      entries = (await response.json()).entries ?? [];
    } catch {
      return;
    }
    const openings = new Map(this.#entries.entries.map(({ ordinal, opening }) => [ordinal, opening]));
    const name = member || entries[0]?.memberId || "";
    this.#set(name, entries.map((entry) => ({ ...entryOf(entry), opening: openings.get(entry.ordinal) })));
  }

  #set(member, entries) {
    if (JSON.stringify(entries) === JSON.stringify(this.#entries.entries)) return;
    this.#entries = summary(member, entries);
    write(entriesKey(this.#raffle.id, this.#raffle.epoch), JSON.stringify({ member, entries }));
    this.#onChange();
  }
}

const entryOf = ({ ordinal, ticket, createdAt }) =>
  ({ ordinal, ticket: ticket === undefined ? undefined : Number(ticket), at: Date.parse(createdAt) });
