/** How often a SharedCache has what is asked for, beside lru-cache with as many entries, on the same traces. */
import { LRUCache } from 'lru-cache';
import { Arena, SharedCache } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';

const REQUESTS = 300_000;
const KEYS = 100_000;
/** Entries that there is room for. */
const ROOMS = [500, 2000, 10_000];

type Trace = (random: () => number) => Iterable<number>;

/** Key n is asked for in proportion to 1 / n^exponent. */
function* zipf(random: () => number, exponent: number): Iterable<number> {
  const sums = new Float64Array(KEYS);
  let sum = 0;
  for (let key = 0; key < KEYS; key++) sums[key] = sum += 1 / (key + 1) ** exponent;
  for (;;) {
    const at = random() * sum;
    let low = 0;
    for (let high = KEYS - 1; low < high; ) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) < at) low = middle + 1;
      else high = middle;
    }
    yield low;
  }
}

/** Every so often, keys one after the other that never come again. */
function* withScans(keys: Iterable<number>, every: number, length: number): Iterable<number> {
  let next = 10 * KEYS;
  let count = 0;
  for (const key of keys) {
    yield key;
    if (++count % every === 0) for (let i = 0; i < length; i++) yield next++;
  }
}

/** Other keys are the popular ones from time to time. */
function* withShifts(keys: Iterable<number>): Iterable<number> {
  let count = 0;
  for (const key of keys) yield (key * 7919 + Math.floor(count++ / 50_000) * 1_000_003) % (10 * KEYS);
}

/** Keys of a window that moves on by one in `pace` requests. */
function* window(random: () => number, pace: number, size: number, skew: number): Iterable<number> {
  for (let i = 0; ; i++) yield Math.floor(i / pace) + Math.floor(random() ** skew * size);
}

const TRACES: Record<string, Trace> = {
  ...Object.fromEntries(
    [0.7, 0.8, 0.9, 1.0, 1.1].map((exponent) => [`Zipf ${exponent}`, (random: () => number) => zipf(random, exponent)]),
  ),
  'Zipf 0.9, scans': (random) => withScans(zipf(random, 0.9), 8000, 4000),
  'Zipf 1, scans': (random) => withScans(zipf(random, 1), 3000, 1000),
  'popularity that shifts': (random) => withShifts(zipf(random, 0.9)),
  'window that moves': (random) => window(random, 20, 3000, 1),
  'window, the oldest most': (random) => window(random, 8, 8000, 2),
};

export function cache(figures: Figures, { rounds }: Effort): void {
  for (let round = 0; round < rounds; round++) {
    for (const [name, trace] of Object.entries(TRACES)) {
      const keys = take(trace(randomFrom(round + 1)), REQUESTS);
      for (const room of ROOMS) {
        const scenario = `${name}, ${room} entries`;
        figures.add(scenario, 'lru-cache', '% hits', hits(keys, new LRUCache<number, number>({ max: room })));
        const arena = Arena.create({ bytes: 8 << 20 });
        figures.add(scenario, 'SharedCache', '% hits', hits(keys, new SharedCache(arena, undefined, { max: room })));
      }
    }
  }
}

/** Per cent of the keys. A key that is missed is set. */
function hits(
  keys: Int32Array,
  cache: { get(key: number): number | undefined; set(key: number, value: number): unknown },
): number {
  let count = 0;
  for (const key of keys) {
    if (cache.get(key) !== undefined) count++;
    else cache.set(key, 1);
  }
  return (100 * count) / keys.length;
}

function take(keys: Iterable<number>, count: number): Int32Array {
  const taken = new Int32Array(count);
  let i = 0;
  for (const key of keys) {
    taken[i++] = key;
    if (i === count) break;
  }
  return taken;
}

/** Xorshift, so that a round is the same wherever it runs. */
function randomFrom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1);
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
