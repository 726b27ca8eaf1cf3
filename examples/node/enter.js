// Enters a member into a raffle over gRPC: node enter.js CONTRACT ADDRESS RAFFLE MEMBER
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { randomUUID } from "node:crypto";

const [contract, address, raffleId, memberId] = process.argv.slice(2);
const definition = protoLoader.loadSync(
  ["raffle/v1/participation_service.proto", "google/rpc/status.proto", "google/rpc/error_details.proto"],
  { includeDirs: [contract], longs: String, enums: String },
);
const { ParticipationService } = grpc.loadPackageDefinition(definition).raffle.v1;

// grpc-js repeats calls that did not reach the service. That is harmless: the request id is the
// same, so the entry is placed once.
const retries = {
  methodConfig: [{
    name: [{ service: "raffle.v1.ParticipationService" }],
    retryPolicy: {
      maxAttempts: 4, initialBackoff: "0.2s", maxBackoff: "5s", backoffMultiplier: 2,
      retryableStatusCodes: ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    },
  }],
};
const client = new ParticipationService(address, grpc.credentials.createInsecure(), {
  "grpc.service_config": JSON.stringify(retries),
});

// errorInfo returns the google.rpc.ErrorInfo of an error: a reason to act on, and what it is about.
function errorInfo(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!bytes) return undefined;
  const { details } = definition["google.rpc.Status"].deserialize(bytes);
  const found = details.find(({ type_url }) => type_url.endsWith("/google.rpc.ErrorInfo"));
  return found && definition["google.rpc.ErrorInfo"].deserialize(found.value);
}

const request = { raffleId, memberId, requestId: randomUUID() };
client.enter(request, { deadline: Date.now() + 10_000 }, (error, answer) => {
  client.close();
  if (!error) {
    console.log(`${memberId} has ${answer.memberEntries} of the raffle's ${answer.odds.entries} entries`);
    return;
  }
  const info = errorInfo(error);
  console.error(info ? `${info.reason} ${JSON.stringify(info.metadata)}` : error.message);
  process.exitCode = 1;
});
