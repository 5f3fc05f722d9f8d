/**
 * What RCU costs on one thread, as the kernel's refscale and rcuscale ask: readers beside two bare stores and beside a lock for
 * readers; grace periods; and memory that is freed after one beside memory that is freed at once.
 */
import { Arena, KmemCache, Rcu, RcuQsbr, RwSemaphore, Srcu } from '../lib/index.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { Loop } from './pairs.ts';
import { takeTurns } from './single.ts';

const TIMES = 1000;
const WORDS = 16;

export async function rcu(figures: Figures, effort: Effort): Promise<void> {
  takeTurns(figures, effort, 'RCU readers', readers(), TIMES);
  await stretches(figures, effort);
  takeTurns(figures, effort, 'grace periods, one thread', periods(), TIMES);
  takeTurns(figures, effort, 'memory freed', frees(), TIMES);
}

function readers(): Record<string, Loop> {
  const arena = Arena.create({ bytes: 1 << 20 });
  const words = new Int32Array(new SharedArrayBuffer(64));
  return {
    'two Atomics.store': loopOf({ words }, 'Atomics.store(words, 0, 1); Atomics.store(words, 0, 0);'),
    Rcu: loopOf({ rcu: new Rcu(arena) }, 'rcu.readLock(); rcu.readUnlock();'),
    RcuQsbr: loopOf({ rcu: new RcuQsbr(arena) }, 'rcu.readLock(); rcu.readUnlock();'),
    Srcu: loopOf({ rcu: new Srcu(arena) }, 'rcu.readUnlock(rcu.readLock());'),
    'Rcu, a guard': loopOf({ rcu: new Rcu(arena) }, 'rcu.read().release();'),
    RwSemaphore: loopOf({ lock: new RwSemaphore(arena) }, 'lock.downRead(); lock.upRead();'),
  };
}

/** Synchronous stretches, one after the other, with and without a reader in each. The best of the chains in a round. */
async function stretches(figures: Figures, { rounds, seconds }: Effort): Promise<void> {
  const qsbr = new RcuQsbr(Arena.create({ bytes: 1 << 20 }));
  const turns = {
    none: () => {},
    RcuQsbr: () => {
      qsbr.readLock();
      qsbr.readUnlock();
    },
  };
  for (let round = 0; round < rounds; round++) {
    for (const [peer, turn] of Object.entries(turns)) {
      let best = Number.POSITIVE_INFINITY;
      for (const end = performance.now() + seconds * 1000; performance.now() < end; ) {
        const start = performance.now();
        await chain(turn);
        best = Math.min(best, ((performance.now() - start) * 1e6) / TIMES);
      }
      figures.add('a stretch', peer, 'ns', best);
    }
  }
}

function chain(turn: () => void): Promise<void> {
  return new Promise((resolve) => {
    let left = TIMES;
    const next = () => {
      turn();
      if (--left > 0) void Promise.resolve().then(next);
      else resolve();
    };
    next();
  });
}

function periods(): Record<string, Loop> {
  const rcu = new Rcu(Arena.create({ bytes: 1 << 20 }));
  return {
    synchronize: loopOf({ rcu }, 'rcu.synchronize();'),
    synchronizeExpedited: loopOf({ rcu }, 'rcu.synchronizeExpedited();'),
  };
}

function frees(): Record<string, Loop> {
  const arena = Arena.create({ bytes: 64 << 20 });
  const rcu = new Rcu(arena);
  const cache = new KmemCache(arena, 'bench', { words: WORDS, rcu });
  return {
    'slab, free': loopOf({ cache }, 'cache.free(cache.alloc());'),
    'slab, kfree': loopOf({ cache, rcu }, 'rcu.kfree(cache.alloc());'),
    'heap, free': loopOf({ arena }, `arena.free(arena.alloc(${WORDS}));`),
    'heap, kfree': loopOf({ arena, rcu }, `rcu.kfree(arena.alloc(${WORDS}));`),
  };
}

/** Made from text, so that each loop is a function of its own, and V8 learns nothing about one from another. */
function loopOf(given: Record<string, unknown>, body: string): Loop {
  const names = Object.keys(given);
  const text = `return function loop${made++}() { for (let i = 0; i < ${TIMES}; i++) { ${body} } }`;
  return new Function(...names, text)(...Object.values(given)) as Loop;
}

let made = 0;
