import { expect, test } from 'vitest';
import { IntMap } from '../../lib/machine/int-map.ts';

/** Numbers from 0 to below `below`, the same ones each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 8) % below;
  };
}

/** Addresses of tasks, small numbers, and those that meet in a small table. */
const KEYS: Record<string, (number: number) => number> = {
  'multiples of 32': (number) => 4096 + 32 * number,
  'small numbers': (number) => number,
  'negative ones': (number) => -number,
  'the two ends': (number) => (number & 1 ? 0x7fffffff - number : -0x80000000 + number),
};

test.each(Object.entries(KEYS))('%s: a key that a removal has hidden, or brought back', (_, keyOf) => {
  const next = numbers(7);
  const map = new IntMap<{ value: number }>();
  const model = new Map<number, { value: number }>();
  for (let step = 0; step < 8000; step++) {
    // Grows to some hundreds, and shrinks again.
    const grows = (step >> 11) % 2 === 0;
    const key = keyOf(next(grows ? 600 : 60));
    if (next(10) < (grows ? 7 : 3)) {
      const value = { value: step };
      map.set(key, value);
      model.set(key, value);
    } else {
      expect(map.delete(key)).toBe(model.delete(key));
    }
    const other = keyOf(next(600));
    expect(map.get(other)).toBe(model.get(other));
    expect(map.has(other)).toBe(model.has(other));
    expect(map.size).toBe(model.size);
    if (step % 500 > 0) continue;
    expect(new Set(map.keys())).toEqual(new Set(model.keys()));
    expect(new Set(map.values())).toEqual(new Set(model.values()));
  }
});

test('a table that stays as large as it ever was', () => {
  const map = new IntMap();
  for (let key = 0; key < 10_000; key++) map.set(key, null);
  expect(map.places).toBeGreaterThanOrEqual(20_000);
  for (let key = 0; key < 10_000; key++) map.delete(key);
  expect(map.places).toBeLessThan(100);
});
