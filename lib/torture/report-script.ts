/** Draws the plots, in the browser that opens the report: plain JavaScript, kept as text. */
export const REPORT_SCRIPT = `
const outcomes = JSON.parse(document.getElementById('outcomes').textContent);
// By day and by night; none is the red of the kills.
const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
const COLORS = isDark
  ? ['#6ea8fe', '#f5a65b', '#5ccb8a', '#c9a6ff', '#4fd1e0', '#e0c04f', '#ff8fc7', '#b0bac6']
  : ['#2563b8', '#d9730d', '#15803d', '#7c3aed', '#0e7490', '#a16207', '#be185d', '#5d6776'];
const color = (i) => COLORS[i % COLORS.length];
const look = getComputedStyle(document.documentElement);
const FAINT = look.getPropertyValue('--faint');
const LINE = look.getPropertyValue('--line');
const BAD = look.getPropertyValue('--bad');

function duration(ns) {
  if (ns == null) return '';
  for (const [unit, size] of [['s', 1e9], ['ms', 1e6], ['µs', 1e3]]) {
    if (ns >= size) return Number((ns / size).toPrecision(2)) + ' ' + unit;
  }
  return Math.round(ns) + ' ns';
}
function rate(n) {
  if (n == null) return '';
  if (n >= 1e6) return Number((n / 1e6).toPrecision(3)) + 'M';
  return n >= 1e3 ? Number((n / 1e3).toPrecision(3)) + 'k' : String(Math.round(n));
}
const share = (n) => (n == null ? '' : Number((n * 100).toPrecision(2)) + '%');
const powers = (format) => (u, splits) => splits.map((v) => (Math.abs(Math.log10(v) % 1) < 1e-9 ? format(v) : ''));

const axis = (label, values, size) => ({
  label, labelSize: 18, labelFont: '12px system-ui', font: '11px system-ui', stroke: FAINT, size, values,
  grid: { stroke: LINE, width: 1 }, ticks: { stroke: LINE, width: 1, size: 4 },
});
const everyTen = (u, i, min, max) => {
  const splits = [];
  for (let e = Math.floor(Math.log10(min)); e <= Math.ceil(Math.log10(max)); e++) splits.push(10 ** e);
  return splits;
};

// Share of waits that were longer than t; both axes logarithmic.
function tails(element, title, curves, height) {
  const tables = curves.map(({ points }) => [points.map(([t]) => t), points.map(([, longer]) => longer)]);
  const aligned = uPlot.join(tables);
  return new uPlot({
    title, width: element.clientWidth, height, legend: { show: curves.length > 1, live: false }, cursor: { y: false },
    scales: {
      x: { time: false, distr: 3, range: (u, min, max) => [10 ** Math.floor(Math.log10(Math.max(1, min))), 10 ** Math.ceil(Math.log10(max))] },
      y: { distr: 3, range: (u, min) => [10 ** Math.floor(Math.log10(min)), 1] },
    },
    axes: [
      { ...axis('waited longer than', powers(duration), 30), splits: everyTen },
      { ...axis('share of acquisitions', powers(share), 62), splits: everyTen },
    ],
    series: [{}, ...curves.map(({ name, stroke }) => ({
      label: name, stroke, width: 1.75, points: { show: false }, spanGaps: true,
    }))],
  }, aligned, element);
}

// One line a thread over time; red lines across where workers were killed, behind the others.
function overTime(element, title, outcome, values, format, range) {
  const { samples, threads } = outcome;
  if (samples.length < 2) { element.innerHTML = '<p>The run was too short for a plot over time.</p>'; return; }
  const marks = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.strokeStyle = BAD;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    for (let i = 1; i < samples.length; i++) {
      if (samples[i].kills === samples[i - 1].kills) continue;
      const x = u.valToPos(samples[i].at, 'x', true);
      const foot = bbox.top + bbox.height;
      for (const [alpha, from] of [[0.3, bbox.top], [1, foot - 10 * devicePixelRatio]]) {
        ctx.globalAlpha = alpha;
        ctx.beginPath();
        ctx.moveTo(x, from);
        ctx.lineTo(x, foot);
        ctx.stroke();
      }
    }
    ctx.restore();
  };
  return new uPlot({
    title, width: element.clientWidth, height: 250, legend: { show: threads.length <= 8, live: false }, cursor: { y: false },
    scales: { x: { time: false }, y: { range } },
    axes: [axis('s', undefined, 30), axis('', (u, splits) => splits.map(format), 50)].map((a, i) => (i ? { ...a, label: undefined } : a)),
    series: [{}, ...threads.map((_, i) => ({ label: 'thread ' + i, stroke: color(i), width: 1.25, points: { show: false } }))],
    hooks: { drawAxes: [marks] },
  }, values, element);
}

function intervals({ samples, threads }) {
  const at = samples.slice(1).map((sample) => sample.at);
  // null: the thread was away, and nothing of its has been counted.
  const gained = threads.map((_, t) => samples.slice(1).map((s, i) => {
    const count = s.acquisitions[t] - samples[i].acquisitions[t];
    return count === 0 && (s.absent.includes(t) || samples[i].absent.includes(t)) ? null : count;
  }));
  const lengths = samples.slice(1).map((s, i) => s.at - samples[i].at);
  return { at, gained, lengths };
}

const withWaits = outcomes.filter((outcome) => outcome.waitCurve.length > 1);
if (withWaits.length > 0) {
  tails(document.getElementById('waits'), 'How long acquisitions waited', withWaits.map((outcome) => ({
    name: outcome.type, points: outcome.waitCurve, stroke: color(outcomes.indexOf(outcome)),
  })), 320);
}
for (const [i, outcome] of outcomes.entries()) {
  const plot = (name) => document.querySelector('[id="' + outcome.type + '"] [data-plot=' + name + ']');
  if (outcome.waitCurve.length > 1) {
    tails(plot('tail'), 'Wait', [{ name: outcome.type, points: outcome.waitCurve, stroke: color(i) }], 250);
  }
  const { at, gained, lengths } = intervals(outcome);
  const perSecond = gained.map((counts) => counts.map((n, k) => (n === null ? null : n / lengths[k])));
  overTime(plot('throughput'), 'Acquisitions a second, by thread', outcome, [at, ...perSecond], rate, (u, min, max) => [0, Math.max(1, max * 1.05)]);
  const totals = at.map((_, k) => gained.reduce((sum, counts) => sum + counts[k], 0));
  const shares = gained.map((counts) => counts.map((n, k) => (totals[k] === 0 || n === null ? null : n / totals[k])));
  overTime(plot('fairness'), 'Share of all acquisitions, by thread', outcome, [at, ...shares], share, () => [0, 1]);
}
`;
