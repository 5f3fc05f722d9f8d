import { type Arena, RwLock } from '../../lib/index.ts';
import { arrive, bump, stay } from '../support/stage.ts';

/** Reads and writes a record that tears if a writer is not alone; returns how often it was torn. */
export function count(arena: Arena, record: number, times: number, readsPerWrite: number): number {
  const lock = new RwLock(arena, 'rw');
  const { words } = arena;
  let torn = 0;
  for (let i = 0; i < times; i++) {
    for (let r = 0; r < readsPerWrite; r++) {
      if (i % 3 !== 0 || !lock.tryReadLock()) lock.readLock();
      if (words[record] !== words[record + 1]) torn++;
      lock.readUnlock();
    }
    if (i % 4 !== 0 || !lock.tryWriteLock()) lock.writeLock();
    torn += bump(arena, record);
    lock.writeUnlock();
  }
  return torn;
}

export function holdForEver(arena: Arena, side: 'read' | 'write', stage: number): Promise<never> {
  const lock = new RwLock(arena, 'rw');
  if (side === 'read') lock.readLock();
  else lock.writeLock();
  arrive(arena, stage);
  return stay();
}

/** Takes the lock once; whether a writer had died. */
export function take(arena: Arena, side: 'read' | 'write', stage: number): boolean {
  const lock = new RwLock(arena, 'rw');
  arrive(arena, stage);
  using held = side === 'read' ? lock.acquireRead() : lock.acquireWrite();
  const { ownerDied } = held;
  if (side === 'write') lock.makeConsistent();
  return ownerDied;
}
