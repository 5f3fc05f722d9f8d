/**
 * A contention profile in the form of /proc/lock_stat (Documentation/locking/lockstat.rst), version 0.4: a row for each class, and
 * where it was waited for. A bounce is a change of threads. Bounces, acquisitions and how long locks were held are in a profile that was asked
 * for them (`holds`), and have a dash else. Times are in us.
 */
import {
  acquisitionsOf,
  type ContentionProfile,
  type LockContention,
  type StackContention,
  totalOf,
} from '../profile/read.ts';
import { frameText, placesOf } from './terminal.ts';

const NAMES = 40;
const COLUMN = 15;
const HEADS = [
  'con-bounces',
  'contentions',
  'waittime-min',
  'waittime-max',
  'waittime-total',
  'waittime-avg',
  'acq-bounces',
  'acquisitions',
  'holdtime-min',
  'holdtime-max',
  'holdtime-total',
  'holdtime-avg',
];
const RULE = '-'.repeat(NAMES + 1 + HEADS.length * COLUMN);
/** Places that are named for a class; the kernel's LOCKSTAT_POINTS. */
const POINTS = 4;

export function lockStatText(profile: ContentionProfile): string {
  const classes = new Map<string, LockContention[]>();
  for (const lock of profile.locks) classes.set(sideOf(lock), [...(classes.get(sideOf(lock)) ?? []), lock]);
  return [
    'lock_stat version 0.4',
    RULE,
    `${'class name'.padStart(NAMES)} ${HEADS.map((head) => head.padStart(COLUMN)).join('')}`,
    RULE,
    ...[...classes.values()]
      .sort((a, b) => sumOf(b, totalOf) - sumOf(a, totalOf))
      .flatMap((locks) => ['', rowText(locks), ...pointsText(profile, locks)]),
    '',
  ].join('\n');

  /** Those that share a lock apart from those that have it alone, as the kernel's -R and -W. */
  function sideOf(lock: LockContention): string {
    if (lock.shared) return `${lock.class}-R`;
    return profile.locks.some((other) => other.shared && other.class === lock.class) ? `${lock.class}-W` : lock.class;
  }

  function rowText(locks: readonly LockContention[]): string {
    const times = locks.flatMap(({ sync, async }) => [sync, async]).filter(({ contentions }) => contentions > 0);
    const contentions = sumOf(times, (time) => time.contentions);
    const total = sumOf(times, (time) => time.total);
    const held = locks.flatMap((lock) => lock.held ?? []);
    const isKnown = held.length > 0;
    const columns = [
      isKnown ? String(sumOf(held, ({ waitBounces }) => waitBounces)) : '-',
      String(contentions),
      us(contentions === 0 ? 0 : Math.min(...times.map(({ shortest }) => shortest))),
      us(Math.max(0, ...times.map(({ longest }) => longest))),
      us(total),
      us(contentions === 0 ? 0 : total / contentions),
      isKnown ? String(sumOf(held, ({ bounces }) => bounces)) : '-',
      ...(isKnown ? holdColumns(locks) : Array(5).fill('-')),
    ];
    const name = `${sideOf(locks[0] as LockContention)}:`;
    return `${name.padStart(NAMES)} ${columns.map((column) => column.padStart(COLUMN)).join('')}`;
  }
}

function holdColumns(locks: readonly LockContention[]): string[] {
  const acquisitions = sumOf(locks, acquisitionsOf);
  const times = locks.flatMap(({ held }) => (held === undefined ? [] : [held.sync, held.async]));
  const timed = times.filter((time) => time.timed > 0);
  const total = sumOf(times, (time) => time.total);
  return [
    String(acquisitions),
    us(timed.length === 0 ? 0 : Math.min(...timed.map(({ shortest }) => shortest))),
    us(Math.max(0, ...timed.map(({ longest }) => longest))),
    us(total),
    us(acquisitions === 0 ? 0 : total / acquisitions),
  ];
}

/** The places that have waited longest for a class, with the calls that did. */
function pointsText({ stacks, unlocks }: ContentionProfile, locks: readonly LockContention[]): string[] {
  return [...pointsIn(stacks, locks), ...pointsIn(unlocks, locks)];
}

/** As in the kernel, those that waited, and below another rule those that they waited for. */
function pointsIn(stacks: readonly StackContention[], locks: readonly LockContention[]): string[] {
  const [{ class: name, shared }] = locks as [LockContention];
  const places = placesOf(
    stacks
      .filter((stack) => stack.class === name && stack.shared === shared)
      .map((stack) => ({ ...stack, lock: name })),
  );
  if (places.length === 0) return [];
  return [
    `${' '.repeat(NAMES - 15)}${'-'.repeat(15)}`,
    ...places.slice(0, POINTS).map(({ frames, contentions }) => {
      const [innermost] = frames;
      const where = innermost === undefined ? 'unknown' : frameText(innermost);
      return `${name.padStart(NAMES)} ${String(contentions).padStart(COLUMN)}          ${where}`;
    }),
  ];
}

function us(ns: number): string {
  return (ns / 1000).toFixed(2);
}

function sumOf<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
