/** A contention profile for people at a terminal. */
import colors from 'picocolors';
import {
  acquisitionsOf,
  type ContentionProfile,
  contentionsOf,
  type LockContention,
  type StackContention,
  totalOf,
} from '../profile/read.ts';
import type { Frame } from '../profile/stacks.ts';
import { count, duration, percent } from './figures.ts';
import { type Column, fittedTable } from './fitted-table.ts';

const MOST_LOCKS = 20;
const MOST_PLACES = 5;
const MOST_FRAMES = 4;
const MOST_PAIRS = 8;
/** Of a lock's name in a table, characters. */
const MOST_LABEL = 32;

/** Places of the program where calls have waited for one lock, whichever threads they were made by. */
export interface Place {
  readonly lock: string;
  readonly frames: readonly Frame[];
  readonly contentions: number;
  readonly delay: number;
}

const longestOf = ({ sync, async }: LockContention) => Math.max(sync.longest, async.longest);

/** The times of those calls, synchronous or not, that have waited longer in all. */
function mostOf({ sync, async }: LockContention) {
  return sync.total >= async.total ? sync : async;
}

function columnsFor(total: number): readonly Column<LockContention>[] {
  const sum = (field: 'slept' | 'timeouts' | 'aborts' | 'ownerDeaths' | 'failed') => (lock: LockContention) => {
    return count(lock.sync[field] + lock.async[field]);
  };
  return [
    { head: 'lock', tier: 0, cell: (lock) => labelOf(lock), isText: true },
    { head: 'waits', tier: 0, cell: (lock) => count(contentionsOf(lock)) },
    { head: 'in all', tier: 0, cell: (lock) => duration(totalOf(lock)) },
    { head: 'share', tier: 1, cell: (lock) => percent(total === 0 ? 0 : totalOf(lock) / total) },
    { head: 'p50', tier: 1, cell: (lock) => duration(mostOf(lock).p50) },
    { head: 'p99', tier: 1, cell: (lock) => duration(mostOf(lock).p99) },
    { head: 'longest', tier: 0, cell: (lock) => duration(longestOf(lock)) },
    { head: 'slept', tier: 1, cell: sum('slept') },
    { head: 'async', tier: 1, cell: ({ async }) => count(async.contentions) },
    { head: 'timeouts', tier: 2, cell: sum('timeouts') },
    { head: 'aborts', tier: 2, cell: sum('aborts') },
    { head: 'owner died', tier: 2, cell: sum('ownerDeaths') },
    { head: 'refused', tier: 2, cell: sum('failed') },
  ];
}

function labelOf({ lock, shared }: Pick<LockContention, 'lock' | 'shared'>): string {
  const label = lock.length > MOST_LABEL ? `${lock.slice(0, MOST_LABEL - 1)}…` : lock;
  return shared ? `${label}, shared` : label;
}

/** `width`: of the terminal, in characters. */
export function profileText(profile: ContentionProfile, width = 80): string {
  const waited = profile.locks.filter((lock) => contentionsOf(lock) > 0);
  const locks = waited.filter(({ event }) => !event);
  const events = waited.filter(({ event }) => event);
  const reports = reportsText(profile);
  if (profile.locks.length === 0) {
    return [...reports, `No call had to wait in ${duration(profile.duration)}.`, notesOf(profile)].join('\n');
  }
  return [
    ...reports,
    `${colors.bold('Locks that were waited for')} in ${duration(profile.duration)}, those that cost most time first`,
    tableOf(locks, width),
    ...(events.length === 0 ? [] : ['', colors.bold('Waits until something happens'), tableOf(events, width)]),
    ...heldText(profile, width),
    ...placesText('Where', 'waits for', profile.stacks, width),
    ...placesText('What they waited for ended at', 'waits ended by an unlock of', profile.unlocks, width),
    ...pairsText(profile),
    notesOf(profile),
  ].join('\n');
}

/** What lockdep has found comes first: such a lock need not have been waited for. */
function reportsText({ reports = [] }: ContentionProfile): string[] {
  if (reports.length === 0) return [];
  const lines = reports.map(({ finding, classes }) => `  ${finding}: ${classes.join(', ')}`);
  return [`${colors.bold('Possible deadlocks')}, and what else lockdep has found`, ...lines, ''];
}

function tableOf(locks: readonly LockContention[], width: number): string {
  if (locks.length === 0) return 'none';
  const total = locks.reduce((sum, lock) => sum + totalOf(lock), 0);
  const table = fittedTable(columnsFor(total), locks.slice(0, MOST_LOCKS), width);
  const more = locks.length - MOST_LOCKS;
  return more > 0 ? `${table}\n… and ${more} more` : table;
}

const heldTotal = ({ held }: LockContention) => (held === undefined ? 0 : held.sync.total + held.async.total);

/** Rows of locks whose holds were counted. */
const HELD_COLUMNS: readonly Column<LockContention>[] = [
  { head: 'lock', tier: 0, cell: (lock) => labelOf(lock), isText: true },
  { head: 'taken', tier: 0, cell: (lock) => count(acquisitionsOf(lock)) },
  { head: 'held in all', tier: 0, cell: (lock) => duration(heldTotal(lock)) },
  { head: 'p50', tier: 1, cell: (lock) => duration(longerHeld(lock).p50) },
  { head: 'p99', tier: 1, cell: (lock) => duration(longerHeld(lock).p99) },
  { head: 'longest', tier: 0, cell: (lock) => duration(longerHeld(lock).longest) },
  { head: 'async', tier: 1, cell: ({ held }) => count(held?.async.acquisitions ?? 0) },
  { head: 'bounces', tier: 1, cell: ({ held }) => count(held?.bounces ?? 0) },
  { head: 'handed over', tier: 2, cell: ({ held }) => count(held?.handoffs ?? 0) },
];

const NOT_HELD = { p50: 0, p99: 0, longest: 0, total: 0 };

/** The times of those that held it, synchronous or not, for longer in all. */
function longerHeld({ held }: LockContention) {
  const { sync, async } = held ?? { sync: NOT_HELD, async: NOT_HELD };
  return sync.total >= async.total ? sync : async;
}

function heldText({ locks }: ContentionProfile, width: number): string[] {
  const held = locks.filter((lock) => acquisitionsOf(lock) > 0).sort((a, b) => heldTotal(b) - heldTotal(a));
  if (held.length === 0) return [];
  const more = held.length - MOST_LOCKS;
  const table = fittedTable(HELD_COLUMNS, held.slice(0, MOST_LOCKS), width);
  const heading = `${colors.bold('Locks that were held')}, those that were held longest in all first`;
  return ['', heading, table, ...(more > 0 ? [`… and ${more} more`] : [])];
}

function placesText(head: string, what: string, stacks: readonly StackContention[], width: number): string[] {
  const places = placesOf(stacks.filter(({ event }) => !event)).slice(0, MOST_PLACES);
  if (places.length === 0) return [];
  const lines = places.flatMap(({ lock, delay, contentions, frames }) => [
    `  ${duration(delay)} in about ${count(contentions)} ${what} ${lock}`,
    ...frames.slice(0, MOST_FRAMES).map((frame) => `    ${cutOff(frameText(frame), width - 4)}`),
  ]);
  return ['', colors.bold(head), ...lines];
}

function pairsText({ waits }: ContentionProfile): string[] {
  if (waits.length === 0) return [];
  const lines = waits.slice(0, MOST_PAIRS).map(({ waiter, holder, lock, delay, contentions }) => {
    return `  thread ${waiter} slept ${duration(delay)} in ${count(contentions)} waits behind thread ${holder}, for ${lock}`;
  });
  return ['', colors.bold('Who waits for whom'), ...lines];
}

function notesOf({ dropped, unknown, unheard, unfinished }: ContentionProfile): string {
  const notes = [
    [dropped.waits, 'waits of locks that found no room in the tables are not shown'],
    [dropped.samples, 'samples found no room in the tables'],
    [dropped.acquisitions, 'acquisitions of locks that found no room in the tables are not shown'],
    [unknown, 'waits ended before it was known for what'],
    [unheard, 'threads have not heard of it: what they have done is not in it'],
    [unfinished, 'threads were stopped while they recorded a wait'],
  ] as const;
  return notes
    .filter(([number]) => number > 0)
    .map(([number, text]) => `${count(number)} ${text}\n`)
    .join('');
}

/** What was waited at each place for each lock, most first, whichever threads did. */
export function placesOf(stacks: readonly StackContention[]): Place[] {
  const places = new Map<string, Place>();
  for (const { lock, frames, contentions, delay } of stacks) {
    const key = JSON.stringify([lock, frames]);
    const { contentions: before = 0, delay: delayBefore = 0 } = places.get(key) ?? {};
    places.set(key, { lock, frames, contentions: before + contentions, delay: delayBefore + delay });
  }
  return [...places.values()].sort((a, b) => b.delay - a.delay);
}

/** `name (file:line:column)`, as in the stack of an error. */
export function frameText({ name, file, line, column }: Frame): string {
  return `${name === '' ? '(top level)' : name} (${file}:${line}:${column})`;
}

function cutOff(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
