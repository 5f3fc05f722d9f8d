/**
 * What a lock costs when nobody wants it: benchmark.js on one thread. Each timed call makes many pairs, so that the
 * cost of the call itself, some nanoseconds, does not blur costs of the same size.
 */
import Benchmark from 'benchmark';
import { Arena, Mutex, SeqLock } from '../lib/index.ts';
import { hasMultithreading } from './absent.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import { type Loop, lockPairs, pairsInCompany } from './pairs.ts';
import { TextbookMutex } from './textbook.ts';
import { emptyGuard, usingLoops } from './using.ts';
import { V8Mutex } from './v8-mutex.ts';

const TIMES = 1000;

export async function single(figures: Figures, effort: Effort): Promise<void> {
  takeTurns(figures, effort, 'uncontended', {
    ...barePairs(),
    ...guardPairs(),
    ...(await peerPairs()),
    ...lockPairs(TIMES),
    ...(await pairsInCompany(TIMES)),
  });
  takeTurns(figures, effort, 'reading, nobody writes', reads());
}

/** In a process of its own, because V8's mutex needs a flag. */
export function singleBesideV8(figures: Figures, effort: Effort): void {
  takeTurns(figures, effort, "uncontended, beside V8's", { ...barePairs(), v8: v8Pairs() });
}

export function takeTurns(
  figures: Figures,
  { rounds, seconds }: Effort,
  scenario: string,
  loops: Record<string, Loop>,
  times = TIMES,
): void {
  for (let round = 0; round < rounds; round++) {
    for (const [peer, loop] of Object.entries(loops)) {
      figures.add(scenario, peer, 'ns', nanoseconds(loop, seconds) / times);
    }
  }
}

/** How long a sample takes, s: less than the slices of time that a busy machine gives out. */
const SAMPLE = 0.001;

/** The best of the samples that benchmark.js takes: the work is always the same, and only others can make it longer. */
function nanoseconds(loop: Loop, seconds: number): number {
  const benchmark = new Benchmark({ fn: loop, maxTime: seconds, minTime: SAMPLE, minSamples: 10 });
  benchmark.run();
  if (benchmark.error !== undefined) throw benchmark.error;
  return Math.min(...(benchmark.stats?.sample ?? [])) * 1e9;
}

function barePairs(): Record<string, Loop> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const mutex = new Mutex(Arena.create({ bytes: 1 << 20 }));
  return {
    'bare cmpxchg pair': () => {
      for (let i = 0; i < TIMES; i++) {
        if (Atomics.compareExchange(word, 0, 0, 1) !== 0) throw new Error('the word is taken');
        if (Atomics.compareExchange(word, 0, 1, 0) !== 1) throw new Error('the word is free');
      }
    },
    'two exchanges': () => {
      for (let i = 0; i < TIMES; i++) {
        if (Atomics.exchange(word, 0, 1) !== 0) throw new Error('the word is taken');
        if (Atomics.exchange(word, 0, 0) !== 1) throw new Error('the word is free');
      }
    },
    'holdfast lock + unlock': () => {
      for (let i = 0; i < TIMES; i++) {
        mutex.lock();
        mutex.unlock();
      }
    },
  };
}

function guardPairs(): Record<string, Loop> {
  const mutex = new Mutex(Arena.create({ bytes: 1 << 20 }));
  const empty = { acquire: () => emptyGuard };
  const loops: Record<string, Loop> = {
    'holdfast acquire + release': () => {
      for (let i = 0; i < TIMES; i++) {
        const held = mutex.acquire();
        held.release();
      }
    },
  };
  for (const [how, loop] of usingLoops()) {
    loops[`holdfast using, ${how}`] = () => loop(mutex, TIMES);
    loops[`using of nothing, ${how}`] = () => loop(empty, TIMES);
  }
  return loops;
}

async function peerPairs(): Promise<Record<string, Loop>> {
  const textbook = new TextbookMutex(new SharedArrayBuffer(4));
  const loops: Record<string, Loop> = {
    textbook: () => {
      for (let i = 0; i < TIMES; i++) {
        textbook.lock();
        textbook.unlock();
      }
    },
  };
  if (hasMultithreading) {
    const { Mutex } = await import('multithreading');
    const theirs = new Mutex();
    loops.multithreading = () => {
      for (let i = 0; i < TIMES; i++) theirs.blockingLock().dispose();
    };
  }
  return loops;
}

function v8Pairs(): Loop {
  if (V8Mutex === undefined) throw new Error('Atomics.Mutex needs --harmony-struct');
  const V8 = V8Mutex;
  const mutex = new V8();
  const section = () => {};
  return () => {
    for (let i = 0; i < TIMES; i++) V8.lock(mutex, section);
  };
}

function reads(): Record<string, Loop> {
  const arena = Arena.create({ bytes: 1 << 20 });
  const lock = new SeqLock(arena);
  const { words } = arena;
  const into = new Int32Array(4);
  const from = arena.alloc(into.length);
  return {
    '4 atomic loads': () => {
      for (let i = 0; i < TIMES; i++) {
        for (let word = 0; word < into.length; word++) into[word] = Atomics.load(words, from + word);
      }
    },
    'SeqLock, 4 words': () => {
      for (let i = 0; i < TIMES; i++) lock.read(from, into);
    },
  };
}
