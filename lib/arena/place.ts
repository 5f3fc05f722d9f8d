/**
 * A thread's place in an arena: its slot, and what it does there for the dead. It knows nothing of the `Arena` that users
 * hold, so that this can be collected when nobody reaches it any more; see `attachments.ts`.
 */
import { threadId, type Worker } from 'node:worker_threads';
import type { Cpu } from '../machine/cpu.ts';
import { setImmediate, setTimeout } from '../machine/host.ts';
import { RealCpu } from '../machine/real.ts';
import { Header } from '../memory/header.ts';
import { Heap } from '../memory/heap.ts';
import { type Kind, kindById } from '../memory/kinds.ts';
import { Objects } from '../memory/object-store.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { watching } from '../sched/contention.ts';
import { isDead, markDead, maxThreads, Slot, slotAddress, threadOf, viewersFor } from '../sched/slot.ts';
import { DETACHED, Thread } from '../sched/thread.ts';
import { tellDeaths } from './deaths.ts';
import { ringKthreadd, SPARE_SLOTS } from './kthreadd.ts';
import { KthreaddParent } from './kthreadd-parent.ts';
import { isGone, osThread } from './liveness.ts';
import { type DeadThread, type Reaped, reap, reapInSlices } from './reaper.ts';
import { TaskCare } from './task-care.ts';

/** How long the reaper waits for a live thread to take its next few steps before it looks again, ms. */
const SETTLE_MS = 1;
/** How long a pass in slices stands back for threads that wait for the table of names, ms. */
const STEP_ASIDE_MS = 1;
/** How long a thread that ends waits for that before it leaves the rest to others, ms. */
const PATIENCE_MS = 100;
/** When a thread whose end is told, and those that it started, are gone from /proc as well, ms. */
export const LINGER_MS = 100;
/** Loads that a thread without a place waits for another visitor: some 20 ms. */
const VISIT_SPINS = 1 << 20;

const isFree = (life: number) => life === 0;

/** What a place needs and can't import. */
export interface Company {
  watch(worker: Worker): void;
  view(): object;
}

export class Place {
  readonly cpu: Cpu;
  readonly thread: Thread;
  readonly heap: Heap;
  readonly objects: Objects;
  /** Of the arena. */
  readonly id: number;
  /** Undefined on the simulated machines. */
  readonly buffer: SharedArrayBuffer | undefined;
  readonly kthreadd: KthreaddParent;
  /** The address of the thread's time namespace, or 0. */
  timeNamespace = 0;
  hasReadClock = false;
  /** What `attachments.ts` does for places, which knows more than this file. */
  company: Company | undefined;
  /** Of a thread that is here to stay. */
  #care: TaskCare | undefined;
  /** A pass under way, and whether somebody has asked for another meanwhile. */
  #slices: Generator<boolean, Reaped, void> | undefined;
  #isAsked = false;
  #retry: NodeJS.Timeout | undefined;
  #lookAgain: NodeJS.Timeout | undefined;
  #hasWarned = false;

  /** The place of CPU `number`, whose waiters spin for `spins` loads. */
  constructor(cpu: Cpu, number: number, { buffer, spins }: { buffer?: SharedArrayBuffer; spins?: number } = {}) {
    this.cpu = cpu;
    this.thread = new Thread(cpu, number, spins);
    this.heap = new Heap(cpu, this.thread.id);
    this.objects = new Objects(cpu, this.heap, this.thread.id, this.thread.nascent, viewersFor(cpu, this.thread.id));
    this.id = cpu.read(Header.id);
    this.buffer = buffer;
    if (buffer !== undefined) this.heap.onScarce = () => warnOfScarcity(buffer.byteLength);
    this.kthreadd = new KthreaddParent(this);
  }

  /** An arena's handle, as `Arena.attach` takes it. */
  get handle(): unknown {
    return { type: 'holdfast.arena', buffer: this.buffer };
  }

  /** What `worker` leaves in the arena when it exits is repaired. */
  watch(worker: Worker): void {
    this.company?.watch(worker);
  }

  /** An `Arena`, for what the program is to run in this thread. */
  view(): object {
    return this.company?.view() ?? this;
  }

  /** There is something for kthreadd, which is started if there is none. */
  requestKthreadd(): void {
    // Its parent may have ended with it, and nobody have been told.
    if (this.#isKthreaddGone) this.sweep(true);
    this.kthreadd.request();
    // The system shows a thread for a moment after its end: this may have rung one that is gone.
    this.#lookAgain ??= setTimeout(() => {
      this.#lookAgain = undefined;
      if (this.thread.self !== DETACHED && this.#isKthreaddGone) this.sweep();
    }, LINGER_MS).unref();
  }

  /** Whether the thread that is, or makes, kthreadd is known to have ended. */
  get #isKthreaddGone(): boolean {
    const { cpu } = this;
    const kthreadd = cpu.load(Header.kthreadd);
    return kthreadd !== 0 && isGone(cpu.load(slotAddress(cpu, (kthreadd >> 1) - 1) + Slot.osThread));
  }

  /** The thread that made the arena makes kthreadd when it is rung for that. */
  attend(): void {
    const { cpu, thread } = this;
    while (thread.self !== DETACHED) {
      const rings = cpu.load(Header.creatorRing);
      this.kthreadd.look();
      const ring = cpu.waitAsync(Header.creatorRing, rings, Number.POSITIVE_INFINITY);
      if (typeof ring === 'string') continue;
      void ring.then(() => this.attend());
      return;
    }
  }

  /**
   * The calling thread takes one of the places from `first` to before `end`. Undefined when all are taken, also after a
   * look for dead threads whose places can be had.
   */
  static take(buffer: SharedArrayBuffer, cpu: RealCpu, first: number, end: number): Place | undefined {
    let number = claimSlot(cpu, first, end);
    if (number < 0) {
      Place.visit(buffer);
      number = claimSlot(cpu, first, end);
    }
    if (number < 0) return undefined;
    const place = Place.#at(cpu, number, buffer);
    watching(place.thread);
    place.#care = new TaskCare(cpu, place.thread, place.heap);
    place.#care.start();
    return place;
  }

  /** A thread without a place in the arena finds and reaps dead ones, from the slot that is kept for that. */
  static visit(buffer: SharedArrayBuffer): void {
    const cpu = cpuOf(buffer);
    if (!markGone(cpu)) return;
    const last = maxThreads(cpu) - 1;
    const number = claimSlot(cpu, last, last + 1);
    if (number >= 0) Place.#at(cpu, number, buffer).leave();
    // Another visitor is there, and does what this one would.
    else cpu.condLoad(slotAddress(cpu, last) + Slot.life, isFree, 0, VISIT_SPINS);
  }

  static #at(cpu: RealCpu, number: number, buffer: SharedArrayBuffer): Place {
    const place = new Place(cpu, number, { buffer });
    cpu.onStall = (isBlocked) => {
      place.sweep(isBlocked);
      if (isBlocked) place.thread.stalled?.();
    };
    cpu.onRing = (address) => {
      place.#care?.rung(address);
      place.kthreadd.look();
    };
    return place;
  }

  /** An object that this thread holds, with its kind; undefined when there is none. */
  held(): { readonly address: number; readonly kind: Kind<never> } | undefined {
    const { cpu, thread } = this;
    for (const address of this.heap.objects()) {
      const kind = kindById(cpu.read(address + ObjectHeader.kind));
      if (kind === undefined) continue;
      if (kind.holder(cpu, address) === thread.id || kind.isHeldBy?.(cpu, address, thread.id)) return { address, kind };
    }
    return undefined;
  }

  /** Whether the thread holds something in the arena, or waits for something. */
  get isInUse(): boolean {
    return this.thread.tasksInUse > 0 || this.held() !== undefined;
  }

  /** Whether `worker`, which runs, is attached to the arena. */
  hasAttached(worker: Worker): boolean {
    const { cpu } = this;
    const isTheirs = (number: number) => {
      const life = cpu.load(slotAddress(cpu, number) + Slot.life);
      return life > 0 && threadOf(life) === worker.threadId + 1;
    };
    // kthreadd is the arena's own, and ends with its last thread.
    return Array.from({ length: maxThreads(cpu) - SPARE_SLOTS }, (_, number) => number).some(isTheirs);
  }

  /** The thread ends, or detaches: what its tasks hold passes to others while it still lives. */
  leave(): void {
    const { thread } = this;
    thread.endWatch();
    // Nobody takes this thread for dead, so until its slot is free it must let no other reaper in between.
    const isReaped = (id: number) => id === thread.id || this.#isDead(id);
    const patience = thread.cpu.now() + PATIENCE_MS * 1e6;
    // Of the threads that it leaves to others it may be one itself.
    while (this.#note(reap(this, isReaped, { patience })) === 'again' && !this.#isDead(thread.id)) markGone(thread.cpu);
    thread.leave();
    for (const end of thread.ends) end();
    this.objects.views.retireAll();
    // `attend` ends, and kthreadd looks whether anybody is left.
    thread.cpu.wake(Header.creatorRing, Number.POSITIVE_INFINITY);
    if (thread.cpu.load(Header.kthreaddWanted) === 1) ringKthreadd(thread.cpu);
  }

  /**
   * Finds threads that ended without anyone's being told, and repairs what they left: at once where the thread's event
   * loop stands still (`isBlocked`), else in slices. A slow path that waits for long calls it: it never throws.
   */
  sweep(isBlocked = false): void {
    if (markGone(this.cpu)) this.#repair(isBlocked);
    this.kthreadd.look();
  }

  #repair(isBlocked: boolean): void {
    if (isBlocked) {
      if (this.#note(reap(this, this.#isDead)) === 'again') this.#comeAgain();
    } else if (this.#slices === undefined) {
      this.#slices = reapInSlices(this, this.#isDead);
      this.#advance();
    } else {
      this.#isAsked = true;
    }
  }

  /** The next slice of a pass. What takes other threads' next few steps is tried again, whether or not anybody asks. */
  readonly #advance = () => {
    if (this.thread.self === DETACHED) return;
    const slice = this.#slices?.next();
    if (slice?.done !== true) {
      // True: others wait for what this would latch again.
      if (slice?.value) setTimeout(this.#advance, STEP_ASIDE_MS).unref();
      else setImmediate(this.#advance).unref();
      return;
    }
    this.#slices = undefined;
    const isAsked = this.#isAsked;
    this.#isAsked = false;
    if (this.#note(slice.value) === 'again') this.#comeAgain();
    else if (isAsked) this.sweep();
    this.kthreadd.look();
  };

  #comeAgain(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      if (this.thread.self !== DETACHED) this.sweep();
    }, SETTLE_MS).unref();
  }

  readonly onReaped = (dead: readonly DeadThread[]) => {
    for (const { thread } of dead) this.thread.tracer?.buries(thread);
    tellDeaths(dead.map((thread) => ({ ...thread, arena: this.id })));
  };

  readonly #isDead = (id: number) => isDead(this.cpu, id);

  #note(reaped: Reaped): Reaped {
    if (reaped === 'unknown' && !this.#hasWarned) {
      this.#hasWarned = true;
      process.emitWarning(
        'something in the arena is of a kind that this thread does not know, so locks of dead threads are not ' +
          'recovered here: all threads must load one version of holdfast, whole',
        { type: 'HoldfastWarning', code: 'HOLDFAST_UNKNOWN_KIND' },
      );
    }
    return reaped;
  }
}

/** The whole of an arena's memory, as a machine. */
export function cpuOf(buffer: SharedArrayBuffer): RealCpu {
  return new RealCpu(new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4)));
}

/** The thread whose `threadId` is `tid` has ended. */
export function markEnded(cpu: Cpu, tid: number): void {
  for (let number = 0; number < maxThreads(cpu); number++) {
    markDead(cpu, slotAddress(cpu, number) + Slot.life, tid + 1);
  }
}

/** Marks the threads that have ended without anyone's being told. Whether there are dead threads to reap. */
function markGone(cpu: Cpu): boolean {
  let found = false;
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    const life = cpu.loadAcquire(slot + Slot.life);
    if (life > 0 && isGone(cpu.load(slot + Slot.osThread))) markDead(cpu, slot + Slot.life, threadOf(life));
    found ||= cpu.load(slot + Slot.life) < 0;
  }
  return found;
}

/** The thread `life`, the system's `os`, takes one of the slots from `first` to before `end`; -1 when all are taken. */
export function claimSlot(cpu: Cpu, first: number, end: number, life = threadId + 1, os = osThread()): number {
  for (let number = first; number < end; number++) {
    const slot = slotAddress(cpu, number);
    if (cpu.cmpxchg(slot + Slot.life, 0, life) === 0) {
      cpu.store(slot + Slot.osThread, os);
      return number;
    }
  }
  return -1;
}

/** Said once for each arena, by the thread whose allocation it was; Node prints it in a later turn. */
function warnOfScarcity(bytes: number): void {
  process.emitWarning(
    `an arena of ${bytes} bytes is 80 % full, and an arena does not grow: Arena.create({ bytes }) says how big it is, arena.list() what is in it`,
    { type: 'HoldfastWarning', code: 'HOLDFAST_ARENA_FULL' },
  );
}
