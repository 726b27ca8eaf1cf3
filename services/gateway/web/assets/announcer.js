// Short enough to follow, long enough that a busy raffle leaves a screen reader free for anything else.
const quiet = 5_000;

// createAnnouncer returns say(text), which speaks at most once in that time and then the newest text only.
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
