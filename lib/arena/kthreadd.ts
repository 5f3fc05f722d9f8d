/**
 * kthreadd: the thread that runs the arena's system tasks, on its event loop or on threads that it starts for them.
 *
 * `kthreadd` in the header:
 *
 *   0                   nobody
 *   id << 1 | MAKING    the thread with CPU number id - 1 makes it
 *   id << 1             that thread is it
 *
 *   make    0 -> maker|MAKING     whoever finds that it is wanted and not there
 *   begin   maker|MAKING -> mine  by a full exchange, before it looks what is to run
 *   end     mine -> 0             nobody but system threads is attached
 *   death   x -> 0                the reaper, for a maker or a kthreadd that is dead
 *
 *   requester                          kthreadd
 *   record := WANTED          full     kthreadd := mine               full
 *   look who is kthreadd: ring it      look which records are WANTED
 *
 * So either the requester sees whom to ring, or the record is seen. A kthreadd that dies leaves records STARTING or
 * RUNNING; the next one, which does not run them, starts them again. Its threads end with it.
 *
 * Source: the names and the division of work are those of kernel/kthread.c.
 */
import type { Worker } from 'node:worker_threads';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { type Deadline, Deadlines } from '../machine/deadlines.ts';
import { setTimeout } from '../machine/host.ts';
import { Header } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import type { Objects } from '../memory/object-store.ts';
import type { Repairer } from '../memory/repairer.ts';
import { maxThreads, Slot, slotAddress } from '../sched/slot.ts';
import { DETACHED, type Thread } from '../sched/thread.ts';
import { actionOf, expireTimer, nextExpiry, startTimer, TimerWords, timerFired } from '../sched/timer.ts';
import {
  advance,
  ENDED,
  fail,
  isUnderWay,
  KthreadRecord,
  nameOf,
  RUNNING,
  records,
  STARTING,
  specOf,
  WANTED,
} from './kthread-record.ts';
import { report, spawnWorker, workerEntryIfThere } from './spawn.ts';

/** What kthreadd needs of an arena; an `Arena`. */
export interface Premises {
  readonly cpu: Cpu;
  readonly thread: Thread;
  readonly heap: Heap;
  readonly objects: Objects;
  readonly handle: unknown;
  watch(worker: Worker): void;
}

/** What a system task's function is told about itself. */
export interface KthreadSelf {
  readonly name: string;
  /** The word that the requester gave. */
  readonly data: number;
  /** Aborts when the task is to end, and has a moment to do so. */
  readonly signal: AbortSignal;
}

/** A system task's function. The task has ended when what it returns is settled. */
export type KthreadFunction<Arena> = (arena: Arena, self: KthreadSelf) => unknown;

/** In place of a module's URL: a function of the library's own, which `defineKthread` declared. */
export const SYSTEM = 'holdfast:';

/** What a thread that `kthreadd` starts finds in its workerData. */
export interface SystemThreadData {
  readonly arena: unknown;
  /** For kthreadd: what its maker wrote to `kthreadd`. */
  readonly maker?: number;
  /** For a task on a thread of its own: its record. */
  readonly record?: number;
}

/** What an application that is a bundle hears. */
export const NO_ENTRY =
  "holdfast's thread entry kthreadd.js is not there: let holdfast be external to the bundle, or name the entry with setEnvironmentData('holdfast:kthreadd', url)";

const MAKING = 1;
/** How long system tasks may take to end when the arena is left, ms. */
const PATIENCE_MS = 1000;
/** How long a timer waits for a module that may declare its action, ns; then again. */
const LOAD_INTERVAL = 10e6;
/** Starts of a task, each of which ends with the death of its thread while the module is loaded. */
const MOST_STARTS = 3;
/** Slots at the end of the table that are no user's: kthreadd's and the visitor's. */
export const SPARE_SLOTS = 2;

const functions = new Map<string, KthreadFunction<never>>();

/** Declares a function of the library's own that kthreadd can run. kthreadd loads all rooms, so it knows all of them. */
export function defineKthread<Arena extends Premises>(exported: string, run: KthreadFunction<Arena>): void {
  functions.set(exported, run as KthreadFunction<never>);
}

export function makingBy(id: number): number {
  return (id << 1) | MAKING;
}

/** Whether the value of `kthreadd` names a thread that is it. */
export function isRunning(kthreadd: number): boolean {
  return kthreadd !== 0 && !(kthreadd & MAKING);
}

/** The CPU number plus one of kthreadd, or 0 while there is none. */
export function kthreaddOf(cpu: Cpu): number {
  const word = cpu.load(Header.kthreadd);
  return isRunning(word) ? word >> 1 : 0;
}

/** Tells kthreadd that there is something for it. */
export function ringKthreadd(cpu: Cpu): void {
  cpu.fetchAdd(Header.kthreaddRing, 1);
  cpu.wake(Header.kthreaddRing, 1);
}

/** For the reaper: a dead thread neither is kthreadd nor makes it. */
export function repairKthreadd({ cpu, isDead }: Repairer): void {
  const word = cpu.load(Header.kthreadd);
  if (word !== 0 && isDead(word >> 1)) cpu.cmpxchg(Header.kthreadd, word, 0);
  // A dead thread may have been about to.
  if (cpu.load(Header.kthreaddWanted) === 1) ringKthreadd(cpu);
}

interface RunningTask {
  readonly stop: () => void;
  readonly ended: Promise<void>;
  /** Of its own thread. */
  readonly worker?: Worker;
}

export class Kthreadd {
  readonly #arena: Premises;
  readonly #tasks = new Map<number, RunningTask>();
  /** When the first of the arena's timers expires. */
  readonly #deadlines: Deadlines;
  #expiry: Deadline | undefined;

  constructor(arena: Premises) {
    this.#arena = arena;
    this.#deadlines = new Deadlines(() => arena.cpu.now());
  }

  /** The calling thread is kthreadd from here on, unless what its maker wrote is not there any more. */
  begin(maker: number): boolean {
    const { cpu, thread } = this.#arena;
    return cpu.cmpxchg(Header.kthreadd, maker, thread.id << 1) === maker;
  }

  /** Serves until nobody but system threads is attached, or the calling thread has detached. */
  async serve(): Promise<void> {
    const { cpu, thread } = this.#arena;
    const mine = thread.id << 1;
    do {
      while (!this.#isOver()) {
        const rings = cpu.load(Header.kthreaddRing);
        this.#look();
        this.#runTimers();
        const ring = cpu.waitAsync(Header.kthreaddRing, rings, Number.POSITIVE_INFINITY);
        if (typeof ring !== 'string') await ring;
      }
      if (this.#expiry !== undefined) this.#deadlines.remove(this.#expiry);
      await this.#stopAll();
      cpu.cmpxchg(Header.kthreadd, mine, 0);
      // A thread that has attached meanwhile may have rung here.
    } while (!this.#isOver() && cpu.cmpxchg(Header.kthreadd, 0, mine) === 0);
  }

  /** Ends all tasks. Those that nobody has stopped are started again by the next kthreadd. */
  async #stopAll(): Promise<void> {
    const { cpu } = this.#arena;
    const tasks = [...this.#tasks];
    for (const [, task] of tasks) task.stop();
    await Promise.race([Promise.all(tasks.map(([, { ended }]) => ended)), patience()]);
    await Promise.all(tasks.map(([, { worker }]) => worker?.terminate()));
    for (const [record] of tasks) {
      if (cpu.load(record + KthreadRecord.stop) === 0) advance(cpu, record, [ENDED], WANTED);
    }
  }

  #isOver(): boolean {
    const { cpu, thread } = this.#arena;
    if (thread.self === DETACHED) return true;
    // Those that it has started. Itself it is none of them: without a file for kthreadd, a thread of the program is kthreadd.
    const started = [...this.#tasks].filter(([, { worker }]) => worker !== undefined);
    const own = new Set(started.map(([record]) => cpu.load(record + KthreadRecord.thread)));
    for (let number = 0; number < maxThreads(cpu) - SPARE_SLOTS; number++) {
      if (!own.has(number + 1) && cpu.loadAcquire(slotAddress(cpu, number) + Slot.life) !== 0) return false;
    }
    return true;
  }

  /** Runs the actions of the timers that have expired, and comes again when the next one does. `hrtimer_interrupt`. */
  readonly #runTimers = (): void => {
    const { cpu, thread } = this.#arena;
    if (thread.self === DETACHED) return;
    const now = cpu.now();
    for (let timer = expireTimer(cpu, thread.id, now); timer !== 0; timer = expireTimer(cpu, thread.id, now)) {
      if (this.#isUnknownYet(timer)) startTimer(cpu, thread.id, timer, now + LOAD_INTERVAL);
      else this.#act(timer);
      timerFired(cpu, thread.id, timer);
    }
    if (this.#expiry !== undefined) this.#deadlines.remove(this.#expiry);
    const next = nextExpiry(cpu, thread.id);
    this.#expiry = next === Number.POSITIVE_INFINITY ? undefined : this.#deadlines.add(next, this.#runTimers);
  };

  /** A module that is being loaded may declare its action: after the death of kthreadd they all are loaded again. */
  #isUnknownYet(timer: number): boolean {
    const { cpu } = this.#arena;
    if (actionOf(cpu, timer) !== undefined) return false;
    return [...this.#tasks.keys()].some((record) => cpu.load(record + KthreadRecord.state) === STARTING);
  }

  #act(timer: number): void {
    const { cpu } = this.#arena;
    const action = actionOf(cpu, timer);
    if (action === undefined) {
      report(`the timer at ${timer} has an action that kthreadd has not loaded`);
      return;
    }
    try {
      action(this.#arena as never, cpu.load(timer + TimerWords.data), timer);
    } catch (error) {
      report(`the action of the timer at ${timer} failed: ${(error as Error)?.stack ?? error}`);
    }
  }

  /** Starts what is to run, and stops what is to end. */
  #look(): void {
    const { cpu, heap } = this.#arena;
    for (const record of records(cpu, heap.objects())) {
      const task = this.#tasks.get(record);
      const isStopped = cpu.load(record + KthreadRecord.stop) === 1;
      if (task !== undefined && isStopped) task.stop();
      if (task === undefined && isUnderWay(cpu.load(record + KthreadRecord.state))) this.#start(record, isStopped);
    }
  }

  #start(record: number, isStopped: boolean): void {
    const { cpu } = this.#arena;
    // Nobody runs it, so the thread that did is dead.
    advance(cpu, record, [STARTING, RUNNING], isStopped ? ENDED : WANTED);
    if (!advance(cpu, record, [WANTED], STARTING)) return;
    // Behind that: it may have been stopped while it was asked for, and a stop from here on rings.
    if (cpu.load(record + KthreadRecord.stop) === 1) {
      advance(cpu, record, [STARTING], ENDED);
      return;
    }
    if (cpu.fetchAdd(record + KthreadRecord.starts, 1) >= MOST_STARTS) {
      this.#failed(record, new Error(`its thread died ${MOST_STARTS} times while it was loaded`));
      return;
    }
    const { ownThread } = specOf(cpu, record);
    const entry = ownThread ? workerEntryIfThere('kthreadd') : undefined;
    if (ownThread && entry === undefined) this.#failed(record, new Error(`it needs a thread of its own: ${NO_ENTRY}`));
    else this.#tasks.set(record, entry === undefined ? this.#runHere(record) : this.#runOnThread(record, entry));
  }

  #runHere(record: number): RunningTask {
    const control = new AbortController();
    const ended = runTask(this.#arena, record, control.signal).then(() => this.#ended(record));
    return { stop: () => control.abort(), ended };
  }

  #runOnThread(record: number, entry: URL): RunningTask {
    const { objects, handle } = this.#arena;
    const workerData: SystemThreadData = { arena: handle, record };
    const worker = spawnWorker(entry, { name: nameOf(objects, record), workerData });
    this.#arena.watch(worker);
    worker.once('error', (error) => this.#failed(record, error));
    const ended = new Promise<void>((resolve) => {
      worker.once('exit', () => {
        this.#ended(record);
        resolve();
      });
    });
    return { stop: () => worker.postMessage('stop'), ended, worker };
  }

  /** The task's function, or its thread, has come to its end. What its thread was at when it died is started again. */
  #ended(record: number): void {
    this.#tasks.delete(record);
    ringKthreadd(this.#arena.cpu);
  }

  #failed(record: number, error: unknown): void {
    const { cpu, objects } = this.#arena;
    fail(cpu, record, error);
    reportFailure(objects, record, error);
  }
}

/** Loads the task's module and runs its function, on the calling thread's event loop. Never rejects. */
export async function runTask(arena: Premises, record: number, signal: AbortSignal): Promise<void> {
  const { cpu, objects, thread } = arena;
  const { data } = specOf(cpu, record);
  const failed = (error: unknown) => {
    fail(cpu, record, error);
    reportFailure(objects, record, error);
  };
  const run = await functionOf(cpu, record).catch(failed);
  if (run === undefined) return;
  cpu.store(record + KthreadRecord.thread, thread.id);
  cpu.store(record + KthreadRecord.starts, 0);
  advance(cpu, record, [STARTING], RUNNING);
  const returned = new Promise((resolve) => {
    resolve(run(arena as never, { name: nameOf(objects, record), data, signal }));
  });
  await returned.then(() => advance(cpu, record, [RUNNING], ENDED), failed);
}

function patience(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PATIENCE_MS).unref());
}

async function functionOf(cpu: Cpu, record: number): Promise<KthreadFunction<never>> {
  const { module, exported } = specOf(cpu, record);
  const load = () => import(/* webpackIgnore: true */ /* @vite-ignore */ module);
  const run = module === SYSTEM ? functions.get(exported) : (await load())[exported];
  if (typeof run === 'function') return run;
  throw new HoldfastError('EINVAL', `${module} has no function ${exported}`);
}

function reportFailure(objects: Objects, record: number, error: unknown): void {
  report(`the system task ${nameOf(objects, record)} failed: ${(error as Error)?.stack ?? error}`);
}
