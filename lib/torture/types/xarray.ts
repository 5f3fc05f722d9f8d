/**
 * XArray as a lock: writers kept apart by a Mutex store the record anew, two entries a word, at indices of its own; index 0
 * says which record is the current one. The record before it is erased, so nodes come and go under the readers, which take a
 * record for whole when index 0 is the same before and after.
 */
import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Mutex } from '../../locking/mutex.ts';
import { XArray } from '../../structures/xarray/xarray.ts';
import { type LockType, SLEEPING, type View, within } from '../lock-type.ts';
import type { Scene } from '../words.ts';

interface Handle {
  readonly mutex: ObjectHandle;
  readonly xarray: ObjectHandle;
  readonly original: Scene;
}

/** Indices of one record, and how many records have indices of their own. */
const SPAN = 4096;
const RECORDS = 8;
const HALF = 0xffff;

export const xarray = xarrayType('xarray', 'XArray: records that readers find by index, and writers erase', true);

/** `looksAgain`: whether a reader asks if its record is still the current one. */
export function xarrayType(name: string, summary: string, looksAgain: boolean): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    modes: ['write', 'read'],
    isAsync: false,
    longHold: 500,
    create(arena, original): Handle {
      const xa = new XArray(arena);
      publish(arena, xa, original);
      return { mutex: new Mutex(arena).handle, xarray: xa.handle, original };
    },
    open(arena, handle) {
      const { mutex, xarray: which, original } = handle as Handle;
      return viewOf(arena, Mutex.from(arena, mutex), XArray.from(arena, which), original, looksAgain);
    },
  };
}

const firstOf = (stamp: number) => (1 + (stamp % RECORDS)) * SPAN;

/** For the owner of the mutex. A writer that died may have left entries of the next record. */
function publish({ cpu }: Arena, xa: XArray, { address, words }: Scene): void {
  const before = (xa.load(0) as number | undefined) ?? 0;
  const stamp = (before + 1) & 0x3fffffff;
  const first = firstOf(stamp);
  for (let i = 0; i < words; i++) {
    const word = cpu.load(address + i);
    xa.store(first + 2 * i, word & HALF);
    xa.store(first + 2 * i + 1, word >>> 16);
  }
  xa.store(0, stamp);
  const old = firstOf(before);
  for (let i = 0; i < 2 * words; i++) xa.erase(old + i);
}

function viewOf(arena: Arena, writers: Mutex, xa: XArray, original: Scene, looksAgain: boolean): View {
  const snapshot = (into: Int32Array): boolean => {
    const stamp = xa.load(0) as number;
    const first = firstOf(stamp);
    for (let i = 0; i < into.length; i++) {
      const [low, high] = [xa.load(first + 2 * i), xa.load(first + 2 * i + 1)];
      into[i] = (low as number) | ((high as number) << 16);
    }
    return !looksAgain || xa.load(0) === stamp;
  };
  return {
    lock(mode, timeout) {
      if (mode === 'write') writers.lock(within(timeout));
      return true;
    },
    tryLock: (mode) => mode === 'read' || writers.tryLock(),
    unlock(mode) {
      if (mode === 'read') return;
      publish(arena, xa, original);
      writers.unlock();
    },
    snapshot(_address, into) {
      while (!snapshot(into)) arena.cpu.relax();
      return true;
    },
    get ownerDied() {
      return writers.ownerDied;
    },
    makeConsistent: () => writers.makeConsistent(),
    destroy() {
      writers.destroy();
      xa.destroy();
    },
  };
}
