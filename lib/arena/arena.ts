import { randomInt } from 'node:crypto';
import { inspect, types } from 'node:util';
import { threadId, type Worker } from 'node:worker_threads';
import { checkOptionNames, HoldfastError, shown, type WaitsFor } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { RealCpu } from '../machine/real.ts';
import { checkHeader, formatHeader, Header, MOST_THREADS } from '../memory/header.ts';
import { Heap, type HeapUse } from '../memory/heap.ts';
import type { Objects } from '../memory/object-store.ts';
import { inspectArena } from '../sched/fsck.ts';
import { type ObjectState, objectStates } from '../sched/object-states.ts';
import { formatSlot, maxThreads, Slot } from '../sched/slot.ts';
import type { Thread } from '../sched/thread.ts';
import { allWaits } from '../sched/waits-for.ts';
import { attachments } from './attachments.ts';
import { notCloneable } from './guard.ts';
import { SPARE_SLOTS } from './kthreadd.ts';
import { osThread } from './liveness.ts';
import { openMemory as openNamed } from './named-memory.ts';
import { cpuOf, Place } from './place.ts';
import { type ThreadState, threadStates } from './thread-state.ts';
import { isTimeNamespace, namespaceWith, pageOf, type TimeNamespaceOffsets } from './time-namespace.ts';

export interface ArenaOptions {
  /** Size of the whole arena. Default 16 MiB. */
  bytes?: number | undefined;
  /** How many threads can be attached at once, 1 to 1020. Each takes 1,280 bytes. Default 64. */
  maxThreads?: number | undefined;
  /**
   * Touch all pages now, so that no call later has to wait for the system to find one (MAP_POPULATE). Default false.
   */
  populate?: boolean | undefined;
}

/** What another thread needs to attach: plain structured-cloneable data. */
export interface ArenaHandle {
  readonly type: 'holdfast.arena';
  readonly buffer: SharedArrayBuffer;
  /** The time namespace of the thread that it is from, which the thread that attaches shares. */
  readonly timeNamespace?: number;
}

/** How full an arena is, in short: what `JSON.stringify(arena)`, and so a log line, shows. */
export interface ArenaSummary {
  /** Of the heap. */
  readonly bytes: number;
  readonly used: number;
  /** Attached threads, and how many there may be. */
  readonly threads: number;
  readonly maxThreads: number;
}

const MOST_BYTES = 2 ** 31;

/** `postMessage` refuses a function, and shows its text. */

/**
 * Shared memory, and this thread's place in it: locks, queues and named objects live in an arena.
 *
 * One thread calls `Arena.create`, passes `arena.handle` to the others, and each of them calls `Arena.attach`. A
 * thread that ends gives up its place; so that its locks are recovered at once, whoever starts a worker calls
 * `arena.watch(worker)`.
 */
export class Arena {
  /** Must be the first field: `postMessage` of an arena, or of a lock, stops at its first function, and the error shows it. */
  protected readonly cloning: () => string = notCloneable;
  readonly cpu: Cpu;
  /** The calling thread. */
  readonly thread: Thread;
  /** @internal */
  readonly heap: Heap;
  /** @internal */
  readonly objects: Objects;
  /** Differs between arenas; handles carry it. */
  readonly id: number;
  readonly #place: Place;
  readonly #handle: ArenaHandle | undefined;

  /** @internal The view that a thread has from its place. Users call `create` and `attach`. */
  constructor(place: Place) {
    const { cpu, thread, heap, objects, id, buffer } = place;
    this.cpu = cpu;
    this.thread = thread;
    this.heap = heap;
    this.objects = objects;
    this.id = id;
    this.#place = place;
    this.#handle = buffer && { type: 'holdfast.arena', buffer };
  }

  /** @internal Called with each arena that this thread makes. */
  static readonly onCreate: ((arena: Arena) => void)[] = [];

  /** Makes an arena and attaches the calling thread. Throws EINVAL for a size that is too small or too large. */
  static create(options: ArenaOptions = {}): Arena {
    checkOptionNames(options, ['bytes', 'maxThreads', 'populate']);
    const { bytes = 16 << 20, maxThreads = 64, populate = false } = options;
    if (typeof populate !== 'boolean') {
      throw new HoldfastError('EINVAL', `populate is true or false, received ${shown(populate)}`);
    }
    if (!Number.isInteger(bytes) || bytes < 0 || bytes > MOST_BYTES) {
      throw new HoldfastError(
        'EINVAL',
        `an arena has at most ${MOST_BYTES} bytes, a whole number; received ${shown(bytes)}`,
      );
    }
    if (!Number.isInteger(maxThreads) || maxThreads < 1 || maxThreads > MOST_THREADS - SPARE_SLOTS) {
      throw new HoldfastError(
        'EINVAL',
        `maxThreads is a whole number from 1 to ${MOST_THREADS - SPARE_SLOTS}; received ${shown(maxThreads)}`,
      );
    }
    const words = Math.floor(bytes / 4);
    const buffer = new SharedArrayBuffer(words * 4);
    if (populate) new Int32Array(buffer).fill(0);
    format(new RealCpu(new Int32Array(buffer)), words, maxThreads, randomInt(1, 2 ** 31), SPARE_SLOTS);
    const arena = Arena.attach({ type: 'holdfast.arena', buffer });
    arena.cpu.store(Header.creator, threadId + 1);
    arena.#place.attend();
    for (const hear of Arena.onCreate) hear(arena);
    return arena;
  }

  /**
   * Attaches the calling thread. The same Arena comes back for each attachment of one thread. Throws EINVAL for
   * anything but an arena's handle, EAGAIN when `maxThreads` threads are attached; those that have ended and that
   * nobody has watched do not count, on Linux.
   */
  static attach(handle: ArenaHandle): Arena {
    const cpu = openMemory(handle);
    const places = maxThreads(cpu) - SPARE_SLOTS;
    return Arena.#attachAt(cpu, handle, () => {
      const place = Place.take(handle.buffer, cpu, 0, places);
      if (place !== undefined) return place;
      throw new HoldfastError(
        'EAGAIN',
        `all ${places} places for threads are taken; Arena.create({ maxThreads }) sets how many there are`,
      );
    });
  }

  /** `attach` for kthreadd, which has a place of its own; among the others while its predecessor's is not repaired. */
  static attachSystem(handle: ArenaHandle): Arena {
    const cpu = openMemory(handle);
    const first = maxThreads(cpu) - SPARE_SLOTS;
    const place = Place.take(handle.buffer, cpu, first, first + 1);
    return place === undefined ? Arena.attach(handle) : Arena.#attachAt(cpu, handle, () => place);
  }

  /** This thread's view, by the place that it has, or else takes. */
  static #attachAt(cpu: RealCpu, { type, buffer, timeNamespace = 0 }: ArenaHandle, take: () => Place): Arena {
    const id = cpu.read(Header.id);
    const before = attachments.view(id);
    if (before !== undefined) return before as Arena;
    let place = attachments.place(id);
    if (place === undefined) {
      place = take();
      place.timeNamespace = timeNamespace;
    }
    const arena = new Arena(place);
    attachments.add(arena, place, () => Arena.attach({ type, buffer }));
    return arena;
  }

  /** For `Arena.attach` on another thread: pass it in workerData or a message. */
  get handle(): ArenaHandle {
    if (this.#handle === undefined) throw new HoldfastError('EINVAL', 'a simulated arena has no handle');
    const { timeNamespace } = this.#place;
    return timeNamespace === 0 ? this.#handle : { ...this.#handle, timeNamespace };
  }

  /**
   * Shifts the shared clock (`Vdso`) for this thread, and for those that attach by a handle which it gives them from now
   * on: a service under test runs in another time, beside threads that do not. Timeouts and timers stay as they are.
   * Throws EINVAL for offsets that would make the time negative, EBUSY once the thread has read the clock, or when it has
   * a time namespace already.
   */
  timeNamespace(offsets: TimeNamespaceOffsets): void {
    this.thread.current();
    if (typeof offsets !== 'object' || offsets === null) {
      throw new HoldfastError('EINVAL', `expected offsets like { monotonic: 1000 }, received ${shown(offsets)}`);
    }
    const kind = namespaceWith(offsets, this.cpu.now());
    const place = this.#place;
    if (place.hasReadClock || place.timeNamespace !== 0) {
      const reason = place.hasReadClock ? 'has read the clock' : 'is in a time namespace';
      throw new HoldfastError('EBUSY', `this thread ${reason} already`);
    }
    place.timeNamespace = this.objects.create(kind);
  }

  /** @internal For the shared clock: the data page of the thread's time namespace, or 0. It can't change from here on. */
  mapTimeNamespace(): number {
    const place = this.#place;
    place.hasReadClock = true;
    return place.timeNamespace === 0 ? 0 : pageOf(place.timeNamespace);
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
    if (worker.threadId >= 0) {
      attachments.watch(worker, this.#place);
    } else if (osThread() !== 0) {
      attachments.lookForDead(new Map([[this.id, this.handle.buffer]]));
    } else {
      throw new HoldfastError('EINVAL', 'watch() of a worker that has ended: watch it when it has been started');
    }
  }

  /** Gives up this thread's place. Throws EBUSY while the thread holds a lock or waits for one. */
  detach(): void {
    this.thread.current();
    const { thread } = this;
    // As before any sleep: what a room keeps for the thread until it looks up, such as QSBR's readers, is over.
    thread.hooks.sleeping(thread.self);
    thread.hooks.running(thread.self);
    const held = this.#place.held();
    if (held !== undefined) {
      const name = shown(this.objects.nameOf(held.address) ?? held.address);
      throw new HoldfastError('EBUSY', `this thread still holds the ${held.kind.name} ${name}`);
    }
    if (thread.tasksInUse > 0) {
      throw new HoldfastError('EBUSY', `this thread has ${thread.tasksInUse} asynchronous acquisitions under way`);
    }
    attachments.leave(this.#place);
  }

  /**
   * Memory of at least `words` 32-bit words for the program's own use, starting a cache line; its index in `words`. With a name,
   * the memory of that name, made if there is none, with all words 0: it stays as long as the arena, and all who open it say the
   * same length (EINVAL). Without, it may hold anything, and `free` gives it back. Throws ENOMEM, but not before what this thread
   * has given to `kfree`, and no reader can see any more, is free.
   */
  alloc(words: number, name?: string): number {
    this.thread.current();
    if (!Number.isInteger(words) || words < 1) {
      throw new HoldfastError('EINVAL', `alloc() takes a whole number of words, at least 1; received ${shown(words)}`);
    }
    if (name !== undefined) return openNamed(this.cpu, this.objects, words, name);
    const { heap, objects, thread } = this;
    const tryAlloc = () => heap.tryAlloc(words, thread.nascent);
    const address = tryAlloc() || (objects.makeRoom() && tryAlloc()) || (thread.shrink() && tryAlloc()) || 0;
    if (address === 0) throw heap.exhausted(words, 'alloc()');
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

  /**
   * The threads that are attached at this moment, by number. One that was killed is among them, and alive, until somebody finds
   * that out: who watches it at once, on Linux any thread that waits for long.
   */
  threads(): ThreadState[] {
    this.thread.current();
    return threadStates(this.cpu);
  }

  /** Each wait of this moment: the thread, what it waits for, and who holds that. For a look at a program that has come to a halt. */
  waits(): WaitsFor[] {
    this.thread.current();
    return allWaits(this.thread);
  }

  /**
   * What is in the arena at this moment, the library's own objects among it: names, kinds, who holds each, how many calls wait for
   * it. It walks the heap and holds up whoever makes, opens or destroys an object meanwhile, for some
   * 5 us an object.
   */
  list(): ObjectState[] {
    this.thread.current();
    return objectStates(this.thread);
  }

  /**
   * What does not hold in the arena's own structures: the heap and its free blocks, the table of names, the thread table with its
   * tasks and what they hold, the objects' holders and wait lists, the tree of timers, the futexes' buckets, slabs, worker pools.
   * Empty when all is in order, and nobody is at work in it: a call that is just under way in another thread may be taken for a fault.
   * It holds other threads up: for tests and for a look at an arena that misbehaves.
   */
  fsck(): string[] {
    this.thread.current();
    const { cpu, heap, thread } = this;
    return inspectArena(cpu, heap, thread.id);
  }

  /**
   * A copy of the arena's memory, for a file that `holdfast fsck` looks at, on another machine perhaps. Threads that are at work
   * meanwhile change what is copied later.
   */
  dump(): Uint8Array<ArrayBuffer> {
    this.thread.current();
    const { buffer, byteOffset, byteLength } = this.words;
    return new Uint8Array(buffer, byteOffset, byteLength).slice() as Uint8Array<ArrayBuffer>;
  }

  /** How full the arena is. */
  use(): HeapUse {
    return this.heap.use();
  }

  /** It walks the heap: for a log line now and then, not for each request. */
  toJSON(): ArenaSummary {
    const { bytes, used } = this.heap.use();
    const { cpu } = this;
    return { bytes, used, threads: threadStates(cpu).length, maxThreads: maxThreads(cpu) - SPARE_SLOTS };
  }

  toString(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    const { bytes, used, threads, maxThreads } = this.toJSON();
    return `Arena(${used} of ${bytes} bytes used, ${threads} of ${maxThreads} threads)`;
  }

  /** There is something in shared memory for kthreadd, which is started if there is none. */
  requestKthreadd(): void {
    this.#place.requestKthreadd();
  }
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
  if (handle?.type === 'holdfast.arena' && !types.isSharedArrayBuffer(buffer)) {
    throw new HoldfastError(
      'EINVAL',
      `the buffer of this arena handle is ${shown(buffer)}: JSON and the like lose it; pass the handle in workerData or a message`,
    );
  }
  if (handle?.type !== 'holdfast.arena' || !types.isSharedArrayBuffer(buffer)) {
    throw new HoldfastError('EINVAL', `expected the handle of an arena (arena.handle), received ${shown(handle)}`);
  }
  const cpu = cpuOf(buffer);
  checkHeader(cpu, cpu.words.length, Slot.words);
  const { timeNamespace = 0 } = handle;
  if (timeNamespace !== 0 && !isTimeNamespace(cpu, timeNamespace)) {
    throw new HoldfastError('EINVAL', `no time namespace of this arena is at ${shown(timeNamespace)}`);
  }
  return cpu;
}
