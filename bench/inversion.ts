/**
 * Priority inversion. An urgent thread waits for a lock that a low one holds, which in turn has to get through a queue
 * that middling threads keep coming to. Without inheritance the low one stays behind all of them, and the urgent one
 * with it; with inheritance the low one is as urgent meanwhile, and the first in the queue.
 *
 *   urgent (1) -> a, held by 10 -> a Mutex that threads of priority 5 come to
 *   urgent (1) -> a, held by 10 -> b, held by 11 -> c, held by 12 -> that Mutex
 *
 * The time inside locks is slept, so what else the machine does hardly matters.
 */
import { Piscina } from 'piscina';
import { Arena, Mutex, RtMutex } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { Inversion, Role } from './inversion-thread.ts';

const LONGEST_CHAIN = 3;
const MIDDLING = 3;
/** What the library puts between the priorities of two threads, with inheritance and without. */
const KINDS = { RtMutex, Mutex };

export async function inversion(figures: Figures, { rounds }: Effort): Promise<void> {
  const threads = LONGEST_CHAIN + MIDDLING + 1;
  const pool = new Piscina({
    filename: new URL('./inversion-thread.js', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    idleTimeout: Number.POSITIVE_INFINITY,
    recordTiming: false,
  });
  for (const chain of [1, LONGEST_CHAIN]) {
    const scenario = `priority inversion, chain of ${chain}`;
    for (let round = 0; round < rounds; round++) {
      for (const kind of ['RtMutex', 'Mutex'] as const) {
        const { waited, held } = await once(pool, kind, chain);
        figures.add(scenario, kind, 'ms', waited);
        figures.add(scenario, `${kind}, held by the low`, 'ms', held);
      }
    }
  }
}

async function once(pool: Piscina, kind: keyof typeof KINDS, chain: number) {
  const arena = Arena.create({ bytes: 1 << 20 });
  const stage = arena.alloc(2);
  arena.words.fill(0, stage, stage + 2);
  const inversion: Inversion = {
    arena: arena.handle,
    kind,
    chain: Array.from({ length: chain }, () => new KINDS[kind](arena).handle),
    queue: new Mutex(arena).handle,
    stage,
    threads: chain + MIDDLING + 1,
  };
  const play = (role: Role['role'], place = 0): Promise<number> => pool.run({ ...inversion, role, place });
  const low = Array.from({ length: chain }, (_, place) => play('low', place));
  const middling = Array.from({ length: MIDDLING }, () => play('middling'));
  const waited = await play('urgent');
  await Promise.all(middling);
  const held = await Promise.all(low);
  return { waited, held: held.reduce((sum, ms) => sum + ms, 0) };
}
