/** What the workers of holdfast's workqueue run in the suite `pool`. */
import { Completion, currentWork, HoldfastError, work } from '../lib/index.ts';
import { work as multiply } from './work.ts';

export const { add, greet, point, sizeOf, compute, nap } = work(import.meta.url, {
  add: (a: number, b: number) => a + b,
  greet: (name: string) => `hello ${name}`,
  sizeOf: (bytes: Uint8Array) => bytes.length,
  compute: (steps: number) => multiply(steps, 1),
  /** Blocks its thread in a wait of the library. */
  nap: (ms: number) => {
    try {
      new Completion(currentWork().arena, 'bench never').wait({ timeout: ms });
    } catch (error) {
      if (HoldfastError.from(error)?.code !== 'ETIMEDOUT') throw error;
    }
  },
  point: ({ a, b }: { a: number; b: number }) => ({ a: b, b: a }),
});
