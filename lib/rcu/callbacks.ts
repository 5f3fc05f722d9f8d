/**
 * One thread's callbacks in one domain: functions that run on its event loop once a period that began after `call` is
 * over. Each notes the number with which that period ends; numbers only grow, so the queue is in their order, and the
 * kernel's four segments (DONE, WAIT, NEXT_READY, NEXT) are the runs of equal numbers in it.
 *
 * A turn of the loop runs a batch: at least 10, or a 128th of what is queued; after more than 10,000 have come together, up to
 * 10,000 in a turn until fewer than 100 are left; and in any case no longer than 3 ms. These are the kernel's limits
 * (`blimit`, `qhimark`, `qlowmark`, `rcu_resched_ns`).
 */
import { setImmediate } from '../machine/host.ts';
import type { Heap } from '../memory/heap.ts';
import { blockAsync } from '../sched/drive.ts';
import { isOver, snapshot } from './grace-period.ts';
import { Line, NORMAL } from './layout.ts';
import type { Readers } from './reader.ts';
import { waitForEnd, wakeWaiters } from './wait.ts';

const LEAST_BATCH = 10;
const BATCH_SHIFT = 7;
const HIGH_MARK = 10_000;
const LOW_MARK = 100;
const LONGEST_NS = 3e6;

interface Callback {
  readonly end: number;
  readonly run: () => unknown;
}

export class Callbacks {
  readonly #readers: Readers;
  readonly #heap: Heap;
  #queue: Callback[] = [];
  /** Where the queue begins in the array. */
  #first = 0;
  #isFlooded = false;
  #isRunning = false;

  constructor(readers: Readers, heap: Heap) {
    this.#readers = readers;
    this.#heap = heap;
  }

  get size(): number {
    return this.#queue.length - this.#first;
  }

  /** Whether the function waits in the queue. It looks at all of them. */
  has(run: () => unknown): boolean {
    return this.#queue.some((callback, i) => i >= this.#first && callback.run === run);
  }

  /** Callbacks that are not over, the one that runs now included. */
  get pending(): number {
    const { cpu, line } = this.#readers;
    return (cpu.loadUnordered(line + Line.queued) - cpu.loadUnordered(line + Line.done)) | 0;
  }

  /** Returns what settles when the queue is empty, if it was. */
  add(run: () => unknown): Promise<void> | undefined {
    const { cpu, line, thread, domain } = this.#readers;
    // Before anything is queued: it may find the arena full.
    const task = this.#isRunning ? 0 : thread.takeTask(this.#heap);
    thread.tracer?.queuesCallback(domain.rcu, this.size);
    this.#queue.push({ end: snapshot(thread, domain, NORMAL), run });
    cpu.store(line + Line.queued, (cpu.load(line + Line.queued) + 1) | 0);
    return task === 0 ? undefined : this.#runAll(task);
  }

  /** Until the queue is empty. Its task is in use all the time: a thread cannot detach from its callbacks. */
  async #runAll(task: number): Promise<void> {
    const { thread, domain } = this.#readers;
    this.#isRunning = true;
    // All that this turn of the loop queues shares a period.
    await undefined;
    while (this.size > 0) {
      const { end } = this.#queue[this.#first] as Callback;
      await blockAsync(
        thread,
        this.#heap,
        undefined,
        (waiter) => waitForEnd(domain, NORMAL, end, waiter),
        undefined,
        task,
      );
      this.#runBatch();
      if (this.size > 0) await new Promise<void>((go) => setImmediate(go));
    }
    this.#isRunning = false;
    thread.returnTask(task);
  }

  #runBatch(): void {
    const { cpu, thread, domain, line } = this.#readers;
    const start = cpu.now();
    const deadline = start + LONGEST_NS;
    let count = 0;
    for (const most = this.#batch(); count < most && this.size > 0; count++) {
      const { end, run } = this.#queue[this.#first] as Callback;
      if (!isOver(thread, domain, NORMAL, end)) break;
      this.#first++;
      runReporting(run);
      if (cpu.now() > deadline) {
        count++;
        break;
      }
    }
    if (this.#first > this.size) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    thread.tracer?.ranCallbacks(domain.rcu, count, cpu.now() - start);
    // Release: pairs with the acquire in `callbacksOfNow` of domain.ts. Who has waited for the callbacks sees what they did.
    cpu.storeRelease(line + Line.done, (cpu.load(line + Line.done) + count) | 0);
    wakeWaiters(thread, domain);
  }

  #batch(): number {
    const { size } = this;
    if (size > HIGH_MARK) this.#isFlooded = true;
    else if (size <= LOW_MARK) this.#isFlooded = false;
    return this.#isFlooded ? HIGH_MARK : Math.max(LEAST_BATCH, size >> BATCH_SHIFT);
  }
}

/** A callback that throws is an uncaught error of its thread; those behind it run. */
function runReporting(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
