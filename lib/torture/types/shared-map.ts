/**
 * SharedMap as a lock: writers set the record, as bytes, under one key, and others that make the table grow and shrink. A
 * block that is reclaimed under a reader shows as a torn record.
 */
import { SharedMap } from '../../structures/map/shared-map.ts';
import type { LockType } from '../lock-type.ts';
import { getParts, publishedType, putParts } from './published.ts';

/** Keys that come and go. */
const OTHERS = 40;

export const sharedMap = sharedMapType(
  'shared-map',
  'SharedMap: a record that readers get, in a table that is resized',
  1,
);

/** `parts`, `pause`: as in `putParts`. */
export function sharedMapType(name: string, summary: string, parts: number, pause = 0): LockType {
  return publishedType(name, summary, (arena, original, which) => {
    const map = new SharedMap<string, Uint8Array | number>(arena, which);
    return {
      handle: map.handle,
      publish() {
        putParts(arena, original, { parts, pause }, (part, bytes) => map.set(`record ${part}`, bytes));
        // All of them at first, then none, and so on.
        if (map.size > parts) for (let i = 0; i < OTHERS; i++) map.delete(`other ${i}`);
        else for (let i = 0; i < OTHERS; i++) map.set(`other ${i}`, i);
      },
      snapshot(into) {
        getParts(into, parts, (part) => map.get(`record ${part}`) as Uint8Array);
        return true;
      },
      destroy: () => map.destroy(),
    };
  });
}
