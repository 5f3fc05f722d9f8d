/** A page that shows published measurements beside those of the machine: a row of two marks for each figure. */
import { escaped, htmlPage } from '../../lib/page/page.ts';
import { type ExperimentOutcome, type ExperimentRow, titleOf } from './experiments.ts';

const STYLE = `
svg { max-width: 100%; }
text { font-size: 12px; fill: var(--ink); }
.axis { stroke: var(--line); }
.apart { stroke: var(--faint); stroke-width: 2; }
.published { fill: var(--paper); stroke: var(--ink); stroke-width: 1.5; }
.simulated { fill: var(--accent); }
.far { fill: var(--bad); }
`;
const WIDTH = 1000;
const ROW = 20;
const LEFT = 260;
const RIGHT = 90;
const TOP = 26;
/** Farther from the published figure than this, either way, a mark has another colour. */
const FAR = 1.3;

export function experimentReport(outcomes: readonly ExperimentOutcome[]): string {
  return htmlPage({
    title: 'holdfast sim: published measurements',
    style: STYLE,
    body: `<h1>Published measurements and the simulated machine</h1>
<p>An empty circle is the published figure, a full one the simulated; red where they are more than 30 % apart.</p>
${outcomes.map(section).join('\n')}`,
  });
}

function section({ name, source, unit, rows }: ExperimentOutcome): string {
  return `<h2>${escaped(name)}</h2><p>${escaped(source)}; ${escaped(unit)}</p>
${plot(rows)}`;
}

/** Figures on a logarithmic axis, because those of one measurement lie as far apart as 1 and 10,000. */
function plot(rows: readonly ExperimentRow[]): string {
  const values = rows.flatMap(({ published, simulated }) => [published, simulated]).filter((value) => value > 0);
  const decades = values.map(Math.log10);
  const least = Math.floor(Math.min(...decades));
  const most = Math.max(least + 1, Math.ceil(Math.max(...decades)));
  // A run in which nobody got in stands at the left end.
  const x = (value: number) =>
    (LEFT + ((Math.log10(Math.max(value, 10 ** least)) - least) / (most - least)) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const height = TOP + ROW * rows.length + 6;
  const axis = Array.from({ length: most - least + 1 }, (_, at) => {
    const value = 10 ** (least + at);
    return `<line class="axis" x1="${x(value)}" x2="${x(value)}" y1="${TOP - 6}" y2="${height}"/>
<text x="${x(value)}" y="12" text-anchor="middle">${Number(value.toPrecision(1)).toLocaleString('en', { maximumSignificantDigits: 1 })}</text>`;
  });
  const marks = rows.map((row, at) => {
    const { cores, published, simulated, ratio, isReference } = row;
    const y = TOP + ROW * at + ROW / 2;
    const isFar = !(Math.max(ratio, 1 / ratio) <= FAR);
    return `<text x="${LEFT - 12}" y="${y + 4}" text-anchor="end">${escaped(titleOf(row))}, ${cores}</text>
<line class="apart" x1="${x(published)}" x2="${x(simulated)}" y1="${y}" y2="${y}"/>
<circle class="published" cx="${x(published)}" cy="${y}" r="5"/>
<circle class="simulated${isFar ? ' far' : ''}" cx="${x(simulated)}" cy="${y}" r="4"/>
<text x="${WIDTH - RIGHT + 14}" y="${y + 4}">${isReference ? 'reference' : `x ${ratio.toFixed(2)}`}</text>`;
  });
  return `<svg width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="lock and cores, published and simulated">
${axis.join('')}${marks.join('\n')}</svg>`;
}
