// Reads a raffle's stream with npm's eventsource, and another one with
// eventsource-parser, until the final odds, and prints the ids that each saw.
import { EventSource } from 'eventsource'
import { createParser } from 'eventsource-parser'

const url = process.argv[2]
const final = (data) => JSON.parse(data).state === 'CLOSED'

async function viaEventSource() {
  const seen = []
  await new Promise((resolve, reject) => {
    const source = new EventSource(url)
    source.addEventListener('raffle-winning-probability', (e) => {
      seen.push(e.lastEventId)
      if (seen.length === 1) console.log('connected')
      if (typeof JSON.parse(e.data).id !== 'number') reject(new Error(e.data))
    })
    // The gateway answers 204 to a client that has the final odds, which ends it for good.
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) resolve()
    })
  })
  return seen
}

async function viaParser() {
  const seen = []
  let retry = 0
  const parser = createParser({
    onEvent: (e) => {
      if (e.event === 'raffle-winning-probability') seen.push(e.id)
      if (seen.length === 1) console.log('connected')
    },
    onRetry: (ms) => { retry = ms },
    onError: (e) => { throw e },
  })
  const response = await fetch(url)
  const decoder = new TextDecoder()
  for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }))
  if (!(retry >= 100 && retry <= 200)) throw new Error(`retry: ${retry}`)
  return seen
}

const [source, parser] = await Promise.all([viaEventSource(), viaParser()])
console.log(JSON.stringify({ source, parser }))
