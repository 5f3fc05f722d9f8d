/**
 * The side of a thread that queues items and waits for them.
 *
 * Items are published once a microtask, or 256 at a time, one exchange for all that the thread has queued for a pool since. Those that have
 * ended come back in a list of this thread's port; while any is out, the thread looks there for some turns of its event loop, and
 * then arms one asynchronous wait for all.
 *
 *   submitter: armed := ARMED     full       worker: push to completed            full
 *              completed?                            armed = ARMED? then wake
 */
import type { Arena } from '../arena/arena.ts';
import type { Cpu } from '../machine/cpu.ts';
import { clearInterval, setImmediate, setInterval } from '../machine/host.ts';
import { unpark } from '../sched/task.ts';
import { DETACHED } from '../sched/thread.ts';
import type { Backlog } from './backlog.ts';
import {
  CANCELLED,
  FLUSH_TASK,
  FREE,
  Item,
  itemAt,
  LISTED,
  PENDING,
  PHASE,
  Port,
  Pwq,
  RUNNING,
  SLAB_ITEMS,
  WorkerRecord,
} from './layout.ts';
import { ARMED, armPort } from './lists.ts';
import { makePort, makeSlab } from './objects.ts';
import { PollWindow } from './poll-window.ts';
import type { WorkerPool } from './pool.ts';
import { poolView } from './pools.ts';
import { adoptItems, deathOf, findPort, takeBack } from './port.ts';
import { microseconds } from './times.ts';
import { DIED, ERROR, Values } from './values.ts';
import { addressOf, type WorkFunction } from './work.ts';

/** How long the thread looks for what has ended, once each turn of its event loop, before it sleeps, ns: what `waitAsync` costs. */
const POLL_NS = 50e3;
/** Items of one microtask that are published together at most: workers begin with them while the thread goes on. */
const MOST_UNPUBLISHED = 256;
/** How often it looks, while it waits, whether somebody has died who was to wake it, ms. */
const LOOK_MS = 100;

interface Batch {
  readonly pool: WorkerPool;
  newest: number;
  oldest: number;
}

/** A call that is queued. `number` tells it from others that have had its item. */
export interface Call {
  readonly item: number;
  readonly number: number;
  readonly promise: Promise<unknown>;
}

/** What the caller waits for. Undefined once it has given up: the item comes back all the same. */
type Settle = ((value: unknown) => void) | undefined;

export class Submitter {
  /** This thread's view of the pool at that address. */
  readonly pool: (address: number) => WorkerPool;
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #values: Values;
  readonly #port: number;
  readonly #free: number[] = [];
  readonly #functions = new Map<WorkFunction, number>();
  /** By the items' numbers. */
  readonly #resolve: Settle[] = [];
  readonly #reject: Settle[] = [];
  readonly #isOut: boolean[] = [];
  readonly #numbers: number[] = [];
  readonly #backlogs: (Backlog | undefined)[] = [];
  #slots: number;
  #outstanding = 0;
  readonly #batches = new Map<number, Batch>();
  #dirty: Batch[] = [];
  #unpublished = 0;
  /** When the first item of this microtask was queued, us. */
  #queuedAt = 0;
  #isPolling = false;
  readonly #window = new PollWindow(POLL_NS);
  /** When something has come back last, or was queued while nothing was out; ns. */
  #busyAt = 0;
  #hasSlept = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(arena: Arena, poolAt = (address: number) => poolView(arena, address)) {
    this.#arena = arena;
    this.pool = poolAt;
    this.#cpu = arena.cpu;
    this.#values = new Values(arena);
    this.#port = findPort(arena) || makePort(arena);
    this.#slots = adoptItems(arena.cpu, this.#port, (item) => this.#recycle(item));
  }

  /**
   * Queues a call of `run` in `pwq`, and returns its item and what it comes to. Throws, with nothing queued, EINVAL for a
   * function that is no work and for arguments that can't be cloned, ENOMEM.
   */
  submit(pwq: number, run: WorkFunction, args: readonly unknown[], backlog: Backlog): Call {
    const fn = this.#functions.get(run) ?? this.#addFunction(run);
    const cpu = this.#cpu;
    const item = this.#take();
    let encoding: number;
    try {
      encoding = this.#values.encode(item, args, Item.argument);
    } catch (error) {
      this.#values.free(item, Item.argument);
      this.#free.push(item);
      throw error;
    }
    cpu.write(item + Item.encoding, encoding);
    cpu.write(item + Item.pwq, pwq);
    cpu.write(item + Item.fn, fn);
    // Release: pairs with the acquire in `loseOrphans`, which asks whose port it is behind that.
    cpu.storeReleaseLight(item + Item.state, PENDING);
    const promise = this.#expect(item, backlog);
    this.#arena.thread.tracer?.queuesWork(cpu.read(pwq + Pwq.workqueue), item);
    this.#add(cpu.read(pwq + Pwq.pool), item);
    return { item, number: this.#numbers[cpu.read(item + Item.index)] as number, promise };
  }

  /** Resolves when all that was queued in `pwq` has ended, by whomever. */
  flush(pwq: number): Promise<unknown> {
    return this.#flush(pwq, 0).promise;
  }

  /** A flusher for a task that blocks until it is DONE or LOST, and is woken then. It comes back in a later turn of the event loop. */
  flusherFor(pwq: number, task: number): number {
    const { item, promise } = this.#flush(pwq, task);
    // The thread may detach before.
    promise.catch(() => {});
    return item;
  }

  #flush(pwq: number, task: number): { item: number; promise: Promise<unknown> } {
    this.publish();
    const cpu = this.#cpu;
    const item = this.#take();
    cpu.write(item + Item.encoding, 0);
    cpu.write(item + Item.pwq, pwq);
    cpu.write(item + FLUSH_TASK, task);
    const promise = this.#expect(item, undefined);
    this.#batchFor(cpu.read(pwq + Pwq.pool)).pool.flush(pwq, item);
    return { item, promise };
  }

  /** The call is wanted no more, and rejects with `reason` now. A call that runs is told so; whatever it returns is dropped. */
  abandon({ item, number }: Call, reason: unknown): void {
    if (this.#hasLeft()) return;
    const cpu = this.#cpu;
    const index = cpu.read(item + Item.index);
    // It may have ended, and its item be another call's.
    if (this.#numbers[index] !== number || this.#resolve[index] === undefined) return;
    const reject = this.#reject[index];
    this.#resolve[index] = undefined;
    this.#reject[index] = undefined;
    cpu.xchg(item + Item.aborted, 1);
    // Acquire: pairs with the exchange in `#pick`, which comes behind the worker's name.
    let state = cpu.loadAcquire(item + Item.state);
    while (state === PENDING || state === LISTED) {
      const found = cpu.cmpxchg(item + Item.state, state, CANCELLED);
      if (found === state) break;
      state = found;
    }
    if ((state & PHASE) === RUNNING) {
      // It may be in the middle of an item, or await this one: then its event loop turns.
      unpark(cpu, cpu.read(cpu.read(item + Item.worker) + WorkerRecord.task));
    }
    reject?.(reason);
  }

  /** Queues now what waits for the end of the microtask. */
  publish(): void {
    if (this.#dirty.length > 0) this.#publish();
  }

  /** Calls under way. */
  get outstanding(): number {
    return this.#outstanding;
  }

  #take(): number {
    if (this.#free.length === 0) this.#addSlab();
    return this.#free.pop() as number;
  }

  #addFunction(run: WorkFunction): number {
    const address = addressOf(this.#arena, run);
    this.#functions.set(run, address);
    return address;
  }

  #expect(item: number, backlog: Backlog | undefined): Promise<unknown> {
    const index = this.#cpu.read(item + Item.index);
    const promise = new Promise((resolve, reject) => {
      this.#resolve[index] = resolve;
      this.#reject[index] = reject;
    });
    this.#isOut[index] = true;
    this.#backlogs[index] = backlog;
    backlog?.begin();
    this.#numbers[index] = ((this.#numbers[index] ?? 0) + 1) | 0;
    if (this.#outstanding++ === 0) this.#hold();
    if (!this.#isPolling) {
      this.#isPolling = true;
      this.#busyAt = this.#cpu.now();
      setImmediate(this.#poll);
    }
    return promise;
  }

  /** The pool's batch, which makes it one of those that `#look` looks at. */
  #batchFor(pool: number): Batch {
    let batch = this.#batches.get(pool);
    if (batch === undefined) {
      batch = { pool: this.pool(pool), newest: 0, oldest: 0 };
      this.#batches.set(pool, batch);
    }
    return batch;
  }

  #add(pool: number, item: number): void {
    // Before this one, which its caller may still take back.
    if (this.#unpublished === MOST_UNPUBLISHED) this.#turn();
    this.#unpublished++;
    const batch = this.#batchFor(pool);
    if (batch.newest === 0) {
      batch.oldest = item;
      if (this.#dirty.push(batch) === 1) {
        this.#queuedAt = microseconds(this.#cpu.now());
        queueMicrotask(this.#publish);
      }
    } else {
      this.#cpu.write(item + Item.link, batch.newest);
    }
    batch.newest = item;
    this.#cpu.write(item + Item.since, this.#queuedAt);
  }

  /**
   * In the middle of a microtask that queues many: workers begin, and what has come back resolves its promises. Nobody hears of that before
   * the microtask is over; but its items are used again, and there are fewer promises for the garbage collector to move.
   */
  #turn(): void {
    if (this.#hasLeft()) return;
    this.#publish();
    this.receive();
  }

  readonly #publish = (): void => {
    const dirty = this.#dirty;
    if (dirty.length === 0 || this.#hasLeft()) return;
    this.#dirty = [];
    this.#unpublished = 0;
    for (const batch of dirty) {
      const { newest, oldest } = batch;
      batch.newest = 0;
      batch.pool.queue(newest, oldest);
    }
  };

  readonly #poll = (): void => {
    if (this.#hasLeft()) return;
    const now = this.#cpu.now();
    if (this.receive() > 0) {
      if (!this.#hasSlept) this.#window.hit();
      this.#hasSlept = false;
      this.#busyAt = now;
    }
    if (this.#outstanding === 0) this.#isPolling = false;
    else if (!this.#hasSlept && now - this.#busyAt < this.#window.length) setImmediate(this.#poll);
    else this.#arm();
  };

  #arm(): void {
    const armed = this.#port + Port.armed;
    const wait = armPort(this.#cpu, this.#port) && this.#cpu.waitAsync(armed, ARMED, Number.POSITIVE_INFINITY);
    if (wait instanceof Promise) {
      if (!this.#hasSlept) this.#window.miss();
      this.#hasSlept = true;
      void wait.then(this.#poll);
    } else {
      setImmediate(this.#poll);
    }
  }

  /** Takes what has come back. Returns how many. */
  receive(): number {
    const back = takeBack(this.#cpu, this.#port);
    if (back.length === 0) return 0;
    for (let i = 0; i < back.length; i++) this.#deliver(back[i] as number);
    this.#cpu.write(this.#port + Port.taking, 0);
    return back.length;
  }

  #deliver(item: number): void {
    const cpu = this.#cpu;
    const index = cpu.read(item + Item.index);
    const resolve = this.#resolve[index];
    const reject = this.#reject[index];
    const encoding = cpu.read(item + Item.encoding);
    let isFailure = (encoding & (DIED | ERROR)) !== 0;
    let value: unknown;
    if (resolve !== undefined) {
      try {
        value = encoding === DIED ? deathOf(this.#arena, item) : this.#values.decode(item, encoding, Item.result)[0];
      } catch (error) {
        // This thread has no memory left for it.
        isFailure = true;
        value = error;
      }
    }
    this.#resolve[index] = undefined;
    this.#reject[index] = undefined;
    this.#recycle(item);
    if (this.#isOut[index] === true && --this.#outstanding === 0) this.#release();
    this.#isOut[index] = false;
    const backlog = this.#backlogs[index];
    this.#backlogs[index] = undefined;
    backlog?.end();
    if (isFailure) reject?.(value);
    else resolve?.(value);
  }

  #recycle(item: number): void {
    const cpu = this.#cpu;
    if (cpu.read(item + Item.argument) !== 0) this.#values.free(item, Item.argument);
    if (cpu.read(item + Item.result) !== 0) this.#values.free(item, Item.result);
    if (cpu.read(item + Item.aborted) !== 0) cpu.store(item + Item.aborted, 0);
    cpu.write(item + Item.seq, 0);
    cpu.write(item + Item.worker, 0);
    cpu.storeUnordered(item + Item.state, FREE);
    this.#free.push(item);
  }

  /** The process lives while items are out, and this thread looks for deaths that nobody has told it of. */
  #hold(): void {
    if (this.#timer === undefined) this.#timer = setInterval(this.#look, LOOK_MS);
    else this.#timer.ref();
  }

  #release(): void {
    this.#timer?.unref();
  }

  /**
   * Whether the thread has detached: then its port, its items and its number are the next thread's. Calls that were under way
   * reject with what a call now would be told.
   */
  #hasLeft(): boolean {
    const { thread } = this.#arena;
    if (thread.self !== DETACHED) return false;
    this.#outstanding = 0;
    this.#release();
    for (const [index, backlog] of this.#backlogs.entries()) {
      this.#backlogs[index] = undefined;
      backlog?.forget();
    }
    for (const [index, reject] of this.#reject.entries()) {
      this.#resolve[index] = undefined;
      this.#reject[index] = undefined;
      try {
        thread.current();
      } catch (error) {
        reject?.(error);
      }
    }
    return true;
  }

  readonly #look = (): void => {
    if (this.#hasLeft() || this.#outstanding === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#cpu.onStall?.(false);
    for (const { pool } of this.#batches.values()) pool.look();
  };

  #addSlab(): void {
    const cpu = this.#cpu;
    const slab = makeSlab(this.#arena, this.#port, cpu.load(this.#port + Port.slabs), this.#slots);
    cpu.storeRelease(this.#port + Port.slabs, slab);
    this.#slots += SLAB_ITEMS;
    for (let i = SLAB_ITEMS - 1; i >= 0; i--) this.#free.push(itemAt(slab, i));
  }
}
