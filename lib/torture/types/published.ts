/**
 * A structure as a lock: writers, kept apart by a Mutex, publish the record in it when they are done, and readers, who take
 * no lock, get it from there. A reader that gets half of one record and half of the next sees a torn one.
 */
import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Mutex } from '../../locking/mutex.ts';
import { type LockType, SLEEPING, within } from '../lock-type.ts';
import type { Scene } from '../words.ts';

/** One thread's view of the structure. */
export interface Published {
  readonly handle: ObjectHandle;
  /** Puts a copy of the record in the structure. The caller has the mutex. */
  publish(): void;
  /** False when the record was replaced meanwhile, and is to be asked for again. */
  snapshot(into: Int32Array): boolean;
  destroy(): void;
}

interface Handle {
  readonly mutex: ObjectHandle;
  readonly structure: ObjectHandle;
  readonly original: Scene;
}

/** `open`: the structure of that handle, or a new one. */
export function publishedType(
  name: string,
  summary: string,
  open: (arena: Arena, original: Scene, which?: ObjectHandle) => Published,
): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    modes: ['write', 'read'],
    isAsync: false,
    longHold: 500,
    // While a reader is preempted, what writers retire is not free again: on a busy machine for some tenths of a second.
    bytes: 256 << 20,
    create(arena, original): Handle {
      const structure = open(arena, original);
      structure.publish();
      return { mutex: new Mutex(arena).handle, structure: structure.handle, original };
    },
    open(arena, handle) {
      const { mutex, structure: which, original } = handle as Handle;
      const writers = Mutex.from(arena, mutex);
      const structure = open(arena, original, which);
      return {
        lock(mode, timeout) {
          if (mode === 'write') writers.lock(within(timeout));
          return true;
        },
        tryLock: (mode) => mode === 'read' || writers.tryLock(),
        unlock(mode) {
          if (mode === 'read') return;
          structure.publish();
          writers.unlock();
        },
        snapshot(_address, into) {
          while (!structure.snapshot(into)) arena.cpu.relax();
          return true;
        },
        get ownerDied() {
          return writers.ownerDied;
        },
        makeConsistent: () => writers.makeConsistent(),
        destroy() {
          writers.destroy();
          structure.destroy();
        },
      };
    },
  };
}

/** Puts a copy of the record in a map, as bytes under `parts` keys, `pause` ns apart. With more than one it is not put in one step. */
export function putParts(
  { cpu }: Arena,
  { address, words }: Scene,
  { parts, pause }: { parts: number; pause: number },
  put: (part: number, bytes: Uint8Array) => void,
): void {
  const copy = Int32Array.from({ length: words }, (_, i) => cpu.load(address + i));
  const bytes = new Uint8Array(copy.buffer);
  const each = Math.ceil(words / parts) * 4;
  for (let part = 0; part < parts; part++) {
    if (pause > 0) cpu.wait(address, cpu.load(address), cpu.now() + pause);
    put(part, bytes.slice(part * each, (part + 1) * each));
  }
}

/** The record that `putParts` has put. */
export function getParts(into: Int32Array, parts: number, get: (part: number) => Uint8Array): void {
  const bytes = new Uint8Array(into.buffer);
  let at = 0;
  for (let part = 0; part < parts; part++) {
    const record = get(part);
    bytes.set(record, at);
    at += record.length;
  }
}
