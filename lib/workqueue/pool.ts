/**
 * A worker pool: kernel/workqueue.c, `struct worker_pool`. It keeps as many workers running as it has slots (one for a
 * CPU's pool) while there are items, and no more: a worker that sleeps in the middle of an item wakes another in its place.
 *
 *   submitter                                    worker that finds nothing (`step`)
 *   push to incoming              full           running := running - 1, its task := SLEEPING   full
 *   running < limit? then wake one               incoming? then wake one
 *
 * So either the submitter sees that a worker is missing, or the worker sees the item. The same holds for a worker that
 * goes to sleep in an item (`sleeping`): the pair is the barrier of `insert_work` and `wq_worker_sleeping`.
 *
 * A worker that is woken counts as running from then on, whenever its thread gets to run: so a thousand items that come
 * meanwhile wake nobody else. Idle workers are woken last in, first out. Items run in the order in which they came; those of
 * one workqueue beyond its `maxActive` wait in its pwq, in order.
 */
import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { prepareToPark, unpark } from '../sched/task.ts';
import { PoolItems } from './items.ts';
import {
  ASIDE,
  ASLEEP,
  BUSY,
  CLOSED,
  DELAYED,
  FLUSHING,
  FREE,
  FREE_RECORD,
  IDLE,
  IN_FLIGHT,
  Item,
  isDraining,
  LISTED,
  OPEN,
  Pool,
  Pwq,
  WorkerRecord,
  Wq,
} from './layout.ts';
import { append, push } from './lists.ts';
import { microseconds } from './times.ts';
import { latchOf, latchWork, numberTwin, obstacle, type Queueing, unlatchWork } from './twins.ts';
import {
  becomeIdle,
  count,
  leaveIdle,
  linkIdle,
  linkIdleLast,
  overdue,
  reserve,
  setState,
  unlinkIdle,
} from './workers.ts';

/** One thread's view of a pool. */
export class WorkerPool {
  readonly cpu: Cpu;
  readonly address: number;
  /** The calling thread's CPU number plus one. */
  readonly #id: number;
  readonly #latch: number;
  readonly #limit: number;
  /** Asks for the thread of the record with that index of that pool. */
  readonly #create: (index: number, pool: number) => void;
  readonly #items: PoolItems;
  /** What is to be done behind the latch: a task to wake, a record to make a thread for. */
  #wakee = 0;
  #toCreate = -1;

  constructor(cpu: Cpu, address: number, id: number, create: (index: number, pool: number) => void) {
    this.cpu = cpu;
    this.address = address;
    this.#id = id;
    this.#latch = address + Pool.latch;
    this.#limit = cpu.read(address + Pool.limit);
    this.#create = create;
    this.#items = new PoolItems(cpu, address, id);
  }

  /** Queues the chain of PENDING items, the newest first. `__queue_work`. */
  queue(newest: number, oldest: number): void {
    push(this.cpu, this.address + Pool.incoming, newest, oldest);
    if (this.cpu.load(this.address + Pool.running) < this.#limit) this.kick();
  }

  /** Wakes a worker, or asks for one, if there is work and a slot without one: `kick_pool`. */
  kick(): void {
    latch(this.cpu, this.#latch, this.#id);
    this.#findWorker();
    this.#unlatch();
  }

  /** Now and then, while somebody waits for items: what wakes a worker, or asks for its thread, may have died on the way. */
  look(): void {
    latch(this.cpu, this.#latch, this.#id);
    this.#findWorker();
    if (this.#toCreate < 0) this.#toCreate = overdue(this.cpu, this.address);
    this.#unlatch();
  }

  /**
   * A worker's next item: RUNNING, or 0 when there is none; then the worker is idle. `finished`: the item that it has
   * run, or 0; `now`: the time, ns. `process_one_work` and the loop of `worker_thread`.
   */
  step(worker: number, finished: number, now = this.cpu.now()): number {
    const { cpu } = this;
    const us = microseconds(now);
    latch(cpu, this.#latch, this.#id);
    if (finished !== 0) this.#items.finish(finished, us);
    // A worker that slept in its item may have come back to a slot that is another's by now: `keep_working`.
    const item = cpu.load(this.address + Pool.running) <= this.#limit ? this.#items.pick(worker, us) : 0;
    if (item === 0) becomeIdle(cpu, this.address, worker);
    // Looks at `incoming` behind that: the first idle worker, this one perhaps, is woken for what has come meanwhile.
    this.#findWorker();
    this.#unlatch();
    return item;
  }

  /** An awaited item has ended, while its worker is at something else, or idle. */
  settle(item: number): void {
    const us = microseconds(this.cpu.now());
    latch(this.cpu, this.#latch, this.#id);
    this.#items.finish(item, us);
    this.#findWorker();
    this.#unlatch();
  }

  /** The worker's thread runs: it has joined the pool, and looks for work. */
  join(worker: number, task: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    const state = cpu.read(worker + WorkerRecord.state);
    if (state === FREE_RECORD) count(cpu, this.address + Pool.nrWorkers, 1);
    // kthreadd may have replaced a thread that died before the reaper has come by.
    if (state === IDLE) unlinkIdle(this.cpu, this.address, worker);
    cpu.write(worker + WorkerRecord.thread, this.#id);
    cpu.write(worker + WorkerRecord.task, task);
    setState(cpu, this.address, worker, BUSY);
    this.#unlatch();
  }

  /**
   * A worker that has joined is idle until it is needed. It is the last of the idle ones: it knows no function yet, and those
   * in front of it do.
   */
  standBy(worker: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    linkIdleLast(cpu, this.address, worker);
    prepareToPark(cpu, cpu.read(worker + WorkerRecord.task));
    this.#findWorker();
    this.#unlatch();
  }

  /** The worker's thread ends in order: its record is free. */
  part(worker: number): void {
    latch(this.cpu, this.#latch, this.#id);
    this.#leave(worker);
    this.#findWorker();
    this.#unlatch();
  }

  #leave(worker: number): void {
    const { cpu } = this;
    if (cpu.read(worker + WorkerRecord.state) === IDLE) unlinkIdle(this.cpu, this.address, worker);
    setState(cpu, this.address, worker, FREE_RECORD);
    cpu.write(worker + WorkerRecord.thread, 0);
    count(cpu, this.address + Pool.nrWorkers, -1);
  }

  /** The thread goes to sleep, in an item or in what follows on one that it awaited: `wq_worker_sleeping`. */
  sleeping(worker: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    const state = cpu.read(worker + WorkerRecord.state);
    if (state === IDLE) unlinkIdle(this.cpu, this.address, worker);
    setState(cpu, this.address, worker, state === IDLE ? ASIDE : ASLEEP);
    // Pairs with the push in `queue`.
    cpu.mb();
    this.#findWorker();
    this.#unlatch();
  }

  /** It runs again: `wq_worker_running`. */
  running(worker: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    if (cpu.read(worker + WorkerRecord.state) === ASIDE) {
      // Its loop sleeps on its event loop still, and is not SLEEPING any more if it was woken meanwhile.
      linkIdle(this.cpu, this.address, worker);
      this.#findWorker();
    } else {
      setState(cpu, this.address, worker, BUSY);
    }
    this.#unlatch();
  }

  /** Whether the worker is idle still: if not, somebody has woken it. */
  isIdle(worker: number): boolean {
    latch(this.cpu, this.#latch, this.#id);
    const isIdle = this.cpu.read(worker + WorkerRecord.state) === IDLE;
    if (isIdle) {
      // A death was told to all that sleep: this one sleeps on, unless there is work.
      prepareToPark(this.cpu, this.cpu.read(worker + WorkerRecord.task));
      this.#findWorker();
    }
    this.#unlatch();
    return isIdle;
  }

  /** Whether an idle worker is one too many, and is gone then: `idle_worker_timeout`, `too_many_workers`. */
  cull(worker: number): boolean {
    const { cpu, address } = this;
    latch(cpu, this.#latch, this.#id);
    const idle = cpu.read(address + Pool.nrIdle);
    const busy = cpu.read(address + Pool.nrWorkers) - idle;
    const isOver = cpu.read(worker + WorkerRecord.state) === IDLE && idle > 2 && (idle - 2) * 4 >= busy;
    if (isOver) this.#leave(worker);
    this.#unlatch();
    return isOver;
  }

  /**
   * The flusher `item`, FREE until now, ends when all that was queued in `pwq` before has. Each flush closes a colour; a
   * flusher counts the items of its own, and ends no sooner than those before it. `flush_workqueue_prep_pwqs`.
   */
  flush(pwq: number, item: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    this.#items.drain();
    const colour = cpu.read(pwq + Pwq.colour);
    cpu.write(item + Item.colour, colour);
    cpu.write(item + IN_FLIGHT, cpu.read(pwq + Pwq.inFlight));
    cpu.write(item + Item.seq, this.#items.nextSeq());
    cpu.storeUnordered(item + Item.home, this.address);
    // Release: pairs with the acquire in `contentsOf`, of another pool's repair.
    cpu.storeRelease(item + Item.state, FLUSHING);
    cpu.write(pwq + Pwq.colour, (colour + 1) | 0);
    cpu.write(pwq + Pwq.inFlight, 0);
    append(cpu, pwq + Pwq.flushers, pwq + Pwq.flushersLast, item);
    this.#items.endFlushes(pwq);
    this.#findWorker();
    this.#unlatch();
  }

  /** Whether no item of `pwq` is queued or runs. */
  isDrained(pwq: number): boolean {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    this.#items.drain();
    const isDrained = cpu.read(pwq + Pwq.nrActive) === 0 && cpu.read(pwq + Pwq.inactive) === 0;
    this.#findWorker();
    this.#unlatch();
    return isDrained;
  }

  /** As many items of `pwq` as may run now do: `maxActive` has been raised. */
  activate(pwq: number): void {
    latch(this.cpu, this.#latch, this.#id);
    this.#items.activate(pwq);
    this.#findWorker();
    this.#unlatch();
  }

  /** Queues a work in `pwq`. A queue that is drained takes it if it is `isChained`. `__queue_work`. */
  queueWork(work: number, pwq: number, isChained: boolean): Queueing {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    // What was published before comes before it.
    this.#items.drain();
    // Here, where `close` has the latch to flush behind its store: what it lets in is flushed.
    const state = cpu.load(cpu.read(pwq + Pwq.workqueue) + Wq.state);
    let outcome: Queueing = 'refused';
    if (state === OPEN || (isChained && isDraining(state))) {
      latch(cpu, latchOf(work), this.#id);
      outcome = obstacle(cpu, work) ?? 'queued';
      if (outcome === 'queued') this.#items.listTwin(numberTwin(cpu, work), pwq);
      unlatch(cpu, latchOf(work));
    }
    this.#findWorker();
    if (this.#toCreate < 0 && cpu.read(this.address + Pool.nrIdle) === 0) this.#toCreate = overdue(cpu, this.address);
    this.#unlatch();
    return outcome;
  }

  /**
   * A twin that is DELAYED, and is to be queued in `pwq`, is LISTED, if `isTime`. Not in a queue that was closed: then it is FREE. `cancel`
   * its timer behind that: a thread that dies in between leaves a timer without a twin, and no twin without a timer.
   */
  expireTwin(twin: number, pwq: number, isTime: () => boolean, cancel: () => void): 'queued' | 'dropped' | 'not' {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    this.#items.drain();
    latchWork(cpu, this.#id, twin);
    const isDelayed = cpu.load(twin + Item.state) === DELAYED && cpu.load(twin + Item.pwq) === pwq && isTime();
    const isClosed = cpu.load(cpu.read(pwq + Pwq.workqueue) + Wq.state) === CLOSED;
    if (isDelayed && isClosed) cpu.store(twin + Item.state, FREE);
    else if (isDelayed) this.#items.listTwin(twin, pwq);
    if (isDelayed) cancel();
    unlatchWork(cpu, twin);
    this.#findWorker();
    this.#unlatch();
    if (!isDelayed) return 'not';
    return isClosed ? 'dropped' : 'queued';
  }

  /** Takes a twin that is LISTED here from its list; `change` sees to its state, with pool and work latched. */
  unlistTwin(twin: number, change: () => void): boolean {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    latchWork(cpu, this.#id, twin);
    const isHere = cpu.load(twin + Item.state) === LISTED && cpu.load(twin + Item.home) === this.address;
    if (isHere) {
      this.#items.unlist(twin);
      change();
      this.#items.tellWaiters(twin);
    }
    unlatchWork(cpu, twin);
    this.#findWorker();
    this.#unlatch();
    return isHere;
  }

  /** Works whose other queueing has ended elsewhere may run. */
  resume(): void {
    latch(this.cpu, this.#latch, this.#id);
    this.#items.resumeAll();
    this.#findWorker();
    this.#unlatch();
  }

  #unlatch(): void {
    const { cpu } = this;
    const wakee = this.#wakee;
    const toCreate = this.#toCreate;
    this.#wakee = 0;
    this.#toCreate = -1;
    unlatch(cpu, this.#latch);
    if (wakee !== 0) unpark(cpu, wakee);
    const others = this.#items.handOver();
    if (toCreate >= 0) this.#create(toCreate, this.address);
    for (const other of others) new WorkerPool(cpu, other, this.#id, this.#create).resume();
  }

  /** `need_more_worker`, `first_idle_worker`, and the manager's part: one idle worker is kept in reserve. */
  #findWorker(): void {
    const { cpu, address } = this;
    const hasWork = cpu.read(address + Pool.first) !== 0 || cpu.load(address + Pool.incoming) !== 0;
    const idle = cpu.read(address + Pool.idle);
    if (hasWork && idle !== 0 && cpu.load(address + Pool.running) < this.#limit) {
      leaveIdle(cpu, address, idle);
      this.#wakee = cpu.read(idle + WorkerRecord.task);
    }
    const isWanted = hasWork || cpu.load(address + Pool.running) > 0;
    if (isWanted && cpu.read(address + Pool.nrIdle) === 0) this.#toCreate = reserve(cpu, address);
  }
}
