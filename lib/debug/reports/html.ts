/**
 * The report of a contention profile: one HTML file that needs nothing else, neither network nor server. It has no
 * script either: all of it is in the page as it is written.
 */

import { escaped, htmlPage } from '../../page/page.ts';
import { bucketStart } from '../profile/histogram.ts';
import {
  acquisitionsOf,
  type ContentionProfile,
  contentionsOf,
  type LockContention,
  type StackContention,
  totalOf,
  type WaitTimes,
} from '../profile/read.ts';
import type { HeldTimes } from '../profile/read-holds.ts';
import { count, duration, percent } from './figures.ts';
import { REPORT_STYLE } from './style.ts';
import { frameText, placesOf } from './terminal.ts';

const MOST_PLACES = 40;
const MOST_PAIRS = 40;

export const PROFILE_STYLE = `
.bar { background: var(--line); border-radius: 2px; font-size: 11px; text-align: left; text-indent: 4px; white-space: nowrap; }
.histogram { display: flex; align-items: flex-end; height: 60px; gap: 1px; }
.histogram div { background: #2563b8; flex: 1; min-height: 0; }
.async div { background: #d9730d; }
.scale { display: flex; justify-content: space-between; color: var(--faint); font-size: 11px; }
.histograms { display: grid; grid-template-columns: repeat(2, 1fr); gap: 14px; max-width: 900px; }
details { border-top: 1px solid var(--line); padding: 8px 0; }
summary { cursor: pointer; font-weight: 600; }
pre { margin: 6px 0 2px 18px; font: 12px/1.5 ui-monospace, Menlo, Consolas, monospace; overflow-x: auto; }
td.share { width: 160px; }
`;

export function profilePage(profile: ContentionProfile): string {
  const waited = profile.locks.filter((lock) => contentionsOf(lock) > 0);
  const locks = waited.filter(({ event }) => !event);
  const events = waited.filter(({ event }) => event);
  const held = profile.locks.filter((lock) => acquisitionsOf(lock) > 0);
  const [first] = locks;
  const verdict = first === undefined ? 'no lock was waited for' : `${first.lock} costs most`;
  const all = count(locks.reduce((sum, { sync, async }) => sum + sync.contentions + async.contentions, 0));
  return htmlPage({
    title: `holdfast profile: ${verdict}`,
    style: `${REPORT_STYLE}${PROFILE_STYLE}`,
    body: `<header>
<h1>holdfast profile</h1>
<p class="verdict">${escaped(verdict)}</p>
<p class="settings">${escaped(`${profile.startedAt} · ${duration(profile.duration)} · ${all} waits for locks`)}</p>
${notes(profile)}
</header>
${reportsSection(profile)}
<section>
<h2>Locks</h2>
${locksTable(locks)}
</section>
${events.length === 0 ? '' : `<section><h2>Waits until something happens</h2>${locksTable(events)}</section>`}
${held.length === 0 ? '' : `<section><h2>Locks that were held</h2>${heldTable(held)}</section>`}
<section>
<h2>Where</h2>
<p>Estimated from samples: a wait of 100 µs or more is always one, a shorter one in proportion.</p>
${places(profile.stacks, 'waits for')}
</section>
<section>
<h2>What they waited for ended at</h2>
<p>The places that gave a lock back while others slept for it, charged with the time of all of them.</p>
${places(profile.unlocks, 'waits ended by an unlock of')}
</section>
<section>
<h2>Who waits for whom</h2>
${pairs(profile)}
</section>
<section>
<h2>How long</h2>
${[...locks, ...events].map(times).join('\n')}
</section>`,
  });
}

/** What lockdep has found comes first: such a lock need not have been waited for. */
function reportsSection({ reports = [] }: ContentionProfile): string {
  if (reports.length === 0) return '';
  const all = reports.map(({ finding, classes, text }) => {
    return `<details><summary>${escaped(`${finding}: ${classes.join(', ')}`)}</summary><pre>${escaped(text)}</pre></details>`;
  });
  return `<section><h2>Possible deadlocks</h2>${all.join('')}</section>`;
}

function notes({ dropped, unknown, unheard, unfinished }: ContentionProfile): string {
  const incomplete = [
    [dropped.waits, 'waits and their locks found no room'],
    [dropped.samples, 'samples found no room'],
    [dropped.acquisitions, 'acquisitions and their locks found no room'],
    [unknown, 'waits ended before it was known for what'],
    [unheard, 'threads have not heard of it: what they have done is not in it'],
    [unfinished, 'threads were stopped while they recorded a wait'],
  ] as const;
  const shown = incomplete
    .filter(([number]) => number > 0)
    .map(([number, text]) => `<li>${count(number)} ${text}</li>`);
  return shown.length === 0 ? '' : `<ul class="violations">${shown.join('')}</ul>`;
}

const COLUMNS: readonly (readonly [string, (lock: LockContention) => string])[] = [
  ['waits', ({ sync, async }) => count(sync.contentions + async.contentions)],
  ['in all', (lock) => duration(totalOf(lock))],
  ['longest', ({ sync, async }) => duration(Math.max(sync.longest, async.longest))],
  ['sync p50', ({ sync }) => times50(sync)],
  ['p99', ({ sync }) => times99(sync)],
  ['async p50', ({ async }) => times50(async)],
  ['p99', ({ async }) => times99(async)],
  ['slept', ({ sync, async }) => count(sync.slept + async.slept)],
  ['timeouts', ({ sync, async }) => count(sync.timeouts + async.timeouts)],
  ['aborts', ({ sync, async }) => count(sync.aborts + async.aborts)],
  ['owner died', ({ sync, async }) => count(sync.ownerDeaths + async.ownerDeaths)],
  ['refused', ({ sync, async }) => count(sync.failed + async.failed)],
];

const times50 = ({ contentions, p50 }: WaitTimes) => (contentions === 0 ? '' : duration(p50));
const times99 = ({ contentions, p99 }: WaitTimes) => (contentions === 0 ? '' : duration(p99));

/** A row for each lock. */
export function locksTable(locks: readonly LockContention[]): string {
  if (locks.length === 0) return '<p>None.</p>';
  const all = locks.reduce((sum, lock) => sum + totalOf(lock), 0);
  // The share comes last, and has to fit on the screen.
  const columns = COLUMNS.filter(([, shown]) => locks.some((lock) => !['', '0'].includes(shown(lock))));
  const heads = ['lock', ...columns.map(([head]) => head), 'share'].map((head) => `<th>${head}</th>`).join('');
  const rows = locks.map((lock) => {
    const share = all === 0 ? 0 : totalOf(lock) / all;
    const cells = columns.map(([, cell]) => `<td>${cell(lock)}</td>`).join('');
    const bar = `<div class="bar" style="width:${(share * 100).toFixed(1)}%" title="${percent(share)} of the time that calls have waited">${percent(share)}</div>`;
    return `<tr><th>${escaped(lock.lock)}${lock.shared ? ', shared' : ''}</th>${cells}<td class="share">${bar}</td></tr>`;
  });
  return `<table><thead><tr>${heads}</tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

const HELD_HEADS = ['taken', 'held in all', 'sync p50', 'p99', 'async p50', 'p99', 'longest', 'bounces', 'handed over'];

/** A row for each lock whose holds were counted. */
function heldTable(locks: readonly LockContention[]): string {
  const heads = ['lock', ...HELD_HEADS].map((head) => `<th>${head}</th>`).join('');
  const rows = locks.map((lock) => {
    const { held } = lock;
    if (held === undefined) return '';
    const { sync, async, bounces, handoffs } = held;
    const quantiles = ({ timed, p50, p99 }: HeldTimes) => (timed === 0 ? ['', ''] : [duration(p50), duration(p99)]);
    const cells = [
      count(acquisitionsOf(lock)),
      duration(sync.total + async.total),
      ...quantiles(sync),
      ...quantiles(async),
      duration(Math.max(sync.longest, async.longest)),
      count(bounces),
      count(handoffs),
    ];
    const name = `${escaped(lock.lock)}${lock.shared ? ', shared' : ''}`;
    return `<tr><th>${name}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  });
  return `<table><thead><tr>${heads}</tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

function places(stacks: readonly StackContention[], what: string): string {
  const shown = placesOf(stacks).slice(0, MOST_PLACES);
  if (shown.length === 0) return '<p>No wait was sampled.</p>';
  return shown
    .map(({ lock, frames, contentions, delay }, i) => {
      const [innermost] = frames;
      const where = innermost === undefined ? 'unknown' : frameText(innermost);
      const title = `${duration(delay)} in about ${count(contentions)} ${what} ${lock}, at ${where}`;
      const calls = frames.map((frame) => escaped(frameText(frame))).join('\n');
      return `<details${i < 3 ? ' open' : ''}><summary>${escaped(title)}</summary><pre>${calls}</pre></details>`;
    })
    .join('\n');
}

function pairs({ waits }: ContentionProfile): string {
  if (waits.length === 0) return '<p>No thread slept behind another one.</p>';
  const rows = waits.slice(0, MOST_PAIRS).map(({ waiter, holder, lock, contentions, delay }) => {
    return `<tr><th>thread ${waiter}</th><td>thread ${holder}</td><td>${escaped(lock)}</td><td>${count(contentions)}</td><td>${duration(delay)}</td></tr>`;
  });
  return `<table><thead><tr><th>who slept</th><th>who held</th><th>lock</th><th>waits</th><th>in all</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

function times(lock: LockContention): string {
  const shown = (['sync', 'async'] as const)
    .filter((way) => lock[way].contentions > 0)
    .map((way) => histogram(way, lock[way]));
  return `<h3>${escaped(lock.lock)}${lock.shared ? ', shared' : ''}</h3><div class="histograms">${shown.join('')}</div>`;
}

function histogram(way: 'sync' | 'async', { histogram: buckets, contentions, longest }: WaitTimes): string {
  const counts = new Map(buckets);
  const starts = [...counts.keys()];
  const [from, to] = [Math.min(...starts), Math.max(...starts)];
  const shown: string[] = [];
  const most = Math.max(...counts.values());
  for (let bucket = 0; bucketStart(bucket) <= to; bucket++) {
    const start = bucketStart(bucket);
    if (start < from) continue;
    const number = counts.get(start) ?? 0;
    const height = number === 0 ? 0 : Math.max(2, (number / most) * 100);
    const title = `${count(number)} ${way} waits from ${duration(start)} to ${duration(Math.min(bucketStart(bucket + 1), Math.max(longest, start)))}`;
    shown.push(`<div style="height:${height.toFixed(0)}%" title="${title}"></div>`);
  }
  return `<div><p>${count(contentions)} ${way} waits</p><div class="histogram ${way}">${shown.join('')}</div><div class="scale"><span>${duration(from)}</span><span>${duration(longest)}</span></div></div>`;
}
