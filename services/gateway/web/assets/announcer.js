// createAnnouncer returns say(text), which lets screen readers read a text, once. The page says
// little: that a raffle opened, closed or was drawn, and whether it is live. The odds can be
// read at any time, and a busy raffle would never fall silent.
export function createAnnouncer(region) {
  let said = region.textContent;
  return (text) => {
    if (text === said) return;
    said = text;
    region.textContent = text;
  };
}
