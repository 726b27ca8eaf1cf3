const still = matchMedia("(prefers-reduced-motion: reduce)");

const timing = { duration: 280, easing: "cubic-bezier(0.2, 0.8, 0.3, 1)" };

// roll writes a number whose changed digits roll into place as on a counter: upwards if
// rising, else downwards. The element holds the new text at once, so that no number is shown
// that was never true.
export function roll(element, text, rising) {
  const before = element.textContent;
  const digits = fit(element, text.length);
  digits.forEach((digit, i) => digit.textContent = text[i]);

  // A raffle may change twenty times a second: a roll that has begun goes on with new digits.
  const rolling = element.getAnimations({ subtree: true }).length > 0;
  if (before === "" || rolling || still.matches || document.hidden) return;
  const from = { transform: `translateY(${rising ? "0.3em" : "-0.3em"})`, opacity: 0 };
  const to = { transform: "none", opacity: 1 };
  const changed = digits.filter((_, i) => before.length !== text.length || before[i] !== text[i]);
  for (const digit of changed) digit.animate([from, to], timing);
}

// fit returns the count digits of the element. It replaces them only if their number differs.
function fit(element, count) {
  if (element.children.length !== count) {
    element.replaceChildren(...Array.from({ length: count }, () => document.createElement("span")));
    for (const digit of element.children) digit.className = "digit";
  }
  return [...element.children];
}
