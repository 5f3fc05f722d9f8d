/** A page with plots of runs over cores: one HTML file that needs nothing else. */
import { escaped, htmlPage } from '../../lib/page/page.ts';
import type { RunResult } from './laboratory.ts';

const COLOURS = ['#0b6e99', '#c2410c', '#15803d', '#7e22ce', '#b91c1c', '#a16207', '#0f766e', '#475569'];
const REPORT_STYLE = `
body { max-width: 1440px; }
figure { display: inline-block; margin: 0 14px 14px 0; max-width: 100%; overflow-x: auto; }
figcaption { font-weight: 600; }
text { font-size: 12px; fill: var(--ink); }
line { stroke: var(--line); }
`;
const WIDTH = 640;
const HEIGHT = 320;
const MARGIN = { left: 64, right: 130, top: 16, bottom: 36 };

interface Series {
  name: string;
  points: readonly (readonly [number, number])[];
}

export function simReport(results: readonly RunResult[]): string {
  const plots = [
    plot(
      'acquisitions a microsecond',
      seriesOf(results, ({ throughput }) => throughput / 1e6),
    ),
    plot(
      'hand-over, ns',
      seriesOf(results, ({ handoverNs }) => handoverNs),
    ),
    plot(
      'Jain index',
      seriesOf(results, ({ jain }) => jain),
    ),
    plot(
      'messages an acquisition',
      seriesOf(results, ({ messagesPerAcquisition }) => messagesPerAcquisition),
    ),
  ];
  const machine = results[0]?.profile ?? '';
  return htmlPage({
    title: `holdfast sim: ${machine}`,
    style: REPORT_STYLE,
    body: `<h1>holdfast sim: ${escaped(machine)}</h1>
${plots.join('\n')}
${tableOf(results)}`,
  });
}

function seriesOf(results: readonly RunResult[], value: (result: RunResult) => number | null): Series[] {
  return [...new Set(results.map(({ lock }) => lock))].map((name) => ({
    name,
    points: results
      .filter(({ lock }) => lock === name)
      .flatMap((result): [number, number][] => {
        const y = value(result);
        return y === null ? [] : [[result.cores, y]];
      })
      .sort((a, b) => a[0] - b[0]),
  }));
}

/** Cores on a logarithmic axis, from 1. */
function plot(title: string, series: readonly Series[]): string {
  const all = series.flatMap(({ points }) => points);
  const mostCores = Math.max(2, ...all.map(([cores]) => cores));
  const most = Math.max(Number.MIN_VALUE, ...all.map(([, y]) => y));
  const across = WIDTH - MARGIN.left - MARGIN.right;
  const down = HEIGHT - MARGIN.top - MARGIN.bottom;
  const x = (cores: number) => MARGIN.left + (Math.log2(cores) / Math.log2(mostCores)) * across;
  const y = (value: number) => MARGIN.top + down * (1 - value / most);
  const lines = series.map(({ name, points }, at) => {
    const colour = COLOURS[at % COLOURS.length]!;
    const path = points.map(([cores, value]) => `${x(cores).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
    const legend = MARGIN.top + 16 * at + 8;
    return `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${path}"/>
<text x="${WIDTH - MARGIN.right + 12}" y="${legend}" style="fill: ${colour}">${escaped(name)}</text>`;
  });
  const cores = [...new Set(all.map(([count]) => count))].map(
    (count) => `<text x="${x(count).toFixed(1)}" y="${HEIGHT - 14}" text-anchor="middle">${count}</text>`,
  );
  const values = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = y(part * most).toFixed(1);
    return `<line x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${at}" y2="${at}"/>
<text x="${MARGIN.left - 6}" y="${at}" text-anchor="end" dominant-baseline="middle">${short(part * most)}</text>`;
  });
  return `<figure><figcaption>${title}, by cores</figcaption><svg width="${WIDTH}" height="${HEIGHT}" role="img">
${values.join('')}${cores.join('')}${lines.join('')}</svg></figure>`;
}

function tableOf(results: readonly RunResult[]): string {
  const rows = results.map((result) => {
    const cells = [
      result.cores,
      result.threads,
      short(result.throughput / 1e6),
      result.handoverNs === null ? '-' : short(result.handoverNs),
      short(result.latencyNs.p99),
      short(result.jain),
      short(result.messagesPerAcquisition),
    ];
    return `<tr><th>${escaped(result.lock)}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  const titles = ['lock', 'cores', 'threads', 'per us', 'hand-over ns', 'wait p99 ns', 'Jain', 'messages'];
  return `<table><tr>${titles.map((title) => `<th>${title}</th>`).join('')}</tr>${rows.join('')}</table>`;
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
