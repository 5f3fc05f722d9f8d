/**
 * SharedMap as a lock: writers set the record, as bytes, under one key, and others that make the table grow and shrink. A
 * block that is reclaimed under a reader shows as a torn record.
 */
import { SharedMap } from '../../structures/map/shared-map.ts';
import type { LockType } from '../lock-type.ts';
import { publishedType } from './published.ts';

/** Keys that come and go. */
const OTHERS = 40;

export const sharedMap = sharedMapType(
  'shared-map',
  'SharedMap: a record that readers get, in a table that is resized',
  1,
);

/** `parts`: keys that the record is spread over, `pause` ns apart. With more than one it is not set in one step. */
export function sharedMapType(name: string, summary: string, parts: number, pause = 0): LockType {
  return publishedType(name, summary, (arena, { address, words }, which) => {
    const { cpu } = arena;
    const map = new SharedMap<string, Uint8Array | number>(arena, which);
    return {
      handle: map.handle,
      publish() {
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
      },
      snapshot(into) {
        const bytes = new Uint8Array(into.buffer);
        let at = 0;
        for (let part = 0; part < parts; part++) {
          const record = map.get(`record ${part}`) as Uint8Array;
          bytes.set(record, at);
          at += record.length;
        }
        return true;
      },
      destroy: () => map.destroy(),
    };
  });
}
