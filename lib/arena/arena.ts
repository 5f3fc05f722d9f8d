import { randomInt } from 'node:crypto';
import { types } from 'node:util';
import { isMainThread, threadId, type Worker } from 'node:worker_threads';
import { HoldfastError, shown, type WaitsFor } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { setTimeout } from '../machine/host.ts';
import { RealCpu } from '../machine/real.ts';
import { inspectMemory } from '../memory/fsck.ts';
import { checkHeader, formatHeader, Header, MOST_THREADS } from '../memory/header.ts';
import { Heap, type HeapUse } from '../memory/heap.ts';
import { kindById } from '../memory/kinds.ts';
import { ObjectHeader, Objects } from '../memory/objects.ts';
import { inspectThreads } from '../sched/fsck.ts';
import { formatSlot, isDead, markDead, maxThreads, Slot, slotAddress, threadOf } from '../sched/slot.ts';
import { DETACHED, Thread } from '../sched/thread.ts';
import { allWaits } from '../sched/waits-for.ts';
import { ringKthreadd, SPARE_SLOTS } from './kthreadd.ts';
import { KthreaddParent } from './kthreadd-parent.ts';
import { isGone, osThread } from './liveness.ts';
import { type Reaped, type ReapOptions, reap } from './reaper.ts';

export interface ArenaOptions {
  /** Size of the whole arena. Default 16 MiB. */
  bytes?: number | undefined;
  /** How many threads can be attached at once, 1 to 1020. Each takes 1,280 bytes. Default 64. */
  maxThreads?: number | undefined;
}

/** What another thread needs to attach: plain structured-cloneable data. */
export interface ArenaHandle {
  readonly type: 'holdfast.arena';
  readonly buffer: SharedArrayBuffer;
}

const MOST_BYTES = 2 ** 31;
/**
 * The slots of an arena beside those of `maxThreads` threads, behind them: one for kthreadd, and one for a visitor, a
 * thread without a place that reaps.
 */
const SPARE = SPARE_SLOTS;
/** How long the reaper waits for a live thread to take its next few steps before it looks again, ms. */
const SETTLE_MS = 1;
/** How long a thread that ends waits for that before it leaves the rest to others, ms. */
const PATIENCE_MS = 100;
/** When a thread whose end is told, and those that it started, are gone from /proc as well, ms. */
const LINGER_MS = 100;
/** Loads that a thread without a place waits for another visitor: some 20 ms. */
const VISIT_SPINS = 1 << 20;

const isFree = (life: number) => life === 0;

/** The arenas this thread is attached to, by id: a thread has one CPU number in an arena, however often it attaches. */
const attached = new Map<number, Arena>();

/**
 * Shared memory, and this thread's place in it: locks, queues and named objects live in an arena.
 *
 * One thread calls `Arena.create`, passes `arena.handle` to the others, and each of them calls `Arena.attach`. A
 * thread that ends gives up its place; so that its locks are recovered at once, whoever starts a worker calls
 * `arena.watch(worker)`.
 */
export class Arena {
  readonly cpu: Cpu;
  readonly thread: Thread;
  readonly heap: Heap;
  readonly objects: Objects;
  /** Differs between arenas; handles carry it. */
  readonly id: number;
  readonly #handle: ArenaHandle | undefined;
  readonly #watched = new Set<Worker>();
  readonly #kthreadd: KthreaddParent;
  #retry: NodeJS.Timeout | undefined;
  #hasWarned = false;

  /**
   * For the simulated machines, whose CPUs are not threads of this process: the view of CPU `number`, whose waiters
   * spin for `spins` loads. Users call `create` and `attach`.
   */
  constructor(cpu: Cpu, number: number, { handle, spins }: { handle?: ArenaHandle; spins?: number } = {}) {
    this.cpu = cpu;
    this.thread = new Thread(cpu, number, spins);
    this.heap = new Heap(cpu, this.thread.id);
    this.objects = new Objects(cpu, this.heap, this.thread.id, this.thread.nascent);
    this.id = cpu.read(Header.id);
    this.#handle = handle;
    this.#kthreadd = new KthreaddParent(this);
  }

  /** Makes an arena and attaches the calling thread. Throws EINVAL for a size that is too small or too large. */
  static create({ bytes = 16 << 20, maxThreads = 64 }: ArenaOptions = {}): Arena {
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > MOST_BYTES) {
      throw new HoldfastError(
        'EINVAL',
        `an arena has at most ${MOST_BYTES} bytes, a whole number; received ${shown(bytes)}`,
      );
    }
    if (!Number.isInteger(maxThreads) || maxThreads < 1 || maxThreads > MOST_THREADS - SPARE) {
      throw new HoldfastError(
        'EINVAL',
        `maxThreads is a whole number from 1 to ${MOST_THREADS - SPARE}; received ${shown(maxThreads)}`,
      );
    }
    const words = Math.floor(bytes / 4);
    const buffer = new SharedArrayBuffer(words * 4);
    format(new RealCpu(new Int32Array(buffer)), words, maxThreads, randomInt(1, 2 ** 31), SPARE);
    const arena = Arena.attach({ type: 'holdfast.arena', buffer });
    arena.cpu.store(Header.creator, threadId + 1);
    arena.#attend();
    return arena;
  }

  /**
   * Attaches the calling thread. The same Arena comes back for each attachment of one thread. Throws EINVAL for
   * anything but an arena's handle, EAGAIN when `maxThreads` threads are attached; those that have ended and that
   * nobody has watched do not count, on Linux.
   */
  static attach(handle: ArenaHandle): Arena {
    const cpu = openMemory(handle);
    const before = attached.get(cpu.read(Header.id));
    if (before !== undefined) return before;
    const number = Arena.#takeSlot(cpu, handle, 0, maxThreads(cpu) - SPARE);
    if (number < 0) throw allTaken(cpu);
    return Arena.#attachAt(cpu, number, handle);
  }

  /** `attach` for kthreadd, which has a place of its own; among the others while its predecessor's is not repaired. */
  static attachSystem(handle: ArenaHandle): Arena {
    const cpu = openMemory(handle);
    const place = maxThreads(cpu) - SPARE;
    const number = Arena.#takeSlot(cpu, handle, place, place + 1);
    return number < 0 ? Arena.attach(handle) : Arena.#attachAt(cpu, number, handle);
  }

  /** `claimSlot`, after a look for dead threads whose slots can be had if there is none. */
  static #takeSlot(cpu: RealCpu, handle: ArenaHandle, first: number, end: number): number {
    const number = claimSlot(cpu, first, end);
    if (number >= 0) return number;
    Arena.#visit(handle);
    return claimSlot(cpu, first, end);
  }

  static #attachAt(cpu: RealCpu, number: number, handle: ArenaHandle): Arena {
    const arena = new Arena(cpu, number, { handle });
    cpu.onStall = () => arena.#sweep();
    cpu.onRing = () => arena.#kthreadd.look();
    attached.set(arena.id, arena);
    if (!isMainThread) process.once('exit', arena.#exit);
    return arena;
  }

  /** For `Arena.attach` on another thread: pass it in workerData or a message. */
  get handle(): ArenaHandle {
    if (this.#handle === undefined) throw new HoldfastError('EINVAL', 'a simulated arena has no handle');
    return this.#handle;
  }

  /**
   * Recovers what `worker` leaves behind when it exits, however it does. The calling thread's event loop does the
   * work; on Linux, threads that sleep in a synchronous call look for dead threads too, as do those with asynchronous
   * acquisitions under way. What workers of the worker leave, which end with it, is found on Linux. So is one that has
   * ended already; elsewhere that is EINVAL, since nothing tells which thread it was.
   */
  watch(worker: Worker): void {
    this.thread.current();
    if (typeof worker?.threadId !== 'number' || typeof worker.once !== 'function') {
      throw new HoldfastError('EINVAL', `watch() expects a Worker, received ${shown(worker)}`);
    }
    if (this.#watched.has(worker)) return;
    const tid = worker.threadId;
    if (tid < 0) {
      if (osThread() === 0) {
        throw new HoldfastError('EINVAL', 'watch() of a worker that has ended: watch it when it has been started');
      }
      this.#lookForDead();
      return;
    }
    this.#watched.add(worker);
    worker.once('exit', () => {
      this.#watched.delete(worker);
      this.#markDead(tid);
      this.#lookForDead();
    });
  }

  /** Gives up this thread's place. Throws EBUSY while the thread holds a lock or waits for one. */
  detach(): void {
    this.thread.current();
    const { cpu, thread } = this;
    for (const address of this.heap.objects()) {
      const kind = kindById(cpu.read(address + ObjectHeader.kind));
      if (kind?.holder(cpu, address) === thread.id || kind?.isHeldBy?.(cpu, address, thread.id)) {
        throw new HoldfastError(
          'EBUSY',
          `this thread still holds the ${kind.name} ${shown(this.objects.nameOf(address) ?? address)}`,
        );
      }
    }
    if (thread.tasksInUse > 0) {
      throw new HoldfastError('EBUSY', `this thread has ${thread.tasksInUse} asynchronous acquisitions under way`);
    }
    process.removeListener('exit', this.#exit);
    this.#leave();
  }

  /** Memory of at least `words` 32-bit words for the program's own use, starting a cache line; its index in `words`. */
  alloc(words: number): number {
    this.thread.current();
    if (!Number.isInteger(words) || words < 1) {
      throw new HoldfastError('EINVAL', `alloc() takes a whole number of words, at least 1; received ${shown(words)}`);
    }
    const address = this.heap.alloc(words, this.thread.nascent);
    this.cpu.store(this.thread.nascent, 0);
    return address;
  }

  /** Gives memory from `alloc` back. Throws EINVAL when it is none, also for a lock's address, or was freed before. */
  free(address: number): void {
    this.thread.current();
    this.heap.freePlain(address);
  }

  /** The arena's memory. Words that `alloc` gave are the program's own; all others are the library's. */
  get words(): Int32Array {
    return (this.cpu as RealCpu).words;
  }

  /** Who waits for what at this moment, and who holds that: for a look at a program that has come to a halt. */
  waits(): WaitsFor[] {
    this.thread.current();
    return allWaits(this.thread);
  }

  /**
   * What does not hold in the arena's own structures: the heap, its free blocks, the table of names, the thread table,
   * the lists that tasks wait in. Empty when all is in order. It looks at everything, under the latches that guard it,
   * and so holds other threads up: for tests and for a look at an arena that misbehaves.
   */
  fsck(): string[] {
    this.thread.current();
    const { cpu, heap, thread } = this;
    return [...inspectMemory(cpu, heap, thread.id), ...inspectThreads(cpu, heap, thread.id)];
  }

  /** How full the arena is. */
  use(): HeapUse {
    return this.heap.use();
  }

  /** There is something in shared memory for kthreadd, which is started if there is none. */
  requestKthreadd(): void {
    this.#kthreadd.request();
  }

  readonly #exit = () => this.#leave();

  /** The thread that made the arena makes kthreadd when it is rung for that. */
  #attend(): void {
    const { cpu, thread } = this;
    while (thread.self !== DETACHED) {
      const rings = cpu.load(Header.creatorRing);
      this.#kthreadd.look();
      const ring = cpu.waitAsync(Header.creatorRing, rings, Number.POSITIVE_INFINITY);
      if (typeof ring === 'string') continue;
      void ring.then(() => this.#attend());
      return;
    }
  }

  /** The thread ends, or detaches: what its tasks hold passes to others while it still lives. */
  #leave(): void {
    const { thread } = this;
    // Nobody takes this thread for dead, so until its slot is free it must let no other reaper in between.
    const isReaped = (id: number) => id === thread.id || this.#isDead(id);
    const patience = thread.cpu.now() + PATIENCE_MS * 1e6;
    // Of the threads that it leaves to others it may be one itself.
    while (this.#reap(isReaped, { patience }) === 'again' && !this.#isDead(thread.id)) markGone(thread.cpu);
    thread.self = DETACHED;
    if (attached.get(this.id) === this) attached.delete(this.id);
    // `#attend` ends, and kthreadd looks whether anybody is left.
    thread.cpu.wake(Header.creatorRing, Number.POSITIVE_INFINITY);
    if (thread.cpu.load(Header.kthreaddWanted) === 1) ringKthreadd(thread.cpu);
  }

  /** A thread without a place in the arena finds and reaps dead ones, from the slot that is kept for that. */
  static #visit(handle: ArenaHandle): void {
    const cpu = openMemory(handle);
    if (!markGone(cpu)) return;
    const last = maxThreads(cpu) - 1;
    const number = claimSlot(cpu, last, last + 1);
    if (number < 0) {
      // Another visitor is there, and does what this one would.
      cpu.condLoad(slotAddress(cpu, last) + Slot.life, isFree, 0, VISIT_SPINS);
      return;
    }
    const visitor = new Arena(cpu, number, { handle });
    cpu.onStall = () => visitor.#sweep();
    visitor.#leave();
  }

  #isDead(id: number): boolean {
    return isDead(this.cpu, id);
  }

  #markDead(tid: number): void {
    const { cpu } = this;
    for (let number = 0; number < maxThreads(cpu); number++) {
      markDead(cpu, slotAddress(cpu, number) + Slot.life, tid + 1);
    }
  }

  /** A thread has ended, and perhaps others with it. The calling thread may have detached since it began to watch. */
  #lookForDead(): void {
    const look = () => {
      const arena = attached.get(this.id);
      if (arena !== undefined) arena.#sweep();
      else Arena.#visit(this.handle);
    };
    look();
    // The system tells that a thread has ended a moment before its entry in /proc goes.
    setTimeout(look, LINGER_MS).unref();
  }

  /** Reaps; what takes other threads' next few steps is tried again, whether or not this thread is asked once more. */
  readonly #reapDead = () => {
    this.#retry = undefined;
    if (this.thread.self === DETACHED) return;
    if (this.#reap((id) => this.#isDead(id)) === 'again') this.#retry ??= setTimeout(this.#reapDead, SETTLE_MS).unref();
    this.#kthreadd.look();
  };

  #reap(isDead: (id: number) => boolean, options?: ReapOptions): Reaped {
    const reaped = reap(this.thread, this.heap, this.objects, isDead, options);
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

  /** Finds threads that ended without anyone's being told. A slow path that waits for long calls it: it never throws. */
  #sweep(): void {
    if (markGone(this.cpu)) this.#reapDead();
    this.#kthreadd.look();
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

/**
 * Lays out an arena over memory that is all zero and that no other thread can reach yet. `spare`: slots beside those of
 * the threads.
 */
export function format(cpu: Cpu, words: number, threads: number, id: number, spare = 0): void {
  formatHeader(cpu, { words, maxThreads: threads, spare, threadWords: Slot.words, id });
  for (let number = 0; number < threads + spare; number++) formatSlot(cpu, number);
  new Heap(cpu, 1).format();
}

/** The memory of an arena. Throws EINVAL for anything but an arena's handle. */
function openMemory(handle: ArenaHandle): RealCpu {
  const buffer = handle?.buffer;
  if (handle?.type !== 'holdfast.arena' || !types.isSharedArrayBuffer(buffer)) {
    throw new HoldfastError('EINVAL', `expected the handle of an arena (arena.handle), received ${shown(handle)}`);
  }
  const words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  const cpu = new RealCpu(words);
  checkHeader(cpu, words.length, Slot.words);
  return cpu;
}

/** The calling thread takes one of the slots from `first` to before `end`; -1 when all are taken. */
function claimSlot(cpu: RealCpu, first: number, end: number): number {
  for (let number = first; number < end; number++) {
    const slot = slotAddress(cpu, number);
    if (cpu.cmpxchg(slot + Slot.life, 0, threadId + 1) === 0) {
      cpu.store(slot + Slot.osThread, osThread());
      return number;
    }
  }
  return -1;
}

function allTaken(cpu: Cpu): HoldfastError {
  return new HoldfastError(
    'EAGAIN',
    `all ${maxThreads(cpu) - SPARE} places for threads are taken; Arena.create({ maxThreads }) sets how many there are`,
  );
}
