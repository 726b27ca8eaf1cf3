// Validates an AsyncAPI document with npm's @asyncapi/parser, and prints, as JSON,
// what is wrong, and the payload of each message with its references resolved.
import { Parser } from '@asyncapi/parser'
import { readFileSync } from 'node:fs'

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'))
console.log(JSON.stringify({
  // Newer versions of the format are recommended, but few tools know them yet.
  diagnostics: diagnostics.filter((d) => d.code !== 'asyncapi-latest-version').map((d) => `${d.path.join('.')}: ${d.message}`),
  channels: document?.channels().all().map((c) => c.address()) ?? [],
  payloads: Object.fromEntries(document?.components().messages().all().map((m) => [m.name(), m.payload().json()]) ?? []),
}))
