/** What an asynchronous acquisition costs when nobody else wants the lock: benchmark.js, deferred. */
import { Mutex as AsyncMutex } from 'async-mutex';
import Benchmark from 'benchmark';
import { Arena, Mutex } from '../lib/index.ts';
import { webLocks } from './absent.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';

const PAIRS = 200;
const SCENARIO = 'uncontended, async';

type Pairs = () => Promise<void>;

export async function asynchronous(figures: Figures, { rounds, seconds }: Effort): Promise<void> {
  const contestants = pairs();
  for (let round = 0; round < rounds; round++) {
    for (const [peer, run] of Object.entries(contestants)) {
      figures.add(SCENARIO, peer, 'ns', (await nanoseconds(run, seconds)) / PAIRS);
    }
  }
}

async function nanoseconds(run: Pairs, seconds: number): Promise<number> {
  const benchmark = new Benchmark({
    defer: true,
    maxTime: seconds,
    minTime: seconds / 25,
    minSamples: 10,
    fn: (deferred: { resolve(): void }) => run().then(() => deferred.resolve()),
  });
  await new Promise<void>((resolve, reject) => {
    benchmark.on('complete', () => resolve());
    benchmark.on('error', () => reject(benchmark.error));
    benchmark.run({ async: true });
  });
  return Math.min(...(benchmark.stats?.sample ?? [])) * 1e9;
}

function pairs(): Record<string, Pairs> {
  const mutex = new Mutex(Arena.create({ bytes: 1 << 20 }));
  const asyncMutex = new AsyncMutex();
  const contestants: Record<string, Pairs> = {
    'holdfast acquireAsync': async () => {
      for (let i = 0; i < PAIRS; i++) (await mutex.acquireAsync()).release();
    },
    'async-mutex': async () => {
      for (let i = 0; i < PAIRS; i++) (await asyncMutex.acquire())();
    },
    'await of a resolved promise': async () => {
      for (let i = 0; i < PAIRS; i++) await Promise.resolve(i);
    },
  };
  const locks = webLocks;
  if (locks !== undefined) {
    const section = () => {};
    contestants['navigator.locks'] = async () => {
      for (let i = 0; i < PAIRS; i++) await locks.request('account', section);
    };
  }
  return contestants;
}
