/** The records of a pool's workers: which are idle, how many run, which threads are on their way. All of it under the pool's latch. */
import type { Cpu } from '../machine/cpu.ts';
import { prepareToPark } from '../sched/task.ts';
import {
  BUSY,
  FREE_RECORD,
  FunctionWords,
  IDLE,
  Item,
  PHASE,
  Pool,
  RUNNING,
  STARTING,
  WorkerRecord,
  workerAt,
} from './layout.ts';

/** How long a thread that was asked for may be on its way until it is asked for again, ms: the kernel's CREATE_COOLDOWN. */
const CREATE_COOLDOWN_MS = 1000;

/** The kernel's `cpu_intensive_thresh_us`. */
const SLOW_US = 10e3;
/** Short calls of a function after which it does not count any more that one has computed for long. */
const MADE_UP_BY = 16;

/** `nr_running` follows. */
export function setState(cpu: Cpu, pool: number, worker: number, state: number): void {
  const wasBusy = cpu.read(worker + WorkerRecord.state) === BUSY;
  cpu.write(worker + WorkerRecord.state, state);
  if (wasBusy === (state === BUSY)) return;
  cpu.store(pool + Pool.running, cpu.load(pool + Pool.running) + (wasBusy ? -1 : 1));
}

/**
 * `worker_enter_idle`: on the list, not running, and its task SLEEPING. Full, and pairs with the push in `queue`: the item is seen
 * behind this, or there that a slot is free.
 */
export function becomeIdle(cpu: Cpu, pool: number, worker: number): void {
  setState(cpu, pool, worker, IDLE);
  linkIdle(cpu, pool, worker);
  prepareToPark(cpu, cpu.read(worker + WorkerRecord.task));
}

/** The worker is BUSY, and its task is to be woken: `worker_leave_idle`. */
export function leaveIdle(cpu: Cpu, pool: number, worker: number): void {
  unlinkIdle(cpu, pool, worker);
  setState(cpu, pool, worker, BUSY);
}

export function linkIdle(cpu: Cpu, pool: number, worker: number): void {
  cpu.write(worker + WorkerRecord.nextIdle, cpu.read(pool + Pool.idle));
  cpu.write(pool + Pool.idle, worker);
  count(cpu, pool + Pool.nrIdle, 1);
  if (cpu.read(worker + WorkerRecord.state) !== IDLE) setState(cpu, pool, worker, IDLE);
}

/** Whether a worker that awaits nothing is idle, or on its way. */
export function hasFreeWorker(cpu: Cpu, pool: number): boolean {
  return firstFree(cpu, pool) !== 0 || isFreeOnItsWay(cpu, pool);
}

/**
 * The idle worker that is the next to be woken, or 0. What computes for long is for one that awaits nothing: where one is on its way
 * already, nobody is woken.
 */
export function firstIdle(cpu: Cpu, pool: number, items: { isSlowNext(): boolean }): number {
  const first = cpu.read(pool + Pool.idle);
  if (first === 0 || cpu.read(first + WorkerRecord.awaits) === 0 || !items.isSlowNext()) return first;
  return firstFree(cpu, pool) || (isFreeOnItsWay(cpu, pool) ? 0 : first);
}

/** The first idle worker that awaits nothing, or 0. */
function firstFree(cpu: Cpu, pool: number): number {
  let idle = cpu.read(pool + Pool.idle);
  while (idle !== 0 && cpu.read(idle + WorkerRecord.awaits) !== 0) idle = cpu.read(idle + WorkerRecord.nextIdle);
  return idle;
}

/** Whether a worker that awaits nothing has been woken, and has not looked for an item yet. */
function isFreeOnItsWay(cpu: Cpu, pool: number): boolean {
  return workersIn(cpu, pool, BUSY).some(
    (worker) => cpu.read(worker + WorkerRecord.current) === 0 && cpu.read(worker + WorkerRecord.awaits) === 0,
  );
}

/** Behind all that are idle. */
export function linkIdleLast(cpu: Cpu, pool: number, worker: number): void {
  setState(cpu, pool, worker, IDLE);
  cpu.write(worker + WorkerRecord.nextIdle, 0);
  cpu.write(linkTo(cpu, pool, 0), worker);
  count(cpu, pool + Pool.nrIdle, 1);
}

export function unlinkIdle(cpu: Cpu, pool: number, worker: number): void {
  cpu.write(linkTo(cpu, pool, worker), cpu.read(worker + WorkerRecord.nextIdle));
  count(cpu, pool + Pool.nrIdle, -1);
}

/** A record for a new worker, or -1 where one is on its way, or there are as many as there may be. Returns its index. */
export function reserve(cpu: Cpu, pool: number): number {
  const most = cpu.read(pool + Pool.maxWorkers);
  if (cpu.read(pool + Pool.nrWorkers) >= most) return -1;
  let free = -1;
  for (let index = 0; index < most; index++) {
    const state = cpu.read(workerAt(pool, index) + WorkerRecord.state);
    if (state === STARTING) return -1;
    if (state === FREE_RECORD && free < 0) free = index;
  }
  if (free < 0) return -1;
  const worker = workerAt(pool, free);
  cpu.write(worker + WorkerRecord.state, STARTING);
  cpu.write(worker + WorkerRecord.thread, 0);
  cpu.write(worker + WorkerRecord.since, now(cpu));
  count(cpu, pool + Pool.nrWorkers, 1);
  return free;
}

/**
 * A record whose thread should have come long ago, or -1: the thread that asked for it has died first, or the arena had no
 * room, or the thread ended before it began.
 */
export function overdue(cpu: Cpu, pool: number): number {
  const at = now(cpu);
  for (let index = 0; index < cpu.read(pool + Pool.maxWorkers); index++) {
    const worker = workerAt(pool, index);
    if (cpu.read(worker + WorkerRecord.state) !== STARTING) continue;
    if (((at - cpu.read(worker + WorkerRecord.since)) | 0) < CREATE_COOLDOWN_MS) continue;
    cpu.write(worker + WorkerRecord.since, at);
    return index;
  }
  return -1;
}

/** Whether that worker runs or awaits the item: one that has ended may be anybody's by now, and its queue be gone. */
export function isRunIn(cpu: Cpu, item: number, worker: number): boolean {
  return item !== 0 && (cpu.load(item + Item.state) & PHASE) === RUNNING && cpu.read(item + Item.worker) === worker;
}

/**
 * Notes in the item's function whether it computes for long: whether the worker that runs it has not slept for so long. What counts is time,
 * in which the thread may have waited for a core; so short calls make up for a long one. `now`: us.
 */
export function noteSpeed(cpu: Cpu, item: number, now: number): void {
  const fn = cpu.read(item + Item.fn);
  // Models of a pool have items that call nothing.
  if (fn === 0) return;
  const slow = fn + FunctionWords.slow;
  const computed = (now - cpu.read(cpu.read(item + Item.worker) + WorkerRecord.began)) | 0;
  if (computed >= SLOW_US) {
    cpu.store(slow, MADE_UP_BY);
  } else {
    const left = cpu.loadUnordered(slow);
    if (left > 0) cpu.store(slow, left - 1);
  }
}

/** The workers that are BUSY with an item, which they may have ended or awaited by now. */
export function busyWorkers(cpu: Cpu, pool: number): { worker: number; item: number; began: number }[] {
  const running = workersIn(cpu, pool, BUSY).map((worker) => ({
    worker,
    item: cpu.read(worker + WorkerRecord.current),
    began: cpu.read(worker + WorkerRecord.began),
  }));
  return running.filter(({ item }) => item !== 0);
}

/**
 * Whether nobody who could take an item is on the way: no thread has been asked for, no worker been woken that has not got so far. On a
 * machine that is busy with other things both may take long.
 */
export function nobodyComes(cpu: Cpu, pool: number): boolean {
  const workers = Array.from({ length: cpu.read(pool + Pool.maxWorkers) }, (_, index) => workerAt(pool, index));
  return workers.every((worker) => {
    const state = cpu.read(worker + WorkerRecord.state);
    return state !== STARTING && (state !== BUSY || cpu.read(worker + WorkerRecord.current) !== 0);
  });
}

/** The workers in that state. */
function workersIn(cpu: Cpu, pool: number, state: number): number[] {
  const workers = Array.from({ length: cpu.read(pool + Pool.maxWorkers) }, (_, index) => workerAt(pool, index));
  return workers.filter((worker) => cpu.read(worker + WorkerRecord.state) === state);
}

export function count(cpu: Cpu, word: number, by: number): void {
  cpu.write(word, cpu.read(word) + by);
}

/** The word of the idle list that leads to that worker; 0: the list's end. */
function linkTo(cpu: Cpu, pool: number, worker: number): number {
  let link = pool + Pool.idle;
  while (cpu.read(link) !== worker) link = cpu.read(link) + WorkerRecord.nextIdle;
  return link;
}

/** ms, cut off to 32 bits. */
function now(cpu: Cpu): number {
  return Math.floor(cpu.now() / 1e6) | 0;
}
