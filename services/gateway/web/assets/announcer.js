// Milliseconds between two announcements. A busy raffle changes all the time, and a screen
// reader must stay free for other things.
const quiet = 5_000;

// createAnnouncer returns say(text), which announces a text by way of the region. Of the
// texts that come within the quiet time only the newest is announced, when it ends.
export function createAnnouncer(region) {
  let waiting = null;
  let timer = null;

  const speak = () => {
    timer = null;
    if (waiting === null) return;
    region.textContent = waiting;
    waiting = null;
    timer = setTimeout(speak, quiet);
  };

  return (text) => {
    waiting = text;
    if (timer === null) speak();
  };
}
