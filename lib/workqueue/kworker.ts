/**
 * A kworker thread: `worker_thread` of kernel/workqueue.c. It runs items one after the other, and sleeps when there is
 * none. A function that returns a promise leaves its thread free: the worker goes on with other items, and while it awaits
 * some it is idle on its event loop, never in a sleep that stops that.
 */
import type { Arena } from '../arena/arena.ts';
import { defineKthread, type KthreadSelf } from '../arena/kthreadd.ts';
import type { Cpu } from '../machine/cpu.ts';
import { watching } from '../sched/contention.ts';
import { pvWait, scheduleAsync } from '../sched/schedule.ts';
import { finishPark, prepareToPark, SLEEPING, Task, unpark } from '../sched/task.ts';
import { Pool, WorkerRecord } from './layout.ts';
import { PollWindow } from './poll-window.ts';
import type { WorkerPool } from './pool.ts';
import { KWORKER, poolView } from './pools.ts';
import { Runner } from './runner.ts';
import { beNice, nextTurn } from './thread.ts';
import { loadAll } from './work.ts';

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

class Kworker {
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #signal: AbortSignal;
  readonly #worker: number;
  readonly #task: number;
  readonly #pool: WorkerPool;
  readonly #runner: Runner;
  readonly #mostAwaited: number;
  readonly #window = new PollWindow(IDLE_NS);
  /** The item whose function it calls, up to its first `await`; or 0. */
  #calls = 0;
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
    this.#runner = new Runner(arena, (item) => this.#settled(item));
    this.#mostAwaited = arena.cpu.read(pool + Pool.maxAwaited);
  }

  async serve(): Promise<void> {
    const { thread } = this.#arena;
    thread.restOn(this.#task + Task.state);
    this.#pool.join(this.#worker, this.#task);
    const removeHook = thread.hooks.add({
      sleeping: () => this.#isAway || this.#pool.sleeping(this.#worker),
      running: () => this.#isAway || this.#pool.running(this.#worker),
    });
    this.#pool.standBy(this.#worker);
    await loadAll(this.#arena, () => this.#cpu.load(this.#task + Task.state) === SLEEPING);
    if (await this.#idle()) await this.#work();
    removeHook();
    thread.restOn(0);
    thread.returnTask(this.#task);
  }

  async #work(): Promise<void> {
    const runner = this.#runner;
    let turn = 0;
    let now = this.#cpu.now();
    // Whether somebody traces it, it looks once a turn and not for each item.
    watching(this.#arena.thread);
    let awaits = runner.awaited;
    for (let finished = 0; ; ) {
      const item = this.#pool.step(this.#worker, finished, now, awaits);
      finished = 0;
      if (item === 0) {
        if (!(await this.#idle())) return;
        watching(this.#arena.thread);
        turn = this.#cpu.now();
        now = turn;
        awaits = runner.awaited;
        continue;
      }
      const known = runner.known(item);
      const run = known ?? (await runner.find(item));
      // To load a function's module takes long, once.
      this.#calls = known === undefined ? 0 : item;
      finished = run === undefined ? item : runner.call(item, run);
      // What the function did up to its first `await` may be all there was.
      awaits = runner.awaited;
      if (awaits > 0) {
        await undefined;
        awaits = runner.awaited;
      }
      this.#calls = 0;
      const isFull = awaits >= this.#mostAwaited;
      now = this.#cpu.now();
      if (!isFull && now - turn <= TURN_NS) continue;
      if (finished !== 0) this.#pool.settle(finished, known !== undefined, awaits);
      finished = 0;
      if (isFull) await this.#away();
      // Functions that await go on, and so does what others have left: calls that they queued, readers of RCU that are out.
      await nextTurn();
      this.#runner.tellAborts();
      watching(this.#arena.thread);
      turn = this.#cpu.now();
      now = turn;
      awaits = runner.awaited;
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
      this.#runner.tellAborts();
      const deadline = this.#cpu.now() + IDLE_TIMEOUT;
      if (this.#runner.needsEventLoop) {
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

  /** The worker takes no further item until one that it awaits is over; its slot is another's meanwhile. */
  async #away(): Promise<void> {
    const cpu = this.#cpu;
    this.#isAway = true;
    this.#pool.sleeping(this.#worker);
    for (;;) {
      // Pairs with the exchange in `Submitter.abandon`: an abort is seen here, or wakes the task.
      prepareToPark(cpu, this.#task);
      this.#runner.tellAborts();
      if (this.#runner.awaited < this.#mostAwaited) break;
      await scheduleAsync(this.#arena.thread, { task: this.#task, deadline: Number.POSITIVE_INFINITY });
    }
    finishPark(cpu, this.#task);
    this.#isAway = false;
    this.#pool.running(this.#worker);
  }

  /** An awaited item is over. */
  #settled(item: number): void {
    this.#pool.settle(item, item === this.#calls, this.#runner.awaited);
    if (this.#isAway) unpark(this.#cpu, this.#task);
  }
}

defineKthread<Arena>(KWORKER, (arena: Arena, { data: worker, signal }: KthreadSelf) => {
  const pool = arena.cpu.read(worker + WorkerRecord.pool);
  const slot = arena.cpu.read(pool + Pool.slot);
  if (slot >= 0) slots.set(arena, slot);
  beNice(arena.cpu.read(pool + Pool.nice));
  return new Kworker(arena, worker, signal).serve();
});
