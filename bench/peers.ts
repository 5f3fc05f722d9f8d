/**
 * The locks that are compared under contention. Each is made on the main thread as something that postMessage can
 * carry, and opened on each thread as one function: run a section with the lock held. So the threads of all peers run
 * the same loop.
 */
import { Arena, type ArenaHandle, McsLock, Mutex, type ObjectHandle, SpinLock, TicketLock } from '../lib/index.ts';
import { TextbookMutex } from './textbook.ts';
import { V8Mutex } from './v8-mutex.ts';

export type Exclusive = (section: () => void) => void;

export interface Peer {
  /** Undefined where this version of Node does not have it. */
  readonly create: (() => unknown) | undefined;
  readonly open: (shared: never) => Exclusive | Promise<Exclusive>;
}

interface InArena {
  readonly arena: ArenaHandle;
  readonly lock: ObjectHandle;
}

type LockClass = new (arena: Arena, handle?: ObjectHandle) => { handle: ObjectHandle; lock(): void; unlock(): void };

function holdfast(Lock: LockClass): Peer {
  return {
    create() {
      const arena = Arena.create({ bytes: 1 << 20 });
      return { arena: arena.handle, lock: new Lock(arena).handle };
    },
    open: ({ arena, lock: handle }: InArena) => bracket(new Lock(Arena.attach(arena), handle)),
  };
}

function bracket(lock: { lock(): void; unlock(): void }): Exclusive {
  return (section) => {
    lock.lock();
    section();
    lock.unlock();
  };
}

const createV8 = () => V8Mutex && new V8Mutex();
const hasNavigator = typeof navigator !== 'undefined';

export const peers = {
  holdfast: holdfast(Mutex),
  textbook: {
    create: () => new SharedArrayBuffer(4),
    open: (buffer: SharedArrayBuffer) => bracket(new TextbookMutex(buffer)),
  },
  v8: {
    create: V8Mutex === undefined ? undefined : createV8,
    open: (mutex: object) => (section) => V8Mutex?.lock(mutex, section),
  },
  multithreading: {
    // The package does not load on Node 20, which has no `navigator`.
    create: hasNavigator ? () => new SharedArrayBuffer(4) : undefined,
    async open(buffer: SharedArrayBuffer) {
      const multithreading = await import('multithreading');
      const mutex = new multithreading.Mutex(undefined, buffer);
      return (section) => {
        const guard = mutex.blockingLock();
        section();
        guard.dispose();
      };
    },
  },
  spin: holdfast(SpinLock),
  ticket: holdfast(TicketLock),
  mcs: holdfast(McsLock),
} satisfies Record<string, Peer>;

export type PeerName = keyof typeof peers;
