import { type Arena, Mutex, SharedCache } from '../../lib/index.ts';
import { say } from '../support/stage.ts';

const open = (arena: Arena) => new SharedCache<string, number>(arena, 'cache');

/** Gets fifty keys, half of them in synchronous calls; counts what it computes. Returns the sum of the values. */
export async function computeMany(arena: Arena, counter: number): Promise<number> {
  const cache = open(arena);
  const compute = (key: string) => {
    Atomics.add(arena.words, counter, 1);
    return Number(key);
  };
  let sum = 0;
  for (let i = 0; i < 25; i++) sum += cache.getOrComputeSync(String(i), compute);
  const rest = Array.from({ length: 25 }, (_, i) =>
    cache.getOrCompute(String(25 + i), async (key) => {
      await new Promise(setImmediate);
      return compute(key);
    }),
  );
  for (const value of await Promise.all(rest)) sum += value;
  return sum;
}

/** Waits, in a synchronous call and with the mutex 'held', for the value of 'k'. */
export function waitHolding(arena: Arena): number {
  return new Mutex(arena, 'held').runExclusive(() => open(arena).getOrComputeSync('k', () => -1));
}

/** Begins to compute 'k', says so, and never ends. */
export async function computeForever(arena: Arena, started: number): Promise<void> {
  await open(arena).getOrCompute('k', () => {
    say(arena, started, 1);
    return new Promise<number>((resolve) => setTimeout(resolve, 2 ** 30));
  });
}
