/**
 * Lockdep of an arena: starts it for all of its threads, reads what they have found, forgets it.
 *
 *   off       Header.lockdep = 0
 *   running   Header.lockdep = n, even
 *   clearing  Header.lockdep = n + 1     hooks do nothing; then n + 2
 *
 * `Tables.session` is the last n, and n + 1 while the tables are cleared, also when nothing runs.
 */
import type { Arena } from '../../arena/arena.ts';
import { isGone } from '../../arena/liveness.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { lookForObserver } from '../../sched/lock-observer.ts';
import { countUnheard, maxThreads, Slot, slotAddress } from '../../sched/slot.ts';
import { countClasses } from './classes.ts';
import { Adding, CALLBACKS, CLASSES, EXCLUDED, QUIET, RELEASE_ORDER, TABLES_KIND, Tables } from './layout.ts';
import { type LockdepReport, readReports } from './reporter.ts';
import { writeSuppressions } from './suppress.ts';
import './validator.ts';

/** The name of the one object of an arena that it writes to. */
const NAME = 'holdfast.lockdep';

/** Loads that a thread which clears the tables waits for one that adds to them, until it looks whether that lives: some 20 ms. */
const PATIENCE = 1 << 20;
/** How often it looks. One that lives and does not get on is stopped by a debugger. */
const LOOKS = 100;

const differs = (session: number, from: number) => session !== from;

export interface LockdepOptions {
  /** Report a lock that is held for so many ms while its code awaits. @default 5,000 */
  awaitLimit?: number | undefined;
  /** Report a lock of synchronous code that is released before one that was taken after it. @default false */
  releaseOrder?: boolean | undefined;
  /**
   * Also report orders that have not been seen, but can be: a lock that a callback takes synchronously, and one that asynchronous code of
   * the same thread holds while it awaits, at another time. See docs/lockdep.md. @default false
   */
  callbacks?: boolean | undefined;
  /** What is not to be reported: see docs/lockdep.md. */
  suppress?: string | undefined;
  /** Write nothing to the standard error stream. @default false */
  quiet?: boolean | undefined;
}

/** How full the tables are, and what found no room. */
export interface LockdepStats {
  readonly classes: number;
  /** Pairs of classes of which one was taken while the other was held. */
  readonly orders: number;
  readonly reports: number;
  readonly suppressed: number;
  /** Times that a class found no room: its locks were not looked at. */
  readonly droppedClasses: number;
  readonly droppedStacks: number;
  /** Attached threads that have not heard of it: each does in its next call that has to wait. */
  readonly unheard: number;
}

/** What lockdep has learned of an arena's locks. Any number of these lead to the one that there is. */
export class Lockdep {
  readonly #arena: Arena;
  readonly #tables: number;

  /** @internal */
  constructor(arena: Arena, tables: number) {
    this.#arena = arena;
    this.#tables = tables;
  }

  /** What all threads have found so far, the first reports that there were: at most 24. */
  reports(): LockdepReport[] {
    this.#arena.thread.current();
    return readReports(this.#arena.cpu, this.#tables);
  }

  stats(): LockdepStats {
    const { cpu, thread } = this.#arena;
    thread.current();
    const tables = this.#tables;
    let orders = 0;
    for (let i = 0; i < CLASSES * CLASSES; i++) {
      const isOfItself = Math.floor(i / CLASSES) === i % CLASSES;
      if (!isOfItself && (cpu.load(tables + Tables.orders + i) & (EXCLUDED - 1)) !== 0) orders++;
    }
    return {
      classes: countClasses(cpu, tables),
      orders,
      reports: cpu.load(tables + Tables.reportCount),
      suppressed: cpu.load(tables + Tables.suppressedCount),
      droppedClasses: cpu.load(tables + Tables.droppedClasses),
      droppedStacks: cpu.load(tables + Tables.droppedStacks),
      unheard: countUnheard(cpu, Adding.heard, 1),
    };
  }

  /**
   * Forgets all classes, orders and reports, for all threads; what threads hold now is not looked at when it is released. Throws
   * EBUSY while another thread does, and when one is stopped in the middle of adding; EINVAL when lockdep does not run.
   */
  reset(): void {
    const { cpu, thread } = this.#arena;
    thread.current();
    this.#exclusively(() => {
      const session = cpu.load(Header.lockdep);
      if (session === 0) throw new HoldfastError('EINVAL', 'lockdep does not run in this arena');
      cpu.store(this.#tables + Tables.session, session + 1);
      cpu.xchg(Header.lockdep, session + 1);
      if (!isAddingOver(this.#arena)) {
        cpu.store(this.#tables + Tables.session, session);
        cpu.xchg(Header.lockdep, session);
        throw stoppedInAdding();
      }
      // Pairs with the acquire in `Validator`: a thread that sees the new session sees the tables empty.
      cpu.xchg(Header.lockdep, clear(cpu, this.#tables));
    });
  }

  /** Ends it for all threads; what it has found can be read still. Each thread learns of it when it takes or releases a lock next. */
  stop(): void {
    const { cpu, thread } = this.#arena;
    thread.current();
    this.#exclusively(() => void cpu.xchg(Header.lockdep, 0));
  }

  #exclusively(change: () => void): void {
    exclusively(this.#arena, this.#tables, change);
  }
}

/**
 * Begins to look at the order in which all threads of the arena take locks, for possible deadlocks. A thread that is attached
 * already learns of it when it attaches, makes a call that has to wait, or comes here itself. The tables take 720 KB of the arena, and
 * stay there. Where it runs already, it goes on with these options.
 *
 * Throws EINVAL for bad options, ENOMEM when the arena has no room for the tables, EBUSY while another thread comes here, and when
 * one is stopped in the middle of adding to the tables of a session that is over.
 */
export function startLockdep(arena: Arena, options: LockdepOptions = {}): Lockdep {
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `startLockdep() expects an Arena, received ${shown(arena)}`);
  }
  checkOptionNames(options, ['awaitLimit', 'releaseOrder', 'callbacks', 'suppress', 'quiet']);
  const { awaitLimit = 5000, releaseOrder = false, callbacks = false, suppress = '', quiet = false } = options;
  if (!Number.isInteger(awaitLimit) || awaitLimit < 0 || awaitLimit > 2 ** 31 - 1) {
    throw new HoldfastError('EINVAL', `awaitLimit is whole ms from 0, received ${shown(awaitLimit)}`);
  }
  for (const [name, value] of Object.entries({ releaseOrder, callbacks, quiet })) {
    if (typeof value !== 'boolean') {
      throw new HoldfastError('EINVAL', `${name} is true or false, received ${shown(value)}`);
    }
  }
  const { cpu, thread, objects } = arena;
  thread.current();
  const tables = objects.open(TABLES_KIND, NAME);
  exclusively(arena, tables, () => {
    writeSuppressions(cpu, tables, suppress);
    cpu.store(tables + Tables.awaitLimit, awaitLimit);
    cpu.store(
      tables + Tables.flags,
      (quiet ? QUIET : 0) | (releaseOrder ? RELEASE_ORDER : 0) | (callbacks ? CALLBACKS : 0),
    );
    if (cpu.load(Header.lockdep) !== 0) return;
    if (!isAddingOver(arena)) throw stoppedInAdding();
    const session = clear(cpu, tables);
    cpu.store(Header.lockdepTables, tables);
    // Pairs with the acquires in `lookForObserver` and `Validator`.
    cpu.xchg(Header.lockdep, session);
  });
  lookForObserver(thread);
  return new Lockdep(arena, tables);
}

/** One thread at a time. */
function exclusively({ cpu, thread }: Arena, tables: number, change: () => void): void {
  const before = cpu.cmpxchg(tables + Tables.busy, 0, thread.id);
  if (before !== 0) throw new HoldfastError('EBUSY', `thread ${before - 1} starts, clears or stops lockdep just now`);
  try {
    change();
  } finally {
    cpu.storeRelease(tables + Tables.busy, 0);
  }
}

function stoppedInAdding(): HoldfastError {
  return new HoldfastError('EBUSY', 'a thread is stopped in the middle of adding to what lockdep knows');
}

/**
 * The session is over, or none runs: waits until no thread adds to the tables that it has begun to add to before. False when one
 * that lives does not come to the end of it.
 */
function isAddingOver({ cpu, thread }: Arena): boolean {
  // Full: pairs with the exchange in `Validator`.
  cpu.mb();
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    const session = cpu.loadAcquire(slot + Adding.session);
    let looks = 0;
    if (session === 0 || number === thread.number) continue;
    const isAdding = () => cpu.load(slot + Slot.life) > 0 && !isGone(cpu.load(slot + Slot.osThread));
    while (isAdding()) {
      if (cpu.condLoadAcquire(slot + Adding.session, differs, session, PATIENCE) !== session) break;
      if (++looks === LOOKS) return false;
    }
  }
  return true;
}

/** The tables are as they were when they were made. Nobody adds to them. Returns the session that is next. */
function clear(cpu: Cpu, tables: number): number {
  const last = cpu.load(tables + Tables.session);
  const next = ((last | 1) + 1) % 2 ** 30 || 2;
  cpu.store(tables + Tables.session, last | 1);
  // Pairs with the barrier in `readReports`.
  cpu.mb();
  if (last !== 0) for (let word = Tables.droppedClasses; word < Tables.words; word++) cpu.store(tables + word, 0);
  cpu.storeRelease(tables + Tables.session, next);
  return next;
}
