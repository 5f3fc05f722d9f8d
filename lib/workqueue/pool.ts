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
import {
  ASIDE,
  ASLEEP,
  BUSY,
  DONE,
  FLUSHING,
  FREE_RECORD,
  ID_SHIFT,
  IDLE,
  Item,
  LISTED,
  PENDING,
  Pool,
  Pwq,
  RUNNING,
  STARTING,
  WorkerRecord,
  workerAt,
} from './layout.ts';
import { append, complete, enqueue, push, removeFirst, take } from './lists.ts';

/** How long a thread that was asked for may be on its way until it is asked for again, ms: the kernel's CREATE_COOLDOWN. */
const CREATE_COOLDOWN_MS = 1000;

/** One thread's view of a pool. */
export class WorkerPool {
  readonly cpu: Cpu;
  readonly address: number;
  /** The calling thread's CPU number plus one. */
  readonly #id: number;
  readonly #latch: number;
  readonly #limit: number;
  /** Asks for the thread of the record with that index. */
  readonly #create: (index: number) => void;
  /** Items that ended under the latch, to be handed over behind it. */
  readonly #ended: number[] = [];
  /** What is to be done behind the latch: a task to wake, a record to make a thread for. */
  #wakee = 0;
  #toCreate = -1;

  constructor(cpu: Cpu, address: number, id: number, create: (index: number) => void) {
    this.cpu = cpu;
    this.address = address;
    this.#id = id;
    this.#latch = address + Pool.latch;
    this.#limit = cpu.read(address + Pool.limit);
    this.#create = create;
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
    if (this.#toCreate < 0) this.#toCreate = this.#overdue();
    this.#unlatch();
  }

  /**
   * A worker's next item: RUNNING, or 0 when there is none; then the worker is idle. `finished`: the item that it has
   * run, or 0. `process_one_work` and the loop of `worker_thread`.
   */
  step(worker: number, finished: number): number {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    if (finished !== 0) this.#finish(finished);
    // A worker that slept in its item may have come back to a slot that is another's by now: `keep_working`.
    const item = cpu.load(this.address + Pool.running) <= this.#limit ? this.#pick(worker) : 0;
    if (item === 0) this.#becomeIdle(worker);
    // Looks at `incoming` behind that: the first idle worker, this one perhaps, is woken for what has come meanwhile.
    this.#findWorker();
    this.#unlatch();
    return item;
  }

  /** An awaited item has ended, while its worker is at something else, or idle. */
  settle(item: number): void {
    latch(this.cpu, this.#latch, this.#id);
    this.#finish(item);
    this.#findWorker();
    this.#unlatch();
  }

  /** The worker's thread runs: it has joined the pool, and looks for work. */
  join(worker: number, task: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    const state = cpu.read(worker + WorkerRecord.state);
    if (state === FREE_RECORD) this.#count(Pool.nrWorkers, 1);
    // kthreadd may have replaced a thread that died before the reaper has come by.
    if (state === IDLE) this.#unlinkIdle(worker);
    cpu.write(worker + WorkerRecord.thread, this.#id);
    cpu.write(worker + WorkerRecord.task, task);
    this.#setState(worker, BUSY);
    this.#unlatch();
  }

  /**
   * A worker that has joined is idle until it is needed. It is the last of the idle ones: it knows no function yet, and those
   * in front of it do.
   */
  standBy(worker: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    this.#setState(worker, IDLE);
    cpu.write(worker + WorkerRecord.nextIdle, 0);
    cpu.write(this.#linkTo(0), worker);
    this.#count(Pool.nrIdle, 1);
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
    if (cpu.read(worker + WorkerRecord.state) === IDLE) this.#unlinkIdle(worker);
    this.#setState(worker, FREE_RECORD);
    cpu.write(worker + WorkerRecord.thread, 0);
    this.#count(Pool.nrWorkers, -1);
  }

  /** The thread goes to sleep, in an item or in what follows on one that it awaited: `wq_worker_sleeping`. */
  sleeping(worker: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    const state = cpu.read(worker + WorkerRecord.state);
    if (state === IDLE) this.#unlinkIdle(worker);
    this.#setState(worker, state === IDLE ? ASIDE : ASLEEP);
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
      this.#linkIdle(worker);
      this.#findWorker();
    } else {
      this.#setState(worker, BUSY);
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
    this.#drain();
    const colour = cpu.read(pwq + Pwq.colour);
    cpu.write(item + Item.colour, colour);
    cpu.write(item + Item.inFlight, cpu.read(pwq + Pwq.inFlight));
    cpu.write(item + Item.seq, this.#nextSeq());
    cpu.storeUnordered(item + Item.home, this.address);
    // Release: pairs with the acquire in `contentsOf`, of another pool's repair.
    cpu.storeRelease(item + Item.state, FLUSHING);
    cpu.write(pwq + Pwq.colour, (colour + 1) | 0);
    cpu.write(pwq + Pwq.inFlight, 0);
    append(cpu, pwq + Pwq.flushers, pwq + Pwq.flushersLast, item);
    this.#endFlushes(pwq);
    this.#findWorker();
    this.#unlatch();
  }

  /** Whether no item of `pwq` is queued or runs. */
  isDrained(pwq: number): boolean {
    const { cpu } = this;
    latch(cpu, this.#latch, this.#id);
    this.#drain();
    const isDrained = cpu.read(pwq + Pwq.nrActive) === 0 && cpu.read(pwq + Pwq.inactive) === 0;
    this.#findWorker();
    this.#unlatch();
    return isDrained;
  }

  /** As many items of `pwq` as may run now do: `maxActive` has been raised. */
  activate(pwq: number): void {
    latch(this.cpu, this.#latch, this.#id);
    this.#activate(pwq);
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
    // In order: the promise of a flush comes behind those of what it waited for.
    for (const item of this.#ended) complete(cpu, item);
    this.#ended.length = 0;
    if (toCreate >= 0) this.#create(toCreate);
  }

  /** Takes what has come, in the order in which it did. */
  #drain(): void {
    const { cpu, address } = this;
    const chain = take(cpu, address + Pool.incoming, address + Pool.taking);
    if (chain.length === 0) return;
    for (let i = chain.length - 1; i >= 0; i--) this.#list(chain[i] as number);
    cpu.write(address + Pool.taking, 0);
  }

  #list(item: number): void {
    const { cpu } = this;
    cpu.storeUnordered(item + Item.home, this.address);
    if (cpu.cmpxchg(item + Item.state, PENDING, LISTED) !== PENDING) {
      this.#end(item);
      return;
    }
    const pwq = cpu.read(item + Item.pwq);
    cpu.write(item + Item.colour, cpu.read(pwq + Pwq.colour));
    // Last: the number says that the item has its colour, should this thread die here (`listTaken`).
    cpu.write(item + Item.seq, this.#nextSeq());
    cpu.write(pwq + Pwq.inFlight, cpu.read(pwq + Pwq.inFlight) + 1);
    enqueue(cpu, this.address, pwq, item);
  }

  /** The first item that its submitter still wants. */
  #pick(worker: number): number {
    const { cpu, address } = this;
    this.#drain();
    for (;;) {
      const item = cpu.read(address + Pool.first);
      if (item === 0) return 0;
      removeFirst(cpu, address + Pool.first, address + Pool.last);
      // Before the exchange: a submitter that finds the item RUNNING looks here whom to tell that it has given up.
      cpu.write(item + Item.worker, worker);
      if (cpu.cmpxchg(item + Item.state, LISTED, RUNNING | (this.#id << ID_SHIFT)) === LISTED) return item;
      this.#finish(item);
    }
  }

  /** The item is RUNNING no more, or was CANCELLED while it was listed. `pwq_dec_nr_in_flight`. */
  #finish(item: number): void {
    const { cpu } = this;
    const pwq = cpu.read(item + Item.pwq);
    const colour = cpu.read(item + Item.colour);
    cpu.write(pwq + Pwq.nrActive, cpu.read(pwq + Pwq.nrActive) - 1);
    cpu.write(pwq + Pwq.ended, (cpu.read(pwq + Pwq.ended) + 1) | 0);
    this.#end(item);
    if (cpu.read(pwq + Pwq.inactive) !== 0) this.#activate(pwq);
    if (colour === cpu.read(pwq + Pwq.colour)) {
      cpu.write(pwq + Pwq.inFlight, cpu.read(pwq + Pwq.inFlight) - 1);
      return;
    }
    let flusher = cpu.read(pwq + Pwq.flushers);
    while (cpu.read(flusher + Item.colour) !== colour) flusher = cpu.read(flusher + Item.next);
    cpu.write(flusher + Item.inFlight, cpu.read(flusher + Item.inFlight) - 1);
    this.#endFlushes(pwq);
  }

  #end(item: number): void {
    this.cpu.storeUnordered(item + Item.state, DONE | (this.#id << ID_SHIFT));
    this.#ended.push(item);
  }

  /** Flushers whose turn has come, in order. */
  #endFlushes(pwq: number): void {
    const { cpu } = this;
    for (let first = cpu.read(pwq + Pwq.flushers); first !== 0; first = cpu.read(pwq + Pwq.flushers)) {
      if (cpu.read(first + Item.inFlight) !== 0) return;
      removeFirst(cpu, pwq + Pwq.flushers, pwq + Pwq.flushersLast);
      this.#end(first);
    }
  }

  /** `pwq_activate_first_inactive`, for as many as there is room for. */
  #activate(pwq: number): void {
    const { cpu, address } = this;
    const maxActive = cpu.load(pwq + Pwq.maxActive);
    for (let active = cpu.read(pwq + Pwq.nrActive); active < maxActive; active++) {
      const item = cpu.read(pwq + Pwq.inactive);
      if (item === 0) return;
      removeFirst(cpu, pwq + Pwq.inactive, pwq + Pwq.inactiveLast);
      cpu.write(pwq + Pwq.nrInactive, cpu.read(pwq + Pwq.nrInactive) - 1);
      cpu.write(pwq + Pwq.nrActive, active + 1);
      append(cpu, address + Pool.first, address + Pool.last, item);
    }
  }

  /** `need_more_worker`, `first_idle_worker`, and the manager's part: one idle worker is kept in reserve. */
  #findWorker(): void {
    const { cpu, address } = this;
    const hasWork = cpu.read(address + Pool.first) !== 0 || cpu.load(address + Pool.incoming) !== 0;
    const idle = cpu.read(address + Pool.idle);
    if (hasWork && idle !== 0 && cpu.load(address + Pool.running) < this.#limit) {
      this.#leaveIdle(idle);
      this.#wakee = cpu.read(idle + WorkerRecord.task);
    }
    const isWanted = hasWork || cpu.load(address + Pool.running) > 0;
    if (isWanted && cpu.read(address + Pool.nrIdle) === 0) this.#reserve();
  }

  /** A record for a new worker, unless one is on its way. */
  #reserve(): void {
    const { cpu, address } = this;
    const most = cpu.read(address + Pool.maxWorkers);
    if (cpu.read(address + Pool.nrWorkers) >= most) return;
    let free = -1;
    for (let index = 0; index < most; index++) {
      const state = cpu.read(workerAt(address, index) + WorkerRecord.state);
      if (state === STARTING) return;
      if (state === FREE_RECORD && free < 0) free = index;
    }
    if (free < 0) return;
    const worker = workerAt(address, free);
    cpu.write(worker + WorkerRecord.state, STARTING);
    cpu.write(worker + WorkerRecord.thread, 0);
    cpu.write(worker + WorkerRecord.since, this.#now());
    this.#count(Pool.nrWorkers, 1);
    this.#toCreate = free;
  }

  /**
   * A record whose thread should have come long ago, or -1: the thread that asked for it has died first, or the arena had no
   * room, or the thread ended before it began.
   */
  #overdue(): number {
    const { cpu, address } = this;
    const now = this.#now();
    for (let index = 0; index < cpu.read(address + Pool.maxWorkers); index++) {
      const worker = workerAt(address, index);
      if (cpu.read(worker + WorkerRecord.state) !== STARTING) continue;
      if (((now - cpu.read(worker + WorkerRecord.since)) | 0) < CREATE_COOLDOWN_MS) continue;
      cpu.write(worker + WorkerRecord.since, now);
      return index;
    }
    return -1;
  }

  /** ms, cut off to 32 bits. */
  #now(): number {
    return Math.floor(this.cpu.now() / 1e6) | 0;
  }

  /**
   * `worker_enter_idle`: on the list, not running, and its task SLEEPING. Full, and pairs with the push in `queue`: the item is seen
   * behind this, or there that a slot is free.
   */
  #becomeIdle(worker: number): void {
    this.#setState(worker, IDLE);
    this.#linkIdle(worker);
    prepareToPark(this.cpu, this.cpu.read(worker + WorkerRecord.task));
  }

  /** The worker is BUSY, and its task is to be woken: `worker_leave_idle`. */
  #leaveIdle(worker: number): void {
    this.#unlinkIdle(worker);
    this.#setState(worker, BUSY);
  }

  #linkIdle(worker: number): void {
    const { cpu, address } = this;
    cpu.write(worker + WorkerRecord.nextIdle, cpu.read(address + Pool.idle));
    cpu.write(address + Pool.idle, worker);
    this.#count(Pool.nrIdle, 1);
    if (cpu.read(worker + WorkerRecord.state) !== IDLE) this.#setState(worker, IDLE);
  }

  #unlinkIdle(worker: number): void {
    this.cpu.write(this.#linkTo(worker), this.cpu.read(worker + WorkerRecord.nextIdle));
    this.#count(Pool.nrIdle, -1);
  }

  /** The word of the idle list that leads to that worker; 0: the list's end. */
  #linkTo(worker: number): number {
    const { cpu, address } = this;
    let link = address + Pool.idle;
    while (cpu.read(link) !== worker) link = cpu.read(link) + WorkerRecord.nextIdle;
    return link;
  }

  #setState(worker: number, state: number): void {
    const { cpu, address } = this;
    const wasBusy = cpu.read(worker + WorkerRecord.state) === BUSY;
    cpu.write(worker + WorkerRecord.state, state);
    if (wasBusy === (state === BUSY)) return;
    cpu.store(address + Pool.running, cpu.load(address + Pool.running) + (wasBusy ? -1 : 1));
  }

  #count(field: number, by: number): void {
    this.cpu.write(this.address + field, this.cpu.read(this.address + field) + by);
  }

  /** Flushers and items have one order. It only has to differ while they are in the pool. */
  #nextSeq(): number {
    const seq = (this.cpu.read(this.address + Pool.seq) + 1) | 0 || 1;
    this.cpu.write(this.address + Pool.seq, seq);
    return seq;
  }
}
