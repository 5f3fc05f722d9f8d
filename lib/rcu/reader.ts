/**
 * One thread's readers in one domain. Its line in shared memory has three lanes, and a grace period waits until each lane
 * that it found INSIDE has been OUTSIDE:
 *
 *   SYNC       all of `readLock` … `readUnlock`: the outermost pair goes in and out
 *   GUARDED    two lanes for readers that may overlap in any way, such as those of requests that a server works on at the
 *              same time. The first reader of a lane goes in, the last one goes out
 *
 * On a busy server there is always some reader, so one lane would never be OUTSIDE. When a period waits for the lane that
 * readers join, they join the other one from then on, as soon as that is empty; so each lane is left within the time of
 * the readers that are in it (the two indexes of SRCU, but it is the reader's own thread that turns them).
 *
 * Joining a lane that is not empty takes no barrier: the lane was INSIDE before, and stays so until this reader is out.
 */
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Thread } from '../sched/thread.ts';
import { AWAITED, INSIDE, OUTSIDE, report } from './grace-period.ts';
import { type Domain, domainAt, Line, lineOf, RcuWords } from './layout.ts';
import type { Joinable } from './read-guard.ts';

/** Of `depth`: the thread has left, and: outside of readers, which are watched. */
const GONE = -1;
export const WATCHED = -2;

export const SYNC = 0;
export const GUARDED = 1;

/** A function by which a reader goes in: it is where its stack begins. */
export type Caller = (...args: never[]) => unknown;

/** What `checks.ts` looks at. */
export interface ReaderChecks {
  /** What dereferences go through. */
  readonly pointers: Pick<Cpu, 'loadDependent'>;
  readonly debug: boolean;
  readonly strict: boolean;
  entering(lane: number, by: Caller): void;
  left(): void;
  leaving(): void;
}

export class Readers implements Joinable {
  readonly thread: Thread;
  readonly cpu: Cpu;
  readonly domain: Domain;
  readonly line: number;
  /** Address of the SYNC lane. */
  readonly sync: number;
  /**
   * Nesting of the synchronous readers; GONE once the thread has left the arena. Fast paths compare it with 0 and 1, which it
   * never is while readers are watched, by checks or by who observes the thread: WATCHED stands for 0 then, 2 for 1, and so on.
   */
  depth = 0;
  #isWatched = false;
  /** Readers with guards that an observer was told of. */
  observed = 0;
  /** Undefined while there are none. */
  checks: ReaderChecks | undefined = undefined;
  /** What dereferences go through. */
  pointers: Pick<Cpu, 'loadDependent'>;
  /** Readers in each of the two GUARDED lanes. */
  readonly #counts: [number, number] = [0, 0];
  /** Which of them readers join. */
  #current: 0 | 1 = 0;

  constructor(thread: Thread, rcu: number) {
    this.thread = thread;
    this.cpu = thread.cpu;
    this.pointers = thread.cpu;
    this.domain = domainAt(thread.cpu, rcu);
    this.line = lineOf(this.domain, thread.number);
    this.sync = this.line + Line.lanes + SYNC;
    announce(thread, rcu);
    this.settle();
  }

  /** Whether any reader of this thread is inside. */
  get isInside(): boolean {
    return this.depth > 0 || this.#counts[0] + this.#counts[1] > 0;
  }

  /** A synchronous reader goes in that is inside another, or is watched. Throws EINVAL once the thread has left. */
  nest(by: Caller): void {
    if (this.depth === GONE) throw detached();
    if (this.depth === WATCHED) {
      this.checks?.entering(SYNC, by);
      enter(this.cpu, this.sync);
      this.depth = 1;
    }
    this.depth++;
  }

  /**
   * A synchronous reader goes out that is inside another, or is watched. Throws EPERM if there is none, EINVAL once the thread
   * has left.
   */
  unnest(): void {
    if (this.depth === GONE) throw detached();
    if (this.depth === 0 || this.depth === WATCHED) {
      throw new HoldfastError('EPERM', 'readUnlock() without a readLock() of this thread');
    }
    this.depth--;
    if (this.depth > 1 || !this.#isWatched) return;
    this.depth = WATCHED;
    this.exit(SYNC);
  }

  /** From here on readers are looked at, or are not. Illegal inside one. */
  watch(checks: ReaderChecks | undefined): void {
    this.checks = checks;
    this.pointers = checks?.debug ? checks.pointers : this.cpu;
    this.settle();
  }

  /** What watches the readers may have changed. */
  settle(): void {
    const isWatched = this.checks !== undefined || this.thread.observer !== undefined;
    if (isWatched === this.#isWatched || this.depth === GONE) return;
    this.#isWatched = isWatched;
    if (isWatched) this.depth = this.depth === 0 ? WATCHED : this.depth + 1;
    else this.depth = this.depth === WATCHED ? 0 : this.depth - 1;
  }

  /** The thread has left: its readers are over, and its line may be another's by now. */
  end(): void {
    this.checks?.leaving();
    this.depth = GONE;
    this.#counts.fill(0);
  }

  /** A reader goes in. Returns which of the GUARDED lanes it is in, 0 or 1. */
  join(by: Caller = this.join): 0 | 1 {
    if (this.depth === GONE) throw detached();
    const other = this.#current === 0 ? 1 : 0;
    if (this.#counts[this.#current] > 0) {
      const isAwaited = this.cpu.load(this.#laneOf(this.#current)) === AWAITED;
      if (!isAwaited || this.#counts[other] > 0) {
        this.#counts[this.#current]++;
        return this.#current;
      }
      this.#current = other;
    }
    this.checks?.entering(GUARDED + this.#current, by);
    enter(this.cpu, this.#laneOf(this.#current));
    this.#counts[this.#current] = 1;
    return this.#current;
  }

  /** A reader of the lane goes out. False when there is none. */
  leave(index: 0 | 1): boolean {
    if (this.#counts[index] === 0) return false;
    this.#counts[index]--;
    if (this.#counts[index] === 0) this.exit(GUARDED + index);
    return true;
  }

  /** The lane is left. */
  exit(lane: number): void {
    if (leave(this.cpu, this.line + Line.lanes + lane)) this.report(lane);
    this.checks?.left();
  }

  /** The lane, which a period waited for, was left. */
  report(lane: number): void {
    report(this.thread, this.domain, this.thread.number, lane);
  }

  #laneOf(index: 0 | 1): number {
    return this.line + Line.lanes + GUARDED + index;
  }
}

/** Full barrier: pairs with the one in `scan` of grace-period.ts. What this thread reads comes after. */
export function enter(cpu: Cpu, lane: number): void {
  cpu.xchg(lane, INSIDE);
}

/**
 * Release: pairs with the acquires in `markInside` and `isOut` of grace-period.ts. Returns whether a period waits for the
 * lane. A period that marks it between the two accesses is not told; it looks again.
 */
export function leave(cpu: Cpu, lane: number): boolean {
  const state = cpu.loadUnordered(lane);
  cpu.storeReleaseLight(lane, OUTSIDE);
  return state === AWAITED;
}

/** Scans look at the calling thread's line from here on. Fully ordered before its first reader. */
function announce({ cpu, id }: Thread, rcu: number): void {
  const word = rcu + RcuWords.threads;
  for (let seen = cpu.load(word); seen < id; ) {
    const before = cpu.cmpxchg(word, seen, id);
    if (before === seen) return;
    seen = before;
  }
}

const known = new WeakMap<Thread, Map<number, Readers>>();

/** The calling thread's readers in the domain: the same for all views of it. */
export function readersOf(thread: Thread, rcu: number): Readers {
  let domains = known.get(thread);
  if (domains === undefined) known.set(thread, (domains = new Map()));
  const readers = domains.get(rcu);
  if (readers !== undefined) {
    // The domain may be another one, where one was destroyed.
    announce(thread, rcu);
    return readers;
  }
  const made = new Readers(thread, rcu);
  domains.set(rcu, made);
  thread.ends.add(() => made.end());
  thread.observations.add(() => made.settle());
  return made;
}

export function detached(): HoldfastError {
  return new HoldfastError('EINVAL', 'this thread has detached from the arena');
}
