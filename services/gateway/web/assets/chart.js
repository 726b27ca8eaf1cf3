import { formatClock, formatClockShort, formatOdds, formatPercent, text } from "./text.js";

// More points than these can't be seen apart on a screen.
const maxPoints = 600;

const margin = { top: 14, right: 14, bottom: 26, left: 16 };
// The least time that the width stands for, in milliseconds, so that the first moments are
// not stretched over all of it.
const shortest = 10_000;

// Width in pixels of a digit of an axis label, at the size in the style sheet.
const figureWidth = 7.5;

// Width in pixels of a label of the time axis, with the space around it.
const labelRoom = 96;

const timeSteps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400].map((s) => s * 1000);

// Chart draws the odds since the page was opened, as steps: odds hold until the next entry.
export class Chart {
  #svg;
  #points = [];
  #changes = 0;
  #last = null;
  #stoppedAt = null;
  #grid = element("g", "grid");
  #area = element("path", "area");
  #line = element("path", "line");
  #tip = element("circle", "tip");
  #scheduled = false;

  constructor(svg) {
    this.#svg = svg;
    this.#tip.setAttribute("r", "4.5");
    svg.replaceChildren(this.#grid, this.#area, this.#line);
    new ResizeObserver(() => this.draw()).observe(svg);
    this.describe();
  }

  // add adds odds, in percent, at the time of the viewer's own clock.
  add(percent) {
    if (percent === null || percent === this.#last) return;
    if (this.#last !== null) this.#changes++;
    this.#last = percent;
    this.#points.push({ time: Date.now(), percent });
    if (this.#points.length > maxPoints) this.#thin();
    this.draw();
  }

  // stop ends the line at this moment, since the odds are final.
  stop() {
    this.#stoppedAt ??= Date.now();
    this.draw();
  }

  // thin drops every second point but keeps both ends, to make room for new points.
  #thin() {
    const end = this.#points.length - 1;
    this.#points = this.#points.filter((_, i) => i % 2 === 0 || i === end);
  }

  // describe updates the text alternative. It does not change between calls, so that a screen
  // reader can finish it.
  describe() {
    const [first] = this.#points;
    const summary = () => {
      const since = formatClockShort(first.time);
      return text.historySummary(formatOdds(first.percent), formatOdds(this.#last), since, this.#changes);
    };
    this.#svg.setAttribute("aria-label", first ? summary() : text.historyEmpty);
  }

  // draw draws in the next animation frame: a burst of odds once, and a hidden page not at all.
  draw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#paint();
    });
  }

  #paint() {
    const { width, height } = this.#svg.getBoundingClientRect();
    if (width === 0) return;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (this.#points.length === 0) {
      this.#grid.replaceChildren(label(width / 2, height / 2, text.historyEmpty, "middle"));
      return;
    }
    const frame = this.#frame(width, height);
    this.#paintAxes(frame);
    this.#paintLine(frame);
  }

  // frame returns the edges of the plot, its ticks, and the functions x(time) and y(percent).
  #frame(width, height) {
    const start = this.#points[0].time;
    const now = this.#stoppedAt ?? Date.now();
    const end = Math.max(now, start + shortest);
    const scale = percentScale(this.#points.map(({ percent }) => percent));
    const names = scale.ticks.map((percent) => formatPercent(percent, scale.digits));
    const left = margin.left + figureWidth * Math.max(...names.map((name) => name.length));
    const right = width - margin.right;
    const bottom = height - margin.bottom;
    const x = (time) => left + (time - start) / (end - start) * (right - left);
    const y = (percent) => bottom - (percent - scale.low) / (scale.high - scale.low) * (bottom - margin.top);
    return { start, now, end, left, right, bottom, baseline: height - 6, x, y, ticks: scale.ticks, names };
  }

  #paintAxes({ start, now, end, left, right, baseline, x, y, ticks, names }) {
    const timeLabel = (time, name) => {
      const at = x(time);
      const anchor = at - left < labelRoom / 2 ? "start" : right - at < labelRoom / 2 ? "end" : "middle";
      return label(at, baseline, name, anchor);
    };
    this.#grid.replaceChildren(
      ...ticks.flatMap((percent, i) => [
        rule(left, right, y(percent)),
        label(left - 8, y(percent) + 4, names[i], "end"),
      ]),
      // None of them may overlap the label of the present, which matters most.
      ...timeTicks(start, end, Math.max(2, Math.floor((right - left) / 130)))
        .filter(({ time }) => x(now) - x(time) > labelRoom)
        .map(({ time, name }) => timeLabel(time, name)),
      timeLabel(now, this.#stoppedAt ? formatClock(now) : text.now),
    );
  }

  #paintLine({ start, now, left, bottom, x, y }) {
    let steps = `M${x(start)} ${y(this.#points[0].percent)}`;
    for (const { time, percent } of this.#points.slice(1)) steps += `H${x(time)}V${y(percent)}`;
    steps += `H${x(now)}`;
    this.#line.setAttribute("d", steps);
    this.#area.setAttribute("d", `${steps}V${bottom}H${left}Z`);
    this.#tip.setAttribute("cx", x(now));
    this.#tip.setAttribute("cy", y(this.#last));
    this.#svg.append(this.#tip);
  }
}

// percentScale returns a scale that spans the values with some room, and has three to five
// round ticks.
function percentScale(values) {
  const min = Math.min(...values);
  const max = Math.max(...values);
  // Without a change so far the axis still needs an extent.
  const span = max - min || max * 0.2;
  const step = roundStep(span / 3);
  const low = Math.max(0, Math.floor((min - span * 0.05) / step) * step);
  const high = Math.min(100, Math.ceil((max + span * 0.05) / step) * step);
  const ticks = [];
  for (let i = 0; low + i * step <= high + step / 1e6; i++) ticks.push(low + i * step);
  return { low, high, ticks, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

// roundStep returns the least of 1, 2 or 5 times a power of ten that is at least atLeast.
function roundStep(atLeast) {
  const power = 10 ** Math.floor(Math.log10(atLeast));
  return power * [1, 2, 5, 10].find((factor) => power * factor >= atLeast * 0.999);
}

// timeTicks returns the start and then round times of the viewer's clock, about count of them.
function timeTicks(start, end, count) {
  const step = timeSteps.find((candidate) => (end - start) / candidate <= count) ?? timeSteps.at(-1);
  const name = step < 60_000 ? formatClock : formatClockShort;
  const zone = new Date(start).getTimezoneOffset() * 60_000;
  const ticks = [{ time: start, name: name(start) }];
  for (let time = Math.ceil((start - zone) / step) * step + zone; time < end; time += step) {
    // A label so close to the start's would overlap it.
    if (time - start > step * 0.75) ticks.push({ time, name: name(time) });
  }
  return ticks;
}

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
