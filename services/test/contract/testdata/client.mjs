// Places an entry with npm's grpc-js, with the contract as proto-loader reads it,
// and reads the details of errors. Prints what it saw, as JSON.
import grpc from '@grpc/grpc-js'
import protoLoader from '@grpc/proto-loader'
import { randomUUID } from 'node:crypto'

const [folder, address] = process.argv.slice(2)
const definition = protoLoader.loadSync(
  ['raffle/v1/participation_service.proto', 'google/rpc/status.proto', 'google/rpc/error_details.proto'],
  { includeDirs: [folder], longs: String, enums: String },
)
const { ParticipationService } = grpc.loadPackageDefinition(definition).raffle.v1
const client = new ParticipationService(address, grpc.credentials.createInsecure())
const enter = (request) => new Promise((resolve, reject) => {
  client.enter(request, (error, response) => error ? reject(error) : resolve(response))
})

// detail returns the detail of an error that has a type of google.rpc.
function detail(error, type) {
  const [bytes] = error.metadata.get('grpc-status-details-bin')
  const status = definition['google.rpc.Status'].deserialize(bytes)
  const found = status.details.find((d) => d.type_url.endsWith('/google.rpc.' + type))
  return definition['google.rpc.' + type].deserialize(found.value)
}

const request = { raffleId: 1, memberId: 'node', requestId: randomUUID() }
await enter(request)
const again = await enter(request)
const limit = await enter({ raffleId: 1, memberId: 'node' }).catch((error) => error)
const invalid = await enter({ raffleId: 1, memberId: 'not valid' }).catch((error) => error)
const info = detail(limit, 'ErrorInfo')
console.log(JSON.stringify({
  memberEntries: again.memberEntries,
  replayed: again.replayed,
  memberId: again.entry.memberId,
  code: grpc.status[limit.code],
  reason: info.reason,
  domain: info.domain,
  limit: info.metadata.limit,
  violatedField: detail(invalid, 'BadRequest').fieldViolations[0].field,
}))
client.close()
