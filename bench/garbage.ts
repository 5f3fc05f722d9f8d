/** What a guard leaves behind on the heap, once it is warm: how far the heap grows over pairs of acquire and release. */
import { Arena, Mutex } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import { type Figures, median } from './figure.ts';
import { nativeUsing } from './using.ts';

/** Few enough that an object in each would not start a collection, which would hide the growth. */
const PAIRS = 20_000;
const REPEATS = 15;

export function garbage(figures: Figures, { rounds }: Effort): void {
  const mutex = new Mutex(Arena.create({ bytes: 1 << 20 }));
  const release = (times: number) => {
    for (let i = 0; i < times; i++) {
      const held = mutex.acquire();
      held.release();
    }
  };
  const using = nativeUsing();
  for (let round = 0; round < rounds; round++) {
    figures.add('garbage per acquisition', 'holdfast acquire + release', 'bytes', bytes(release));
    figures.add('garbage per acquisition', 'a new object', 'bytes', bytes(allocate));
    if (using === undefined) continue;
    figures.add(
      'garbage per acquisition',
      'holdfast using acquire',
      'bytes',
      bytes((times) => using(mutex, times)),
    );
  }
}

/** Shows that the method sees garbage where there is some. */
function allocate(times: number): void {
  for (let i = 0; i < times; i++) last = { held: i };
}
let last: unknown;

function bytes(run: (times: number) => void): number {
  for (let i = 0; i < 100; i++) run(PAIRS);
  const growth: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    run(PAIRS);
    growth.push(process.memoryUsage().heapUsed - before);
  }
  if (last === null) throw new Error('unreachable: keeps the objects alive');
  // The two measurements themselves leave a few hundred bytes.
  return Math.round(median(growth) / PAIRS);
}
