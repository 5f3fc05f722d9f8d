/** An arena that runs, for people at a terminal: a frame of `holdfast top`. */
import colors from 'picocolors';
import type { WaitsFor } from '../../errors.ts';
import { waitsShown } from '../../sched/waits-for.ts';
import type { ArenaState } from '../live/state.ts';
import { type LockContention, totalOf } from '../profile/read.ts';
import { count, duration, percent } from './figures.ts';
import { type Column, fittedTable } from './fitted-table.ts';
import { holdersText, pressureText, verdictOf } from './live.ts';

const MOST_LOCKS = 12;
const MOST_WAITS = 12;

/** What was waited for a lock since the frame before. */
interface Rate {
  readonly lock: string;
  /** A second. */
  readonly waits: number;
  /** How many calls have waited at a time, on average. */
  readonly waiting: number;
  /** ns, since the profile began. */
  readonly longest: number;
  readonly contentions: number;
}

const LOCK_COLUMNS: readonly Column<Rate>[] = [
  { head: 'lock', tier: 0, cell: ({ lock }) => lock, isText: true },
  { head: 'waits/s', tier: 0, cell: ({ waits }) => count(waits) },
  { head: 'waiting', tier: 0, cell: ({ waiting }) => waiting.toFixed(2) },
  { head: 'longest', tier: 1, cell: ({ longest }) => duration(longest) },
  { head: 'waits in all', tier: 1, cell: ({ contentions }) => count(contentions) },
];

const WAIT_COLUMNS: readonly Column<WaitsFor>[] = [
  { head: 'who', tier: 0, cell: ({ thread, async }) => `thread ${thread}${async ? ', async' : ''}`, isText: true },
  { head: 'waits for', tier: 0, cell: ({ object }) => object, isText: true },
  { head: 'held by', tier: 0, cell: ({ holders }) => holdersText(holders), isText: true },
];

/** `before`: an earlier state of the same arena, or the same one for rates since its profile began. */
export function topText(state: ArenaState, before: ArenaState | undefined, width = 80): string {
  const { arena, waits, deadlocks, profile } = state;
  // Of a program that was started again meanwhile, or another profile, the look before says nothing.
  const past = before?.profile?.startedAt === profile?.startedAt ? before?.profile : undefined;
  const alarm = deadlocks.length === 0 ? colors.bold : (text: string) => colors.red(colors.bold(text));
  return [
    `${alarm(verdictOf(state))} · ${arena.threads} of ${arena.maxThreads} threads · ${percent(arena.used / arena.bytes)} of ${count(arena.bytes)} bytes`,
    ...deadlocks.map((cycle) => colors.red(`deadlock: ${waitsShown(cycle)}`)),
    ...(pressureText(state) === '' ? [] : [pressureText(state)]),
    '',
    profile === undefined
      ? 'No profile is kept: which locks are hot is not known.'
      : locksTable(ratesOf(profile.locks, past?.locks ?? [], profile.duration - (past?.duration ?? 0)), width),
    ...(waits.length === 0 ? [] : ['', waitsTable(waits, width)]),
    '',
  ].join('\n');
}

function ratesOf(locks: readonly LockContention[], before: readonly LockContention[], elapsed: number): Rate[] {
  const earlier = new Map(before.map((lock) => [keyOf(lock), lock]));
  const rates = locks
    .filter(({ event }) => !event)
    .map((lock) => {
      const past = earlier.get(keyOf(lock));
      const contentions = contentionsOf(lock);
      return {
        lock: lock.shared ? `${lock.lock}, shared` : lock.lock,
        waits: ((contentions - (past === undefined ? 0 : contentionsOf(past))) * 1e9) / elapsed,
        waiting: (totalOf(lock) - (past === undefined ? 0 : totalOf(past))) / elapsed,
        longest: Math.max(lock.sync.longest, lock.async.longest),
        contentions,
      };
    });
  return rates.sort((a, b) => b.waiting - a.waiting);
}

const contentionsOf = ({ sync, async }: LockContention) => sync.contentions + async.contentions;
const keyOf = ({ lock, address, shared }: LockContention) => `${address} ${shared} ${lock}`;

function locksTable(rates: readonly Rate[], width: number): string {
  if (rates.length === 0) return 'No lock was waited for.';
  return cut(fittedTable(LOCK_COLUMNS, rates.slice(0, MOST_LOCKS), width), rates.length - MOST_LOCKS);
}

function waitsTable(waits: readonly WaitsFor[], width: number): string {
  return cut(fittedTable(WAIT_COLUMNS, waits.slice(0, MOST_WAITS), width), waits.length - MOST_WAITS);
}

function cut(table: string, more: number): string {
  return more > 0 ? `${table}\n… and ${count(more)} more` : table;
}
