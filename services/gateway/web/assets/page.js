import { createAnnouncer } from "./announcer.js";
import { showList } from "./list.js";
import { showRaffle } from "./raffle.js";
import { formatClock, text, translate } from "./text.js";

const $ = (id) => document.getElementById(id);

const views = ["raffle-view", "list-view", "missing-view"];

const frame = {
  say: createAnnouncer($("announcer")),

  show(view) {
    for (const id of views) $(id).hidden = id !== view;
  },

  // showConnection shows the state of the connection. heardAt is the time in milliseconds at
  // which the numbers on the page were last known to be the newest.
  showConnection(status, heardAt) {
    const since = heardAt && formatClock(heardAt);
    const words = {
      connecting: since ? text.reconnecting(since) : text.connecting,
      live: text.live,
      offline: since ? text.offlineSince(since) : text.offline,
      ended: text.ended,
    };
    $("connection").dataset.connection = status;
    $("connection-text").textContent = words[status];
  },
};

translate();
const [, id] = location.pathname.match(/^\/raffle\/(.+)$/) ?? [];
$("see-open").hidden = !id;
if (id) {
  showRaffle(id, frame);
} else {
  showList({ ...frame, onOnly: (only) => showRaffle(only, frame) });
}
