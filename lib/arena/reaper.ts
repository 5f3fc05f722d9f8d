/**
 * The reaper: repairs what dead threads left behind. `worker.terminate()` and crashes stop a thread between any two
 * operations, so nothing here trusts that a critical section was left in order.
 *
 * 1. A latch that a dead thread holds is inherited, the structure behind it rebuilt from words that are always
 *    consistent (block starts in the heap map, the tasks' own `blockedOn` and `ticket`), and the latch released.
 * 2. What the dead thread had allocated and not yet published is freed.
 * 3. Every shared object is repaired by its kind: locks whose owner word names a dead task pass to the next owner,
 *    marked; dead waiters leave the queues. There is no list of held locks to keep up to date on the fast path: who
 *    holds a lock stands in its word, and death is rare enough to look at all of them.
 * 4. Death is a broadcast. The dead thread may have been about to wake somebody, and nobody can know whom: so every
 *    sleeping task is unparked, once, and looks at its condition again.
 *
 * One reaper works at a time (reaperLatch), and each step may run twice: when a reaper dies, the next one starts over.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import { type Kind, kindById } from '../memory/kinds.ts';
import { inheritLatch, isAwaited, latchOwner, standAside, tryLatch, unlatch } from '../memory/latch.ts';
import type { Objects } from '../memory/object-store.ts';
import { kindIdOf } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import {
  beginLeaving,
  endLeaving,
  everyTask,
  keepsNascent,
  knowsAreas,
  markDead,
  maxThreads,
  Slot,
  slotAddress,
  slotNumberAt,
  threadOf,
  vacate,
} from '../sched/slot.ts';
import { SLEEPING, Task, unpark } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { repairTimers, TIMER_KIND } from '../sched/timer.ts';
import { reorderLiving } from '../sched/wait-list.ts';
import { repairKthreadd } from './kthreadd.ts';
import type { ThreadState } from './thread-state.ts';

const isFree = (value: number) => value === 0;

/** Loads that `settle` waits for a live thread, by default: some 10 us. */
const SETTLE_SPINS = 1000;
/** Objects that are looked at with the names latched, one hold. */
const BATCH = 64;
/** How long a pass in slices takes its thread at a time, ns. */
const SLICE_NS = 1e6;

export interface ReapOptions {
  /** Loads that `settle` waits; Infinity on a machine whose threads are not preempted. */
  settleSpins?: number;
  /** Stay until everything is settled, or until then, ns on `cpu.now()`. A thread that ends leaves the rest to others. */
  patience?: number;
}

/**
 * 'again': the reaper must be called again later. 'unknown': an object is of a kind, or a slot has an area in use, that
 * this thread's copy of the library does not know, so it may not be repaired; the slots of the dead stay taken, for a
 * thread that knows it.
 */
export type Reaped = 'done' | 'again' | 'unknown';

/** What a reaper works with: its thread, and that thread's views of the heap and the objects. */
export interface ReaperPlace {
  readonly thread: Thread;
  readonly heap: Heap;
  readonly objects: Objects;
  /** Called when the threads are repaired, just before others may take their places. */
  readonly onReaped?: (threads: readonly DeadThread[]) => void;
}

export type DeadThread = Pick<ThreadState, 'thread' | 'threadId'>;

/**
 * Repairs everything after the deaths of all threads for which `isDead` holds. `thread` does the work; a thread for which
 * `isDead` holds itself gives up its slot.
 */
export function reap(
  { thread, heap, objects, onReaped }: ReaperPlace,
  isDead: (id: number) => boolean,
  { settleSpins = SETTLE_SPINS, patience = 0 }: ReapOptions = {},
): Reaped {
  const { cpu, id: owner } = thread;
  const all = ids(cpu);
  if (!all.some(isDead)) return 'done';
  if (latchOwner(cpu, Header.reaperLatch) === owner) {
    // In the middle of a pass this thread waits for the heap, and has found out meanwhile that its owner is dead.
    recoverHeap(thread, heap, all.filter(isDead));
    return 'again';
  }
  const isLeaving = isDead(owner);
  if (isLeaving) beginLeaving(cpu, thread.slot);
  if (!becomeReaper(cpu, owner, isDead)) return 'again';
  let reaped: Reaped;
  do {
    // One set for the whole pass, whoever else dies meanwhile.
    const pass = new Pass(thread, heap, objects, all.filter(isDead), settleSpins);
    while (!pass.advance()) if (pass.isAwaited) standAside(cpu, Header.namesLatch);
    reaped = pass.outcome;
    if (reaped === 'done') pass.freeSlots(onReaped);
    wakeAll(cpu, all.length);
  } while (reaped === 'again' && cpu.now() < patience);
  unlatch(cpu, Header.reaperLatch);
  // Last: with its slot vacated, a thread that is killed here would leave a latch that nobody could inherit.
  if (isLeaving && reaped === 'done') leave(cpu, thread.slot, all.length);
  if (isLeaving && reaped !== 'done') leaveToOthers(cpu, thread.slot);
  return reaped;
}

/**
 * `reap` for a thread with an event loop: yields when it has worked for a millisecond, and goes on where it was. It is
 * nobody's reaper meanwhile, so another thread, or this one in a synchronous call, may make a pass of its own. Where the
 * set of the dead is another then, this pass begins anew: it never takes a thread for alive that a pass took for dead.
 *
 * A slice ends as well when another thread waits for the names. It yields true then: the next one must not come at once, for
 * that thread needs a moment to run, and would find them latched time and again.
 */
export function* reapInSlices(
  { thread, heap, objects, onReaped }: ReaperPlace,
  isDead: (id: number) => boolean,
): Generator<boolean, Reaped, void> {
  const { cpu, id: owner } = thread;
  let pass: Pass | undefined;
  let deaths = '';
  for (;;) {
    if (!ids(cpu).some(isDead)) return 'done';
    if (!becomeReaper(cpu, owner, isDead)) return 'again';
    // Looked at behind the latch, as in `reap`: until this thread had it, another reaper could free a dead thread's slot for a new one.
    const dead = ids(cpu).filter(isDead);
    if (dead.length === 0) {
      unlatch(cpu, Header.reaperLatch);
      return 'done';
    }
    // With the thread's own number: another one may have taken the slot meanwhile, and have died.
    const seen = dead.flatMap((id) => [id, cpu.load(slotAddress(cpu, id - 1) + Slot.life)]).join();
    if (pass === undefined || seen !== deaths) pass = new Pass(thread, heap, objects, dead, SETTLE_SPINS);
    deaths = seen;
    const end = cpu.now() + SLICE_NS;
    let isOver: boolean;
    do isOver = pass.advance(end);
    while (!isOver && !pass.isAwaited && cpu.now() < end);
    if (isOver && pass.outcome === 'done') pass.freeSlots(onReaped);
    if (isOver) wakeAll(cpu, maxThreads(cpu));
    unlatch(cpu, Header.reaperLatch);
    if (isOver) return pass.outcome;
    yield pass.isAwaited;
  }
}

/** The ids of all threads that there can be: their CPU numbers plus one. */
function ids(cpu: Cpu): number[] {
  return Array.from({ length: maxThreads(cpu) }, (_, i) => i + 1);
}

/** Takes reaperLatch, also from a dead thread. */
function becomeReaper(cpu: Cpu, owner: number, isDead: (id: number) => boolean): boolean {
  const dead = ids(cpu).find((id) => isDead(id) && inheritLatch(cpu, Header.reaperLatch, id, owner));
  if (dead === undefined) return tryLatch(cpu, Header.reaperLatch, owner);
  if (isDead(dead)) return true;
  // Between the two looks another reaper freed the slot: the latch is the next thread's there, unless that has released it.
  inheritLatch(cpu, Header.reaperLatch, owner, dead);
  return false;
}

/**
 * Begins an era when a thread is dead that no reaper has met yet. What a reaper prepares for its next call, such as a
 * node in a queue behind all that are dead, is good until a death of a later era concerns it.
 */
function declareEra(cpu: Cpu, dead: readonly number[]): void {
  const met = (id: number) => slotAddress(cpu, id - 1) + Slot.met;
  if (dead.every((id) => cpu.load(met(id)) !== 0)) return;
  const era = cpu.fetchAdd(Header.era, 1) + 1;
  for (const id of dead) if (cpu.load(met(id)) === 0) cpu.storeRelease(met(id), era);
}

function deadThreadOf(cpu: Cpu, slot: number): DeadThread {
  return { thread: slotNumberAt(cpu, slot), threadId: threadOf(-cpu.load(slot + Slot.life)) - 1 };
}

/** One pass over everything, in steps. The thread has reaperLatch in each. */
class Pass {
  readonly #thread: Thread;
  readonly #heap: Heap;
  readonly #objects: Objects;
  readonly #dead: readonly number[];
  readonly #repairer: Repairer;
  /** The line of the heap up to which all objects were looked at; -1 before the first step. */
  #line = -1;
  #isSettled = true;
  #knowsAll = true;
  #isAwaited = false;
  readonly #timers: number[] = [];

  constructor(thread: Thread, heap: Heap, objects: Objects, dead: readonly number[], settleSpins: number) {
    this.#thread = thread;
    this.#heap = heap;
    this.#objects = objects;
    this.#dead = dead;
    this.#repairer = repairerFor(thread, dead, settleSpins);
  }

  get outcome(): Reaped {
    if (!this.#isSettled) return 'again';
    return this.#knowsAll ? 'done' : 'unknown';
  }

  /** The slots of the dead may be taken, after a pass that is 'done'. */
  freeSlots(onReaped: ReaperPlace['onReaped']): void {
    const { cpu, id: owner } = this.#thread;
    const slots = this.#dead.filter((id) => id !== owner).map((id) => slotAddress(cpu, id - 1));
    onReaped?.(slots.map((slot) => deadThreadOf(cpu, slot)));
    for (const slot of slots) free(cpu, slot);
  }

  /** Whether another thread came to wait for the names in the last step. */
  get isAwaited(): boolean {
    return this.#isAwaited;
  }

  /**
   * The next few objects, with the names latched; no more of those that need repair after `end`, ns, because that of a single
   * one may take as long as a look at thousands that do not. True when all is over.
   */
  advance(end = Number.POSITIVE_INFINITY): boolean {
    const { cpu, id: owner } = this.#thread;
    if (this.#line < 0) declareEra(cpu, this.#dead);
    recoverHeap(this.#thread, this.#heap, this.#dead);
    // The thread may be reaping while it waits for the heap inside `open`: then it has this latch already.
    const hasNames = latchOwner(cpu, Header.namesLatch) === owner;
    if (!hasNames && !this.#repairer.latch(Header.namesLatch, () => {})) {
      this.#isSettled = false;
      return true;
    }
    if (this.#line < 0) this.#reclaimNascent();
    const isOver = this.#repairNext(end);
    if (isOver) this.#finish();
    this.#isAwaited = !hasNames && isAwaited(cpu, Header.namesLatch);
    if (!hasNames) unlatch(cpu, Header.namesLatch);
    if (isOver) {
      if (!repairTimers(this.#repairer, this.#timers, () => this.#heap.objects())) this.#isSettled = false;
      repairKthreadd(this.#repairer);
    }
    return isOver;
  }

  #reclaimNascent(): void {
    const { cpu } = this.#thread;
    for (const id of this.#dead) {
      const slot = slotAddress(cpu, id - 1);
      if (!knowsAreas(cpu, slot)) {
        this.#knowsAll = false;
        continue;
      }
      this.#objects.undoDestroy(cpu.load(slot + Slot.entering), slot + Slot.nascent);
      const block = cpu.load(slot + Slot.nascent);
      if (block !== 0 && keepsNascent(cpu, slot, block)) cpu.store(slot + Slot.nascent, 0);
      else this.#objects.reclaim(slot + Slot.nascent);
    }
  }

  /** Whether these were the last. */
  #repairNext(end: number): boolean {
    const { cpu } = this.#thread;
    const { objects, end: next } = this.#heap.objectsFrom(Math.max(this.#line, 0), BATCH);
    for (const [i, address] of objects.entries()) {
      const kind = this.#kindOf(address);
      if (kind === undefined || this.#isIdle(kind, address)) continue;
      if (!kind.repair(this.#repairer as never, address)) this.#isSettled = false;
      const following = objects[i + 1];
      if (following !== undefined && cpu.now() >= end) {
        this.#line = this.#heap.lineOf(following);
        return false;
      }
    }
    this.#line = next;
    return objects.length < BATCH;
  }

  #repair(address: number): boolean {
    const kind = this.#kindOf(address);
    return kind === undefined || this.#isIdle(kind, address) || kind.repair(this.#repairer as never, address);
  }

  #kindOf(address: number): Kind<never> | undefined {
    const { cpu } = this.#thread;
    // Also one that was destroyed: a thread that came too late may have died with its latch.
    const kind = address === 0 ? undefined : kindById(kindIdOf(cpu, address));
    if (kind === undefined) this.#knowsAll = false;
    if (kind === TIMER_KIND) this.#timers.push(address);
    return kind;
  }

  #isIdle(kind: Kind<never>, address: number): boolean {
    const { cpu } = this.#thread;
    if (!kind.isIdle?.(cpu, address)) return false;
    if (kind.latch !== undefined) cpu.wake(address + kind.latch, Number.POSITIVE_INFINITY);
    return true;
  }

  #finish(): void {
    const { cpu } = this.#thread;
    // The object's state may let a waiter go on that has become the first only now, so the object is repaired again.
    const repair = (list: number) => this.#repair(this.#heap.objectAt(list));
    if (!reorderLiving(this.#repairer, repair)) this.#isSettled = false;
    // Each rt-mutex sees to what this latch guards; without any there is nothing to rebuild.
    for (const id of this.#dead) {
      if (inheritLatch(cpu, Header.priorityLatch, id, this.#thread.id)) unlatch(cpu, Header.priorityLatch);
    }
    // A thread that died between the two steps of its unlatch has woken nobody.
    cpu.wake(Header.priorityLatch, Number.POSITIVE_INFINITY);
  }
}

function repairerFor({ cpu, id: owner }: Thread, dead: readonly number[], settleSpins: number): Repairer {
  const inherit = (address: number, rebuild: () => void): boolean =>
    dead.some((id) => {
      if (!inheritLatch(cpu, address, id, owner)) return false;
      rebuild();
      return true;
    });
  const repairer: Repairer = {
    cpu,
    owner,
    threads: maxThreads(cpu),
    isDead: (id) => dead.includes(id),
    latch(address, rebuild) {
      while (!inherit(address, rebuild) && !tryLatch(cpu, address, owner)) {
        if (!repairer.settle(address, isFree, 0)) return false;
      }
      cpu.wake(address, Number.POSITIVE_INFINITY);
      return true;
    },
    settle: (address, until, arg) => until(cpu.condLoadAcquire(address, until, arg, settleSpins), arg),
  };
  return repairer;
}

/** The heap is everybody's: also a reaper that waits for it must find it in order. */
function recoverHeap({ cpu, id: owner }: Thread, heap: Heap, dead: readonly number[]): void {
  const nascent = dead.map((id) => slotAddress(cpu, id - 1) + Slot.nascent);
  for (const id of dead) {
    if (!inheritLatch(cpu, Header.heapLatch, id, owner)) continue;
    heap.rebuild(nascent);
    unlatch(cpu, Header.heapLatch);
  }
  cpu.wake(Header.heapLatch, Number.POSITIVE_INFINITY);
}

/** A dead thread's slot may be taken by a new thread. */
function free(cpu: Cpu, slot: number): void {
  vacate(cpu, slot);
  cpu.store(slot + Slot.osThread, 0);
  cpu.storeRelease(slot + Slot.life, 0);
}

/** The calling thread's own slot may be taken. Nobody repairs it after that, so those that wait for that come first. */
function leave(cpu: Cpu, slot: number, threads: number): void {
  vacate(cpu, slot);
  endLeaving(cpu, slot);
  wakeAll(cpu, threads);
  cpu.store(slot + Slot.osThread, 0);
  cpu.storeRelease(slot + Slot.life, 0);
}

/**
 * The calling thread could not repair all that it leaves: it counts as killed, for a thread that can. That may take as
 * long as a live thread holds a lock that a dead one waits for, and a thread that ends must not wait for that.
 */
function leaveToOthers(cpu: Cpu, slot: number): void {
  const life = slot + Slot.life;
  markDead(cpu, life, threadOf(cpu.load(life)));
}

function wakeAll(cpu: Cpu, threads: number): void {
  // Pairs with the exchange in `prepareToPark`: a sleeper sees what was repaired, or the loads here see that it sleeps.
  cpu.mb();
  for (const task of everyTask(cpu, threads, (id) => cpu.load(slotAddress(cpu, id - 1) + Slot.life) > 0)) {
    // A thread that died inside unpark may have said RUNNING, and not notified.
    if (cpu.load(task + Task.state) === SLEEPING) unpark(cpu, task);
    else cpu.wake(task + Task.state, 1);
  }
}
