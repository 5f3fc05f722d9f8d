/**
 * What one thread tells while it is traced: it hears of the thread's locks, waits and the rest, and tells each sink of those that the sink
 * wants. Everything goes through `emit`.
 *
 *   mark := 1                 full
 *   Header.trace as before?   or else: mark := 0, other sinks, and once more
 *   the sinks
 *   mark := 0                 release
 *
 * So a thread that changes who traces, and then waits until no thread has its mark set, knows that no sink of before runs (`quiesce`).
 * Hooks take no lock of the library, and no memory of the arena's heap.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { kindById } from '../../memory/kinds.ts';
import { kindIdOf } from '../../memory/objects.ts';
import { defineWatch } from '../../sched/contention.ts';
import { defineLockObserver, endObserver, ownWanted, UNOWNED } from '../../sched/lock-observer.ts';
import { Task } from '../../sched/task.ts';
import { DETACHED, type Thread } from '../../sched/thread.ts';
import type {
  LockObserver,
  ObservedLock,
  Tracer,
  UnlockHearer,
  Wait,
  WaitForm,
  Wanted,
  Watch,
} from '../../sched/watch.ts';
import { capture, framesOf, StackTable } from '../profile/stacks.ts';
import { Holds } from './holds.ts';
import { Emitting, stackPlace, Tables } from './layout.ts';
import { LockFinder, lockAt, type TracedLock } from './locks.ts';
import { Mode, modeOf, outcomeNumber, Point } from './points.ts';
import { openSinks, type Traced, type TraceSink } from './sink.ts';

/** The kinds that are waited for until they are free: for the others there is no contention. */
const LOCKS = /(mutex|lock|semaphore|sem)$/;

/** The points for which the thread has to be told of locks that are free. */
const OF_LOCKS = (1 << Point.acquire) | (1 << Point.release);

/** A call that wants a lock. */
class WantedLock {
  /** Of the table in which `lock` is its number. */
  readonly epoch: number;
  readonly address: number;
  readonly lock: number;
  readonly mode: number;

  constructor(epoch: number, address: number, lock: number, mode: number) {
    this.epoch = epoch;
    this.address = address;
    this.lock = lock;
    this.mode = mode;
  }
}

export class ThreadTracer implements LockObserver, Watch, UnlockHearer, Tracer, Traced {
  readonly thread: Thread;
  readonly tookIsEnough = true;
  readonly word = Header.trace;
  /** What `Header.trace` was when the sinks were opened. */
  session = 0;
  #tables = 0;
  #epoch = 0;
  #locks: LockFinder;
  #stacks: StackTable;
  #wantsStacks = false;
  #sinks: readonly TraceSink[] = [];
  /** The one that there is, if it hears of each lock. */
  #only: TraceSink | undefined = undefined;
  /** Those that any of them wants. */
  #points = 0;
  readonly #mark: number;
  readonly #holds = new Holds();
  /** By number of a lock: whether calls contend for it. */
  readonly #isLock = new Map<number, boolean>();
  /** How long a task has waited for the lock that it gets next. */
  readonly #waits = new Map<number, { readonly lock: number; readonly wait: number }>();
  /** It is never changed: calls that are under way at once may have the same. */
  #lastWanted = new WantedLock(-1, 0, 0, 0);
  /** Since when a task sleeps. */
  readonly #sleeps = new Map<number, number>();
  /** When the items that run began to. */
  readonly #work = new Map<number, number>();

  constructor(thread: Thread) {
    this.thread = thread;
    this.#mark = thread.slot + Emitting.mark;
    this.#tables = thread.cpu.load(Header.traceTables);
    this.#locks = new LockFinder(thread, this.#tables);
    this.#stacks = new StackTable(thread.cpu, stackPlace(this.#tables));
  }

  /**
   * Asks for the sinks of now; the thread tells nobody from here on if there are none. With its mark set: what a sink finds when it is
   * opened, such as a free ring, is not taken away meanwhile.
   */
  refresh(): void {
    const { thread } = this;
    const { cpu } = thread;
    // Both pair with the exchange in `changeUsers`, as in `emit`.
    cpu.xchg(this.#mark, 1);
    this.session = cpu.loadAcquire(Header.trace);
    const epoch = cpu.load(this.#tables + Tables.epoch);
    if (epoch !== this.#epoch) this.#forget(epoch);
    this.#sinks = this.session === 0 ? [] : openSinks(this);
    const [first, ...others] = this.#sinks;
    const hearsAll = first !== undefined && others.length === 0 && (first.points & OF_LOCKS) === OF_LOCKS;
    this.#only = hearsAll ? first : undefined;
    this.#points = this.#sinks.reduce((all, { points }) => all | points, 0);
    this.#wantsStacks = cpu.load(this.#tables + Tables.wantsStacks) !== 0;
    cpu.storeRelease(this.#mark, 0);
    const isOn = this.#sinks.length > 0;
    thread.tracer = isOn ? this : undefined;
    if (!this.hearsLocks) {
      endObserver(thread, this);
      // What it takes and gives back from here on it does not hear of.
      this.#holds.clear();
    }
    thread.hearUnlocks(this, isOn && thread.self !== DETACHED ? this : undefined);
  }

  get hearsLocks(): boolean {
    return (this.#points & OF_LOCKS) !== 0;
  }

  /** What the thread remembers of the tables is cleared there. */
  #forget(epoch: number): void {
    this.#epoch = epoch;
    this.#locks.forget();
    this.#stacks.forget();
    this.#isLock.clear();
    this.#holds.clear();
    for (const times of [this.#waits, this.#sleeps, this.#work]) times.clear();
  }

  /**
   * Tells the sinks that want it of an event. `time`: ns on `cpu.now()`; what the point's fields are, in their order.
   */
  emit(point: number, time: number, a = 0, b = 0, c = 0, d = 0, e = 0): void {
    if ((this.#points & (1 << point)) === 0) return;
    const { cpu } = this.thread;
    // Pairs with the exchange in `changeUsers`: that sees that this thread tells, or this sees the change.
    cpu.xchg(this.#mark, 1);
    // The exchange orders it.
    if (cpu.loadUnordered(Header.trace) !== this.session) {
      this.#followTrace();
      return;
    }
    const sinks = this.#sinks;
    for (let i = 0; i < sinks.length; i++) {
      const sink = sinks[i] as TraceSink;
      if (sink.points & (1 << point)) sink.emit(point, time, a, b, c, d, e);
    }
    // Pairs with the acquire in `quiesce`.
    cpu.storeReleaseLight(this.#mark, 0);
  }

  /** `Header.trace` has changed. Numbers of locks may be those of a table that was cleared: the event goes untold. */
  #followTrace(): void {
    this.thread.cpu.storeRelease(this.#mark, 0);
    this.refresh();
  }

  lockOf(number: number): TracedLock | undefined {
    return lockAt(this.thread.cpu, this.#tables, number);
  }

  stackHere(): number {
    return this.#stackOf(capture());
  }

  #stackOf(trace: { readonly stack?: unknown }): number {
    const { cpu } = this.thread;
    const text = framesOf(trace);
    let number = -1;
    this.#adding(() => (number = this.#stacks.numberOf(text)));
    if (number < 0) cpu.fetchAddRelaxed(this.#tables + Tables.droppedStacks, 1);
    return number + 1;
  }

  /** The number of the lock at that address. */
  #numberOf(address: number): number {
    let number = this.#locks.known(address);
    if (number < 0) this.#adding(() => (number = this.#locks.find(address)));
    return Math.max(number, 0);
  }

  /** Runs what adds to the tables, unless they have been cleared since this thread has looked. */
  #adding(add: () => void): void {
    const { cpu } = this.thread;
    const before = cpu.xchg(this.#mark, 1);
    if (cpu.load(this.#tables + Tables.epoch) === this.#epoch) add();
    // A sink may have asked for it, in the middle of an event.
    cpu.storeRelease(this.#mark, before);
  }

  // LockObserver

  wants({ address }: ObservedLock, form: WaitForm): Wanted {
    const lock = this.#numberOf(address);
    const mode = modeOf(form);
    const last = this.#lastWanted;
    const isSame = last.address === address && last.lock === lock && last.mode === mode && last.epoch === this.#epoch;
    return isSame ? last : (this.#lastWanted = new WantedLock(this.#epoch, address, lock, mode));
  }

  has(wantedByAll: Wanted | undefined, task: number): void {
    const wanted = ownWanted(this, wantedByAll);
    // It was asked for before the thread was traced.
    if (!(wanted instanceof WantedLock)) return;
    const { epoch, address, mode } = wanted;
    const lock = epoch === this.#epoch ? wanted.lock : this.#numberOf(address);
    const waiter = task === UNOWNED ? this.thread.self : task;
    this.#acquired(address, lock, mode, task, this.#waits.size === 0 ? 0 : this.#waitOf(waiter, lock));
  }

  took({ address }: ObservedLock, form: WaitForm, task: number): void {
    this.#acquired(address, this.#numberOf(address), modeOf(form), task, 0);
  }

  gave({ address }: ObservedLock, task: number): void {
    if (task === UNOWNED) this.emit(Point.release, this.thread.cpu.now(), this.#numberOf(address), 0, task, 0);
    const hold = this.#holds.end(address, task);
    if (hold === undefined) return;
    const only = this.#only;
    if (only?.lockEvent !== undefined) {
      if (!only.lockEvent(this.#mark, this.session, hold, -1)) this.#followTrace();
      return;
    }
    const now = this.thread.cpu.now();
    this.emit(Point.release, now, hold.lock, hold.mode, task, now - hold.since);
  }

  shares({ address }: ObservedLock, task: number): void {
    const hold = this.#holds.find(address, task);
    if (hold !== undefined) hold.mode |= Mode.shared;
  }

  notHeld(): void {}

  #acquired(address: number, lock: number, mode: number, task: number, wait: number): void {
    const only = this.#only;
    // In this order: where another trace turns out to run, its locks have other numbers, and this hold is forgotten.
    const hold = task === UNOWNED ? undefined : this.#holds.begin(address, task, lock, mode);
    if (hold !== undefined && only?.lockEvent !== undefined) {
      if (!only.lockEvent(this.#mark, this.session, hold, wait)) {
        // The sinks of now may hear of its release.
        hold.since = this.thread.cpu.now();
        this.#followTrace();
      }
      return;
    }
    const now = this.thread.cpu.now();
    if (hold !== undefined) hold.since = now;
    this.emit(Point.acquire, now, lock, mode, task, wait);
  }

  /** A wait that came to nothing, or was for something else, is none of this lock's. */
  #waitOf(task: number, lock: number): number {
    const noted = this.#waits.get(task);
    this.#waits.delete(task);
    return noted?.lock === lock ? noted.wait : 0;
  }

  // Watch

  begin(wait: Wait): void {
    if (!wait.async) this.#begins(wait);
    else if (this.#wantsStacks) wait.trace ??= capture();
  }

  #begins(wait: Wait): void {
    if (wait.object === 0 || !this.#contends(wait.object)) return;
    const { cpu } = this.thread;
    const stack = this.#wantsStacks ? this.#stackOf(wait.trace ?? capture()) : 0;
    const lock = this.#numberOf(wait.object);
    this.emit(Point.contentionBegin, wait.start, lock, modeOf(wait), wait.task, holderOf(cpu, wait.object), stack);
  }

  /** An asynchronous call has a task by then, and does not spin: one that does not sleep finds its lock free, or comes to nothing. */
  sleeps(wait: Wait): void {
    if (wait.async) this.#begins(wait);
  }

  parks(wait: Wait): void {
    const now = this.thread.cpu.now();
    if (this.#sleeps.size < MOST_NOTED) this.#sleeps.set(wait.task, now);
    this.emit(Point.park, now, wait.object === 0 ? 0 : this.#numberOf(wait.object), modeOf(wait), wait.task);
  }

  resumes(wait: Wait): void {
    const now = this.thread.cpu.now();
    const since = this.#sleeps.get(wait.task) ?? now;
    this.#sleeps.delete(wait.task);
    const lock = wait.object === 0 ? 0 : this.#numberOf(wait.object);
    this.emit(Point.resume, now, lock, modeOf(wait), wait.task, now - since);
  }

  end(wait: Wait, outcome: unknown): void {
    if (wait.object === 0 || !this.#contends(wait.object)) return;
    if (wait.async && !wait.slept) {
      if (outcome === 'acquired') return;
      this.#begins(wait);
    }
    const now = this.thread.cpu.now();
    const waited = Math.max(0, Math.round(now - wait.start));
    const number = outcomeNumber(outcome);
    const lock = this.#numberOf(wait.object);
    if (number <= 1 && this.#waits.size < MOST_NOTED) this.#waits.set(wait.task, { lock, wait: waited });
    this.emit(Point.contentionEnd, now, lock, modeOf(wait), wait.task, number, waited);
    if (number === 1) this.emit(Point.ownerDeath, now, lock, modeOf(wait), wait.task);
  }

  #contends(object: number): boolean {
    const number = this.#numberOf(object);
    let contends = this.#isLock.get(number);
    if (contends === undefined) {
      contends = LOCKS.test(this.lockOf(number)?.kind ?? '');
      this.#isLock.set(number, contends);
    }
    return contends;
  }

  // UnlockHearer

  wakes(task: number): void {
    const { cpu } = this.thread;
    this.emit(Point.unpark, cpu.now(), cpu.load(task + Task.thread) - 1, task);
  }

  handsOver(lock: number, task: number): void {
    const { cpu } = this.thread;
    if (!this.#contends(lock)) return;
    this.emit(Point.handoff, cpu.now(), this.#numberOf(lock), cpu.load(task + Task.thread) - 1, task);
  }

  // Tracer

  buries(thread: number): void {
    this.emit(Point.threadDeath, this.thread.cpu.now(), thread);
  }

  period(domain: number, isExpedited: boolean, number: number, isOver: boolean): void {
    const point = isOver ? Point.gracePeriodEnd : Point.gracePeriodBegin;
    this.emit(point, this.thread.cpu.now(), this.#numberOf(domain), isExpedited ? 1 : 0, number);
  }

  queuesCallback(domain: number, pending: number): void {
    this.emit(Point.callbackQueue, this.thread.cpu.now(), this.#numberOf(domain), pending);
  }

  ranCallbacks(domain: number, count: number, ns: number): void {
    this.emit(Point.callbackBatch, this.thread.cpu.now(), this.#numberOf(domain), count, ns);
  }

  queuesWork(workqueue: number, item: number): void {
    this.emit(Point.workQueue, this.thread.cpu.now(), this.#numberOf(workqueue), item);
  }

  startsWork(workqueue: number, item: number): void {
    const now = this.thread.cpu.now();
    if (this.#work.size < MOST_NOTED) this.#work.set(item, now);
    this.emit(Point.workStart, now, this.#numberOf(workqueue), item);
  }

  endsWork(workqueue: number, item: number): void {
    const now = this.thread.cpu.now();
    const since = this.#work.get(item) ?? now;
    this.#work.delete(item);
    this.emit(Point.workEnd, now, this.#numberOf(workqueue), item, now - since);
  }
}

/** Times that a thread notes at most, of one sort: calls that threw have left theirs. */
const MOST_NOTED = 1 << 14;

const tracers = new WeakMap<Thread, ThreadTracer>();

/** The thread's tracer, with the sinks that there are now. */
function tracerOf(thread: Thread): ThreadTracer {
  let tracer = tracers.get(thread);
  if (tracer === undefined) tracers.set(thread, (tracer = new ThreadTracer(thread)));
  if (tracer.session !== thread.cpu.loadAcquire(Header.trace)) tracer.refresh();
  return tracer;
}

defineWatch(Header.trace, tracerOf);
defineLockObserver(Header.traceLocks, (thread) => {
  const tracer = tracerOf(thread);
  return tracer.hearsLocks ? tracer : undefined;
});

/** The thread that holds the object: a CPU number plus one; 0 for none, and for what no thread can hold. */
function holderOf(cpu: Cpu, object: number): number {
  return kindById(kindIdOf(cpu, object))?.holder(cpu, object) ?? 0;
}
