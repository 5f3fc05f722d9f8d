import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { McsLock } from '../../locking/mcs-lock.ts';
import { SpinLock } from '../../locking/spin-lock.ts';
import type { SpinningLock } from '../../locking/spinning-lock.ts';
import { TicketLock } from '../../locking/ticket-lock.ts';
import { type LockType, SPINNING, type View } from '../lock-type.ts';

export const spinLock = spinningType(
  'spin-lock',
  'SpinLock: queued spinlock that sleeps when it has spun enough',
  SpinLock,
);

export const mcsLock = spinningType(
  'mcs-lock',
  'McsLock: first come, first served, each waiter spinning on its own word',
  McsLock,
);

export const ticketLock = spinningType(
  'ticket-lock',
  'TicketLock: first come, first served, all spinning on one word',
  TicketLock,
);

function spinningType(
  name: string,
  summary: string,
  Lock: new (arena: Arena, which?: string | ObjectHandle) => SpinningLock,
): LockType {
  return {
    ...SPINNING,
    name,
    summary,
    create: (arena) => new Lock(arena, name).handle,
    open: (arena, handle) => viewOf(new Lock(arena, handle as ObjectHandle)),
  };
}

function viewOf(lock: SpinningLock): View {
  return {
    lock: () => {
      lock.lock();
      return true;
    },
    unlock: () => lock.unlock(),
    tryLock: () => lock.tryLock(),
    get isTaken() {
      return lock.isLocked;
    },
    get ownerDied() {
      return lock.ownerDied;
    },
    makeConsistent: () => lock.makeConsistent(),
    destroy: () => lock.destroy(),
  };
}
