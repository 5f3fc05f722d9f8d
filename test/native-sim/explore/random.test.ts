import { expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { Exhaustive } from '../../../native-sim/explore/exhaustive.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Graph } from '../../../native-sim/explore/graph.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import { RandomWalk, randomSource } from '../../../native-sim/explore/random.ts';
import { makeBench } from '../../../native-sim/explore/session.ts';
import { futexMutex, mcs } from './programs/locks.ts';
import { dekker } from './programs/sleepers.ts';

/** What each thread saw, and the coherence orders: independent of the order of insertion. */
function shapeOf(g: Graph): string {
  const name = (e: number) => (e < 0 ? '-' : `${g.thread[e]}.${g.index[e]}`);
  const reads = g.threads.map((list) => list.map((e) => name(g.rf[e]!)).join(' '));
  return `${reads.join(' | ')} || ${g.co
    .filter((list) => list.length > 0)
    .map((list) => list.map(name).join('>'))
    .sort()
    .join(' ')}`;
}

test.each([
  ['MCS, 2 threads', () => mcs(2)],
  ['futex mutex, 2 threads', () => futexMutex(2)],
  ['Dekker', dekker],
])('random search reaches every execution of %s', (_name, make) => {
  const all = new Set<string>();
  const search = makeBench(Exhaustive, make(), 'armv8', []).machine;
  for (let outcome = search.start() as string | null; outcome !== null; outcome = search.next()) {
    if (outcome === 'execution') all.add(shapeOf(search.g));
  }
  const reached = new Set<string>();
  const walk = makeBench(RandomWalk, make(), 'armv8', []).machine;
  // Rare interleavings need more changes of priority than rare bugs do.
  walk.changes = 8;
  for (let i = 0; i < 20_000; i++) if (walk.next() === 'execution') reached.add(shapeOf(walk.g));
  expect([...reached].sort()).toEqual([...all].sort());
});

test('a seed finds the same failure again', async () => {
  const broken = {
    ...mcs(3),
    model: 'armv8',
    mode: 'random',
    weaken: { match: (s: { op: string }) => s.op === 'rmb' },
  } as const;
  const first = await explore({ ...broken, seed: 5 });
  const again = await explore({ ...broken, seed: 5 });
  expect(first.failure).not.toBeNull();
  expect(again.executions).toBe(first.executions);
  expect(again.failure?.threads).toEqual(first.failure?.threads);
});

test('the random source is uniform enough to reach both ends', () => {
  const random = randomSource(7);
  const draws = Array.from({ length: 1000 }, random);
  expect(Math.min(...draws)).toBeLessThan(0.01);
  expect(Math.max(...draws)).toBeGreaterThan(0.99);
  expect(Math.max(...draws)).toBeLessThan(1);
});

test('a bounded search that left something out does not call itself complete', async () => {
  const program = { ...mcs(3), symmetry: false };
  const all = await explore(program);
  const bounded = await explore({ ...program, mode: 'bounded', bound: 1 });
  expect(all.complete).toBe(true);
  expect(bounded.verdict).toBe('incomplete');
  expect(bounded.executions).toBeLessThan(all.executions);
  expect(await explore({ ...program, mode: 'bounded', bound: 50 })).toMatchObject({ complete: true, executions: 66 });
});

/** Thread 0 may die with `lower`; thread 1 sleeps for that with `upper`, for which the reaper waits. */
function sleepsForTheDead(): Program {
  const [lower, upper] = [0, 1];
  const take = (cpu: Cpu, word: number) => {
    while (cpu.cmpxchg(word, 0, 1) !== 0) cpu.wait(word, 1, Number.POSITIVE_INFINITY);
  };
  const release = (cpu: Cpu, word: number) => {
    cpu.xchg(word, 0);
    cpu.wake(word, Number.POSITIVE_INFINITY);
  };
  return {
    words: 2,
    threads: [
      (cpu) => {
        take(cpu, lower);
        release(cpu, lower);
      },
      (cpu) => {
        take(cpu, upper);
        take(cpu, lower);
        release(cpu, lower);
        release(cpu, upper);
      },
    ],
    reaper(cpu) {
      take(cpu, upper);
      release(cpu, lower);
      release(cpu, upper);
    },
  };
}

test('a thread that sleeps for what a dead one holds looks around by itself, where the program says that it does', async () => {
  const options = { mode: 'random', executions: 20, kill: { threads: [0], walks: 10 } } as const;
  const { failure } = await explore({ ...sleepsForTheDead(), ...options });
  expect(failure?.kind).toBe('deadlock');

  let looks = 0;
  const stalled = (cpu: Cpu, died: number) => {
    expect(died).toBe(0);
    if (cpu.load(0) === 1) cpu.xchg(0, 0);
    looks++;
    return true;
  };
  const result = await explore({ ...sleepsForTheDead(), ...options, stalled });
  expect(result).toMatchObject({ verdict: 'ok', failure: null });
  expect(result.points.missed).toEqual([]);
  expect(looks).toBeGreaterThan(0);
});

test('a thread that has looked around, and then leaves a spin loop by itself, looks around as before when it runs again', async () => {
  const takeTurn = (cpu: Cpu) => {
    while (cpu.cmpxchg(0, 0, 1) !== 0) cpu.wait(0, 1, Number.POSITIVE_INFINITY);
    for (let turn = 0; turn < 5 && cpu.load(1) === 0; turn++) cpu.relax();
    cpu.xchg(0, 0);
    cpu.wake(0, Number.POSITIVE_INFINITY);
  };
  const result = await explore({
    words: 2,
    threads: [takeTurn, takeTurn],
    stalled(cpu) {
      if (cpu.load(0) === 1) cpu.xchg(0, 0);
      return true;
    },
    mode: 'random',
    executions: 20,
    kill: { threads: [0], walks: 10 },
  });
  expect(result).toMatchObject({ verdict: 'ok', failure: null });
});

test('a thread that looks around in vain does not keep another one from it, which could do more', async () => {
  const [first, second] = [1, 2];
  const open = (cpu: Cpu, word: number) => {
    cpu.storeRelease(word, 1);
    cpu.wake(word, 1);
  };
  const sleep = (word: number) => (cpu: Cpu) => {
    while (cpu.loadAcquire(word) === 0) cpu.wait(word, 0, Number.POSITIVE_INFINITY);
  };
  const openBoth = (cpu: Cpu) => {
    for (const word of [first, second]) open(cpu, word);
  };
  const result = await explore({
    words: 3,
    threads: [openBoth, sleep(first), sleep(second)],
    stalled(cpu, _died, _context, me) {
      if (me === first) return false;
      openBoth(cpu);
      return true;
    },
    mode: 'random',
    executions: 5,
    kill: { threads: [0], walks: 10 },
  });
  expect(result).toMatchObject({ verdict: 'ok', failure: null });
});
