/**
 * What a profile that counts locks that are free has in shared memory beside its rows: a second object of the arena.
 *
 *   rows    for each row of the profile: how long the lock was held, from acquisitions that were timed, and which thread had it last
 *   counts  for each thread number and each row: how often the thread has had the lock
 *
 * An acquisition that is not timed costs two plain stores to the thread's own counts, which no other thread writes: so there is nothing to
 * announce, and nothing is lost with a killed thread. The thread that uses them first in a session clears them; until it has, `session` there says
 * another number, and nobody reads them. A later thread with the same number goes on where a dead one stopped.
 *
 * What is timed is added with `Recording` set, as waits are. An acquisition is timed by chance, and stands for as many as its chance says.
 */
import { defineKind } from '../../memory/kinds.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { LINE_WORDS, struct } from '../../memory/struct.ts';
import { maxThreads } from '../../sched/slot.ts';
import { BUCKETS } from './histogram.ts';
import { CLASS_ROWS, ROWS } from './layout.ts';
import { Tally } from './tally.ts';

/** How long locks were held that were taken in one way, synchronously or not. */
export const Held = struct({
  /** ns, as far as it was timed: each hold as often as it stands for. */
  total: Tally.words,
  /** Acquisitions that were timed. */
  timed: 1,
  /** ns, as the bits of a 32-bit float; 0 for none. */
  longest: 1,
  shortest: 1,
  /** Each as often as it stands for. */
  histogram: BUCKETS,
});

export const HeldRow = struct({
  /** The thread that had the lock last: a CPU number plus one. */
  last: 1,
  /** Waits of a thread that was not the last to have it. */
  waitBounces: 1,
  handoffs: 1,
  sync: Held.words,
  async: Held.words,
});

/** What one thread counts of a row. Acquisitions after another thread are `bounces`. */
export const Count = struct({ sync: 1, async: 1, bounces: 1, pad: 1 });

export const Counts = struct({
  /** In which session they were cleared. */
  session: 1,
  pad: LINE_WORDS - 1,
  rows: (ROWS + CLASS_ROWS) * Count.words,
});

export const LockHolds = struct({
  header: ObjectHeader.words,
  rows: (ROWS + CLASS_ROWS) * HeldRow.words,
});

export const HOLDS_KIND = defineKind<Repairer>({
  name: 'lock holds',
  words: LockHolds.words,
  trailing: (cpu) => LINE_WORDS + maxThreads(cpu) * Counts.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair: () => true,
});

export function heldRowAt(holds: number, row: number): number {
  return holds + LockHolds.rows + row * HeldRow.words;
}

/** Where the counts of the thread with that number are. They begin with a line of the cache. */
export function countsAt(holds: number, thread: number): number {
  return Math.ceil((holds + LockHolds.words) / LINE_WORDS) * LINE_WORDS + thread * Counts.words;
}
