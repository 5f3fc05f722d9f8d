/** The page of an arena that runs: what goes on in it when it is asked for. It loads itself again every two seconds. */
import type { WaitsFor } from '../../errors.ts';
import { escaped, htmlPage } from '../../page/page.ts';
import type { ArenaState, ObservedThread } from '../live/state.ts';
import { count, percent } from './figures.ts';
import { locksTable, PROFILE_STYLE } from './html.ts';
import { REPORT_STYLE } from './style.ts';
import { frameText } from './terminal.ts';

const INTERVAL_S = 2;
/** Rows of a table. */
const MOST = 100;

const STYLE = '.texts th, .texts td { text-align: left; }';
const RELOAD = `setTimeout(() => { if (!document.hidden) location.reload(); }, ${INTERVAL_S * 1000});
document.addEventListener('visibilitychange', () => { if (!document.hidden) location.reload(); });`;

export function livePage(state: ArenaState): string {
  const { arena, threads, waits, deadlocks, profile, time } = state;
  const verdict = verdictOf(state);
  return htmlPage({
    title: `holdfast: ${verdict}`,
    style: `${REPORT_STYLE}${PROFILE_STYLE}${STYLE}`,
    scripts: [RELOAD],
    body: `<header>
<h1>holdfast</h1>
<p class="verdict ${deadlocks.length === 0 ? '' : 'violation'}">${escaped(verdict)}</p>
<p class="settings">${escaped(time)} · ${count(arena.used)} of ${count(arena.bytes)} bytes (${percent(arena.used / arena.bytes)}) ·
 ${arena.threads} of ${arena.maxThreads} threads · <a href="state">state</a> · <a href="waits">waits</a> · <a href="objects">objects</a> · <a href="metrics">metrics</a></p>
</header>
${deadlocks.map((cycle) => deadlockSection(cycle, threads)).join('\n')}
<section>
<h2>Who waits</h2>
${waitsTable(waits)}
</section>
<section>
<h2>What was waited for</h2>
<p>${pressureText(state)}</p>
${profile === undefined ? '<p>No profile is kept here.</p>' : locksTable(profile.locks.filter(({ event }) => !event).slice(0, MOST))}
</section>
<section>
<h2>Threads</h2>
${threadsTable(threads)}
</section>`,
  });
}

/** `threads wait for locks 2.1% of their time (10 s), 1.0% (60 s), 0.3% (300 s)`; nothing where that is not known. */
export function pressureText({ pressure }: ArenaState): string {
  if (pressure === undefined) return '';
  const { avg10, avg60, avg300 } = pressure;
  return `threads wait for locks ${percent(avg10)} of their time (10 s), ${percent(avg60)} (60 s), ${percent(avg300)} (300 s)`;
}

/** What there is to say first. */
export function verdictOf({ deadlocks, waits, threads }: ArenaState): string {
  if (deadlocks.length > 0) return deadlocks.length === 1 ? 'a deadlock' : `${deadlocks.length} deadlocks`;
  const dead = threads.filter(({ isAlive }) => !isAlive).length;
  if (dead > 0)
    return `${dead === 1 ? 'a thread has' : `${dead} threads have`} ended and left what is not repaired yet`;
  if (waits.length === 0) return 'nobody waits';
  return `${waits.length === 1 ? 'one call waits' : `${count(waits.length)} calls wait`}`;
}

function deadlockSection(cycle: readonly WaitsFor[], threads: readonly ObservedThread[]): string {
  const links = cycle.map((link) => {
    const { stack = [] } = threads.find(({ thread }) => thread === link.thread) ?? {};
    const frames = stack.map((frame) => `<br>${escaped(frameText(frame))}`);
    return `<li>${escaped(waitText(link))}${frames.join('')}</li>`;
  });
  return `<section><h2>Deadlock</h2><ul class="violations">${links.join('')}</ul></section>`;
}

/** `thread 1 waits for the mutex "a", held by thread 0`. */
function waitText({ thread, object, holders }: WaitsFor): string {
  return `thread ${thread} waits for the ${object}, held by ${holdersText(holders)}`;
}

/** `thread 0`, `threads 0, 2`; nothing for none. */
export function holdersText(holders: readonly number[]): string {
  return holders.length === 0 ? '' : `${holders.length === 1 ? 'thread' : 'threads'} ${holders.join(', ')}`;
}

function waitsTable(waits: readonly WaitsFor[]): string {
  if (waits.length === 0) return '<p>Nobody.</p>';
  const rows = waits.slice(0, MOST).map(({ thread, async, object, holders }) => {
    return [`thread ${thread}${async ? ', async' : ''}`, object, holdersText(holders)];
  });
  return `${table(['who', 'for', 'held by'], rows)}${waits.length > MOST ? `<p>and ${count(waits.length - MOST)} more</p>` : ''}`;
}

function threadsTable(threads: readonly ObservedThread[]): string {
  const rows = threads.map(({ thread, threadId, osThread, isAlive, waitsFor, stack = [] }) => {
    const state = isAlive ? (waitsFor === undefined ? 'runs, or is idle' : `waits for the ${waitsFor}`) : 'has ended';
    return [
      `thread ${thread}`,
      `${threadId}`,
      osThread === 0 ? '' : `${osThread}`,
      state,
      // The rest is in `/state`, and of a deadlock above.
      stack.slice(0, 1).map(frameText).join(''),
    ];
  });
  return table(['thread', 'threadId', 'number in the system', 'state', 'where'], rows);
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (texts: readonly string[]) =>
    texts.map((text, i) => (i === 0 ? th(text) : `<td>${escaped(text)}</td>`));
  const head = heads.map(th).join('');
  return `<table class="texts"><thead><tr>${head}</tr></thead><tbody>${rows.map((row) => `<tr>${cells(row).join('')}</tr>`).join('\n')}</tbody></table>`;
}

const th = (text: string) => `<th>${escaped(text)}</th>`;
