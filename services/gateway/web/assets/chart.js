import { formatInteger, formatMinute, formatTime, t } from "./text.js";
import { hasEnded } from "./odds.js";

// More points than these can't be seen apart on a screen.
const maxPoints = 600;

// A line of fewer points tells nothing.
const fewest = 3;

const margin = { top: 16, right: 16, bottom: 28, left: 16 };

// Width in pixels of a digit of an axis label, at the size in the style sheet.
const figureWidth = 7.5;

const day = 86_400_000;

// Chart draws how the entries grew, as steps: from what the gateway has seen, and then as they
// come. While the page is not live, it draws nothing: a gap stays a gap.
export class Chart {
  #svg;
  #runs; // of { time, entries }, with gaps between them
  #isLive = null; // unknown before the first connection
  #end = 0;
  #isOver = false;
  #scheduled = false;
  #parts = { grid: element("g", "grid"), area: element("path", "area"), line: element("path", "line"), tip: element("circle", "tip") };

  constructor(svg, course = []) {
    this.#svg = svg;
    this.#runs = [course.map(([time, entries]) => ({ time, entries }))];
    this.#parts.tip.setAttribute("r", "4.5");
    svg.replaceChildren(...Object.values(this.#parts));
    new ResizeObserver(() => this.draw(this.#end)).observe(svg);
  }

  // add adds odds, at a time by the server's clock.
  add(odds, now) {
    this.#isOver = hasEnded(odds);
    const time = this.#isOver ? Date.parse(odds.at) : now;
    const last = this.#runs.at(-1).at(-1);
    if (last?.entries !== odds.entries) {
      if (this.#isLive === false) this.#resume(time, odds.entries); // before the news that the page is live
      else this.#runs.at(-1).push({ time: Math.max(time, last?.time ?? 0), entries: odds.entries });
    }
    const run = this.#runs.at(-1);
    if (run.length > maxPoints) this.#runs[this.#runs.length - 1] = run.filter((_, i) => i % 2 === 0 || i === run.length - 1);
    this.draw(time);
  }

  // setLive ends the line, or begins another one where it went on meanwhile.
  setLive(isLive, now) {
    const last = this.#runs.at(-1).at(-1);
    if (this.#isLive === false && isLive && last) this.#resume(now, last.entries);
    if (isLive || this.#isLive !== null) this.#isLive = isLive;
  }

  // resume begins another line after a gap.
  #resume(time, entries) {
    const last = this.#runs.at(-1).at(-1);
    if (last) last.until = this.#end;
    this.#runs.push([{ time, entries }]);
    this.#isLive = true;
  }

  // draw draws in the next animation frame: a burst of odds once, and a hidden page not at all.
  draw(now) {
    if (!this.#isOver && this.#isLive !== false) this.#end = now;
    if (this.#isOver) this.#end = this.#points().at(-1)?.time ?? now;
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#paint();
    });
  }

  #points() {
    return this.#runs.flat();
  }

  #paint() {
    const points = this.#points();
    this.#svg.parentElement.hidden = points.length < fewest;
    const { width, height } = this.#svg.getBoundingClientRect();
    if (width === 0) return;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [first, last] = [points[0], points.at(-1)];
    const end = Math.max(this.#end, last.time, first.time + 1_000);
    const top = Math.max(...points.map(({ entries }) => entries), 1);
    const ticks = ticksOf(top);
    const left = margin.left + figureWidth * formatInteger(ticks.at(-1)).length;
    const [right, bottom] = [width - margin.right, height - margin.bottom];
    const x = (time) => left + (time - first.time) / (end - first.time) * (right - left);
    const y = (entries) => bottom - entries / ticks.at(-1) * (bottom - margin.top);
    this.#paintAxes({ ticks, left, right, x, y, start: first.time, end, baseline: height - 8 });
    this.#paintLine({ x, y, bottom, last });
    const since = timeName(first.time, end);
    this.#svg.setAttribute("aria-label", t("historySummary", { from: first.entries, to: last.entries, since }));
  }

  #paintAxes({ ticks, left, right, x, y, start, end, baseline }) {
    const middle = (start + end) / 2;
    this.#parts.grid.replaceChildren(
      ...ticks.flatMap((entries) => [rule(left, right, y(entries)), label(left - 8, y(entries) + 4, formatInteger(entries), "end")]),
      label(left, baseline, timeName(start, end), "start"),
      ...(right - left > 480 && end - start > 120_000 ? [label(x(middle), baseline, timeName(middle, end), "middle")] : []),
      label(right, baseline, this.#isOver ? timeName(end, end) : t("now"), "end"),
    );
  }

  #paintLine({ x, y, bottom, last }) {
    let [line, area] = ["", ""];
    this.#runs.forEach((run, i) => {
      if (run.length === 0) return;
      const until = i === this.#runs.length - 1 ? Math.max(this.#end, run.at(-1).time) : run.at(-1).until ?? run.at(-1).time;
      let steps = `M${x(run[0].time)} ${y(run[0].entries)}`;
      for (const { time, entries } of run.slice(1)) steps += `H${x(time)}V${y(entries)}`;
      steps += `H${x(until)}`;
      line += steps;
      area += `${steps}V${bottom}H${x(run[0].time)}Z`;
    });
    this.#parts.line.setAttribute("d", line);
    this.#parts.area.setAttribute("d", area);
    this.#parts.tip.setAttribute("cx", x(Math.max(this.#end, last.time)));
    this.#parts.tip.setAttribute("cy", y(last.entries));
  }
}

// ticksOf returns 0 and one to four round numbers, of which the last is at least top.
function ticksOf(top) {
  const least = top / 3;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = Math.max(1, power * [1, 2, 5, 10].find((factor) => power * factor >= least * 0.999));
  const ticks = [0];
  while (ticks.at(-1) < top) ticks.push(ticks.at(-1) + step);
  return ticks;
}

const timeName = (time, now) => (now - time < day / 2 ? formatMinute(time) : formatTime(time, now));

function element(name, className) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  if (className) created.setAttribute("class", className);
  return created;
}

function rule(x1, x2, y) {
  const line = element("line");
  for (const [name, value] of Object.entries({ x1, x2, y1: y, y2: y })) line.setAttribute(name, value);
  return line;
}

function label(x, y, content, anchor) {
  const created = element("text");
  for (const [name, value] of Object.entries({ x, y, "text-anchor": anchor })) created.setAttribute(name, value);
  created.textContent = content;
  return created;
}
