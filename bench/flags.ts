/**
 * A table that all threads read, such as feature flags, while one thread publishes a new version every millisecond: RCU
 * against a lock, against reads that nothing protects (whose old versions are never freed), and against a copy for each
 * thread that messages keep up to date.
 */
import { setTimeout } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { Arena, Rcu, RcuQsbr, RwSemaphore } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import { type FlagTask, type FlagTotals, TABLE_WORDS } from './flags-thread.ts';

const PEERS: readonly FlagTask['peer'][] = ['unprotected', 'RcuQsbr', 'Rcu', 'RwSemaphore', 'postMessage'];
const INTERVAL_MS = 1;

export async function flags(figures: Figures, { rounds, milliseconds }: Effort): Promise<void> {
  for (const threads of [2, 4, 8]) {
    const pool = new Piscina({
      filename: new URL('./flags-thread.js', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
    });
    const contest = (peer: FlagTask['peer'], time: number) => once(pool, threads, peer, time);
    for (const peer of PEERS) await contest(peer, milliseconds / 5);
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < PEERS.length; i++) {
        const peer = PEERS[(i + round) % PEERS.length] as FlagTask['peer'];
        const scenario = `reads of a shared table, a writer every ms, ${threads} threads`;
        figures.add(scenario, peer, 'k/s', (await contest(peer, milliseconds)) / milliseconds);
      }
    }
    await pool.destroy();
  }
}

/** How many reads the threads make in that time. */
async function once(pool: Piscina, threads: number, peer: FlagTask['peer'], milliseconds: number): Promise<number> {
  // Large enough for versions that nobody frees.
  const arena = Arena.create({ bytes: 4 << 20 });
  const current = arena.alloc(1);
  const first = arena.alloc(TABLE_WORDS);
  arena.words.set(tableOf(0), first);
  arena.words[current] = first;
  const channels = Array.from({ length: threads }, () => new MessageChannel());
  const publish = publisher(arena, peer, current, (table) => {
    for (const { port1 } of channels) port1.postMessage(table);
  });
  let done = false;
  const runs = channels.map(async ({ port2 }): Promise<FlagTotals> => {
    const task: FlagTask = { peer, arena: arena.handle, current, milliseconds, port: port2, first: tableOf(0) };
    return pool.run(task, { transferList: [port2] });
  });
  const all = Promise.all(runs).finally(() => (done = true));
  for (let version = 1; !done; version++) {
    await publish(tableOf(version));
    await setTimeout(INTERVAL_MS);
  }
  const totals = await all;
  for (const { port1 } of channels) port1.close();
  if (totals.some(({ torn }) => torn > 0)) throw new Error(`${peer}: a reader saw two versions at once`);
  return totals.reduce((sum, { reads }) => sum + reads, 0);
}

/** All words of a version are alike. */
function tableOf(version: number): number[] {
  return Array.from({ length: TABLE_WORDS }, () => version);
}

function publisher(arena: Arena, peer: FlagTask['peer'], current: number, send: (table: number[]) => void) {
  const { words } = arena;
  const swap = (table: number[]) => {
    const old = Atomics.load(words, current);
    const next = arena.alloc(TABLE_WORDS);
    words.set(table, next);
    Atomics.store(words, current, next);
    return old;
  };
  if (peer === 'postMessage') return (table: number[]) => send(table);
  if (peer === 'unprotected') return (table: number[]) => void swap(table);
  if (peer === 'RwSemaphore') {
    const semaphore = new RwSemaphore(arena, 'flags');
    return async (table: number[]) => {
      const held = await semaphore.acquireWriteAsync();
      words.set(table, Atomics.load(words, current));
      held.release();
    };
  }
  const rcu = peer === 'Rcu' ? new Rcu(arena) : new RcuQsbr(arena);
  return (table: number[]) => rcu.kfree(swap(table));
}
