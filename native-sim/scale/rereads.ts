/**
 * Does V8 read a plain word again that it has just read? Measured with real threads: while one changes the word all the time,
 * another reads it twice, with some arithmetic in between, and counts how often the two differ. Two reads differ now and
 * then; one read never does.
 */
import { Worker } from 'node:worker_threads';

export interface Rereads {
  pairs: number;
  /** How many pairs differ: two plain reads; two plain reads with an Atomics call between; two Atomics.load. */
  plain: number;
  between: number;
  atomics: number;
}

const WORD = 0;
const STOP = 1;
const OTHER = 2;
const PAIRS = 2_000_000;
/** Calls before the one that counts: V8 has compiled the function by then. */
const WARM = 4;

const WRITER = `
const { workerData: words } = require('node:worker_threads');
while (Atomics.load(words, ${STOP}) === 0) for (let turn = 0; turn < 1000; turn++) Atomics.add(words, ${WORD}, 1);
`;

type Count = (words: Int32Array, pairs: number) => number;

/** Each a function of its own, so that V8 compiles it for itself. */
function counter(first: string, between: string): Count {
  const arithmetic = 'for (let turn = 0; turn < 8; turn++) sum = (Math.imul(sum, 31) + turn) | 0;';
  const body = `let differ = 0, sum = 1; for (let pair = 0; pair < pairs; pair++) {
    const one = ${first}; ${arithmetic} ${between} const other = ${first}; if (one !== other) differ++; }
    words[${OTHER}] = sum; return differ;`;
  return new Function('words', 'pairs', body) as Count;
}

export async function rereads(pairs = PAIRS): Promise<Rereads> {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const writer = new Worker(WRITER, { eval: true, workerData: words });
  const ended = new Promise((resolve) => writer.once('exit', resolve));
  try {
    await new Promise((resolve, reject) => {
      writer.once('online', resolve);
      writer.once('error', reject);
    });
    const measured = (count: Count) => {
      for (let turn = 0; turn < WARM; turn++) count(words, pairs);
      return count(words, pairs);
    };
    return {
      pairs,
      plain: measured(counter(`words[${WORD}]`, '')),
      between: measured(counter(`words[${WORD}]`, `Atomics.load(words, ${OTHER});`)),
      atomics: measured(counter(`Atomics.load(words, ${WORD})`, '')),
    };
  } finally {
    Atomics.store(words, STOP, 1);
    await ended;
  }
}
