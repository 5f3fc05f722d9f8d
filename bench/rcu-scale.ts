/**
 * RCU on several threads at once, as the kernel's refscale and rcuscale ask: what a reader costs beside other ways to hold on to
 * something, how long a grace period takes beside readers and other writers, and whether memory stays bounded while all threads
 * free as fast as they can.
 */
import { setTimeout } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { Arena, AtomicInt, Rcu, RcuQsbr, RwSemaphore, Srcu } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { ScaleTask, ScaleTotals, ScaleWork } from './rcu-scale-thread.ts';

const READERS = ['Rcu', 'RcuQsbr', 'Srcu', 'RwSemaphore', 'AtomicInt'] as const;
const PERIODS = ['synchronize', 'synchronizeExpedited', 'polled'] as const;
const FREES = ['slab, kfree', 'heap, kfree', 'heap, free'] as const;
/** What the threads do meanwhile that a period might wait for. */
const OTHERS = { idle: 'idle', 'that read': 'Rcu' } as const;
const FLOODERS = 8;
/** How often the memory in use is looked at during a flood, ms. */
const LOOK_MS = 5;

export async function refscale(figures: Figures, { rounds, milliseconds }: Effort): Promise<void> {
  for (const threads of [1, 2, 4, 8]) {
    const scenario = `references, ${threads} threads`;
    await inTurns(threads, rounds, READERS, async (pool, work) => {
      const totals = await all(pool, Array(threads).fill(work), milliseconds);
      const times = totals.reduce((sum, each) => sum + each.times, 0);
      figures.add(scenario, work, 'k/s', times / milliseconds);
    });
  }
}

export async function rcuscale(figures: Figures, { rounds, milliseconds }: Effort): Promise<void> {
  for (const writers of [1, 2, 4]) {
    const scenario = `grace periods, ${writers} writers, 2 readers`;
    await inTurns(writers + 2, rounds, PERIODS, async (pool, work) => {
      const [first] = await all(pool, [...Array<ScaleWork>(writers).fill(work), 'Rcu', 'Rcu'], milliseconds);
      figures.add(scenario, work, 'ns', (first as ScaleTotals).median);
    });
  }
  for (const [how, others] of Object.entries(OTHERS)) {
    await inTurns(9, rounds, PERIODS, async (pool, work) => {
      const [first] = await all(pool, [work, ...Array<ScaleWork>(8).fill(others)], milliseconds);
      figures.add(`grace periods, 8 threads ${how}`, work, 'ns', (first as ScaleTotals).median);
    });
  }
  await inTurns(FLOODERS, rounds, FREES, async (pool, work) => {
    for (const [length, time] of [
      ['', milliseconds],
      [', three times as long', 3 * milliseconds],
    ] as const) {
      let most = 0;
      const totals = await all(pool, Array(FLOODERS).fill(work), time, (bytes) => {
        most = Math.max(most, bytes);
      });
      const scenario = `frees, ${FLOODERS} threads${length}`;
      figures.add(scenario, work, 'k/s', totals.reduce((sum, { times }) => sum + times, 0) / time);
      figures.add(scenario, work, 'bytes', most);
    }
  });
}

/** Each in each round, on threads that have run all of them before. */
async function inTurns<Work extends ScaleWork>(
  threads: number,
  rounds: number,
  works: readonly Work[],
  measure: (pool: Piscina, work: Work) => Promise<void>,
): Promise<void> {
  const pool = new Piscina({
    filename: new URL('./rcu-scale-thread.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
  });
  for (const work of works) await all(pool, Array(threads).fill(work), LOOK_MS);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < works.length; i++) await measure(pool, works[(i + round) % works.length] as Work);
  }
  await pool.destroy();
}

/** All works at once, one on each thread, in a new arena. `onUse`: hears now and then how many bytes of it are in use. */
async function all(
  pool: Piscina,
  works: readonly ScaleWork[],
  milliseconds: number,
  onUse: (bytes: number) => void = () => {},
): Promise<ScaleTotals[]> {
  const arena = Arena.create({ bytes: 64 << 20 });
  for (const Flavour of [Rcu, RcuQsbr]) new Flavour(arena);
  const kinds = { Srcu: new Srcu(arena), RwSemaphore: new RwSemaphore(arena), AtomicInt: new AtomicInt(arena) };
  let done = false;
  const runs = works.map((work): Promise<ScaleTotals> => {
    const { handle } = Object.entries(kinds).find(([name]) => name === work)?.[1] ?? kinds.AtomicInt;
    return pool.run({ work, arena: arena.handle, shared: handle, milliseconds } satisfies ScaleTask);
  });
  const totals = Promise.all(runs).finally(() => (done = true));
  while (!done) {
    onUse(arena.use().used);
    await Promise.race([totals, setTimeout(LOOK_MS)]);
  }
  return totals;
}
