const still = matchMedia("(prefers-reduced-motion: reduce)");

const timing = { duration: 280, easing: "cubic-bezier(0.2, 0.8, 0.3, 1)" };

// showFigure writes a figure, once for screen readers, which shall read it as one, and once in
// digits, of which those that changed roll into place as on a counter: upwards if rising, else
// downwards. The element holds the new text at once, so that no number is shown that was never
// true.
export function showFigure(element, { figure, isText }, rising = true) {
  const [words, digits] = element.children;
  if (words.textContent === figure) return;
  const before = words.textContent;
  words.textContent = figure;
  element.classList.toggle("words", isText);
  element.classList.toggle("long", !isText && figure.length > 7);
  if (isText) {
    digits.textContent = figure;
    return;
  }
  const all = fit(digits, [...figure]);
  // A raffle may change twenty times a second: a roll that has begun goes on with new digits.
  const rolling = digits.getAnimations({ subtree: true }).length > 0;
  if (before === "" || rolling || still.matches || document.hidden) return;
  const from = { transform: `translateY(${rising ? "0.3em" : "-0.3em"})`, opacity: 0 };
  const to = { transform: "none", opacity: 1 };
  const changed = all.filter((_, i) => before.length !== figure.length || before[i] !== figure[i]);
  for (const digit of changed) digit.animate([from, to], timing);
}

// fit makes the digits of an element those of the text, and returns them.
function fit(element, text) {
  if (element.children.length !== text.length) {
    element.replaceChildren(...text.map(() => document.createElement("span")));
    for (const digit of element.children) digit.className = "digit";
  }
  const digits = [...element.children];
  digits.forEach((digit, i) => digit.textContent = text[i]);
  return digits;
}
