import { describe, expect, test } from 'vitest';
import { READ, WRITE } from '../../../native-sim/explore/events.ts';
import { Exhaustive } from '../../../native-sim/explore/exhaustive.ts';
import { type Graph, Stop } from '../../../native-sim/explore/graph.ts';
import type { ModelName } from '../../../native-sim/explore/ppo.ts';
import { makeBench } from '../../../native-sim/explore/session.ts';
import { armv8 } from '../../../native-sim/models/armv8.ts';
import type { Model } from '../../../native-sim/models/execution.ts';
import { javascript } from '../../../native-sim/models/javascript.ts';
import {
  armv8LlscMapping,
  type Mapping,
  type Order,
  scMapping,
  x86Mapping,
} from '../../../native-sim/models/mapping.ts';
import { sc } from '../../../native-sim/models/sc.ts';
import { x86Tso } from '../../../native-sim/models/x86-tso.ts';
import { enumerate, perform, type Step, type Straight } from './enumerate.ts';

const MODELS: Record<ModelName, [Model, Mapping]> = {
  sc: [sc, scMapping],
  'x86-tso': [x86Tso, x86Mapping],
  armv8: [armv8, armv8LlscMapping],
  javascript: [javascript, scMapping],
};

/** mulberry32 */
function randomSource(seed: number): (below: number) => number {
  let a = seed;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const ORDERS: Order[] = ['relaxed', 'acquire', 'release', 'full'];

function randomStep(below: (n: number) => number, fresh: () => number): Step {
  const at = below(2);
  const kind = below(20);
  if (kind < 6) return { do: 'load', at, order: below(3) === 0 ? 'acquire' : 'relaxed' };
  if (kind < 12) return { do: 'store', at, value: fresh(), order: below(3) === 0 ? 'release' : 'relaxed' };
  if (kind < 14) return { do: 'add', at, value: 1, order: ORDERS[below(4)]! };
  if (kind < 15) return { do: 'xchg', at, value: fresh(), order: ORDERS[below(4)]! };
  if (kind < 17) return { do: 'cas', at, expected: below(2), value: fresh(), order: ORDERS[below(4)]! };
  if (kind < 18) return { do: 'await', at, order: below(2) === 0 ? 'acquire' : 'relaxed' };
  return { do: (['mb', 'rmb', 'wmb'] as const)[below(3)]! };
}

function randomProgram(seed: number): Straight {
  const below = randomSource(seed);
  let value = 0;
  const fresh = () => ++value;
  const threads = 2 + below(2);
  const budget = threads === 2 ? 4 : 2;
  return Array.from({ length: threads }, () =>
    Array.from({ length: 1 + below(budget) }, () => randomStep(below, fresh)),
  );
}

/** The same key as `enumerate` gives: steps are counted, not events. */
function keyOf(g: Graph, addresses: readonly number[]): string {
  const names: string[] = [];
  for (const list of g.threads) {
    let step = -1;
    let half = -1;
    for (const e of list) {
      const isHalf = half >= 0 && g.flags[e]! & WRITE && g.op[e] === g.op[half] && g.index[e] === g.index[half]! + 1;
      if (!isHalf) step++;
      half = g.flags[e]! & READ ? e : -1;
      names[e] = `${g.thread[e]}.${step}`;
    }
  }
  const reads: string[] = [];
  for (let e = 0; e < g.n; e++) {
    if (g.flags[e]! & READ) reads.push(`${names[e]}<${g.rf[e]! < 0 ? '-' : names[g.rf[e]!]}`);
  }
  const orders = g.co
    .map((list, location) => ({ at: addresses[location]!, list }))
    .filter(({ list }) => list.length > 0)
    .sort((a, b) => a.at - b.at)
    .map(({ at, list }) => `${at}:${list.map((w) => names[w]).join('>')}`);
  return `${reads.sort().join(' ')} | ${orders.join(' ')}`;
}

function explored(program: Straight, model: ModelName): string[] {
  const threads = program.map((steps) => (cpu: Parameters<typeof perform>[0]) => {
    for (const step of steps) perform(cpu, step);
  });
  const { machine, memory } = makeBench(Exhaustive, { words: 2, threads }, model, []);
  const keys: string[] = [];
  for (let outcome = machine.start() as string | null; outcome !== null; outcome = machine.next()) {
    machine.failure = null;
    if (outcome !== 'execution' || !machine.g.stop.every((s) => s === Stop.finished)) continue;
    keys.push(keyOf(machine.g, memory.addresses));
  }
  return keys;
}

const SEEDS = Number(process.env.EXPLORE_SEEDS ?? 150);

describe.each(Object.keys(MODELS) as ModelName[])('random programs on %s', (model) => {
  test('no execution that the published model allows is missed, none is invented, none is visited twice', () => {
    const [predicate, mapping] = MODELS[model];
    let total = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const program = randomProgram(seed);
      const keys = explored(program, model).sort();
      const expected = [...enumerate(program, predicate, mapping)].sort();
      expect(keys, `seed ${seed}: ${JSON.stringify(program)}`).toEqual(expected);
      total += keys.length;
    }
    expect(total).toBeGreaterThan(SEEDS);
  });
});
