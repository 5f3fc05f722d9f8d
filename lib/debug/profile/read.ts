/** What a profile says, read from its tables: plain data, for reports and for `JSON.stringify`. */
import type { Cpu } from '../../machine/cpu.ts';
import { countUnheard, slotAddress } from '../../sched/slot.ts';
import type { LockdepReport } from '../lockdep/reporter.ts';
import { bucketStart, quantile, readBuckets } from './histogram.ts';
import {
  CLASS_ROWS,
  EDGES,
  Edge,
  Profile,
  Recording,
  ROWS,
  Row,
  readEdgeKey,
  readShareKey,
  SHARES,
  Share,
  stacksOf,
  UNLOCKS,
  Waits,
} from './layout.ts';
import { type LockHeldTimes, readHolds } from './read-holds.ts';
import { isLockKind, kindNameOf, labelsOf, subjectOf } from './rows.ts';
import { floatOf } from './samples.ts';
import { type Frame, readFrames } from './stacks.ts';
import { tallyRead } from './tally.ts';

/** How long calls have waited, ns, and how that ended. */
export interface WaitTimes {
  /** Calls that their fast path did not do. */
  readonly contentions: number;
  readonly total: number;
  readonly shortest: number;
  readonly longest: number;
  /** Of the middle call, and of the longest in a hundred, to an eighth. */
  readonly p50: number;
  readonly p99: number;
  /** Calls that slept; the others spun. */
  readonly slept: number;
  readonly timeouts: number;
  readonly aborts: number;
  /** Calls that got it from a thread that had died. */
  readonly ownerDeaths: number;
  /** Calls that were refused: a deadlock, a lock that is not recoverable. */
  readonly failed: number;
  /** Pairs of where a bucket begins, ns, and how many calls are in it; those that have any. */
  readonly histogram: readonly (readonly [number, number])[];
}

/** What the calls for one lock have met, those that share it apart from those that have it alone. */
export interface LockContention {
  /** As messages name it: `mutex "accounts"`. */
  readonly lock: string;
  /** The kind and the name, with each number in it as `#`. */
  readonly class: string;
  /** Of the object in the arena, or of the word of the program's; 0 for locks that found no row of their own, together. */
  readonly address: number;
  /** Whether these are the calls that share it. */
  readonly shared: boolean;
  /** Whether it is waited for until something happens, and not until it is free: a condition, a completion. */
  readonly event: boolean;
  readonly sync: WaitTimes;
  readonly async: WaitTimes;
  /** How often and for how long it was held; undefined where the profile does not count that. */
  readonly held: LockHeldTimes | undefined;
}

/** How long calls made at one place have waited for one lock; estimated from those that were sampled. */
export interface StackContention {
  readonly lock: string;
  readonly class: string;
  readonly shared: boolean;
  readonly event: boolean;
  /** CPU number of the thread that waited. */
  readonly thread: number;
  readonly async: boolean;
  readonly contentions: number;
  /** ns. */
  readonly delay: number;
  /** The innermost first, without the library's own. */
  readonly frames: readonly Frame[];
}

/** How long one thread has slept for a lock that another one held when it went to sleep. */
export interface WaiterAndHolder {
  readonly lock: string;
  readonly class: string;
  /** CPU numbers. */
  readonly waiter: number;
  readonly holder: number;
  readonly contentions: number;
  /** ns. */
  readonly delay: number;
}

/** The contention of an arena's locks. Those that were waited for longest come first. */
export interface ContentionProfile {
  readonly startedAt: string;
  /** ns. */
  readonly duration: number;
  readonly locks: readonly LockContention[];
  readonly stacks: readonly StackContention[];
  /** The places that gave back what others have waited for, with how many and how long; `thread` is the one that did. */
  readonly unlocks: readonly StackContention[];
  readonly waits: readonly WaiterAndHolder[];
  /** What lockdep has found until now; undefined where it does not run. */
  readonly reports?: readonly LockdepReport[] | undefined;
  /** Waits, samples and acquisitions that found no room in the tables. */
  readonly dropped: { readonly waits: number; readonly samples: number; readonly acquisitions: number };
  /** Calls that came back before it was known what they wait for. */
  readonly unknown: number;
  /** Attached threads that have not heard of it: each does in its next call that has to wait, and records nothing before. */
  readonly unheard: number;
  /** Threads that were stopped in the middle of recording a wait, of which the profile may have a part. */
  readonly unfinished: number;
}

type Circumstances = Pick<ContentionProfile, 'startedAt' | 'duration' | 'unfinished'>;

/** Reads the tables. What threads add meanwhile may be in it or not. */
export function readProfile(cpu: Cpu, profile: number, circumstances: Circumstances): ContentionProfile {
  const locks = new Map<number, LockContention>();
  for (let row = 0; row < ROWS + CLASS_ROWS; row++) {
    const lock = readRow(cpu, profile, row);
    if (lock !== undefined) locks.set(row, lock);
  }
  const seen = [...locks.values()].filter((lock) => contentionsOf(lock) > 0 || acquisitionsOf(lock) > 0);
  return {
    ...circumstances,
    locks: seen.sort((a, b) => totalOf(b) - totalOf(a) || acquisitionsOf(b) - acquisitionsOf(a)),
    stacks: readShares(cpu, profile, Profile.shares, SHARES, locks),
    unlocks: readShares(cpu, profile, Profile.unlocks, UNLOCKS, locks),
    waits: readEdges(cpu, profile, locks).sort((a, b) => b.delay - a.delay),
    dropped: {
      waits: cpu.load(profile + Profile.droppedWaits) >>> 0,
      samples: cpu.load(profile + Profile.droppedSamples) >>> 0,
      acquisitions: cpu.load(profile + Profile.droppedAcquisitions) >>> 0,
    },
    unknown: cpu.load(profile + Profile.unknown) >>> 0,
    unheard: countUnheard(cpu, Recording.heard, cpu.load(profile + Profile.sessions)),
  };
}

/** ns that calls have waited, of both ways. */
export function totalOf({ sync, async }: LockContention): number {
  return sync.total + async.total;
}

/** Calls that have waited, in both ways. */
export function contentionsOf({ sync, async }: LockContention): number {
  return sync.contentions + async.contentions;
}

/** Those that have had the lock; 0 where the profile does not count that. */
export function acquisitionsOf({ held }: LockContention): number {
  return held === undefined ? 0 : held.sync.acquisitions + held.async.acquisitions;
}

function readRow(cpu: Cpu, profile: number, number: number): LockContention | undefined {
  const row = profile + Profile.rows + number * Row.words;
  const subject = subjectOf(cpu, row);
  if (subject === undefined) return undefined;
  const { address, shared } = subject;
  const { label, className } = labelsOf(subject);
  return {
    lock: label,
    class: className,
    address,
    shared,
    event: !isLockKind(kindNameOf(subject.kind)),
    sync: readWaits(cpu, row + Row.sync),
    async: readWaits(cpu, row + Row.async),
    held: readHolds(cpu, profile, number),
  };
}

function readWaits(cpu: Cpu, waits: number): WaitTimes {
  const counts = readBuckets(cpu, waits + Waits.histogram);
  const counter = (field: number) => cpu.load(waits + field) >>> 0;
  const longest = Math.round(floatOf(cpu.load(waits + Waits.longest)));
  return {
    contentions: counts.reduce((sum, count) => sum + count, 0),
    total: tallyRead(cpu, waits + Waits.total),
    shortest: Math.round(floatOf(cpu.load(waits + Waits.shortest))),
    longest,
    p50: quantile(counts, 0.5, longest),
    p99: quantile(counts, 0.99, longest),
    slept: counter(Waits.slept),
    timeouts: counter(Waits.timeouts),
    aborts: counter(Waits.aborts),
    ownerDeaths: counter(Waits.ownerDeaths),
    failed: counter(Waits.failed),
    histogram: counts.map((count, bucket) => [bucketStart(bucket), count] as const).filter(([, count]) => count > 0),
  };
}

/** Those that cost most time first. */
function readShares(
  cpu: Cpu,
  profile: number,
  table: number,
  count: number,
  locks: ReadonlyMap<number, LockContention>,
): StackContention[] {
  const shares: StackContention[] = [];
  for (let i = 0; i < count; i++) {
    const share = profile + table + i * Share.words;
    const key = cpu.load(share);
    if (key === 0) continue;
    const { row, stack, thread, async } = readShareKey(key);
    const lock = locks.get(row);
    if (lock === undefined) continue;
    shares.push({
      lock: lock.lock,
      class: lock.class,
      shared: lock.shared,
      event: lock.event,
      thread,
      async,
      contentions: tallyRead(cpu, share + Share.count),
      delay: tallyRead(cpu, share + Share.delay),
      frames: readFrames(cpu, stacksOf(profile), stack),
    });
  }
  return shares.sort((a, b) => b.delay - a.delay);
}

/** Where the thread's synchronous call was made that sleeps for a lock, if it has for some ms; the innermost frame first. */
export function stackOfSleeper(cpu: Cpu, profile: number, thread: number): readonly Frame[] | undefined {
  const slot = slotAddress(cpu, thread);
  // Pairs with the release in `Recorder`: a stack that is told of is there.
  const stack = cpu.loadAcquire(slot + Recording.stack);
  const isOfSession = cpu.load(slot + Recording.heard) === cpu.load(profile + Profile.sessions);
  return stack === 0 || !isOfSession ? undefined : readFrames(cpu, stacksOf(profile), stack - 1);
}

function readEdges(cpu: Cpu, profile: number, locks: ReadonlyMap<number, LockContention>): WaiterAndHolder[] {
  const edges: WaiterAndHolder[] = [];
  for (let i = 0; i < EDGES; i++) {
    const edge = profile + Profile.edges + i * Edge.words;
    const key = cpu.load(edge);
    if (key === 0) continue;
    const { row, waiter, holder } = readEdgeKey(key);
    const lock = locks.get(row);
    if (lock === undefined) continue;
    const contentions = cpu.load(edge + Edge.count) >>> 0;
    const delay = tallyRead(cpu, edge + Edge.delay);
    edges.push({ lock: lock.lock, class: lock.class, waiter, holder: holder - 1, contentions, delay });
  }
  return edges;
}
