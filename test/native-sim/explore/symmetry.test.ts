/** Of executions that differ in the names of alike threads some may be left out, but never all. */
import { describe, expect, test } from 'vitest';
import { READ } from '../../../native-sim/explore/events.ts';
import { Exhaustive } from '../../../native-sim/explore/exhaustive.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Graph } from '../../../native-sim/explore/graph.ts';
import type { ModelName } from '../../../native-sim/explore/ppo.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import { makeBench } from '../../../native-sim/explore/session.ts';
import { Symmetry } from '../../../native-sim/explore/symmetry.ts';
import { type Feature, randomProgram, runSteps, WORDS } from './fuzz/program.ts';
import { LOCK_NAMES, lock } from './programs/holdfast.ts';
import { mcs, qspinlock, ticket, ttas } from './programs/locks.ts';
import { readersAndWriters } from './programs/readers-writers.ts';

const forever = Number.POSITIVE_INFINITY;
const MODELS = ['sc', 'x86-tso', 'armv8'] as const;
const SEEDS = Number(process.env.EXPLORE_SEEDS ?? 60);
const MOST_GRAPHS = 4000;

const RENAMINGS: readonly (readonly number[])[] = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
];

/** What reads what, and the coherence orders, when thread `t` is called `names[t]`; locations have no names. */
function renamed(g: Graph, names: readonly number[]): string {
  const name = (e: number) => (e < 0 ? String(e) : `${names[g.thread[e]!]}.${g.index[e]}`);
  const parts: string[] = [];
  for (let e = 0; e < g.n; e++) if (g.flags[e]! & READ) parts.push(`${name(e)}<${name(g.rf[e]!)}`);
  for (const co of g.co) if (co.length > 0) parts.push(co.map(name).join('>'));
  return parts.sort().join(' ');
}

/** Every execution and failure, without names; null if there are too many. */
function orbits(program: Program, model: ModelName, alike: boolean): { found: Set<string>; graphs: number } | null {
  const { machine } = makeBench(Exhaustive, program, model, [], 4000);
  if (alike) machine.symmetry = new Symmetry(program.alike!, program.threads.length);
  const found = new Set<string>();
  for (let outcome = machine.start() as string | null; outcome !== null; outcome = machine.next()) {
    if (machine.graphs > MOST_GRAPHS) return null;
    const { failure, g } = machine;
    machine.failure = null;
    if (failure !== null && failure.kind !== 'deadlock') found.add(failure.kind);
    else if (outcome === 'execution') {
      const ways = RENAMINGS.map((names) => renamed(g, names)).sort();
      found.add(`${failure?.kind ?? 'ok'} ${ways[0]}`);
    }
  }
  return { found, graphs: machine.graphs };
}

/** All threads do what the first of a random program does. */
function alikeProgram(seed: number, feature: Feature): Program {
  const steps = randomProgram(seed, feature).threads[0]!;
  const body: Program['threads'][number] = (cpu) => runSteps(cpu, steps, []);
  return { words: WORDS, threads: [body, body, body], alike: [[0, 1, 2]] };
}

describe.each(['plain', 'wait', 'spin'] as const)('of random programs with %s', (feature) => {
  test.each(MODELS)('no execution is lost under every name, on %s', (model) => {
    let saved = 0;
    for (let seed = 1; seed <= (feature === 'spin' ? SEEDS / 3 : SEEDS); seed++) {
      const program = alikeProgram(seed, feature);
      const all = orbits(program, model, false);
      if (all === null) continue;
      const some = orbits(program, model, true)!;
      // A race ends the search of what comes after it, in whichever execution it is met.
      if (all.found.has('data-race')) expect(some.found.has('data-race'), `seed ${seed}`).toBe(true);
      else expect([...some.found].sort(), `seed ${seed}`).toEqual([...all.found].sort());
      saved += all.graphs - some.graphs;
    }
    expect(saved).toBeGreaterThan(0);
  });
});

const LOCKS = {
  ticket: () => ticket(3),
  ttas: () => ttas(3),
  mcs: () => mcs(3),
  qspinlock: () => qspinlock(3),
  'McsLock of the library': () => lock('mcs', 3, forever),
  'SpinLock of the library': () => lock('qspinlock', 3, forever),
};

test.each(Object.entries(LOCKS))('no execution of three threads is lost: %s', (_name, make) => {
  const all = orbits(make(), 'armv8', false)!;
  const some = orbits(make(), 'armv8', true)!;
  expect(some.found).toEqual(all.found);
  expect(some.graphs).toBeLessThan(all.graphs);
});

/** Every execution as it is, and with the names of the first two threads exchanged. */
function underBothNames(program: Program): { straight: Set<string>; crossed: Set<string> } {
  const { machine } = makeBench(Exhaustive, program, 'armv8', [], 4000);
  const [straight, crossed] = [new Set<string>(), new Set<string>()];
  for (let outcome = machine.start() as string | null; outcome !== null; outcome = machine.next()) {
    expect(machine.failure).toBeNull();
    if (outcome !== 'execution') continue;
    straight.add(renamed(machine.g, [0, 1, 2]));
    crossed.add(renamed(machine.g, [1, 0, 2]));
  }
  return { straight, crossed };
}

const TWO_ALIKE: Record<string, () => Program> = Object.fromEntries([
  ...LOCK_NAMES.map((name) => [name, () => lock(name, 2, forever)]),
  ...(['rw-lock', 'rw-semaphore'] as const).flatMap((name) =>
    (['read', 'write'] as const).map((act) => [
      `${name}, to ${act}`,
      () => readersAndWriters(name, [act, act], forever),
    ]),
  ),
]);

test.each(Object.entries(TWO_ALIKE))('threads that a program calls alike are: %s', (_name, make) => {
  const { straight, crossed } = underBothNames(make());
  expect(crossed).toEqual(straight);
});

test('of four threads that are alike, most names are left out', async () => {
  for (const make of [ticket, mcs, ttas]) {
    const all = await explore({ ...make(4), symmetry: false });
    const some = await explore(make(4));
    expect(some).toMatchObject({ verdict: 'ok', complete: true });
    expect(some.executions).toBeLessThanOrEqual(all.executions / 2);
  }
});
