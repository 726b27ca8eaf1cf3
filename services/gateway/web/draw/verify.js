// Verifies a raffle's draw in the browser: a second implementation of what services/draw
// does, on the same test vectors. It trusts nothing that the server says, and it is
// imported only when somebody asks for it.
import { ascii, concat, fromBase64, fromHex, hex, sha256 } from "./bytes.js";
import { parseChain, quicknet } from "./chain.js";
import { parseCheckpoint, parseKept, provesRecord, Unknown, verifyCheckpoint } from "./checkpoint.js";
import { Log } from "./log.js";
import { recordsOf } from "./record.js";
import { leafHash } from "./tree.js";

const pageSize = 4096;

// verifyRaffle fetches the log of a raffle from baseURL (such as "" for this host), and
// verifies it. It calls onCheck with each check when it is done: { name, outcome, text },
// where outcome is "true", "false" or "unknown". kept are signed checkpoints and receipts
// that were kept earlier, such as that of the CLOSED event. key holds the verifier keys, one on
// a line, if they are known from elsewhere. It returns the report of verifyLog. It throws if the log can't
// be fetched.
export async function verifyRaffle(baseURL, id, { onCheck = () => {}, kept = [], key, member, opening } = {}) {
  const api = `${baseURL}/api/v1/raffles/${id}`;
  const { verifierKey, chainInfo } = await (await get(`${api}/draw`)).json();
  // The checkpoint comes first: the log may grow meanwhile.
  const checkpoint = await (await get(`${api}/checkpoint`)).text();
  const { size } = parseCheckpoint(checkpoint);
  const records = [];
  for (let from = 0; from < size; from += pageSize) {
    const page = new Uint8Array(await (await get(`${api}/log?from=${from}`)).arrayBuffer());
    const before = records.length;
    records.push(...recordsOf(page));
    if (records.length === before) break; // it is shorter than its checkpoint
  }
  records.length = Math.min(records.length, size);
  const cautions = key ? [] : ["the key comes from the server itself"];
  const report = await verifyLog({
    records, checkpoint, kept, member, opening, onCheck, key: key ?? verifierKey, chains: chainsOf(chainInfo),
  });
  report.cautions.push(...cautions);
  return report;
}

// chainsOf returns the served chain, if it is one. Without it, its drawings are unknown.
function chainsOf(info) {
  try {
    return [parseChain(info)];
  } catch {
    return [];
  }
}

async function get(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response;
}

// verifyLog verifies a whole log: an iterable of records. chains are known ones, by
// parseChain, beside quicknet. It returns { outcome, checks, cautions, log, tickets };
// log is null if the checkpoint is wrong; tickets are the member's, whose opening is in hexadecimal or base64.
export async function verifyLog({ records, checkpoint, kept = [], key, chains = [], member, opening, onCheck = () => {} }) {
  const report = { outcome: "true", checks: [], cautions: [], log: null, tickets: [] };
  const check = async (name, statement) => {
    let [outcome, text] = ["true", ""];
    try {
      text = await statement();
    } catch (error) {
      [outcome, text] = [error instanceof Unknown ? "unknown" : "false", error.message];
    }
    if (outcome === "false" || report.outcome === "true") report.outcome = outcome;
    report.checks.push({ name, outcome, text });
    onCheck({ name, outcome, text });
  };

  let signed;
  await check("checkpoint", async () => {
    signed = parseCheckpoint(checkpoint);
    await verifyCheckpoint(signed, key);
    return `${signed.size} records of ${signed.origin}, signed by one of ${key.split(/\s+/).join(", ")}`;
  });
  if (report.outcome === "false") return report; // there is nothing to compare the log with
  const log = new Log(signed.origin, [quicknet, ...chains]);
  report.log = log;
  const looking = kept.map(look);
  const tag = member && hex(sha256(concat(ascii(`rafflecast member\n${signed.origin}\n${member}\n`), bytesOf(opening))));
  await check("records", () => replay(log, records, looking, (record, index) => {
    if (tag && record[0] === 2 && hex(record.subarray(5)) === tag) report.tickets.push(index);
  }));
  await check("log", () => {
    if (log.head() !== signed.text) throw new Error(`the log is ${log.head()}, the checkpoint ${signed.text}`);
    return "the records are those of the checkpoint, none changed, missing, added or moved";
  });
  for (const [i, one] of looking.entries()) await check(`saved ${i + 1}`, () => compare(one, key));
  report.cautions.push(...log.cautions);
  await checkDrawings(log, check, report.cautions);
  if (member) {
    await check("member", () => {
      if (report.tickets.length === 0) throw new Error("no entry has the tag of this member and opening");
      return `tickets ${report.tickets.join(", ")}`;
    });
  }
  return report;
}

const bytesOf = (opening) => (/^[0-9a-f]{64}$/.test(opening) ? fromHex(opening) : fromBase64(opening));

// replay replays the records. After one that may not stand where it does, only the tree
// goes on, so that the log can be compared with its checkpoint.
function replay(log, records, looking, see) {
  let refused = null;
  try {
    for (const record of records) {
      try {
        if (!refused) log.append(record);
      } catch (error) {
        refused = error;
      }
      if (refused) log.tree.append(leafHash(record));
      const index = log.tree.size - 1;
      see(record, index);
      for (const one of looking) {
        if (one.checkpoint?.size === log.tree.size) one.head = log.head();
        if (one.receipt?.index === index) one.record = record;
      }
    }
  } catch (error) {
    refused ??= error; // the log can't be read on
  }
  if (refused) throw refused;
  return `each of the ${log.tree.size} is one that may stand there`;
}

function look(text) {
  try {
    return { ...parseKept(text), head: null, record: null };
  } catch (error) {
    return { error };
  }
}

// compare throws unless the log begins with what was kept.
async function compare(one, key) {
  if (one.error) throw one.error;
  const { size, text, origin } = one.checkpoint;
  if (one.head !== text) throw new Error(`the log does not begin with the ${size} records of the checkpoint for ${origin}`);
  if (one.receipt && !(one.record && provesRecord(one, one.record))) {
    throw new Error(`the receipt does not prove that this is record ${one.receipt.index}`);
  }
  await verifyCheckpoint(one.checkpoint, key);
  return `the log begins with the ${size} records that were kept`;
}

async function checkDrawings(log, check, cautions) {
  if (!log.closed) {
    cautions.push("the raffle is not closed");
    return;
  }
  const { chain, rules, closed } = log;
  const known = () => {
    if (!chain) throw new Unknown(`nothing is known about the chain ${rules.chain}`);
  };
  if (chain && chain.hash !== quicknet.hash) {
    cautions.push(`chain ${chain.hash} is not drand's quicknet: its owner can choose the winners`);
  }
  await check("close", () => {
    known();
    return `${closed.entries} entries of ${closed.members} members; round ${closed.round} is the first one ${rules.delaySeconds} s after the close`;
  });
  for (const { drawing, round, seed, tickets } of log.drawings) {
    await check(`drawing ${drawing}`, () => {
      known();
      return `round ${round} is of the chain; its seed ${seed} draws tickets ${tickets.join(", ")}`;
    });
  }
  if (log.announced) cautions.push(`drawing ${log.announced.drawing} lies ahead`);
}
