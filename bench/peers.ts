/**
 * The locks that are compared under contention. Each is made on the main thread as something that postMessage can
 * carry, and opened on each thread as a function, or two: run a section with the lock held. So the threads of all peers
 * run the same loop.
 */
import {
  Arena,
  type ArenaHandle,
  McsLock,
  Mutex,
  type ObjectHandle,
  PercpuRwSemaphore,
  type ProfileSession,
  RwSemaphore,
  Semaphore,
  SpinLock,
  startProfile,
  TicketLock,
} from '../lib/index.ts';
import { hasMultithreading } from './absent.ts';
import { TextbookMutex, TextbookRwLock } from './textbook.ts';
import { V8Mutex } from './v8-mutex.ts';

export type Bracket = (section: () => void) => void;

/** A lock on one thread. */
export interface Opened {
  readonly write: Bracket;
  /** Undefined where readers, too, are alone. */
  readonly read?: Bracket;
}

export interface Peer {
  /** Undefined where this process does not have it. */
  readonly create: (() => unknown) | undefined;
  readonly open: (shared: never) => Opened | Promise<Opened>;
}

/** How many may be inside a semaphore. */
export const PERMITS = 2;

interface InArena {
  readonly arena: ArenaHandle;
  readonly lock: ObjectHandle;
}

interface SharedLock {
  readonly handle: ObjectHandle;
}

interface Exclusive {
  lock(): void;
  unlock(): void;
}

/** `make` makes the lock in a new arena, and opens it by its handle on the other threads. */
function holdfast<Lock extends SharedLock>(
  make: (arena: Arena, handle?: ObjectHandle) => Lock,
  open: (lock: Lock) => Opened,
): Peer {
  return {
    create() {
      const arena = Arena.create({ bytes: 1 << 20 });
      return { arena: arena.handle, lock: make(arena).handle };
    },
    open: ({ arena, lock: handle }: InArena) => open(make(Arena.attach(arena), handle)),
  };
}

function exclusive<Lock extends SharedLock & Exclusive>(Lock: new (arena: Arena, handle?: ObjectHandle) => Lock): Peer {
  return holdfast((arena, handle) => new Lock(arena, handle), bracket<Lock>);
}

function bracket<Lock extends Exclusive>(lock: Lock): Opened {
  return {
    write(section) {
      lock.lock();
      section();
      lock.unlock();
    },
  };
}

function readerWriter<Lock extends RwSemaphore | PercpuRwSemaphore>(
  Lock: new (arena: Arena, handle?: ObjectHandle) => Lock,
): Peer {
  return holdfast(
    (arena, handle) => new Lock(arena, handle),
    (lock) => ({
      read(section) {
        lock.downRead();
        section();
        lock.upRead();
      },
      write(section) {
        lock.downWrite();
        section();
        lock.upWrite();
      },
    }),
  );
}

/** Of the package `multithreading`, whose locks are opened by their memory. */
function theirs(words: (buffer: Int32Array) => void, open: (buffer: SharedArrayBuffer) => Promise<Opened>): Peer {
  const create = () => {
    const buffer = new SharedArrayBuffer(8);
    words(new Int32Array(buffer));
    return buffer;
  };
  return { create: hasMultithreading ? create : undefined, open };
}

const createV8 = () => V8Mutex && new V8Mutex();

/** The profile that the latest lock is made in: it ends with the view of its arena. */
let profile: ProfileSession | undefined;

/** A mutex while its arena's contention is profiled. */
const profiled: Peer = {
  create() {
    const arena = Arena.create({ bytes: 1 << 20 });
    profile?.stop();
    profile = startProfile(arena);
    return { arena: arena.handle, lock: new Mutex(arena).handle };
  },
  open: exclusive(Mutex).open,
};

export const peers = {
  Mutex: exclusive(Mutex),
  'Mutex, profiled': profiled,
  SpinLock: exclusive(SpinLock),
  TicketLock: exclusive(TicketLock),
  McsLock: exclusive(McsLock),
  RwSemaphore: readerWriter(RwSemaphore),
  PercpuRwSemaphore: readerWriter(PercpuRwSemaphore),
  Semaphore: holdfast(
    (arena, handle) => new Semaphore(arena, handle, { permits: PERMITS }),
    (semaphore) => ({
      write(section) {
        semaphore.down();
        section();
        semaphore.up();
      },
    }),
  ),
  textbook: {
    create: () => new SharedArrayBuffer(4),
    open: (buffer: SharedArrayBuffer) => bracket(new TextbookMutex(buffer)),
  },
  'textbook RwLock': {
    create: () => new SharedArrayBuffer(8),
    open(buffer: SharedArrayBuffer) {
      const lock = new TextbookRwLock(buffer);
      return {
        read(section) {
          lock.readLock();
          section();
          lock.readUnlock();
        },
        write(section) {
          lock.writeLock();
          section();
          lock.writeUnlock();
        },
      };
    },
  },
  v8: {
    create: V8Mutex === undefined ? undefined : createV8,
    open: (mutex: object) => ({ write: (section) => V8Mutex?.lock(mutex, section) }),
  },
  multithreading: theirs(
    () => {},
    async (buffer) => {
      const { Mutex } = await import('multithreading');
      const mutex = new Mutex(undefined, buffer);
      return {
        write(section) {
          const guard = mutex.blockingLock();
          section();
          guard.dispose();
        },
      };
    },
  ),
  'multithreading RwLock': theirs(
    () => {},
    async (buffer) => {
      const { RwLock } = await import('multithreading');
      const lock = new RwLock(undefined, buffer);
      return {
        read(section) {
          const guard = lock.blockingRead();
          section();
          guard.dispose();
        },
        write(section) {
          const guard = lock.blockingWrite();
          section();
          guard.dispose();
        },
      };
    },
  ),
  'multithreading Semaphore': theirs(
    (words) => {
      words[0] = PERMITS;
    },
    async (buffer) => {
      const { Semaphore } = await import('multithreading');
      const semaphore = new Semaphore(PERMITS, buffer);
      return {
        write(section) {
          const guard = semaphore.blockingAcquire();
          section();
          guard.dispose();
        },
      };
    },
  ),
} satisfies Record<string, Peer>;

export type PeerName = keyof typeof peers;
