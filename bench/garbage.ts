/** What a guard leaves behind on the heap, once it is warm: how far the heap grows over pairs of acquire and release. */
import { Arena, Mutex } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import { type Figures, median } from './figure.ts';
import { emptyGuard, usingLoops } from './using.ts';

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
  const contestants: Record<string, (times: number) => void> = {
    'holdfast acquire + release': release,
    'a new object': allocate,
  };
  const empty = { acquire: () => emptyGuard };
  for (const [how, loop] of usingLoops()) {
    contestants[`holdfast using, ${how}`] = (times) => loop(mutex, times);
    contestants[`using of nothing, ${how}`] = (times) => loop(empty, times);
  }
  for (const run of Object.values(contestants)) for (let i = 0; i < 100; i++) run(PAIRS);
  for (let round = 0; round < rounds; round++) {
    for (const [peer, run] of Object.entries(contestants)) {
      figures.add('garbage per acquisition', peer, 'bytes', bytes(run));
    }
  }
}

/** Shows that the method sees garbage where there is some. */
function allocate(times: number): void {
  for (let i = 0; i < times; i++) last = { held: i };
}
let last: unknown;

function bytes(run: (times: number) => void): number {
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
