// A member's own chance of at least one prize. The formulas, and where they come from,
// stand in services/draw/chance; this is the same calculation.

// ownChance returns the chance, from 0 to 1, of a member with so many entries, which are
// among those of odds. odds is an event's object: rule, winners, entries, and holders, which
// says how many members have how many entries.
export function ownChance({ rule, winners, entries, holders }, myEntries) {
  if (!(myEntries > 0)) return 0;
  if (rule !== "MEMBER_WINS_ONCE" || !holders) return entryWins(entries, winners, myEntries);
  if (holders.length === 1 && holders[0].entries === myEntries) return entryWins(holders[0].members, winners, 1); // all are alike
  return memberWinsOnce(moved(holders, myEntries, -1), winners, myEntries);
}

// nextChance returns the chance that the member will have with one entry more, if nobody
// else enters.
export function nextChance(odds, myEntries) {
  const { entries, holders } = odds;
  const after = holders && moved(myEntries > 0 ? moved(holders, myEntries, -1) : holders, myEntries + 1, 1);
  return ownChance({ ...odds, entries: entries + 1, holders: after }, myEntries + 1);
}

// moved returns holders with one member more or less in the class of a number of entries.
function moved(holders, entries, members) {
  const same = holders.find((one) => one.entries === entries);
  const count = (same?.members ?? 0) + members;
  if (count < 0) throw new RangeError(`the holders have no member with ${entries} entries`);
  return [...holders.filter((one) => one !== same), { entries, members: count }];
}

function entryWins(n, w, k) {
  if (k + w > n) return 1;
  let sum = 0;
  for (let j = 0; j < Math.min(k, w); j++) sum += Math.log1p(-Math.max(k, w) / (n - j));
  return -Math.expm1(sum);
}

const negligible = 1e-18;

function memberWinsOnce(others, w, k) {
  if (w === 0) return 0;
  if (w > others.reduce((sum, { members }) => sum + members, 0)) return 1;
  const end = -Math.log(negligible) / k;
  const fewer = (t) => fewerThan(w, others, t);
  const [from] = bisect(end, (t) => fewer(t) >= 1 - negligible);
  const [, to] = bisect(end, (t) => fewer(t) >= negligible);
  const integral = adaptive((t) => k * Math.exp(-k * t) * fewer(t), from, to);
  return Math.min(1, -Math.expm1(-k * from) + integral);
}

// bisect returns times between which ok, which is true at first, becomes false.
function bisect(end, ok) {
  let [below, above] = [0, end];
  for (let i = 0; i < 64 && above - below >= below / 16; i++) {
    const middle = (below + above) / 2;
    if (ok(middle)) below = middle;
    else above = middle;
  }
  return [below, above];
}

// fewerThan returns the probability that fewer than w of the others have rung by t.
function fewerThan(w, classes, t) {
  let [mean, variance, members] = [0, 0, 0];
  for (const { entries, members: m } of classes) {
    const p = -Math.expm1(-entries * t);
    members += m;
    mean += m * p;
    variance += m * p * (1 - p);
  }
  const tail = -Math.log(negligible / 2);
  const reach = tail / 3 + Math.sqrt((tail * tail) / 9 + 2 * tail * variance);
  const low = Math.max(0, Math.floor(mean - reach));
  const high = Math.min(members, Math.ceil(mean + reach));
  if (w <= low) return 0;
  if (w > high) return 1;
  const length = high - low + 1;
  const below = w - low;
  let sum = below;
  for (let l = 1; 2 * l <= length; l++) {
    const theta = (2 * Math.PI * l) / length;
    let [size, angle] = characteristic(classes, t, theta);
    if (size < Math.log(negligible) - 10) break; // sizes fall with theta
    angle -= theta * (low + (below - 1) / 2);
    const term = (Math.exp(size) * Math.cos(angle) * Math.sin((theta * below) / 2)) / Math.sin(theta / 2);
    sum += 2 * l < length ? 2 * term : term;
  }
  return Math.min(1, Math.max(0, sum / length));
}

function characteristic(classes, t, theta) {
  const [sin, cos, half] = [Math.sin(theta), Math.cos(theta), Math.sin(theta / 2)];
  let [size, angle] = [0, 0];
  for (const { entries, members: m } of classes) {
    const q = Math.exp(-entries * t);
    const p = -Math.expm1(-entries * t);
    size += (m / 2) * Math.log1p(-4 * p * q * half * half);
    angle += m * Math.atan2(p * sin, q + p * cos);
  }
  return [size, angle];
}

function adaptive(f, a, b) {
  const whole = gauss(f, a, b);
  const tolerance = 1e-10 * whole;
  const refine = (from, to, coarse, depth) => {
    const middle = (from + to) / 2;
    const [left, right] = [gauss(f, from, middle), gauss(f, middle, to)];
    if (depth === 0 || Math.abs(left + right - coarse) <= tolerance) return left + right;
    return refine(from, middle, left, depth - 1) + refine(middle, to, right, depth - 1);
  };
  return refine(a, b, whole, 12);
}

// nodes are the positive nodes of the Gauss–Legendre rule of 20 points on -1 to 1, and their
// weights (Abramowitz and Stegun, table 25.4).
const nodes = [
  [0.9931285991850949, 0.017614007139152118],
  [0.9639719272779138, 0.04060142980038694],
  [0.912234428251326, 0.06267204833410907],
  [0.8391169718222188, 0.08327674157670475],
  [0.7463319064601508, 0.10193011981724044],
  [0.636053680726515, 0.11819453196151841],
  [0.5108670019508271, 0.13168863844917664],
  [0.37370608871541955, 0.14209610931838204],
  [0.22778585114164507, 0.14917298647260374],
  [0.07652652113349734, 0.15275338713072584],
];

function gauss(f, a, b) {
  const [middle, half] = [(a + b) / 2, (b - a) / 2];
  let sum = 0;
  for (const [x, weight] of nodes) sum += weight * (f(middle - half * x) + f(middle + half * x));
  return half * sum;
}
