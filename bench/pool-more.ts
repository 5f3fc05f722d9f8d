/**
 * What else a pool does, beside Piscina with as many threads: large arguments, calls that block for a while among calls that
 * compute, items that nobody waits for one by one, and nothing at all. All take turns.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Piscina } from 'piscina';
import type { Arena, Workqueue } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import { add, compute, nap, sizeOf } from './pool-work.ts';
import { stepsPerNanosecond } from './work.ts';

const MEGABYTE = 1 << 20;
/** Large calls under way at once. */
const LARGE = 8;
/** Items queued one after the other, and flushed. */
const ITEMS = 100_000;
/** How long a call blocks, ms, and how many compute for each of those. */
const BLOCK_MS = 5;
const COMPUTING = 5;
const IDLE_MS = 1000;

export interface Pools {
  readonly arena: Arena;
  readonly wq: Workqueue;
  readonly piscina: Piscina;
}

export async function more(figures: Figures, pools: Pools, { rounds, milliseconds }: Effort): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await large(figures, pools, milliseconds);
    figures.add('items flushed at the end', 'holdfast', 'k/s', await flushed(pools.wq));
    for (const us of [1000, 200]) await blocked(figures, pools, us, milliseconds);
  }
  figures.add('idle for a second', 'holdfast', 'ms', await idle());
}

async function large(figures: Figures, { wq, piscina }: Pools, milliseconds: number): Promise<void> {
  const bytes = new Uint8Array(MEGABYTE).fill(7);
  const cloned = { holdfast: () => wq.run(sizeOf, bytes), Piscina: () => piscina.run(bytes, { name: 'sizeOf' }) };
  for (const [peer, call] of Object.entries(cloned)) {
    figures.add('1 MB, cloned', peer, 'k/s', await throughput(call, LARGE, milliseconds));
  }
  // Each call has bytes of its own.
  const moved = {
    holdfast: () => {
      const own = new Uint8Array(MEGABYTE);
      return wq.runWith({ transferList: [own.buffer] }, sizeOf, own);
    },
    Piscina: () => piscina.run(Piscina.move(new Uint8Array(MEGABYTE)), { name: 'sizeOf' }),
  };
  for (const [peer, call] of Object.entries(moved)) {
    figures.add('1 MB, transferred', peer, 'k/s', await throughput(call, LARGE, milliseconds));
  }
}

/** Items a millisecond. */
async function flushed(wq: Workqueue): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < ITEMS; i++) void wq.run(add, i, 1);
  await wq.flush();
  return ITEMS / (performance.now() - start);
}

/** Calls that compute, alone and among others that block. */
async function blocked(figures: Figures, { wq, piscina }: Pools, us: number, milliseconds: number): Promise<void> {
  const steps = Math.round(us * 1e3 * stepsPerNanosecond());
  const peers = {
    holdfast: { compute: () => wq.run(compute, steps), nap: () => wq.run(nap, BLOCK_MS) },
    Piscina: {
      compute: () => piscina.run(steps, { name: 'compute' }),
      nap: () => piscina.run(BLOCK_MS, { name: 'nap' }),
    },
  };
  for (const [peer, calls] of Object.entries(peers)) {
    const scenario = `computes ${us} us`;
    figures.add(scenario, peer, 'k/s', await throughput(calls.compute, 2 * COMPUTING, milliseconds));
    let isOver = false;
    const naps = async () => {
      while (!isOver) await calls.nap();
    };
    const napping = [naps(), naps()];
    const rate = await throughput(calls.compute, 2 * COMPUTING, milliseconds);
    isOver = true;
    await Promise.all(napping);
    figures.add(`${scenario} among calls that block 5 ms`, peer, 'k/s', rate);
  }
}

/** Processor time that the process takes while nothing is queued, ms. */
async function idle(): Promise<number> {
  const before = process.cpuUsage();
  await sleep(IDLE_MS);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e3;
}

/** Calls a millisecond, so many under way at once. */
async function throughput(call: () => Promise<unknown>, underWay: number, milliseconds: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  const chain = async () => {
    while (performance.now() - start < milliseconds) {
      await call();
      done++;
    }
  };
  await Promise.all(Array.from({ length: underWay }, chain));
  return done / (performance.now() - start);
}
