import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import { openFutexes } from '../futex/open.ts';
import type { Futexes } from '../futex/table.ts';
import { wait } from '../futex/wait.ts';
import { MATCH_ANY, wakeIn } from '../futex/wake.ts';
import { defineKind } from '../memory/kinds.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  limitsOf,
  type WaitOptions,
} from '../sched/drive.ts';
import { claimHold, Hold, holdsOf } from '../sched/holds.ts';
import { maxThreads } from '../sched/slot.ts';
import { type GaveUp, latched, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { endWait } from '../sched/task.ts';

export const BarrierWords = struct({
  header: ObjectHeader,
  latch: 1,
  /** How many meet; 0 until the first opener says. */
  count: 1,
  round: 1,
  /**
   * Tickets given out in this round since somebody counted, and those counted then: no fewer than the tasks that have
   * arrived, so until it says `count` nobody has to look at all records. Illegal to be too low: nobody would end the round.
   */
  arrived: 1,
});

/** The most tasks that can meet. */
const MOST = 1 << 20;

/**
 * What a record of a task that has arrived in `round` counts: even, and never 0. The record's word is the task's ticket, says
 * how far its count is, and is the futex that it sleeps on:
 *
 *   absent, 0 -- pass, latch --> arrived, ticket -- endRound, latch --> counted, ticket|COUNTED
 *      ^  ^                       |         ^                            |           |
 *      |  '-- timed out, aborted -'         '-- another has withdrawn ---'           |
 *      '------------------------- the round is over: released, woken ----------------'
 */
function ticketOf(round: number): number {
  return ((round & 0xfffffff) + 1) << 1;
}

/** In a record: somebody is counting whether all have come, and its task cannot take it back until that is clear. */
const COUNTED = 1;

const everybody = () => true;

const KIND = defineKind<Repairer>({
  name: 'pthread barrier',
  words: BarrierWords,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  repair,
});

type Outcome = 'serial' | 'passed' | 'exhausted' | GaveUp;

/** The records of those who have arrived in this round. Under the latch. */
function arrivals(futexes: Futexes, barrier: number): number[] {
  const { cpu } = futexes.thread;
  const ticket = ticketOf(cpu.load(barrier + BarrierWords.round));
  const records = holdsOf(cpu, maxThreads(cpu), barrier, everybody);
  return records.filter((record) => cpu.load(record + Hold.count) === ticket);
}

/**
 * Ends the round if all have come. A task that times out withdraws its ticket without the latch. So each ticket is
 * counted by a cmpxchg, which fails if it was withdrawn, and no task is released until all succeeded. Under the latch.
 */
function endRound(futexes: Futexes, barrier: number, round: number): { isOver: boolean; counted: number[] } {
  const { cpu } = futexes.thread;
  const ticket = ticketOf(round);
  const count = cpu.load(barrier + BarrierWords.count);
  if (cpu.read(barrier + BarrierWords.arrived) < count) return { isOver: false, counted: [] };
  const here = arrivals(futexes, barrier);
  cpu.write(barrier + BarrierWords.arrived, here.length);
  if (here.length < count) return { isOver: false, counted: [] };
  const counted = here.filter((each) => cpu.cmpxchg(each + Hold.count, ticket, ticket | COUNTED) === ticket);
  const isOver = counted.length === here.length;
  if (isOver) {
    cpu.store(barrier + BarrierWords.round, (round + 1) | 0);
    // In this order: a thread that dies between the two leaves a number that is too high.
    cpu.write(barrier + BarrierWords.arrived, 0);
  }
  // A waiter that finds its ticket taken may go, and destroy the barrier: that waits for the latch.
  for (const each of counted) cpu.storeRelease(each + Hold.count, isOver ? 0 : ticket);
  return { isOver, counted };
}

function* pass(futexes: Futexes, barrier: number, waiter: Waiter): SlowPath<Outcome> {
  const { thread } = futexes;
  const { cpu } = thread;
  yield* latched(waiter, barrier + BarrierWords.latch);
  const record = claimHold(cpu, waiter.task, barrier);
  if (record === 0) {
    unlatch(cpu, barrier + BarrierWords.latch);
    return 'exhausted';
  }
  const round = cpu.load(barrier + BarrierWords.round);
  const ticket = ticketOf(round);
  cpu.write(barrier + BarrierWords.arrived, cpu.read(barrier + BarrierWords.arrived) + 1);
  // Pairs with the acquires of `isHeld` (sched/holds.ts): a thread that finds the ticket finds what this one did before it arrived.
  cpu.storeRelease(record + Hold.count, ticket);
  const { isOver, counted } = endRound(futexes, barrier, round);
  // From here on the ticket says that the task waits, and nothing of the barrier is touched: a task that is released may destroy
  // it, once the latch is free.
  endWait(cpu, waiter.task);
  unlatch(cpu, barrier + BarrierWords.latch);
  const others = counted.filter((each) => each !== record).map((each) => each + Hold.count);
  yield* wakeIn(waiter, futexes, others, 1, MATCH_ANY);
  if (isOver) return 'serial';
  let late: GaveUp | undefined;
  for (;;) {
    // Pairs with the release of the one that takes the ticket.
    const seen = cpu.loadAcquire(record + Hold.count);
    if (seen !== ticket && seen !== (ticket | COUNTED)) return 'passed';
    if (late !== undefined && cpu.cmpxchg(record + Hold.count, ticket, 0) === ticket) return late;
    const result = yield* wait(futexes, record + Hold.count, seen, MATCH_ANY, waiter);
    if (result !== 'timed-out' && result !== 'aborted') continue;
    late = result;
    // While it is being counted, it has to see how that ends.
    waiter.deadline = Number.POSITIVE_INFINITY;
    waiter.aborted = false;
  }
}

/**
 * After deaths: a round that was complete lets its last ones go, and one that was being counted goes on. The dead have
 * not arrived: nobody counts them.
 */
function repair(repairer: Repairer, barrier: number): boolean {
  const { cpu, threads, isDead } = repairer;
  if (!repairer.latch(barrier + BarrierWords.latch, () => {})) return false;
  const ticket = ticketOf(cpu.load(barrier + BarrierWords.round));
  for (const record of holdsOf(cpu, threads, barrier, isDead)) cpu.store(record + Hold.count, 0);
  for (const record of holdsOf(cpu, threads, barrier, everybody)) {
    const count = cpu.load(record + Hold.count);
    if (count !== ticket) cpu.cmpxchgRelease(record + Hold.count, count, count === (ticket | COUNTED) ? ticket : 0);
  }
  unlatch(cpu, barrier + BarrierWords.latch);
  return true;
}

export interface PthreadBarrierOptions {
  /** How many tasks meet, 1 to 2^20; all who open one name give the same. */
  count: number;
}

/**
 * pthread_barrier_t: `count` tasks wait for each other, again and again.
 *
 *   wait   latch; note in my own record that I have come; all there? next round, take all the notes, wake
 *          each sleeps on its own record until the note has been taken
 *
 * So nobody touches the barrier once it may go, and whoever returns first may destroy it. Who has come stands in the
 * records of the living: a thread that dies while it waits has not come, and another may come in its place.
 *
 * Source: pthread_barrier_wait(3p).
 */
export class PthreadBarrier extends SharedObject {
  readonly #futexes: Futexes;

  constructor(arena: Arena, which: string | ObjectHandle | undefined, options: PthreadBarrierOptions) {
    checkOptionNames(options, ['count']);
    const { count } = options;
    if (!Number.isInteger(count) || count < 1 || count > MOST) {
      throw new HoldfastError('EINVAL', `a barrier is for 1 to ${MOST} tasks, received ${shown(count)}`);
    }
    super(KIND, arena, which);
    this.#futexes = openFutexes(arena);
    const set = arena.cpu.cmpxchg(this.address + BarrierWords.count, 0, count);
    if (set !== 0 && set !== count) {
      throw new HoldfastError('EINVAL', `the ${this.label} is for ${set} tasks, not for ${count}`);
    }
  }

  static from(arena: Arena, handle: ObjectHandle, options: PthreadBarrierOptions): PthreadBarrier {
    return new PthreadBarrier(arena, handle, options);
  }

  /**
   * Waits until all have come. True for one of them (PTHREAD_BARRIER_SERIAL_THREAD). Throws ETIMEDOUT: then it has not
   * come; EAGAIN when there is no memory to note the wait.
   */
  wait(options?: WaitOptions): boolean {
    const limits = limitsOf(this.thread.cpu, options);
    return passed(block(this.thread, limits, (waiter) => pass(this.#futexes, this.address, waiter), this));
  }

  async waitAsync(options?: AbortableOptions): Promise<boolean> {
    const limits = limitsOf(this.thread.cpu, options, ABORTABLE_OPTIONS);
    const path = (waiter: Waiter) => pass(this.#futexes, this.address, waiter);
    const { outcome, task } = await blockAsync(this.thread, this.arena.heap, limits, path, this);
    this.thread.returnTask(task);
    return passed(outcome);
  }

  /** How many wait; out of date as soon as it is read. */
  get waiting(): number {
    const { id } = this.thread;
    const cpu = this.living;
    latch(cpu, this.address + BarrierWords.latch, id);
    const { length } = arrivals(this.#futexes, this.address);
    unlatch(cpu, this.address + BarrierWords.latch);
    return length;
  }

  /** Throws EBUSY while somebody waits for others to come; a task that has been released does not count. */
  override destroy(): void {
    if (this.waiting > 0) throw new HoldfastError('EBUSY', `${this.waiting} wait at the ${this.label}`);
    super.destroy();
  }

  protected override get shown(): string {
    const count = this.thread.cpu.load(this.address + BarrierWords.count);
    return `PthreadBarrier(${this.name ?? this.address}, ${this.waiting} of ${count})`;
  }

  /** @internal */
  override notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError('ETIMEDOUT', `the others did not come to the barrier within ${timeout} ms`);
  }
}

function passed(outcome: Exclude<Outcome, GaveUp>): boolean {
  if (outcome === 'exhausted') {
    throw new HoldfastError('EAGAIN', `there is no memory to note that this thread waits at the barrier`);
  }
  return outcome === 'serial';
}
