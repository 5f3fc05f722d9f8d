import { type Arena, Mutex, Rcu, RcuQsbr, RtMutex } from '../../lib/index.ts';
import { arrive, awaitArrivals } from '../support/stage.ts';

const KINDS = { Mutex, RtMutex };
const FLAVOURS = { Rcu, RcuQsbr };
export type Kind = keyof typeof KINDS;
export type Flavour = keyof typeof FLAVOURS;

/** Waits for the lock `queue`, and notes its own priority in the log: a count, and behind it who came when. */
function passBy(arena: Arena, kind: Kind, queue: string, log: number, priority: number): void {
  const lock = new KINDS[kind](arena, queue);
  lock.lock();
  Atomics.store(arena.words, log + 1 + Atomics.add(arena.words, log, 1), priority);
  lock.unlock();
}

/** Holds `held` of the kind, if any, while it waits. Ends when `all` have passed by. */
export function pass(
  arena: Arena,
  kind: Kind,
  held: string | undefined,
  log: number,
  priority: number,
  over: number,
  all: number,
): number {
  arena.thread.setPriority(priority);
  const first = held === undefined ? undefined : new RtMutex(arena, held);
  first?.lock();
  passBy(arena, kind, 'queue', log, priority);
  first?.unlock();
  arrive(arena, over);
  awaitArrivals(arena, over, all);
  return arena.thread.priority;
}

/** The same inside a reader. Its priority inside, once it has the lock, and behind. */
export function read(
  arena: Arena,
  flavour: Flavour,
  kind: Kind,
  wanted: string,
  log: number,
  priority: number,
  over: number,
  all: number,
): [number, number] {
  arena.thread.setPriority(priority);
  const rcu = new FLAVOURS[flavour](arena);
  rcu.readLock();
  passBy(arena, kind, wanted, log, priority);
  const inside = arena.thread.priority;
  rcu.readUnlock();
  if (rcu instanceof RcuQsbr) rcu.quiescent();
  const behind = arena.thread.priority;
  arrive(arena, over);
  awaitArrivals(arena, over, all);
  return [inside, behind];
}

/** Waits for all readers. */
export function synchronize(arena: Arena, flavour: Flavour, priority: number): number {
  arena.thread.setPriority(priority);
  new FLAVOURS[flavour](arena).synchronize();
  return arena.thread.priority;
}
