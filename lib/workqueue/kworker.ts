/**
 * A kworker thread: `worker_thread` of kernel/workqueue.c. It runs items one after the other, and sleeps when there is
 * none. A function that returns a promise leaves its thread free: the worker goes on with other items, and while it awaits
 * some it is idle on its event loop, never in a sleep that stops that.
 */
import { setPriority } from 'node:os';
import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import { defineKthread, type KthreadSelf } from '../arena/kthreadd.ts';
import { osThread } from '../arena/liveness.ts';
import { report } from '../arena/spawn.ts';
import type { Cpu } from '../machine/cpu.ts';
import { setImmediate } from '../machine/host.ts';
import { pvWait, scheduleAsync } from '../sched/schedule.ts';
import { finishPark, prepareToPark, SLEEPING, Task, unpark } from '../sched/task.ts';
import { WorkContext, withContext } from './context.ts';
import { Item, Pool, Pwq, WorkerRecord, WorkWords } from './layout.ts';
import { PollWindow } from './poll-window.ts';
import type { WorkerPool } from './pool.ts';
import { KWORKER, poolView } from './pools.ts';
import { hasOutstanding, publishHere } from './submitter.ts';
import { isTwin, workOf } from './twins.ts';
import { UNREADABLE, Values } from './values.ts';
import { identityAt, knownFunction, loadAll, loadFunction, type WorkFunction } from './work.ts';
import { decodeArguments } from './work-arguments.ts';

/** How long an idle worker that is one too many stays: the kernel's IDLE_WORKER_TIMEOUT, ns. */
const IDLE_TIMEOUT = 300e9;
/** How long an idle worker looks for work, once each turn of its event loop, before it sleeps, ns: what it costs to wake a thread. */
const IDLE_NS = 30e3;
/** How long a worker runs items, one after the other, before its event loop gets a turn, ns. */
const TURN_NS = 1e6;

/** In which slot each kworker thread is; a thread that is none is local to its number. */
const slots = new WeakMap<Arena, number>();

/** The slot that the calling thread is local to. */
export function localSlot(arena: Arena, count: number): number {
  return slots.get(arena) ?? arena.thread.number % count;
}

const kworkers = new WeakMap<Arena, Kworker>();

/** Whether the calling thread is a worker that runs or awaits an item of that workqueue: `is_chained_work`. */
export function runsItemOf(arena: Arena, wq: number): boolean {
  return kworkers.get(arena)?.runs(wq) ?? false;
}

/** How many items of that pool_workqueue the calling thread runs or awaits. */
export function itemsHeldIn(arena: Arena, pwq: number): number {
  return kworkers.get(arena)?.heldIn(pwq) ?? 0;
}

class Kworker {
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #signal: AbortSignal;
  readonly #worker: number;
  readonly #task: number;
  readonly #pool: WorkerPool;
  readonly #values: Values;
  readonly #functions = new Map<number, WorkFunction>();
  readonly #mostAwaited: number;
  readonly #window = new PollWindow(IDLE_NS);
  /** Items whose promises have not settled, with what their functions were told about themselves. */
  readonly #awaited = new Map<number, WorkContext>();
  /** The item whose function has not returned yet, or 0. */
  #current = 0;
  /** It takes no item, and its slot is another's, whatever continuations do. */
  #isAway = false;

  constructor(arena: Arena, worker: number, signal: AbortSignal) {
    this.#arena = arena;
    this.#cpu = arena.cpu;
    this.#signal = signal;
    this.#worker = worker;
    this.#task = arena.thread.takeTask(arena.heap);
    const pool = arena.cpu.read(worker + WorkerRecord.pool);
    this.#pool = poolView(arena, pool);
    this.#values = new Values(arena);
    this.#mostAwaited = arena.cpu.read(pool + Pool.maxAwaited);
    kworkers.set(arena, this);
  }

  async serve(): Promise<void> {
    const { hooks } = this.#arena.thread;
    this.#pool.join(this.#worker, this.#task);
    const removeHook = hooks.add({
      sleeping: () => this.#isAway || this.#pool.sleeping(this.#worker),
      running: () => this.#isAway || this.#pool.running(this.#worker),
    });
    this.#pool.standBy(this.#worker);
    await loadAll(this.#arena, () => this.#cpu.load(this.#task + Task.state) === SLEEPING);
    if (await this.#idle()) await this.#work();
    removeHook();
    this.#arena.thread.returnTask(this.#task);
  }

  /** Whether an item of that workqueue is in its hands. */
  runs(wq: number): boolean {
    const cpu = this.#cpu;
    return this.#held().some((item) => cpu.read(cpu.load(item + Item.pwq) + Pwq.workqueue) === wq);
  }

  heldIn(pwq: number): number {
    return this.#held().filter((item) => this.#cpu.load(item + Item.pwq) === pwq).length;
  }

  #held(): number[] {
    return [this.#current, ...this.#awaited.keys()].filter((item) => item !== 0);
  }

  async #work(): Promise<void> {
    let turn = 0;
    let now = this.#cpu.now();
    for (let finished = 0; ; ) {
      const item = this.#pool.step(this.#worker, finished, now);
      finished = 0;
      if (item === 0) {
        if (!(await this.#idle())) return;
        turn = this.#cpu.now();
        now = turn;
        continue;
      }
      const run = this.#functions.get(this.#cpu.read(item + Item.fn)) ?? (await this.#find(item));
      finished = run === undefined ? item : this.#call(item, run);
      // What the function did up to its first `await` may be all there was.
      if (this.#awaited.size > 0) await undefined;
      const isFull = this.#awaited.size >= this.#mostAwaited;
      now = this.#cpu.now();
      if (!isFull && now - turn <= TURN_NS) continue;
      if (finished !== 0) this.#pool.settle(finished);
      finished = 0;
      if (isFull) await this.#away();
      // Functions that await go on, and so does what others have left: calls that they queued, readers of RCU that are out.
      await nextTurn();
      this.#tellAborts();
      turn = this.#cpu.now();
      now = turn;
    }
  }

  /** Sleeps until there is something to do. False when the thread is to end. */
  async #idle(): Promise<boolean> {
    // What functions have left on the event loop goes on first.
    const end = this.#cpu.now() + this.#window.length;
    do await nextTurn();
    while (this.#cpu.load(this.#task + Task.state) === SLEEPING && this.#cpu.now() < end);
    if (this.#cpu.load(this.#task + Task.state) === SLEEPING) this.#window.miss();
    else this.#window.hit();
    for (;;) {
      // Its task is SLEEPING by now: an abort is seen here, or wakes it. Pairs with the exchange in `Submitter.abandon`.
      this.#tellAborts();
      const deadline = this.#cpu.now() + IDLE_TIMEOUT;
      if (this.#needsEventLoop()) {
        await scheduleAsync(this.#arena.thread, { task: this.#task, deadline });
      } else if (pvWait(this.#cpu, this.#task, deadline) === 'timed-out' && this.#pool.cull(this.#worker)) {
        return false;
      }
      if (!this.#pool.isIdle(this.#worker)) return true;
      await nextTurn();
      if (this.#signal.aborted) {
        this.#pool.part(this.#worker);
        return false;
      }
    }
  }

  /**
   * Whether something of this thread's goes on only while its event loop turns: items that it awaits, calls that it waits for, locks
   * that a function has asked for and left to come.
   */
  #needsEventLoop(): boolean {
    const { thread } = this.#arena;
    // One task is the worker's own.
    return this.#awaited.size > 0 || hasOutstanding(this.#arena) || thread.tasksInUse > 1;
  }

  /** The worker takes no further item until one that it awaits is over; its slot is another's meanwhile. */
  async #away(): Promise<void> {
    const cpu = this.#cpu;
    this.#isAway = true;
    this.#pool.sleeping(this.#worker);
    for (;;) {
      // Pairs with the exchange in `Submitter.abandon`: an abort is seen here, or wakes the task.
      prepareToPark(cpu, this.#task);
      this.#tellAborts();
      if (this.#awaited.size < this.#mostAwaited) break;
      await scheduleAsync(this.#arena.thread, { task: this.#task, deadline: Number.POSITIVE_INFINITY });
    }
    finishPark(cpu, this.#task);
    this.#isAway = false;
    this.#pool.running(this.#worker);
  }

  /**
   * The function of an item, which is not known here yet: its module is loaded. The worker takes no further item until then:
   * they may all be of that module, and one of them may block for what another does. It keeps its slot, since it loads.
   * Undefined when there is none; the item says why.
   */
  async #find(item: number): Promise<WorkFunction | undefined> {
    const address = this.#cpu.read(item + Item.fn);
    const identity = identityAt(this.#arena, address);
    try {
      const run = knownFunction(identity) ?? (await loadFunction(identity));
      this.#functions.set(address, run);
      return run;
    } catch (error) {
      this.#writeError(item, error);
      return undefined;
    }
  }

  /** Runs the item. Returns it if it has come to its end, or 0 when it is awaited. */
  #call(item: number, run: WorkFunction): number {
    const cpu = this.#cpu;
    const context = new WorkContext(this.#arena, item);
    let result: unknown;
    let isPending: boolean;
    this.#current = item;
    try {
      const args = isTwin(cpu, item)
        ? decodeArguments(cpu, workOf(cpu, item))
        : this.#values.decode(item, cpu.read(item + Item.encoding), Item.argument);
      result = withContext(context, run, args);
      isPending = typeof (result as PromiseLike<unknown> | undefined)?.then === 'function';
    } catch (error) {
      this.#writeError(item, error);
      publishHere(this.#arena);
      return item;
    } finally {
      this.#current = 0;
    }
    if (isPending) {
      this.#awaited.set(item, context);
      // Where it is no promise: one that calls back twice, or throws, must not end the item twice, or the worker.
      Promise.resolve(result).then(
        (value) => {
          this.#writeResult(item, value);
          this.#settled(item);
        },
        (error) => this.#failed(item, error),
      );
      return 0;
    }
    this.#writeResult(item, result);
    // Before the item ends: whoever drains its queue waits for what it has queued as well.
    publishHere(this.#arena);
    return item;
  }

  #failed(item: number, error: unknown): void {
    this.#writeError(item, error);
    this.#settled(item);
  }

  /** An awaited item is over. */
  #settled(item: number): void {
    this.#awaited.delete(item);
    this.#pool.settle(item);
    if (this.#isAway) unpark(this.#cpu, this.#task);
  }

  /** A work's result is nobody's. */
  #writeResult(item: number, value: unknown): void {
    if (isTwin(this.#cpu, item)) return;
    try {
      this.#cpu.write(item + Item.encoding, this.#values.encode(item, [value], Item.result));
    } catch (error) {
      // It can't be cloned, or the arena is full.
      this.#values.free(item, Item.result);
      this.#writeError(item, error);
    }
  }

  #writeError(item: number, error: unknown): void {
    if (isTwin(this.#cpu, item)) {
      const work = workOf(this.#cpu, item);
      this.#cpu.fetchAddRelaxed(work + WorkWords.failures, 1);
      report(`the ${this.#arena.objects.labelOf(work)} failed: ${inspected(error)}`);
      return;
    }
    this.#cpu.write(item + Item.encoding, this.#values.encodeError(item, error));
  }

  /** Tells awaited functions that their callers have given up. */
  #tellAborts(): void {
    for (const context of this.#awaited.values()) context.tell();
  }
}

defineKthread<Arena>(KWORKER, (arena: Arena, { data: worker, signal }: KthreadSelf) => {
  const pool = arena.cpu.read(worker + WorkerRecord.pool);
  const slot = arena.cpu.read(pool + Pool.slot);
  if (slot >= 0) slots.set(arena, slot);
  beNice(arena.cpu.read(pool + Pool.nice));
  return new Kworker(arena, worker, signal).serve();
});

/** On Linux a thread has a priority of its own. Without the privilege to raise it, it stays as it is. */
function beNice(nice: number): void {
  const thread = osThread();
  if (nice === 0 || thread === 0) return;
  try {
    setPriority(thread, nice);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SYSTEM_ERROR') throw error;
  }
}

/** An error may throw when it is looked at: a getter, a proxy that was revoked. */
function inspected(error: unknown): string {
  try {
    return inspect(error);
  } catch {
    return UNREADABLE;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
