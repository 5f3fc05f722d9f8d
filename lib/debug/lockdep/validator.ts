/**
 * One thread's lock validator: looks at each lock that the thread takes, before it waits.
 *
 *   wants   is a lock of that class held already? may it be waited for here? does the order close a cycle?
 *   has     it is held from here on
 *   gave    it is held no more: in which order, after how long across an await
 *   guards  a guard is to release it: was the guard collected before?
 *
 * It takes no lock of the library and has no memory of the arena's heap, so it can run wherever a lock can be taken.
 *
 * Source: kernel/locking/lockdep.c: check_deadlock, check_prevs_add, check_wait_context.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { kindById } from '../../memory/kinds.ts';
import { kindIdOf } from '../../memory/objects.ts';
import { defineLockObserver, endObserver, isObservedBy, ownWanted } from '../../sched/lock-observer.ts';
import type { Thread } from '../../sched/thread.ts';
import type { LockObserver, ObservedLock, WaitForm } from '../../sched/watch.ts';
import { capture, framesOf, StackTable } from '../profile/stacks.ts';
import { Callbacks } from './callbacks.ts';
import { ClassFinder } from './classes.ts';
import { end, type Hold, Holds } from './holds.ts';
import { Adding, CALLBACKS, RECURSIVE, RELEASE_ORDER, type Reading, stackPlace, Tables, wayOf } from './layout.ts';
import { cycle, isKnown, note, noteLooked, type Order } from './orders.ts';
import { Reporter } from './reporter.ts';

/** A lock of these is spun for, and nothing that sleeps may be waited for inside. */
const SPINNING = new Set(['spin-lock', 'rw-lock', 'ticket-lock', 'mcs-lock', 'osq-lock']);
/** Readers of these may go in again while they are inside, whoever waits. */
const RECURSIVE_READERS = new Set(['rcu', 'rcu-qsbr', 'srcu', 'pthread rwlock', 'pthread reader-preferring rwlock']);
const RCU = new Set(['rcu', 'rcu-qsbr', 'srcu']);
/** One task may take a permit of these, and another one give it: there is no order of holding them. */
const SEMAPHORES = new Set(['semaphore', 'pthread sem']);

/** A frame, on top of the stack of what was not held at the time. */
const AT_ANOTHER_TIME = 'at another time, in an asynchronous section\t\t0\t0\n';

export class Validator implements LockObserver {
  readonly holds = new Holds();
  readonly #thread: Thread;
  readonly #cpu: Cpu;
  readonly #tables: number;
  readonly #classes: ClassFinder;
  readonly #stacks: StackTable;
  readonly #reporter: Reporter;
  readonly #callbacks = new Callbacks();
  #session: number;
  /** What guards are to release, by guard. */
  readonly #guards = new FinalizationRegistry<Hold>((hold) => this.#lost(hold));
  /** The subclass of the next lock that is asked for. */
  subclass = 0;

  constructor(thread: Thread) {
    const { cpu } = thread;
    this.#thread = thread;
    this.#cpu = cpu;
    this.#tables = cpu.load(Header.lockdepTables);
    this.#session = cpu.load(Header.lockdep);
    this.#classes = new ClassFinder(cpu, this.#tables);
    this.#stacks = new StackTable(cpu, stackPlace(this.#tables));
    this.#reporter = new Reporter(thread, this.#tables);
    cpu.store(thread.slot + Adding.heard, 1);
  }

  wants(
    lock: ObservedLock,
    form: WaitForm,
    options?: { readonly timeout?: number | undefined },
    within?: object,
  ): object {
    const hold = this.#holdOf(lock, form, options?.timeout === 0, within, this.#takeSubclass());
    if (hold === undefined) return {};
    const { holds } = this;
    if (hold.tries) {
      if (form.async) holds.ask(hold);
      return hold;
    }
    if (!form.async) {
      // While the thread sleeps for it, none of its flows goes on.
      this.#adding(() => this.#validate(hold, holds.sync, holds.async));
      // What a program does before its event loop turns first is no callback.
      if (this.#has(CALLBACKS) && holds.stretch > 0) this.#mayCome([hold], this.#callbacks.waits(hold));
      return hold;
    }
    // A flow goes on in a later turn, and may have others beside it.
    const [sync, others] = [holds.syncOfFlow(), holds.ofFlow()];
    holds.ask(hold);
    this.#validateAwaited(hold, sync, others);
    return hold;
  }

  /**
   * An asynchronous call waits for nothing before its code awaits it. What that code gives back until then, in the same stretch, it does not
   * wait with: it has asked for its turn in time.
   */
  #validateAwaited(hold: Hold, sync: readonly Hold[], others: readonly Hold[]): void {
    const { stretch } = this.holds;
    const isHeld = ({ state }: Hold) => state === 'held';
    void Promise.resolve().then(() => {
      // In another session than then, nothing of what it held is held.
      if (!this.isCurrent || !this.#isRunning() || hold.state === 'over') return;
      // What it has taken since it made the call, it waits with, too.
      const now = this.holds.sync.filter((other) => other.stretch === stretch || sync.includes(other));
      this.#adding(() => this.#validate(hold, now, others.filter(isHeld)));
    });
  }

  has(wanted: object | undefined, task: number): void {
    const hold = ownWanted(this, wanted) as Hold | undefined;
    // It was asked for before anybody observed the thread, or in another session.
    if (!this.#isRunning() || hold?.session !== this.#session) return;
    hold.task = task;
    hold.state = 'held';
    hold.since = this.#cpu.now();
    hold.stretch = this.holds.stretch;
    this.holds.add(hold);
  }

  took(lock: ObservedLock, form: WaitForm, task: number, within?: object): void {
    this.has(this.#holdOf(lock, form, true, within, this.#takeSubclass()), task);
  }

  gave(lock: ObservedLock, task: number, guard?: object): void {
    if (guard !== undefined) this.#guards.unregister(guard);
    if (!this.#isRunning()) return;
    const found = this.holds.last(lock.address, task);
    if (found === undefined) return;
    const { hold, list, at } = found;
    list.splice(at, 1);
    hold.state = 'over';
    const held = (this.#cpu.now() - hold.since) / 1e6;
    if (hold.stretch !== this.holds.stretch && held >= this.#cpu.load(this.#tables + Tables.awaitLimit)) {
      this.#adding(() => this.#reporter.awaited(hold, held));
    }
    const next = list[at];
    const isInOrder = next === undefined || list !== this.holds.sync;
    if (!isInOrder && this.#has(RELEASE_ORDER)) {
      this.#adding(() => this.#reporter.releasedEarly(hold, list.slice(at)));
    }
    if (hold.stretch !== this.holds.stretch && this.#has(CALLBACKS)) {
      this.#mayCome(this.#callbacks.awaited(hold), [hold]);
    }
    end(hold);
  }

  shares(lock: ObservedLock, task: number): void {
    if (!this.#isRunning()) return;
    const found = this.holds.last(lock.address, task);
    if (found !== undefined) found.hold.reading = 1;
  }

  notHeld(lock: ObservedLock): void {
    const hold = this.#mentionOf(lock);
    if (hold !== undefined) this.#adding(() => this.#reporter.unbalanced(hold, this.all));
  }

  guards(lock: ObservedLock, task: number, guard: object): void {
    if (!this.#isRunning()) return;
    const hold = this.holds.last(lock.address, task)?.hold ?? this.#permitOf(lock, task);
    if (hold !== undefined) this.#guards.register(guard, hold, guard);
  }

  /** What a guard of a semaphore has: it can be lost, though there is no order of holding it. */
  #permitOf(lock: ObservedLock, task: number): Hold | undefined {
    const hold = this.#mentionOf(lock, true);
    if (hold === undefined) return undefined;
    return Object.assign(hold, { task, state: 'held' } as const);
  }

  /** The guard of what `hold` is was collected. One that has released it is, too, some day. */
  #lost(hold: Hold): void {
    if (!this.isCurrent || !this.#isRunning() || hold.state !== 'held' || hold.session !== this.#session) return;
    this.#adding(() => this.#reporter.lostGuard(hold));
  }

  #has(flag: number): boolean {
    return (this.#cpu.load(this.#tables + Tables.flags) & flag) !== 0;
  }

  /** Callbacks that wait for one of `waits` may come while a section holds one of `sections`. */
  #mayCome(waits: Iterable<Hold>, sections: Iterable<Hold>): void {
    for (const hold of waits) {
      for (const other of sections) {
        // A lock that its own thread's section has is refused to a callback, with EDEADLK.
        if (hold.class !== other.class) this.#adding(() => this.#order(hold, other, this.all, true));
      }
    }
  }

  /** Whatever the thread holds. */
  get all(): readonly Hold[] {
    return [...this.holds.sync, ...this.holds.async];
  }

  /** Whether the thread tells this validator of its locks: not after it has detached. */
  get isCurrent(): boolean {
    return isObservedBy(this.#thread, this);
  }

  /** Whether this thread's code holds the lock: `reading` for shared or not, undefined for either. */
  isHeld(lock: ObservedLock, shared?: boolean): boolean {
    const holds = this.all.filter((hold) => hold.lock === lock.address);
    // What was taken before anybody looked, or before `reset`, only the lock's own words know, and not always how.
    if (holds.length === 0) return isHeldBy(this.#cpu, lock.address, this.#thread.id);
    return holds.some(({ reading }) => shared === undefined || reading > 0 === shared);
  }

  /** As reports name a lock that this thread does not ask for. */
  #mentionOf(lock: ObservedLock, mayBeSemaphore = false): Hold | undefined {
    return this.#holdOf(lock, { async: false, shared: false }, true, undefined, 0, mayBeSemaphore);
  }

  /** The program expected to hold the lock, or not to. */
  expected(what: string, lock: ObservedLock): void {
    const hold = this.#mentionOf(lock);
    if (hold !== undefined) this.#adding(() => this.#reporter.notHeld(hold, what, this.all));
  }

  /** `sync`, `others`: what its code holds of synchronous and of asynchronous code while it waits. */
  #validate(hold: Hold, sync: readonly Hold[], others: readonly Hold[]): void {
    const held = [...sync, ...others];
    if (hold.sleeps) {
      const atomic = held.findLast(({ isAtomic }) => isAtomic);
      if (atomic !== undefined) this.#reporter.invalidContext(hold, atomic, held);
    }
    const same = held.filter((other) => other.class === hold.class);
    if (hold.reading === RECURSIVE && same.some(({ reading }) => reading > 0)) return;
    const double = same.find(({ within }) => within === undefined || within !== hold.within);
    if (double !== undefined) {
      this.#reporter.recursive(hold, double, held);
      return;
    }
    // What was taken before one that is ordered has a path to that already.
    const nearest = sync.findLastIndex(({ isOrdered }) => isOrdered);
    for (const other of [...sync.slice(Math.max(0, nearest)), ...others]) {
      if (other.class !== hold.class) this.#order(hold, other, held);
    }
    // No path goes on behind a recursive reader to what is wanted inside.
    hold.isOrdered = hold.reading !== RECURSIVE;
  }

  /** `mayCome`: the call is one that a callback makes, and may come while `other` is held. */
  #order(hold: Hold, other: Hold, held: readonly Hold[], mayCome = false): void {
    const cpu = this.#cpu;
    const tables = this.#tables;
    const order: Order = {
      held: other.class,
      wanted: hold.class,
      heldReading: other.reading,
      wantedReading: hold.reading,
    };
    const way = wayOf(other.reading, hold.reading);
    if (isKnown(cpu, tables, order, way)) return;
    note(cpu, tables, order, way, () => [this.#stackOf(other, mayCome ? AT_ANOTHER_TIME : ''), this.#stackOf(hold)]);
    const path = cycle(cpu, tables, order);
    if (path !== undefined) this.#reporter.circular(hold, other, path, held, mayCome);
    noteLooked(cpu, tables, order, way);
  }

  #stackOf(hold: Hold, before = ''): number {
    const number = this.#stacks.numberOf(before + framesOf(hold.trace));
    if (number < 0) this.#cpu.fetchAddRelaxed(this.#tables + Tables.droppedStacks, 1);
    return number;
  }

  /** Of the lock that is asked for; the next one has none. */
  #takeSubclass(): number {
    const { subclass } = this;
    this.subclass = 0;
    return subclass;
  }

  /** What is known of an acquisition that begins; undefined when nobody watches, or there is no room for its class. */
  #holdOf(
    lock: ObservedLock,
    form: WaitForm,
    tries: boolean,
    within: object | undefined,
    subclass: number,
    mayBeSemaphore = false,
  ): Hold | undefined {
    if (!this.#isRunning()) return undefined;
    const kind = kindById(kindIdOf(this.#cpu, lock.address))?.name ?? '';
    if (SEMAPHORES.has(kind) && !mayBeSemaphore) return undefined;
    let number = this.#classes.known(lock, subclass);
    if (number === undefined) this.#adding(() => (number = this.#classes.find(lock, subclass)));
    if (number === undefined || number < 0) return undefined;
    const isRcuReader = RCU.has(kind) && form.shared;
    return {
      session: this.#session,
      lock: lock.address,
      class: number,
      form,
      sleeps: !SPINNING.has(kind) && !isRcuReader,
      isAtomic: SPINNING.has(kind) || (kind !== 'srcu' && isRcuReader && !form.async),
      tries,
      isOrdered: false,
      within,
      trace: capture(),
      reading: readingOf(kind, form),
      task: 0,
      state: 'wanted',
      since: 0,
      stretch: 0,
    };
  }

  /** Whether the session runs. Where another one has begun, what this thread knows is of no use; where none has, it goes unobserved. */
  #isRunning(): boolean {
    // Pairs with the exchanges in `session.ts`.
    const session = this.#cpu.loadAcquire(Header.lockdep);
    if (session !== this.#session) {
      this.#session = session;
      this.#classes.forget();
      this.#stacks.forget();
      this.holds.clear();
      this.#callbacks.clear();
    }
    // Also where it has ended just before this thread began to be observed.
    if (session === 0) this.#end();
    return session !== 0 && (session & 1) === 0;
  }

  /** Runs what adds to the tables, while the session runs. */
  #adding(add: () => void): void {
    const cpu = this.#cpu;
    const word = this.#thread.slot + Adding.session;
    // Pairs with the exchange in `clear`: that sees that this thread adds, or this sees that the session is over.
    cpu.xchg(word, this.#session);
    try {
      if (cpu.load(Header.lockdep) === this.#session) add();
    } catch (error) {
      // The stack has no room for it. What ends a simulated thread goes through without another step.
      if (error instanceof RangeError) cpu.storeRelease(word, 0);
      throw error;
    }
    // Pairs with the acquire in `isAddingOver`: what was added can be cleared.
    cpu.storeRelease(word, 0);
    this.#reporter.tell();
  }

  #end(): void {
    if (this.isCurrent) this.#cpu.store(this.#thread.slot + Adding.heard, 0);
    endObserver(this.#thread, this);
    this.holds.end();
  }

  /** The thread ends. */
  exits(): void {
    const { all } = this;
    if (this.isCurrent && all.length > 0 && this.#isRunning()) this.#adding(() => this.#reporter.exits(all));
  }
}

/** Whether the lock's own words say that the thread has it, as far as its kind knows who has it. */
function isHeldBy(cpu: Cpu, lock: number, id: number): boolean {
  const kind = kindById(kindIdOf(cpu, lock));
  return kind?.holder(cpu, lock) === id || kind?.isHeldBy?.(cpu, lock, id) === true;
}

function readingOf(kind: string, { shared }: WaitForm): Reading {
  if (!shared) return 0;
  return RECURSIVE_READERS.has(kind) ? RECURSIVE : 1;
}

/** Those of this thread, one for each arena, which each keeps its own: an arena that nobody can reach goes. */
const validators = new Set<WeakRef<Validator>>();
let listens = false;

function open(thread: Thread): Validator {
  if (!listens) process.on('exit', () => validators.forEach((reference) => void reference.deref()?.exits()));
  listens = true;
  for (const reference of validators) {
    const validator = reference.deref();
    if (validator?.isCurrent === true) continue;
    validator?.holds.end();
    validators.delete(reference);
  }
  const validator = new Validator(thread);
  validators.add(new WeakRef(validator));
  return validator;
}

defineLockObserver(Header.lockdep, open);

/** The validator of a thread that is observed. */
export function validatorOf(thread: Thread): Validator | undefined {
  const validator = thread.observers.get(Header.lockdep);
  return validator instanceof Validator ? validator : undefined;
}
