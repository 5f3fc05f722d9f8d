/**
 * The report of a torture run: one HTML file that needs nothing else, neither network nor server. The plots are
 * uPlot's, which goes into the file together with the numbers; `report-script.ts` draws them when the file is opened.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { brotliDecompressSync } from 'node:zlib';
import { count, duration, percent } from '../debug/reports/figures.ts';
import { REPORT_STYLE } from '../debug/reports/style.ts';
import { escaped, htmlPage } from '../page/page.ts';
import type { Outcome, Settings } from './outcome.ts';
import { REPORT_SCRIPT } from './report-script.ts';

/** From the sources the plots' files are uPlot's own; in the package they lie beside the bundle, compressed. */
async function plotFile(name: string): Promise<string> {
  if (import.meta.url.endsWith('.ts')) {
    return readFile(createRequire(import.meta.url).resolve(`uplot/dist/${name}`), 'utf8');
  }
  return brotliDecompressSync(await readFile(new URL(`./plots/${name}.br`, import.meta.url))).toString();
}

export async function reportPage(outcomes: readonly Outcome[], settings: Settings): Promise<string> {
  const plots = await plotFile('uPlot.iife.min.js');
  const plotStyle = await plotFile('uPlot.min.css');
  const failed = outcomes.filter(({ verdict }) => verdict === 'violation').length;
  const verdict = failed === 0 ? 'every lock kept its promises' : `${failed} of ${outcomes.length} broke a promise`;
  return htmlPage({
    title: `holdfast torture: ${verdict}`,
    style: `${plotStyle}${REPORT_STYLE}`,
    body: `<header>
<h1>holdfast torture</h1>
<p class="verdict ${failed === 0 ? 'ok' : 'violation'}">${verdict}</p>
<p class="settings">${settingsLine(settings)}</p>
</header>
<section>
<h2>All types</h2>
${table(outcomes)}
<div class="plot wide" id="waits"></div>
${settings.kill ? '<p>Red lines across a plot: workers were killed. A gap: a thread was away.</p>' : ''}
</section>
${outcomes.map(typeSection).join('\n')}`,
    figures: { outcomes },
    scripts: [plots, REPORT_SCRIPT],
  });
}

function settingsLine({ threads, seconds, kill, seed }: Settings): string {
  const deaths = kill ? 'workers killed at random after the first quarter of the time' : 'no worker killed';
  const parts = [
    `${threads} threads`,
    `${duration(seconds * 1e9)} for each type`,
    deaths,
    `seed ${seed}`,
    `Node ${process.version}`,
    `${process.platform} ${process.arch}`,
  ];
  return parts.map(escaped).join(' · ');
}

const COLUMNS: readonly (readonly [string, (outcome: Outcome) => string])[] = [
  ['acquisitions/s', ({ perSecond }) => count(perSecond)],
  ['least served', ({ leastShare }) => percent(leastShare)],
  ['most served', ({ mostShare }) => percent(mostShare)],
  ['wait p50', ({ wait }) => duration(wait.p50)],
  ['p99', ({ wait }) => duration(wait.p99)],
  ['max', ({ wait }) => duration(wait.max)],
  ['hold p50', ({ hold }) => duration(hold.p50)],
  ['p99', ({ hold }) => duration(hold.p99)],
  ['contended', ({ contended }) => percent(contended)],
  ['parks', ({ parks }) => count(parks)],
  ['handoffs', ({ handoffs }) => count(handoffs)],
  ['kills', ({ kills }) => count(kills)],
  ['recovered', ({ recoveries }) => count(recoveries)],
];

function table(outcomes: readonly Outcome[]): string {
  const head = ['type', ...COLUMNS.map(([title]) => title), 'verdict'].map((title) => `<th>${title}</th>`).join('');
  const rows = outcomes.map((outcome) => {
    const cells = COLUMNS.map(([, cell]) => `<td>${cell(outcome)}</td>`).join('');
    return `<tr><th><a href="#${outcome.type}">${escaped(outcome.type)}</a></th>${cells}<td>${badge(outcome)}</td></tr>`;
  });
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function typeSection(outcome: Outcome): string {
  const { type, violations, acquisitions, threads, seconds } = outcome;
  const total = (field: 'timeouts' | 'aborts' | 'busy' | 'deadlocks') =>
    count(threads.reduce((sum, thread) => sum + thread[field], 0));
  const violationList = violations.map((text) => `<li>${escaped(text)}</li>`).join('');
  return `<section class="type" id="${type}">
<h2>${escaped(type)} ${badge(outcome)}</h2>
<p>${count(acquisitions)} acquisitions in ${seconds.toFixed(1)} s; ${total('busy')} attempts gave up, ${total('timeouts')} timed out,
${total('aborts')} were aborted, ${total('deadlocks')} were refused as deadlocks.</p>
${violations.length > 0 ? `<ul class="violations">${violationList}</ul>` : ''}
<div class="plots">
<div class="plot" data-plot="tail"></div>
<div class="plot" data-plot="throughput"></div>
<div class="plot" data-plot="fairness"></div>
</div>
</section>`;
}

function badge({ verdict }: Outcome): string {
  return `<span class="badge ${verdict}">${verdict}</span>`;
}
