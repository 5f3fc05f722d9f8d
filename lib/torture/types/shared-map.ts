/**
 * SharedMap as a lock: writers kept apart by a Mutex set the record, as bytes, under one key, and others that make the table
 * grow and shrink. Readers get the record; a block that is reclaimed under one shows as a torn record.
 */
import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { Mutex } from '../../locking/mutex.ts';
import { SharedMap } from '../../structures/map/shared-map.ts';
import { type LockType, SLEEPING, type View, within } from '../lock-type.ts';
import type { Scene } from '../words.ts';

interface Handle {
  readonly mutex: ObjectHandle;
  readonly map: ObjectHandle;
  readonly original: Scene;
}

type Records = SharedMap<string, Uint8Array | number>;

/** Keys that come and go. */
const OTHERS = 40;

export const sharedMap = sharedMapType(
  'shared-map',
  'SharedMap: a record that readers get, in a table that is resized',
  1,
);

/** `parts`: keys that the record is spread over, `pause` ns apart. With more than one it is not set in one step. */
export function sharedMapType(name: string, summary: string, parts: number, pause = 0): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    modes: ['write', 'read'],
    isAsync: false,
    longHold: 500,
    create(arena, original): Handle {
      const map: Records = new SharedMap(arena);
      publish(arena, map, original, parts, pause);
      return { mutex: new Mutex(arena).handle, map: map.handle, original };
    },
    open(arena, handle) {
      const { mutex, map, original } = handle as Handle;
      return viewOf(arena, Mutex.from(arena, mutex), SharedMap.from(arena, map), original, parts, pause);
    },
  };
}

/** For the owner of the mutex. */
function publish({ cpu }: Arena, map: Records, { address, words }: Scene, parts: number, pause: number): void {
  const copy = Int32Array.from({ length: words }, (_, i) => cpu.load(address + i));
  const bytes = new Uint8Array(copy.buffer);
  const each = Math.ceil(words / parts) * 4;
  for (let part = 0; part < parts; part++) {
    if (pause > 0) cpu.wait(address, cpu.load(address), cpu.now() + pause);
    map.set(`record ${part}`, bytes.slice(part * each, (part + 1) * each));
  }
  // All of them at first, then none, and so on.
  if (map.size > parts) for (let i = 0; i < OTHERS; i++) map.delete(`other ${i}`);
  else for (let i = 0; i < OTHERS; i++) map.set(`other ${i}`, i);
}

function viewOf(arena: Arena, writers: Mutex, map: Records, original: Scene, parts: number, pause: number): View {
  return {
    lock(mode, timeout) {
      if (mode === 'write') writers.lock(within(timeout));
      return true;
    },
    tryLock: (mode) => mode === 'read' || writers.tryLock(),
    unlock(mode) {
      if (mode === 'read') return;
      publish(arena, map, original, parts, pause);
      writers.unlock();
    },
    snapshot(_address, into) {
      const bytes = new Uint8Array(into.buffer);
      let at = 0;
      for (let part = 0; part < parts; part++) {
        const record = map.get(`record ${part}`) as Uint8Array;
        bytes.set(record, at);
        at += record.length;
      }
      return true;
    },
    get ownerDied() {
      return writers.ownerDied;
    },
    makeConsistent: () => writers.makeConsistent(),
    destroy() {
      writers.destroy();
      map.destroy();
    },
  };
}
