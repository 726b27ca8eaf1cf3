import { watchOdds } from "../client/rafflecast.js";

// awaitRaffle loads the page again when its raffle can be seen: its visitor has signed in, or
// the first odds have come. It gives up if there is no such raffle.
export function awaitRaffle(id) {
  const watch = watchOdds({
    ids: [id],
    onOdds: () => location.reload(),
    onState: ({ reason }) => (reason === "missing" || reason === "invalid") && watch.close(),
  });
}
