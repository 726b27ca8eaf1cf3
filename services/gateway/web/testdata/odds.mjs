// Prints what the page's script says of raffles, which stand on the standard input as JSON:
// [{ lang, now, odds }].
import { readFileSync } from "node:fs";

const [assets] = process.argv.slice(2);
const { heroOf, prizesOf, sentenceOf, stubNoteOf } = await import(`${assets}/odds.js`);
const { setLanguage } = await import(`${assets}/text.js`);

const said = JSON.parse(readFileSync(0, "utf8")).map(({ lang, now, odds }) => {
  setLanguage(lang, [lang]);
  const { label, figure, isText, detail } = heroOf(odds, { count: 0, tickets: [] }, Date.parse(now));
  return {
    Label: label, Figure: figure, IsText: isText, Detail: detail,
    Sentence: sentenceOf(odds, Date.parse(now)), Note: stubNoteOf(odds), Prizes: prizesOf(odds),
  };
});
console.log(JSON.stringify(said));
