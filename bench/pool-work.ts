/** What the workers of holdfast's workqueue run in the suite `pool`. */
import { work } from '../lib/index.ts';

export const { add, greet, point } = work(import.meta.url, {
  add: (a: number, b: number) => a + b,
  greet: (name: string) => `hello ${name}`,
  point: ({ a, b }: { a: number; b: number }) => ({ a: b, b: a }),
});
