// Reads raffles or odds as JSON from standard input, and writes what the page's modules, the
// second implementation, say of them.
import { readFileSync } from "node:fs";

const [modules] = process.argv.slice(2);
const { fromHex } = await import(`${modules}/bytes.js`);
const { parseChain } = await import(`${modules}/chain.js`);
const { nextChance, ownChance } = await import(`${modules}/chance.js`);
const { recordsOf } = await import(`${modules}/record.js`);
const { verifyLog } = await import(`${modules}/verify.js`);

const { chain, raffles, odds } = JSON.parse(readFileSync(0, "utf8"));
const answers = [];
for (const { log: file, ...input } of raffles ?? []) {
  const report = await verifyLog({ ...input, kept: input.kept ?? [], records: recordsOf(fromHex(file)), chains: [parseChain(chain)] });
  const { outcome, checks, cautions, log, tickets } = report;
  answers.push({
    outcome,
    checks: checks.map((check) => `${check.outcome} ${check.name}`),
    cautions: cautions.length,
    drawn: log?.drawings.map((drawing) => drawing.tickets) ?? [],
    winners: log?.winners() ?? [],
    alternates: log?.alternates ?? [],
    tickets,
  });
}
for (const { mine, ...rest } of odds ?? []) answers.push([ownChance(rest, mine), nextChance(rest, mine)]);
console.log(JSON.stringify(answers));
