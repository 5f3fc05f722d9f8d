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
import { startTimer } from '../sched/timer.ts';
import { PoolItems } from './items.ts';
import {
  ASIDE,
  ASLEEP,
  BUSY,
  CPU_BOUND,
  FLUSHING,
  FREE_RECORD,
  IDLE,
  IN_FLIGHT,
  Item,
  Pool,
  Pwq,
  Root,
  WorkerRecord,
  Wq,
} from './layout.ts';
import { append, push } from './lists.ts';
import { CPU_INTENSIVE } from './options.ts';
import { addTime, microseconds } from './times.ts';
import { MAYDAY_NS, NEEDY, NOTHING, STUCK, TICK_NS, type Tick, WATCH_NS } from './watch.ts';
import {
  becomeIdle,
  busyWorkers,
  count,
  firstIdle,
  hasFreeWorker,
  isRunIn,
  leaveIdle,
  linkIdle,
  linkIdleLast,
  nobodyComes,
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
  readonly id: number;
  readonly #latch: number;
  readonly #limit: number;
  /** Asks for the thread of the record with that index of that pool. */
  readonly #create: (index: number, pool: number) => void;
  /** Tells kthreadd that another timer is the first to expire. */
  readonly #ring: () => void;
  readonly #items: PoolItems;
  readonly #isBound: boolean;
  readonly #timer: number;
  /** What is to be done behind the latch: a task to wake, a record to make a thread for, whether to ring. */
  #wakee = 0;
  #toCreate = -1;
  #toRing = false;

  constructor(
    cpu: Cpu,
    address: number,
    id: number,
    create: (index: number, pool: number) => void,
    ring: () => void = () => {},
  ) {
    this.cpu = cpu;
    this.address = address;
    this.id = id;
    this.#latch = address + Pool.latch;
    this.#limit = cpu.read(address + Pool.limit);
    this.#create = create;
    this.#ring = ring;
    this.#isBound = cpu.read(address + Pool.slot) >= 0;
    this.#timer = cpu.load(address + Pool.timer);
    this.#items = new PoolItems(cpu, address, id);
  }

  /** Queues the chain of PENDING items, the newest first. `__queue_work`. */
  queue(newest: number, oldest: number): void {
    push(this.cpu, this.address + Pool.incoming, newest, oldest);
    if (this.cpu.load(this.address + Pool.running) < this.#limit) this.kick();
  }

  /** Wakes a worker, or asks for one, if there is work and a slot without one: `kick_pool`. */
  kick(): void {
    this.locked(() => {});
  }

  /** Now and then, while somebody waits for items: what wakes a worker, or asks for its thread, may have died on the way. */
  look(): void {
    latch(this.cpu, this.#latch, this.id);
    this.#findWorker();
    if (this.#toCreate < 0) this.#toCreate = overdue(this.cpu, this.address);
    this.#unlatch();
  }

  /**
   * A worker's next item: RUNNING, or 0 when there is none; then the worker is idle. `finished`: the item that it has
   * run, or 0; `now`: the time, ns; `awaits`: how many items it awaits. `process_one_work` and the loop of `worker_thread`.
   */
  step(worker: number, finished: number, now = this.cpu.now(), awaits = 0): number {
    const { cpu } = this;
    const us = microseconds(now);
    latch(cpu, this.#latch, this.id);
    if (this.#isBound && cpu.read(worker + WorkerRecord.state) === CPU_BOUND) setState(cpu, this.address, worker, BUSY);
    if (finished === 0) this.#charge(worker, us);
    else this.#items.finish(finished, us, true);
    // A worker that slept in its item may have come back to a slot that is another's by now: `keep_working`.
    cpu.write(worker + WorkerRecord.awaits, awaits);
    const isLeft = awaits > 0 && this.#isForAnother();
    const mayRun = !isLeft && cpu.load(this.address + Pool.running) <= this.#limit;
    const item = mayRun ? this.#items.pick(worker, us) : 0;
    cpu.write(worker + WorkerRecord.current, item);
    cpu.write(worker + WorkerRecord.began, us);
    if (item === 0) becomeIdle(cpu, this.address, worker);
    else if (this.#isBound && isCpuIntensive(cpu, item)) {
      setState(cpu, this.address, worker, CPU_BOUND);
      // Pairs with the push in `queue`.
      cpu.mb();
    }
    // Looks at `incoming` behind that: the first idle worker, this one perhaps, is woken for what has come meanwhile.
    this.#findWorker();
    this.#unlatch();
    return item;
  }

  /**
   * Whether a worker that awaits items leaves the next to one that does not, because its function computes for long. Where there is none,
   * one is asked for; this item is not kept waiting for that.
   */
  #isForAnother(): boolean {
    if (!this.#items.isSlowNext()) return false;
    const isFree = hasFreeWorker(this.cpu, this.address);
    if (!isFree) this.#toCreate = reserve(this.cpu, this.address);
    return isFree;
  }

  /** An item has ended, its worker being at something else, or idle; or `isComputed`: nothing else came since. `awaits`: how many that awaits. */
  settle(item: number, isComputed = false, awaits = 0): void {
    const { cpu } = this;
    const us = microseconds(cpu.now());
    this.locked((items) => {
      const worker = cpu.read(item + Item.worker);
      if (isComputed) cpu.write(worker + WorkerRecord.current, 0);
      else if (cpu.read(worker + WorkerRecord.current) === item) this.#charge(worker, us);
      cpu.write(worker + WorkerRecord.awaits, awaits);
      items.finish(item, us, isComputed);
    });
  }

  /** The worker's thread runs: it has joined the pool, and looks for work. */
  join(worker: number, task: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.id);
    const state = cpu.read(worker + WorkerRecord.state);
    if (state === FREE_RECORD) count(cpu, this.address + Pool.nrWorkers, 1);
    // kthreadd may have replaced a thread that died before the reaper has come by.
    if (state === IDLE) unlinkIdle(this.cpu, this.address, worker);
    cpu.write(worker + WorkerRecord.thread, this.id);
    cpu.write(worker + WorkerRecord.task, task);
    cpu.write(worker + WorkerRecord.awaits, 0);
    setState(cpu, this.address, worker, BUSY);
    this.#unlatch();
  }

  /**
   * A worker that has joined is idle until it is needed, as the last: it knows no function yet, and those in front of it do.
   */
  standBy(worker: number): void {
    this.locked(() => {
      linkIdleLast(this.cpu, this.address, worker);
      prepareToPark(this.cpu, this.cpu.read(worker + WorkerRecord.task));
    });
  }

  /** The worker's thread ends in order: its record is free. */
  part(worker: number): void {
    this.locked(() => this.#leave(worker));
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
    latch(cpu, this.#latch, this.id);
    const state = cpu.read(worker + WorkerRecord.state);
    if (state === IDLE) unlinkIdle(this.cpu, this.address, worker);
    if (state !== CPU_BOUND) setState(cpu, this.address, worker, state === IDLE ? ASIDE : ASLEEP);
    // Pairs with the push in `queue`.
    cpu.mb();
    this.#findWorker();
    const item = cpu.read(worker + WorkerRecord.current);
    if (this.#wakee !== 0 && isRunIn(cpu, item, worker)) count(cpu, cpu.load(item + Item.pwq) + Pwq.wakes, 1);
    cpu.write(worker + WorkerRecord.began, microseconds(cpu.now()));
    this.#unlatch();
  }

  /** It runs again: `wq_worker_running`. */
  running(worker: number): void {
    const { cpu } = this;
    latch(cpu, this.#latch, this.id);
    const state = cpu.read(worker + WorkerRecord.state);
    const us = microseconds(cpu.now());
    const item = cpu.read(worker + WorkerRecord.current);
    // What it has slept is taken off what will be added when it is over.
    const slept = (us - cpu.read(worker + WorkerRecord.began)) | 0;
    if (isRunIn(cpu, item, worker)) addTime(cpu, cpu.load(item + Item.pwq) + Pwq.computed, -slept);
    cpu.write(worker + WorkerRecord.began, us);
    if (state === ASIDE) {
      // Its loop sleeps on its event loop still, and is not SLEEPING any more if it was woken meanwhile.
      linkIdle(this.cpu, this.address, worker);
      this.#findWorker();
    } else if (state !== CPU_BOUND) {
      setState(cpu, this.address, worker, BUSY);
    }
    this.#unlatch();
  }

  /** What the worker's item has computed by now counts, if it is awaited from here on. `wq_worker_tick`. */
  #charge(worker: number, us: number): void {
    const { cpu } = this;
    const item = cpu.read(worker + WorkerRecord.current);
    if (!isRunIn(cpu, item, worker)) return;
    addTime(cpu, cpu.load(item + Item.pwq) + Pwq.computed, (us - cpu.read(item + Item.since)) | 0);
    cpu.write(worker + WorkerRecord.current, 0);
  }

  /** Whether the worker is idle still: if not, somebody has woken it. */
  isIdle(worker: number): boolean {
    return this.locked(() => {
      const isIdle = this.cpu.read(worker + WorkerRecord.state) === IDLE;
      // A death was told to all that sleep: this one sleeps on, unless there is work.
      if (isIdle) prepareToPark(this.cpu, this.cpu.read(worker + WorkerRecord.task));
      return isIdle;
    });
  }

  /** Whether an idle worker is one too many, and is gone then: `idle_worker_timeout`, `too_many_workers`. */
  cull(worker: number): boolean {
    const { cpu, address } = this;
    latch(cpu, this.#latch, this.id);
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
    latch(cpu, this.#latch, this.id);
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

  /**
   * kthreadd looks after the pool, by its timer: calls the rescuer to items that have no worker, and asks again for a thread that
   * does not come. `pool_mayday_timeout`, `wq_worker_tick`, `wq_watchdog_timer_fn`.
   */
  tick(): Tick {
    const { cpu, address } = this;
    const now = microseconds(cpu.now());
    latch(cpu, this.#latch, this.id);
    cpu.write(address + Pool.watched, NOTHING);
    this.#items.drain();
    const isNeedy = this.isNeedy();
    const isCalled = isNeedy && this.#items.callRescuer();
    this.#findWorker(isNeedy ? MAYDAY_NS : TICK_NS);
    if (this.#toCreate < 0 && isNeedy) this.#toCreate = overdue(cpu, address);
    const running = this.#isBound ? busyWorkers(cpu, address) : [];
    const stuck = nobodyComes(cpu, address) ? this.#items.stuckFor(now) : 0;
    this.#unlatch();
    const rescuer = isCalled ? cpu.load(cpu.read(address + Pool.root) + Root.rescuer) : 0;
    if (rescuer !== 0) unpark(cpu, rescuer);
    return { running, stuck };
  }

  /**
   * What other files do to the pool and its items, under its latch; behind that a worker is woken or made for what there is. `isSlow`: a
   * thread that was asked for long ago is asked for again.
   */
  locked<Result>(body: (items: PoolItems) => Result, isSlow = false): Result {
    latch(this.cpu, this.#latch, this.id);
    const result = body(this.#items);
    this.#findWorker();
    if (isSlow && this.#toCreate < 0 && this.cpu.read(this.address + Pool.nrIdle) === 0)
      this.#toCreate = overdue(this.cpu, this.address);
    this.#unlatch();
    return result;
  }

  /** Works whose other queueing has ended elsewhere may run. */
  resume(): void {
    this.locked((items) => items.resumeAll());
  }

  #unlatch(): void {
    const { cpu } = this;
    const wakee = this.#wakee;
    const toCreate = this.#toCreate;
    const toRing = this.#toRing;
    this.#wakee = 0;
    this.#toCreate = -1;
    this.#toRing = false;
    unlatch(cpu, this.#latch);
    if (wakee !== 0) unpark(cpu, wakee);
    const others = this.#items.handOver();
    if (toCreate >= 0) this.#create(toCreate, this.address);
    if (toRing) this.#ring();
    for (const other of others) new WorkerPool(cpu, other, this.id, this.#create, this.#ring).resume();
  }

  /** `need_more_worker`, `first_idle_worker`, and the manager's part: one idle worker is kept in reserve. */
  #findWorker(interval = TICK_NS): void {
    const { cpu, address } = this;
    const hasWork = this.#hasWork();
    const idle = hasWork && cpu.load(address + Pool.running) < this.#limit ? firstIdle(cpu, address, this.#items) : 0;
    if (idle !== 0) {
      leaveIdle(cpu, address, idle);
      this.#wakee = cpu.read(idle + WorkerRecord.task);
    }
    const isWanted = hasWork || cpu.load(address + Pool.running) > 0;
    if (!isWanted) return;
    if (cpu.read(address + Pool.watched) !== NEEDY) this.#watch(interval);
    if (this.#toCreate < 0 && cpu.read(address + Pool.nrIdle) === 0) this.#toCreate = reserve(cpu, address);
  }

  #hasWork(): boolean {
    const { cpu, address } = this;
    return cpu.read(address + Pool.first) !== 0 || cpu.load(address + Pool.incoming) !== 0;
  }

  /** Under the latch: whether there is work, a slot for it, and no worker. `need_to_create_worker`. */
  isNeedy(): boolean {
    const { cpu, address } = this;
    return cpu.read(address + Pool.nrIdle) === 0 && cpu.load(address + Pool.running) < this.#limit && this.#hasWork();
  }

  /** Starts the pool's timer, if it was not started for as much. `watch.ts`. */
  #watch(interval: number): void {
    const { cpu, address } = this;
    const ticks = this.#isBound && cpu.load(address + Pool.running) > 0;
    const need = ticks || this.isNeedy() ? NEEDY : STUCK;
    if (need <= cpu.read(address + Pool.watched)) return;
    const delay = need === STUCK ? WATCH_NS : ticks ? TICK_NS : interval;
    this.#toRing = startTimer(cpu, this.id, this.#timer, cpu.now() + delay);
    // Behind that: a thread that dies here leaves a timer that fires for nothing.
    cpu.write(address + Pool.watched, need);
  }
}

/** Whether its queue says that its items compute for long. */
function isCpuIntensive(cpu: Cpu, item: number): boolean {
  const wq = cpu.read(cpu.load(item + Item.pwq) + Pwq.workqueue);
  return (cpu.read(wq + Wq.flags) & CPU_INTENSIVE) !== 0;
}
