/**
 * Thread: a virtual CPU. A worker thread (or the main thread) that attaches to an arena takes a slot in the thread
 * table, and with it a CPU number, a main task, queue nodes for the spinning locks, and a store of tasks for its
 * asynchronous acquisitions. Slots are reused; their tasks go with them.
 */

import { availableParallelism } from 'node:os';
import { inspect } from 'node:util';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { IntMap } from '../machine/int-map.ts';
import { type Member, Roster } from '../machine/roster.ts';
import type { Heap } from '../memory/heap.ts';
import { SleepHooks } from './hooks.ts';
import { checkPriority, dueIn, NO_CEILING, setOwnPriority, tellCeiling } from './priority.ts';
import { Slot, slotAddress } from './slot.ts';
import { Task } from './task.ts';
import { TaskStore } from './task-store.ts';
import type { LockObserver, Tracer, UnlockHearer, Wait, Watch } from './watch.ts';

/**
 * About as long as a park and unpark take. Measured on 2 cores with 2 to 8 threads and sections of 3 us: with 200 a
 * third of the throughput goes to sleeps that were not needed; more than 1600 gain nothing.
 */
const SPINS = 800;

export interface Counters {
  /** Acquisitions that could not take the fast path. */
  contended: number;
  /** Times a task of this thread went to sleep. */
  parks: number;
  /** Locks that this thread gave directly to a waiter. */
  handoffs: number;
  /** Acquisitions that learned of a dead owner. */
  ownerDeaths: number;
}

/**
 * What a wait on an event loop does when its thread is about to sleep in a synchronous call, and the wait cannot go on
 * before that comes back: it passes on what it was given, or woken for, to those that can run (`isStuck`). Illegal to fail
 * to set in a path whose task may be given something, or woken in the place of another.
 */
export interface Aside {
  /** Waits with the same `of` have the same `pass`. */
  readonly of: number;
  pass(): void;
}

export const DETACHED = -1;

/** No lock word ever holds it. */
export const NEVER = -1;

/** `postMessage` refuses a function, and shows its text. */
const notCloneable = (): string =>
  "a Thread is a view of the calling thread: send the arena's .handle, and attach there; or send its .number";

/** A thread in an arena: `arena.thread` is the calling one. */
export class Thread {
  /** Must be the first field; see `notCloneable`. */
  protected readonly cloning: () => string = notCloneable;
  /** @internal */
  readonly cpu: Cpu;
  /** CPU number, from 0. */
  readonly number: number;
  /** @internal CPU number plus one: what lock words and latches store. */
  readonly id: number;
  /** @internal */
  readonly slot: number;
  /** @internal The main task's address; DETACHED after detach. */
  self: number;
  /** @internal What `lock` expects in a lock's word: 0. NEVER while somebody observes the thread, and after detach; see `lock-observer.ts`. */
  free = 0;
  /** @internal What `unlock` expects there: `self`. NEVER as above. */
  mine: number;
  /** @internal What it expects in words that name threads: `id`. NEVER as above. */
  mineById: number;
  /** @internal Told of the locks that the thread takes and gives back, while it is observed. */
  observer: LockObserver | undefined = undefined;
  /** @internal Those that `observer` stands for, by the word of the header that says whether each observes; see `lock-observer.ts`. */
  observers: ReadonlyMap<number, LockObserver> = new Map();
  /** @internal Called when somebody has begun or ended to observe the thread. */
  readonly observations = new Set<() => void>();
  /** @internal The most urgent ceiling of the mutexes that it holds; `tellCeiling` of priority.ts tells the others. */
  ceiling = NO_CEILING;
  /** @internal See `restOn`. */
  restsAt = 0;
  /** @internal */
  readonly nascent: number;
  /** @internal */
  readonly spins: number;
  /** @internal False on a machine without preemption, where waiters spin for ever and nobody sleeps. */
  readonly isPreemptible: boolean;
  /** @internal What this thread did; kept in this thread's own memory. */
  readonly counters: Counters = { contended: 0, parks: 0, handoffs: 0, ownerDeaths: 0 };
  /** @internal Told of the voluntary sleeps of this thread's synchronous code. */
  readonly hooks = new SleepHooks();
  /** @internal Called when the thread has left the arena: from then on its lines in shared memory may be another's. */
  readonly ends = new Set<() => void>();
  /** @internal What frees memory that the thread has to give back, without sleeping; each says whether it has freed any. See `shrink`. */
  readonly shrinkers = new Set<() => boolean>();
  /**
   * @internal Set while the main task is in a list and the thread's synchronous code runs all the same, as a condition does: takes
   * the main task out, because it is in one list at most. `block` calls it, so that the code may wait.
   */
  leaveQueue: (() => void) | undefined = undefined;
  /** @internal Told of the thread's waits, while it is watched; see `contention.ts`. */
  watches: readonly Watch[] = [];
  /** @internal Told of what else it does, while it is traced. */
  tracer: Tracer | undefined = undefined;
  /** @internal Called when the thread's synchronous code has slept for some ms, and now and then while it goes on sleeping. */
  stalled: (() => void) | undefined = undefined;
  /** @internal Called when an unlock has given `lock` to `task`, which waits for it; see `hearUnlocks`. */
  handsOver: ((lock: number, task: number) => void) | undefined = undefined;
  readonly #unlockHearers = new Map<object, UnlockHearer>();
  /** @internal A wait that has begun, until `block` takes it over or the call comes back without. */
  wait: Wait | undefined = undefined;

  /** @internal Asynchronous calls of this thread that wait, or have been given what they wait for and do not know it yet. */
  readonly waiters = new Roster<Member & { readonly task: number; readonly aside?: Aside | undefined }>();
  /** @internal Tasks that hold a lock without a guard, so that `unlock` on this thread may release it. */
  readonly unguarded = new IntMap();
  /** @internal Those of its asynchronous calls. */
  readonly tasks: TaskStore;

  /** @internal `spins`: the loads that a waiter spends on spinning before it sleeps; Infinity for a machine without preemption. */
  constructor(cpu: Cpu, number: number, spins = availableParallelism() > 1 ? SPINS : 1) {
    this.cpu = cpu;
    this.spins = spins;
    this.isPreemptible = spins !== Number.POSITIVE_INFINITY;
    this.number = number;
    this.id = number + 1;
    this.slot = slotAddress(cpu, number);
    this.self = this.slot + Slot.mainTask;
    this.mine = this.self;
    this.mineById = this.id;
    this.nascent = this.slot + Slot.nascent;
    this.tasks = new TaskStore(cpu, this.slot, this.id);
  }

  /** In a log line: its state is the arena's. */
  toJSON(): string {
    return inspect(this);
  }

  toString(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    return `Thread(${this.number})`;
  }

  /** @internal The calling thread's main task. Throws EINVAL after detach. */
  current(): number {
    if (this.self === DETACHED) throw new HoldfastError('EINVAL', 'this thread has detached from the arena');
    return this.self;
  }

  /** @internal From here on `observer` hears of the thread's locks; undefined for nobody. */
  observe(observer: LockObserver | undefined): void {
    this.observers = new Map();
    const isOnItsOwn = observer === undefined && this.self !== DETACHED;
    this.observer = observer;
    this.free = isOnItsOwn ? 0 : NEVER;
    this.mine = isOnItsOwn ? this.self : NEVER;
    this.mineById = isOnItsOwn ? this.id : NEVER;
    for (const hear of this.observations) hear();
  }

  /** @internal The arena has no memory left: frees what this thread can free at once. False when that was nothing. */
  shrink(): boolean {
    let hasFreed = false;
    for (const free of this.shrinkers) hasFreed = free() || hasFreed;
    return hasFreed;
  }

  /** @internal The thread has left the arena: all of its calls throw EINVAL from here on. */
  leave(): void {
    this.self = DETACHED;
    this.observe(undefined);
    this.endWatch();
  }

  /** @internal Nobody watches or traces it any more: whoever does writes to its slot, which is another's soon. */
  endWatch(): void {
    this.watches = [];
    this.tracer = undefined;
    this.stalled = undefined;
    this.#unlockHearers.clear();
    this.#setUnlockHooks();
  }

  /** @internal From here on `hearer` is told of the tasks that this thread wakes, and of the locks that it hands over; undefined: no more. `who` asks. */
  hearUnlocks(who: object, hearer: UnlockHearer | undefined): void {
    if (hearer === undefined) this.#unlockHearers.delete(who);
    else this.#unlockHearers.set(who, hearer);
    this.#setUnlockHooks();
  }

  #setUnlockHooks(): void {
    const all = [...this.#unlockHearers.values()];
    const isHeard = all.length > 0;
    // Loops, whose frames are this package's own: a hearer may take a stack.
    const wakes = (task: number) => {
      for (const hearer of all) hearer.wakes(task);
    };
    const handsOver = (lock: number, task: number) => {
      for (const hearer of all) hearer.handsOver(lock, task);
    };
    this.cpu.onUnpark = isHeard ? wakes : undefined;
    this.handsOver = isHeard ? handsOver : undefined;
  }

  /**
   * @internal For an observer that needs to hear of an unlock only now and then: whether the fast paths of unlocks take their way meanwhile. Illegal
   * unless it is the thread's one observer.
   */
  observeUnlocks(areObserved: boolean): void {
    this.mine = areObserved ? NEVER : this.self;
    this.mineById = areObserved ? NEVER : this.id;
  }

  /**
   * How urgent this thread's synchronous calls are: lower goes first in every queue of the library, 0 to begin with.
   * Among equals an earlier deadline goes first, and any goes before none: `due`, ms from now. What waits for a lock that
   * this thread holds can lend it a higher priority. Throws EINVAL for what is no 32-bit whole number.
   */
  setPriority(priority: number, { due }: { due?: number | undefined } = {}): void {
    this.current();
    setOwnPriority(this, checkPriority(priority), dueIn(this.cpu, due));
  }

  /** The priority that this thread's synchronous calls have at present: its own, or one that it has inherited. */
  get priority(): number {
    if (this.self !== DETACHED) tellCeiling(this);
    return this.cpu.load(this.slot + Slot.mainTask + Task.priority);
  }

  /**
   * @internal From here on, whenever the thread blocks on that word, it is between two turns of its event loop, in the middle of
   * nothing: there it can be rung for a round (`rounds.ts`). 0: no word is such any more.
   */
  restOn(word: number): void {
    this.restsAt = word;
    this.cpu.store(this.slot + Slot.restsAt, word);
  }

  /** @internal A task that may be named by shared words for longer than it is in use: its memory stays a task's. Throws ENOMEM. */
  takeTask(heap: Heap): number {
    this.current();
    const task = this.tasks.take(heap, true) as number;
    this.tasks.keep(task);
    return task;
  }

  /** @internal A task for one asynchronous acquisition: undefined where there is none without waiting for the heap. Throws ENOMEM. */
  tryTakeTask(heap: Heap): number | undefined {
    this.current();
    return this.tasks.take(heap, false);
  }

  /** @internal */
  returnTask(task: number): void {
    this.tasks.give(task);
  }

  /** @internal Asynchronous acquisitions that wait or hold. */
  get tasksInUse(): number {
    return this.tasks.inUse;
  }
}
