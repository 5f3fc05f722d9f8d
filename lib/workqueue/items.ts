/**
 * The items of one pool: what is listed, active, inactive, and in which colour. All of it under the pool's latch; what items
 * that have ended ask for behind that, waking included, is kept until the latch is free (`handOver`).
 */
import type { Cpu } from '../machine/cpu.ts';
import { unpark } from '../sched/task.ts';
import { firstWaiter, waiters } from '../sched/wait-list.ts';
import {
  DEFERRED,
  DONE,
  FLUSH_TASK,
  FREE,
  FunctionWords,
  ID_SHIFT,
  IN_FLIGHT,
  INACTIVE,
  Item,
  LISTED,
  PENDING,
  PHASE,
  Pool,
  Pwq,
  RUNNING,
  WorkWords,
  Wq,
} from './layout.ts';
import { append, complete, enqueue, prepend, remove, take } from './lists.ts';
import { MEM_RECLAIM } from './options.ts';
import { addTime, countTime, microseconds } from './times.ts';
import { isTwin, latchWork, siblingOf, unlatchWork, workOf } from './twins.ts';
import { count, noteSpeed } from './workers.ts';

/** One thread's view of a pool's items. */
export class PoolItems {
  readonly #cpu: Cpu;
  readonly #pool: number;
  /** The calling thread's CPU number plus one. */
  readonly #id: number;
  /** Of submitters, and ended: the first `#nrEnded`. An array that is cut off and grows again costs more than the rest of `#end`. */
  readonly #ended: number[] = [];
  #nrEnded = 0;
  /** Tasks that wait for works and flushers which have ended. */
  readonly #wakees: number[] = [];
  /** Pools of twins whose other one has ended here. */
  #elsewhere = new Set<number>();

  constructor(cpu: Cpu, pool: number, id: number) {
    this.#cpu = cpu;
    this.#pool = pool;
    this.#id = id;
  }

  /** Takes what has come, in the order in which it did. */
  drain(): void {
    const cpu = this.#cpu;
    const chain = take(cpu, this.#pool + Pool.incoming, this.#pool + Pool.taking);
    if (chain.length === 0) return;
    for (let i = chain.length - 1; i >= 0; i--) this.#list(chain[i] as number);
    cpu.write(this.#pool + Pool.taking, 0);
  }

  #list(item: number): void {
    const cpu = this.#cpu;
    cpu.storeUnordered(item + Item.home, this.#pool);
    if (cpu.cmpxchg(item + Item.state, PENDING, LISTED) !== PENDING) {
      this.#end(item);
      return;
    }
    this.#enter(item);
  }

  /** Gives the item its place, its colour, and a list. */
  #enter(item: number): void {
    const cpu = this.#cpu;
    const pwq = cpu.read(item + Item.pwq);
    cpu.write(item + Item.colour, cpu.read(pwq + Pwq.colour));
    // Last: the number says that the item has its colour, should this thread die here (`listTaken`).
    cpu.write(item + Item.seq, this.nextSeq());
    cpu.write(pwq + Pwq.inFlight, cpu.read(pwq + Pwq.inFlight) + 1);
    enqueue(cpu, this.#pool, pwq, item);
  }

  /** A twin of a work, FREE or DELAYED, is LISTED. The work is latched, too. */
  listTwin(twin: number, pwq: number): void {
    const cpu = this.#cpu;
    cpu.write(twin + Item.since, microseconds(cpu.now()));
    cpu.store(twin + Item.pwq, pwq);
    cpu.storeUnordered(twin + Item.home, this.#pool);
    this.#enter(twin);
    // Release: pairs with the acquire in `isHeld`, of another pool's repair.
    cpu.storeRelease(twin + Item.state, LISTED);
  }

  /** Takes a LISTED twin out of all lists and counts. Its state is the caller's to change. */
  unlist(twin: number): void {
    const cpu = this.#cpu;
    const pwq = cpu.read(twin + Item.pwq);
    const where = cpu.read(twin + Item.worker);
    if (where === INACTIVE) {
      remove(cpu, pwq + Pwq.inactive, pwq + Pwq.inactiveLast, twin);
      count(cpu, pwq + Pwq.nrInactive, -1);
    } else {
      if (where === DEFERRED) remove(cpu, this.#pool + Pool.deferred, this.#pool + Pool.deferredLast, twin);
      else remove(cpu, this.#pool + Pool.first, this.#pool + Pool.last, twin);
      count(cpu, pwq + Pwq.nrActive, -1);
      if (cpu.read(pwq + Pwq.inactive) !== 0) this.activate(pwq);
    }
    this.#leaveColour(pwq, cpu.read(twin + Item.colour));
  }

  /** The twin may not run yet. */
  #defer(twin: number): void {
    const cpu = this.#cpu;
    cpu.write(twin + Item.worker, DEFERRED);
    append(cpu, this.#pool + Pool.deferred, this.#pool + Pool.deferredLast, twin);
  }

  /** A twin that was DEFERRED may run: it is the next. */
  #resume(twin: number): void {
    const cpu = this.#cpu;
    remove(cpu, this.#pool + Pool.deferred, this.#pool + Pool.deferredLast, twin);
    cpu.write(twin + Item.worker, 0);
    prepend(cpu, this.#pool + Pool.first, this.#pool + Pool.last, twin);
  }

  /** All that were DEFERRED, and whose other twin has ended by now. */
  resumeAll(): void {
    const cpu = this.#cpu;
    for (let twin = cpu.read(this.#pool + Pool.deferred); twin !== 0; ) {
      const next = cpu.read(twin + Item.next);
      latchWork(cpu, this.#id, twin);
      if (!runs(cpu, siblingOf(cpu, twin))) this.#resume(twin);
      unlatchWork(cpu, twin);
      twin = next;
    }
  }

  /** The first item that is still wanted and may run: RUNNING on `worker`; or 0. `now`: us. */
  pick(worker: number, now: number): number {
    const cpu = this.#cpu;
    const pool = this.#pool;
    this.drain();
    for (;;) {
      const item = cpu.read(pool + Pool.first);
      if (item === 0 || this.#begin(item, worker, now)) return item;
    }
  }

  /** `pick` of the first item of that pwq, from the middle of the worklist. */
  pickOf(pwq: number, worker: number, now: number): number {
    const cpu = this.#cpu;
    for (let item = cpu.read(this.#pool + Pool.first); item !== 0; ) {
      const next = cpu.read(item + Item.next);
      if (cpu.read(item + Item.pwq) === pwq && this.#begin(item, worker, now)) return item;
      item = next;
    }
    return 0;
  }

  /** The item leaves the worklist: RUNNING, if it is still wanted and may run. */
  #begin(item: number, worker: number, now: number): boolean {
    const cpu = this.#cpu;
    const pool = this.#pool;
    remove(cpu, pool + Pool.first, pool + Pool.last, item);
    // Before the exchange: a submitter that finds the item RUNNING looks here whom to tell that it has given up.
    cpu.write(item + Item.worker, worker);
    if (isTwin(cpu, item)) {
      if (!this.#beginTwin(item)) return false;
    } else if (cpu.cmpxchg(item + Item.state, LISTED, RUNNING | (this.#id << ID_SHIFT)) !== LISTED) {
      this.#leave(item);
      return false;
    }
    countTime(cpu, cpu.read(item + Item.pwq) + Pwq.waits, (now - cpu.read(item + Item.since)) | 0);
    cpu.write(item + Item.since, now);
    cpu.write(pool + Pool.progress, now);
    return true;
  }

  /** Whether the next item is one of a function that computes for long. */
  isSlowNext(): boolean {
    const cpu = this.#cpu;
    this.drain();
    const first = cpu.read(this.#pool + Pool.first);
    return first !== 0 && cpu.load(cpu.read(first + Item.fn) + FunctionWords.slow) > 0;
  }

  /** For how long none has begun while one is on the worklist; us, as `now`. */
  stuckFor(now: number): number {
    const cpu = this.#cpu;
    const first = cpu.read(this.#pool + Pool.first);
    if (first === 0) return 0;
    const waited = (now - cpu.read(first + Item.since)) | 0;
    const stood = (now - cpu.read(this.#pool + Pool.progress)) | 0;
    // Below 0: half an hour ago or more, when the pool was idle.
    return stood < 0 ? waited : Math.min(waited, stood);
  }

  /** Calls the rescuer to the items on the worklist whose queues have one: false when there are none. `send_mayday`. */
  callRescuer(): boolean {
    const cpu = this.#cpu;
    let isCalled = false;
    for (let item = cpu.read(this.#pool + Pool.first); item !== 0; item = cpu.read(item + Item.next)) {
      const pwq = cpu.read(item + Item.pwq);
      if ((cpu.read(cpu.read(pwq + Pwq.workqueue) + Wq.flags) & MEM_RECLAIM) === 0) continue;
      isCalled = true;
      if (cpu.load(pwq + Pwq.mayday) !== 0) continue;
      count(cpu, pwq + Pwq.maydays, 1);
      // The rescuer's `calls` finds it there, or this thread finds that it sleeps.
      cpu.store(pwq + Pwq.mayday, 1);
    }
    return isCalled;
  }

  /** LISTED -> RUNNING, unless the work's other twin runs. */
  #beginTwin(twin: number): boolean {
    const cpu = this.#cpu;
    latchWork(cpu, this.#id, twin);
    const mayRun = !runs(cpu, siblingOf(cpu, twin));
    if (mayRun) cpu.store(twin + Item.state, RUNNING | (this.#id << ID_SHIFT));
    else this.#defer(twin);
    unlatchWork(cpu, twin);
    return mayRun;
  }

  /** The item is RUNNING no more. `now`: us. `isComputed`: its worker has computed all that time, but for its sleeps. */
  finish(item: number, now: number, isComputed = false): void {
    const cpu = this.#cpu;
    const pwq = cpu.read(item + Item.pwq);
    const us = (now - cpu.read(item + Item.since)) | 0;
    countTime(cpu, pwq + Pwq.runs, us);
    if (isComputed) {
      if (us > 0) addTime(cpu, pwq + Pwq.computed, us);
      noteSpeed(cpu, item, now);
    }
    this.#leave(item);
  }

  /** It is RUNNING no more, or was CANCELLED while it was listed. `pwq_dec_nr_in_flight`. */
  #leave(item: number): void {
    const cpu = this.#cpu;
    const pwq = cpu.read(item + Item.pwq);
    const colour = cpu.read(item + Item.colour);
    cpu.write(pwq + Pwq.nrActive, cpu.read(pwq + Pwq.nrActive) - 1);
    if (isTwin(cpu, item)) this.#endTwin(item);
    else this.#end(item);
    // Behind that: should this thread die here, it is counted too little rather than twice. The repair counts what is RUNNING still.
    cpu.write(pwq + Pwq.ended, (cpu.read(pwq + Pwq.ended) + 1) | 0);
    if (cpu.read(pwq + Pwq.inactive) !== 0) this.activate(pwq);
    this.#leaveColour(pwq, colour);
  }

  /** One item less that a flush of that colour waits for. */
  #leaveColour(pwq: number, colour: number): void {
    const cpu = this.#cpu;
    if (colour === cpu.read(pwq + Pwq.colour)) {
      cpu.write(pwq + Pwq.inFlight, cpu.read(pwq + Pwq.inFlight) - 1);
      return;
    }
    let flusher = cpu.read(pwq + Pwq.flushers);
    while (cpu.read(flusher + Item.colour) !== colour) flusher = cpu.read(flusher + Item.next);
    cpu.write(flusher + IN_FLIGHT, cpu.read(flusher + IN_FLIGHT) - 1);
    this.endFlushes(pwq);
  }

  #end(item: number): void {
    this.#cpu.storeUnordered(item + Item.state, DONE | (this.#id << ID_SHIFT));
    this.#ended[this.#nrEnded++] = item;
  }

  /** RUNNING -> FREE. The other twin, if it was to wait for this one, runs next. */
  #endTwin(twin: number): void {
    const cpu = this.#cpu;
    latchWork(cpu, this.#id, twin);
    const other = siblingOf(cpu, twin);
    const home = cpu.load(other + Item.state) === LISTED ? cpu.load(other + Item.home) : 0;
    if (home === this.#pool && cpu.read(other + Item.worker) === DEFERRED) this.#resume(other);
    else if (home !== 0 && home !== this.#pool) this.#elsewhere.add(home);
    // Release: pairs with the acquire in `isUnderWay`; a thread that has waited sees what the work has done.
    cpu.storeRelease(twin + Item.state, FREE);
    // Behind that: should this thread die here, it is counted too little rather than twice.
    cpu.fetchAddRelaxed(workOf(cpu, twin) + WorkWords.runs, 1);
    this.tellWaiters(twin);
    unlatchWork(cpu, twin);
  }

  /** The tasks that wait for the twin's work, which is latched, look at it again, behind the latches. */
  tellWaiters(twin: number): void {
    const list = workOf(this.#cpu, twin) + WorkWords.waiters;
    if (firstWaiter(this.#cpu, list) !== 0) this.#wakees.push(...waiters(this.#cpu, list));
  }

  /** Flushers whose turn has come, in order. */
  endFlushes(pwq: number): void {
    const cpu = this.#cpu;
    for (let first = cpu.read(pwq + Pwq.flushers); first !== 0; first = cpu.read(pwq + Pwq.flushers)) {
      if (cpu.read(first + IN_FLIGHT) !== 0) return;
      remove(cpu, pwq + Pwq.flushers, pwq + Pwq.flushersLast, first);
      const task = cpu.read(first + FLUSH_TASK);
      if (task !== 0) this.#wakees.push(task);
      this.#end(first);
    }
  }

  /** `pwq_activate_first_inactive`, for as many as there is room for. */
  activate(pwq: number): void {
    const cpu = this.#cpu;
    const maxActive = cpu.load(pwq + Pwq.maxActive);
    for (let active = cpu.read(pwq + Pwq.nrActive); active < maxActive; active++) {
      const item = cpu.read(pwq + Pwq.inactive);
      if (item === 0) return;
      remove(cpu, pwq + Pwq.inactive, pwq + Pwq.inactiveLast, item);
      cpu.write(pwq + Pwq.nrInactive, cpu.read(pwq + Pwq.nrInactive) - 1);
      cpu.write(pwq + Pwq.nrActive, active + 1);
      cpu.write(item + Item.worker, 0);
      append(cpu, this.#pool + Pool.first, this.#pool + Pool.last, item);
    }
  }

  /** Flushers and items have one order. It only has to differ while they are in the pool. */
  nextSeq(): number {
    const cpu = this.#cpu;
    const seq = (cpu.read(this.#pool + Pool.seq) + 1) | 0 || 1;
    cpu.write(this.#pool + Pool.seq, seq);
    return seq;
  }

  /** Behind the latch. Returns the other pools in which twins may be DEFERRED for nothing now. */
  handOver(): ReadonlySet<number> {
    const cpu = this.#cpu;
    // In order: the promise of a flush comes behind those of what it waited for.
    for (let i = 0; i < this.#nrEnded; i++) complete(cpu, this.#ended[i] as number);
    this.#nrEnded = 0;
    if (this.#wakees.length > 0) for (const task of this.#wakees.splice(0)) unpark(cpu, task);
    if (this.#elsewhere.size === 0) return NONE;
    const elsewhere = this.#elsewhere;
    this.#elsewhere = new Set();
    return elsewhere;
  }
}

const NONE: ReadonlySet<number> = new Set();

function runs(cpu: Cpu, twin: number): boolean {
  return (cpu.load(twin + Item.state) & PHASE) === RUNNING;
}
