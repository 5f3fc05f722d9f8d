/**
 * Lockdep of an arena: starts it for all of its threads, reads what they have found, forgets it.
 *
 *   off       Header.lockdep = 0
 *   running   Header.lockdep = n, even
 *   clearing  Header.lockdep = n + 1     hooks do nothing; then n + 2
 */
import type { Arena } from '../../arena/arena.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { lookForObserver } from '../../sched/lock-observer.ts';
import { maxThreads, Slot, slotAddress } from '../../sched/slot.ts';
import { countClasses } from './classes.ts';
import { Adding, CLASSES, EXCLUDED, QUIET, RELEASE_ORDER, TABLES_KIND, Tables } from './layout.ts';
import { type LockdepReport, readReports } from './reporter.ts';
import { writeSuppressions } from './suppress.ts';
import './validator.ts';

/** The name of the one object of an arena that it writes to. */
const NAME = 'holdfast.lockdep';

/** Loads that a thread which clears the tables waits for one that adds to them: some 80 ms. */
const PATIENCE = 1 << 22;

const differs = (session: number, from: number) => session !== from;

export interface LockdepOptions {
  /** Report a lock that is held for so many ms while its code awaits. @default 5,000 */
  awaitLimit?: number | undefined;
  /** Report a lock of synchronous code that is released before one that was taken after it. @default false */
  releaseOrder?: boolean | undefined;
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
    };
  }

  /**
   * Forgets all classes, orders and reports, for all threads; what threads hold now is not looked at when it is released. Throws
   * EBUSY while another thread does, EINVAL when lockdep does not run.
   */
  reset(): void {
    const { cpu, thread } = this.#arena;
    thread.current();
    this.#exclusively(() => {
      const session = cpu.load(Header.lockdep);
      if (session === 0) throw new HoldfastError('EINVAL', 'lockdep does not run in this arena');
      clear(cpu, this.#tables, session);
      // Pairs with the acquire in `Validator`: whoever sees the new session sees the tables empty.
      cpu.xchg(Header.lockdep, nextSession(session));
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
 * Throws EINVAL for bad options, ENOMEM when the arena has no room for the tables.
 */
export function startLockdep(arena: Arena, options: LockdepOptions = {}): Lockdep {
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `startLockdep() expects an Arena, received ${shown(arena)}`);
  }
  checkOptionNames(options, ['awaitLimit', 'releaseOrder', 'suppress', 'quiet']);
  const { awaitLimit = 5000, releaseOrder = false, suppress = '', quiet = false } = options;
  if (!Number.isInteger(awaitLimit) || awaitLimit < 0 || awaitLimit > 2 ** 31 - 1) {
    throw new HoldfastError('EINVAL', `awaitLimit is whole ms from 0, received ${shown(awaitLimit)}`);
  }
  for (const [name, value] of Object.entries({ releaseOrder, quiet })) {
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
    cpu.store(tables + Tables.flags, (quiet ? QUIET : 0) | (releaseOrder ? RELEASE_ORDER : 0));
    if (cpu.load(Header.lockdep) !== 0) return;
    // As it was made, before the first session.
    if (cpu.load(Header.lockdepTables) !== 0) clear(cpu, tables, 0);
    cpu.store(Header.lockdepTables, tables);
    // Pairs with the acquires in `lookForObserver` and `Validator`.
    cpu.xchg(Header.lockdep, FIRST_SESSION);
  });
  lookForObserver(thread);
  return new Lockdep(arena, tables);
}

const FIRST_SESSION = 2;

function nextSession(session: number): number {
  return (session + 2) % 2 ** 30 || FIRST_SESSION;
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

/** The threads that add to the tables in that session have done so; they are as they were when they were made. */
function clear(cpu: Cpu, tables: number, session: number): void {
  if (session !== 0) cpu.xchg(Header.lockdep, session + 1);
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    // Fully ordered with the exchange above: pairs with the one in `Validator`.
    if (cpu.loadAcquire(slot + Adding.session) === 0 || cpu.load(slot + Slot.life) < 0) continue;
    cpu.condLoadAcquire(slot + Adding.session, differs, cpu.load(slot + Adding.session), PATIENCE);
  }
  for (let word = Tables.droppedClasses; word < Tables.words; word++) cpu.store(tables + word, 0);
}
