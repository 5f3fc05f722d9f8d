/**
 * What a lock costs when nobody wants it: benchmark.js on one thread. Each timed call makes many pairs, so that the
 * cost of the call itself, some nanoseconds, does not blur costs of the same size.
 */
import Benchmark from 'benchmark';
import { Arena, Mutex } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import { TextbookMutex } from './textbook.ts';
import { emptyGuard, usingLoops } from './using.ts';
import { V8Mutex } from './v8-mutex.ts';

const PAIRS = 1000;
const SCENARIO = 'uncontended';

type Pairs = () => void;

export async function single(figures: Figures, { rounds, seconds }: Effort): Promise<void> {
  const contestants = await pairs();
  for (let round = 0; round < rounds; round++) {
    for (const [peer, run] of Object.entries(contestants)) {
      figures.add(SCENARIO, peer, 'ns', nanoseconds(run, seconds) / PAIRS);
    }
  }
}

/** The best of the samples that benchmark.js takes: the work is always the same, and only others can make it longer. */
function nanoseconds(run: Pairs, seconds: number): number {
  const benchmark = new Benchmark({ fn: run, maxTime: seconds, minTime: seconds / 25, minSamples: 10 });
  benchmark.run();
  if (benchmark.error !== undefined) throw benchmark.error;
  return Math.min(...(benchmark.stats?.sample ?? [])) * 1e9;
}

async function pairs(): Promise<Record<string, Pairs>> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const mutex = new Mutex(Arena.create({ bytes: 1 << 20 }));
  const textbook = new TextbookMutex(new SharedArrayBuffer(4));
  const contestants: Record<string, Pairs> = {
    'bare cmpxchg pair': () => {
      for (let i = 0; i < PAIRS; i++) {
        if (Atomics.compareExchange(word, 0, 0, 1) !== 0) throw new Error('the word is taken');
        if (Atomics.compareExchange(word, 0, 1, 0) !== 1) throw new Error('the word is free');
      }
    },
    'holdfast lock + unlock': () => {
      for (let i = 0; i < PAIRS; i++) {
        mutex.lock();
        mutex.unlock();
      }
    },
    'holdfast acquire + release': () => {
      for (let i = 0; i < PAIRS; i++) {
        const held = mutex.acquire();
        held.release();
      }
    },
    textbook: () => {
      for (let i = 0; i < PAIRS; i++) {
        textbook.lock();
        textbook.unlock();
      }
    },
  };
  const empty = { acquire: () => emptyGuard };
  for (const [how, loop] of usingLoops()) {
    contestants[`holdfast using, ${how}`] = () => loop(mutex, PAIRS);
    contestants[`using of nothing, ${how}`] = () => loop(empty, PAIRS);
  }
  if (V8Mutex !== undefined) {
    const V8 = V8Mutex;
    const v8 = new V8();
    const section = () => {};
    contestants.v8 = () => {
      for (let i = 0; i < PAIRS; i++) V8.lock(v8, section);
    };
  }
  if (typeof navigator !== 'undefined') {
    const { Mutex } = await import('multithreading');
    const theirs = new Mutex();
    contestants.multithreading = () => {
      for (let i = 0; i < PAIRS; i++) theirs.blockingLock().dispose();
    };
  }
  return contestants;
}
