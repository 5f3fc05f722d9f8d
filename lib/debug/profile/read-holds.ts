/** What a profile that counts locks that are free says of one of them. */
import type { Cpu } from '../../machine/cpu.ts';
import { maxThreads } from '../../sched/slot.ts';
import { bucketStart, quantile, readBuckets } from './histogram.ts';
import { Count, Counts, countsAt, Held, HeldRow, heldRowAt } from './holds-layout.ts';
import { Profile } from './layout.ts';
import { floatOf } from './samples.ts';
import { tallyRead } from './tally.ts';

/** How often a lock was taken in one way, and how long it was held, ns. */
export interface HeldTimes {
  readonly acquisitions: number;
  /** Those of which the time is known; the times below are made up for all of them from that. */
  readonly timed: number;
  readonly total: number;
  /** Of those that were timed. */
  readonly shortest: number;
  readonly longest: number;
  readonly p50: number;
  readonly p99: number;
  /** Pairs of where a bucket begins, ns, and for how many holds the timed ones in it stand. */
  readonly histogram: readonly (readonly [number, number])[];
}

/** How a lock was held, by synchronous and by asynchronous calls. */
export interface LockHeldTimes {
  readonly sync: HeldTimes;
  readonly async: HeldTimes;
  /** Acquisitions after another thread's. */
  readonly bounces: number;
  /** Waits that began when another thread had had it last. */
  readonly waitBounces: number;
  /** Unlocks that gave it to one that waits, of those that know to whom. */
  readonly handoffs: number;
}

export function readHolds(cpu: Cpu, profile: number, row: number): LockHeldTimes | undefined {
  const holds = cpu.load(profile + Profile.holds);
  if (holds === 0) return undefined;
  const held = heldRowAt(holds, row);
  const [sync, async, bounces] = readCounts(cpu, holds, cpu.load(profile + Profile.sessions), row);
  return {
    sync: readHeld(cpu, held + HeldRow.sync, sync),
    async: readHeld(cpu, held + HeldRow.async, async),
    bounces,
    waitBounces: cpu.load(held + HeldRow.waitBounces) >>> 0,
    handoffs: cpu.load(held + HeldRow.handoffs) >>> 0,
  };
}

/** What all threads have counted of a row: synchronous acquisitions, asynchronous ones, bounces. */
function readCounts(cpu: Cpu, holds: number, session: number, row: number): [number, number, number] {
  const sums: [number, number, number] = [0, 0, 0];
  for (let number = 0; number < maxThreads(cpu); number++) {
    const counts = countsAt(holds, number);
    if (cpu.loadAcquire(counts + Counts.session) !== session) continue;
    const count = counts + Counts.rows + row * Count.words;
    for (const [i, word] of [Count.sync, Count.async, Count.bounces].entries()) {
      sums[i] = (sums[i] as number) + (cpu.load(count + word) >>> 0);
    }
  }
  return sums;
}

function readHeld(cpu: Cpu, held: number, acquisitions: number): HeldTimes {
  const counts = readBuckets(cpu, held + Held.histogram);
  const longest = Math.round(floatOf(cpu.load(held + Held.longest)));
  const weight = counts.reduce((sum, count) => sum + count, 0);
  const mean = weight === 0 ? 0 : tallyRead(cpu, held + Held.total) / weight;
  return {
    acquisitions,
    timed: cpu.load(held + Held.timed) >>> 0,
    total: Math.round(mean * acquisitions),
    shortest: Math.round(floatOf(cpu.load(held + Held.shortest))),
    longest,
    p50: quantile(counts, 0.5, longest),
    p99: quantile(counts, 0.99, longest),
    histogram: counts.map((count, bucket) => [bucketStart(bucket), count] as const).filter(([, count]) => count > 0),
  };
}
