/**
 * RCU as a lock: writers kept apart by a Mutex publish a copy of what they wrote, and readers look at the latest copy.
 *
 *   pointer   the copy that readers find, from 1
 *   stamp     counts publications
 *   states    for each copy FREE, or the stamp of its publication until a grace period has passed after its retirement
 *   copies
 *
 * A copy whose period is over is spoilt, or written again, so a reader that is still there finds a torn record. A writer
 * waits for the period in one of four ways in turn. One that dies meanwhile leaves a copy that is not FREE: when none is
 * left, the next writer waits for a period, after which all but the current one are.
 */
import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Completion } from '../../locking/completion.ts';
import { Mutex } from '../../locking/mutex.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { RcuDomain } from '../../rcu/domain.ts';
import { Rcu } from '../../rcu/rcu.ts';
import { RcuQsbr } from '../../rcu/rcu-qsbr.ts';
import { Srcu } from '../../rcu/srcu.ts';
import { TasksRcu } from '../../rcu/tasks-rcu.ts';
import { isTimeout, type LockType, SLEEPING, type View, within } from '../lock-type.ts';
import type { Scene } from '../words.ts';

interface Handle {
  readonly mutex: ObjectHandle;
  /** Of the domain, where an arena may have several. */
  readonly domain: ObjectHandle | undefined;
  /** Of the pointer; the states and the copies are behind it. */
  readonly address: number;
  readonly original: Scene;
}

/** How threads use a domain. */
export interface Side {
  readonly rcu: RcuDomain;
  /** A reader goes in; it goes out with what this returns. */
  enter(): unknown;
  leave(index: unknown): void;
  /** Nothing that this thread has found before is in use. */
  pause(): void;
  /** A reader has found its copy, and is about to look at it. */
  found?(): void;
}
type Open = (arena: Arena, domain?: ObjectHandle) => Side;

const COPIES = 8;
const FREE = 0;
const SPOILT = -1;
/** How long a reader sleeps that should not, ms. */
const NAP = 0.2;

function sideOf(rcu: Rcu | RcuQsbr | Srcu): Side {
  return {
    rcu,
    enter: () => rcu.readLock(),
    leave: (index) => rcu.readUnlock(index as never),
    pause: () => rcu.arena.cpu.relax(),
  };
}

export const openRcu: Open = (arena) => sideOf(new Rcu(arena));
export const openQsbr: Open = (arena) => sideOf(new RcuQsbr(arena));
export const openSrcu: Open = (arena, domain) => sideOf(new Srcu(arena, domain));
export const openTasks: Open = (arena) => {
  const rcu = new TasksRcu(arena);
  return { rcu, ...OUTSIDE, pause: () => rcu.quiescent() };
};

/** Readers that do not go in. */
const OUTSIDE = { enter: () => {}, leave: () => {} };

/** The same, but that its readers do not go in. */
export function outside(open: Open): Open {
  return (arena, domain) => ({ ...open(arena, domain), ...OUTSIDE });
}

/** The same, but that its readers sleep in the middle. */
export function asleep(open: Open): Open {
  return (arena, domain) => {
    const never = new Completion(arena, 'torture.never');
    const found = () => {
      try {
        never.wait({ timeout: NAP });
      } catch (error) {
        if (!isTimeout(error)) throw error;
      }
    };
    return { ...open(arena, domain), found };
  };
}

export const srcu = rcuType('srcu', 'Srcu: the same, in a domain of its own', openSrcu);

export const rcu = rcuType('rcu', 'Rcu: copies that readers find, and writers reclaim in four ways', openRcu);

export const rcuQsbr = rcuType('rcu-qsbr', 'RcuQsbr: the same, with readers that cost nothing', openQsbr);

export const tasks = rcuType('tasks', 'TasksRcu: the same, with readers that nobody is told of', openTasks);

export function rcuType(name: string, summary: string, open: Open): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    modes: ['write', 'read'],
    isAsync: false,
    longHold: 500,
    create(arena, original): Handle {
      const address = arena.alloc(2 + COPIES + COPIES * original.words);
      for (let i = 0; i < 2 + COPIES; i++) arena.cpu.write(address + i, 0);
      const copies = new Copies(arena.cpu, address, original);
      copies.publish();
      const { rcu } = open(arena);
      const domain = rcu instanceof Srcu ? rcu.handle : undefined;
      return { mutex: new Mutex(arena).handle, domain, address, original };
    },
    open(arena, handle) {
      const { mutex, domain, address, original } = handle as Handle;
      const copies = new Copies(arena.cpu, address, original);
      return viewOf(arena, Mutex.from(arena, mutex), open(arena, domain), copies);
    },
  };
}

/** For the owner of the mutex, but for `retired`. */
class Copies {
  readonly pointer: number;
  readonly #cpu: Cpu;
  readonly #original: Scene;

  constructor(cpu: Cpu, address: number, original: Scene) {
    this.#cpu = cpu;
    this.pointer = address;
    this.#original = original;
  }

  /** Whether there is a copy to publish in. */
  get hasFree(): boolean {
    return this.#free() !== 0;
  }

  /** Copies the original, for readers to find, and returns the copy that they found before; 0 for none. */
  publish(): number {
    const cpu = this.#cpu;
    const copy = this.#free();
    const stamp = cpu.load(this.pointer + 1) + 1;
    cpu.store(this.pointer + 1, stamp);
    cpu.store(this.#state(copy), stamp);
    const { address, words } = this.#original;
    for (let i = 0; i < words; i++) cpu.store(this.wordsOf(copy) + i, cpu.load(address + i));
    const before = cpu.load(this.pointer);
    cpu.storeRelease(this.pointer, copy);
    return before;
  }

  stampOf(copy: number): number {
    return this.#cpu.load(this.#state(copy));
  }

  /** The period of that publication is over; on any thread, at any time. */
  retired(copy: number, stamp: number): void {
    this.#cpu.cmpxchg(this.#state(copy), stamp, FREE);
  }

  /** The copy's period is over. */
  reclaim(copy: number): void {
    for (let i = 0; i < this.#original.words; i++) this.#cpu.store(this.wordsOf(copy) + i, SPOILT);
    this.#cpu.store(this.#state(copy), FREE);
  }

  /** After a period: all copies but the current one. */
  reclaimAll(): void {
    for (let copy = 1; copy <= COPIES; copy++) if (copy !== this.#cpu.load(this.pointer)) this.reclaim(copy);
  }

  wordsOf(copy: number): number {
    return this.pointer + 2 + COPIES + (copy - 1) * this.#original.words;
  }

  #free(): number {
    for (let copy = 1; copy <= COPIES; copy++) if (this.#cpu.loadAcquire(this.#state(copy)) === FREE) return copy;
    return 0;
  }

  #state(copy: number): number {
    return this.pointer + 1 + copy;
  }
}

function viewOf(arena: Arena, writers: Mutex, side: Side, copies: Copies): View {
  const { cpu } = arena;
  const { rcu } = side;
  // A thread that ends after one publication has no callback to wait for.
  let turn = 1;

  /** Waits for a grace period in one of the ways there are, and reclaims the copy. */
  const retire = (copy: number) => {
    const stamp = copies.stampOf(copy);
    switch (turn++ % 4) {
      case 0:
        rcu.call(() => copies.retired(copy, stamp));
        return;
      case 1:
        rcu.synchronize();
        break;
      case 2:
        rcu.synchronizeExpedited();
        break;
      default: {
        const cookie = rcu.startPoll();
        while (!rcu.pollState(cookie)) side.pause();
      }
    }
    copies.reclaim(copy);
  };

  return {
    lock(mode, timeout) {
      side.pause();
      if (mode === 'write') writers.lock(within(timeout));
      return true;
    },
    tryLock: (mode) => mode === 'read' || writers.tryLock(),
    unlock(mode) {
      if (mode === 'read') return;
      if (!copies.hasFree) {
        rcu.synchronize();
        copies.reclaimAll();
      }
      const before = copies.publish();
      if (before !== 0) retire(before);
      writers.unlock();
    },
    snapshot(_address, into) {
      const index = side.enter();
      const words = copies.wordsOf(rcu.dereference(copies.pointer));
      side.found?.();
      for (let i = 0; i < into.length; i++) into[i] = cpu.load(words + i);
      side.leave(index);
      return true;
    },
    get ownerDied() {
      return writers.ownerDied;
    },
    makeConsistent: () => writers.makeConsistent(),
    destroy() {
      writers.destroy();
      if (rcu instanceof Srcu) rcu.destroy();
      arena.free(copies.pointer);
    },
  };
}
