/**
 * Small calls on worker threads: a workqueue beside Piscina, as it comes and as it is fastest, with as many threads. A
 * thousand calls are under way at a time, or one after the other; all three take turns.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { Arena, Workqueue } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import { more } from './pool-more.ts';
import { add, greet, point } from './pool-work.ts';

const THREADS = 2;
const UNDER_WAY = 1000;
/** Round trips of which the median counts. */
const TRIPS = 300;

/** Calls of one kind, in each pool. */
type Calls = Record<string, (i: number) => Promise<unknown>>;

export async function pool(figures: Figures, { rounds, milliseconds }: Effort): Promise<void> {
  const arena = Arena.create({ bytes: 32 << 20 });
  Workqueue.configure(arena, { slots: THREADS });
  const wq = new Workqueue(arena, 'bench', { maxActive: 512 });
  const filename = fileURLToPath(new URL('./pool-piscina.js', import.meta.url));
  const threads = { filename, minThreads: THREADS, maxThreads: THREADS };
  const [piscina, best] = [new Piscina(threads), new Piscina({ ...threads, concurrentTasksPerWorker: 64 })];
  const beside = (run: (i: number) => Promise<unknown>, name: string, task: (i: number) => unknown): Calls => ({
    holdfast: run,
    Piscina: (i) => piscina.run(task(i), { name }),
    'Piscina, 64 tasks a worker': (i) => best.run(task(i), { name }),
  });
  const numbers = beside(
    (i) => wq.run(add, i, 1),
    'add',
    (i) => ({ a: i, b: 1 }),
  );
  const kinds: Record<string, Calls> = {
    numbers,
    'short strings': beside(
      (i) => wq.run(greet, `user ${i}`),
      'greet',
      (i) => `user ${i}`,
    ),
    'plain objects': beside(
      (i) => wq.run(point, { a: i, b: 1 }),
      'point',
      (i) => ({ a: i, b: 1 }),
    ),
  };
  for (const calls of Object.values(kinds)) {
    for (const call of Object.values(calls)) await throughput(call, milliseconds / 4);
  }
  for (let round = 0; round < rounds; round++) {
    for (const [kind, calls] of Object.entries(kinds)) {
      for (const [peer, call] of Object.entries(calls)) {
        figures.add(`small calls, ${kind}`, peer, 'k/s', await throughput(call, milliseconds));
      }
    }
    for (const [peer, call] of Object.entries(numbers)) {
      figures.add('round trip', peer, 'ns', await trip(call));
    }
  }
  await more(figures, { arena, wq, piscina }, { rounds, milliseconds, seconds: 0 });
  await Promise.all([piscina.destroy(), best.destroy(), wq.close()]);
}

/** Calls a millisecond. */
async function throughput(call: (i: number) => Promise<unknown>, milliseconds: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  while (performance.now() - start < milliseconds) {
    await Promise.all(Array.from({ length: UNDER_WAY }, (_, i) => call(i)));
    done += UNDER_WAY;
  }
  return done / (performance.now() - start);
}

/** Median of the time from a call to its result, ns. */
async function trip(call: (i: number) => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < TRIPS; i++) {
    const start = performance.now();
    await call(i);
    times.push(performance.now() - start);
  }
  return (times.sort((a, b) => a - b)[TRIPS >> 1] as number) * 1e6;
}
