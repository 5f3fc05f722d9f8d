/**
 * A trace as a page without a network: each thread with what it did when, and on top how many calls waited and how many work items were under
 * way at a time, and of these how many were not asleep: those have slots.
 */
import { escaped, htmlPage } from '../../page/page.ts';
import { type Counter, type Slice, type Track, timelineOf } from './perfetto/timeline.ts';
import type { Trace } from './read.ts';

/** Slices in the page; where there are more, the shortest are left out. */
const MOST_SLICES = 20_000;
/** Of the picture, px. */
const WIDTH = 1120;
const LABEL = 190;
const ROW = 18;

const STYLE = `
svg { width: 100%; font-size: 11px; } svg text { fill: var(--ink); } rect.band { fill: var(--soft); } rect.slice { stroke: var(--paper); stroke-width: .3; }
polygon { fill: var(--accent); opacity: .55; }`;

export function timelinePage(trace: Trace): string {
  const { tracks, slices, counters } = timelineOf(trace);
  const ends = slices.flatMap(({ begin, end }) => [begin, end]).filter(Number.isFinite);
  const last = ends.reduce((a, b) => Math.max(a, b), 0);
  const first = ends.reduce((a, b) => Math.min(a, b), last);
  const length = ({ begin, end }: Slice) => Math.min(end, last) - begin;
  const shown = slices.toSorted((a, b) => length(b) - length(a)).slice(0, MOST_SLICES);
  const x = (time: number) => LABEL + ((Math.min(time, last) - first) / (last - first || 1)) * (WIDTH - LABEL);
  const rows = [
    ...[...counters, awakeOf(slices)].map((counter) => ({ name: counter.name, picture: area(counter, x, last) })),
    ...rowsOf(tracks, shown, x),
  ];
  const picture = rows.map(({ name, picture }, i) => row(name, picture, i)).join('\n');
  const left = slices.length - shown.length;
  return htmlPage({
    title: 'holdfast: timeline',
    style: STYLE,
    body: `<h1>Timeline</h1>
<p>${trace.threads.length} threads, ${slices.length} slices in ${((last - first) / 1e6).toFixed(1)} ms${left > 0 ? `; ${left} short ones are left out` : ''}. Point at one to read what it is.</p>
<svg viewBox="0 0 ${WIDTH} ${rows.length * ROW}" role="img">${picture}</svg>`,
  });
}

/** A thread's tracks are below it, in the order in which they were made. Tracks without slices are left out. */
function rowsOf(tracks: readonly Track[], slices: readonly Slice[], x: (time: number) => number) {
  const byTrack = new Map<Track, Slice[]>();
  for (const slice of slices) {
    const others = byTrack.get(slice.track);
    if (others === undefined) byTrack.set(slice.track, [slice]);
    else others.push(slice);
  }
  const order = (track: Track) => track.thread ?? Number.MAX_SAFE_INTEGER;
  const used = tracks.filter((track) => byTrack.has(track) || track.isThread);
  return used
    .toSorted((a, b) => order(a) - order(b) || Number(b.isThread) - Number(a.isThread))
    .map((track) => ({
      name: track.isThread ? track.name : `\u00a0 ${track.name}`,
      // The longest first: what lies inside it is in front.
      picture: (byTrack.get(track) ?? []).map((slice) => bar(slice, x)).join(''),
    }));
}

/** How many work items are not asleep at a time. Those that await something are not told from those that run. */
function awakeOf(slices: readonly Slice[]): Counter {
  const items = slices.filter(({ track }) => !track.isThread && track.name.startsWith('work items'));
  const sleeps = slices.filter(({ name }) => name === 'sleep');
  /** When the last of those ends that a thread has begun. */
  const ends = new Map<number | undefined, number>();
  const changes: { readonly time: number; readonly by: number }[] = [];
  for (const slice of [...items, ...sleeps].sort((a, b) => a.begin - b.begin)) {
    const { name, begin, end } = slice;
    const { thread } = slice.track;
    const last = ends.get(thread) ?? 0;
    const by = name === 'sleep' ? -1 : 1;
    if (by > 0) ends.set(thread, Math.max(last, end));
    else if (begin >= last) continue;
    changes.push({ time: begin, by }, { time: end, by: -by });
  }
  let value = 0;
  const known = changes.filter(({ time }) => Number.isFinite(time)).sort((a, b) => a.time - b.time);
  return { name: 'of these not asleep', values: known.map(({ time, by }) => ({ time, value: (value += by) })) };
}

function row(name: string, picture: string, index: number): string {
  const band = index % 2 === 0 ? `<rect class="band" width="${WIDTH}" height="${ROW}"/>` : '';
  return `<g transform="translate(0 ${index * ROW})">${band}<text x="4" y="13">${escaped(name)}</text>${picture}</g>`;
}

function bar({ name, begin, end, notes }: Slice, x: (time: number) => number): string {
  const took = Number.isFinite(end) ? `${((end - begin) / 1e3).toFixed(0)} us` : 'not over';
  const text = [`${name}: ${took}`, ...Object.entries(notes).map(([note, value]) => `${note}: ${value}`)].join('\n');
  const width = Math.max(x(end) - x(begin), 0.4).toFixed(1);
  return `<rect class="slice" x="${x(begin).toFixed(1)}" y="2" width="${width}" height="14" fill="hsl(${hueOf(name)} 55% 55%)"><title>${escaped(text)}</title></rect>`;
}

/** The same name has the same colour in every page. */
function hueOf(name: string): number {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) | 0;
  return Math.abs(hash) % 360;
}

function area({ values }: Counter, x: (time: number) => number, last: number): string {
  const most = values.reduce((a, { value }) => Math.max(a, value), 0);
  if (most === 0) return '';
  const y = (value: number) => (ROW - 2 - (value / most) * (ROW - 4)).toFixed(1);
  const points: string[] = [];
  let before = 0;
  for (const { time, value } of [...values, { time: last, value: 0 }]) {
    points.push(`${x(time).toFixed(1)},${y(before)} ${x(time).toFixed(1)},${y(value)}`);
    before = value;
  }
  return `<polygon points="${points.join(' ')}"><title>at most ${most}</title></polygon>`;
}
