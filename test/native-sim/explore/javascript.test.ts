import { describe, expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { ExploreOptions } from '../../../native-sim/explore/options.ts';

const [DATA, FLAG] = [0, 1];
type Body = (cpu: Cpu) => void;

/** Message passing: `publish` makes the data known, `look` says whether it is. */
function passing(put: Body, publish: Body, look: (cpu: Cpu) => boolean, take: Body): ExploreOptions {
  const reader: Body = (cpu) => {
    if (look(cpu)) take(cpu);
  };
  const writer: Body = (cpu) => {
    put(cpu);
    publish(cpu);
  };
  return { model: 'javascript', words: 2, threads: [writer, reader] };
}

const write: Body = (cpu) => cpu.write(DATA, 42);
const read: Body = (cpu) => {
  if (cpu.read(DATA) !== 42) throw new Error('stale');
};
const store: Body = (cpu) => cpu.store(FLAG, 1);
const load = (cpu: Cpu) => cpu.load(FLAG) === 1;

describe('ECMAScript', () => {
  test('atomics order ordinary data, whatever order the code asks for', async () => {
    await expectExplored(passing(write, store, load, read));
    const { verdict } = await explore({ ...passing(write, store, load, read), model: 'armv8' });
    expect(verdict).toBe('failure');
  });

  test('fences order no ordinary accesses', async () => {
    const fenced = passing(
      write,
      (cpu) => {
        cpu.wmb();
        cpu.write(FLAG, 1);
      },
      (cpu) => {
        const isThere = cpu.read(FLAG) === 1;
        cpu.rmb();
        return isThere;
      },
      read,
    );
    expect((await explore(fenced)).failure?.kind).toBe('data-race');
  });

  test('what a processor keeps in order anyway is no atomic', async () => {
    for (const publish of [(cpu: Cpu) => cpu.storeReleaseLight(FLAG, 1), (cpu: Cpu) => cpu.storeUnordered(FLAG, 1)]) {
      expect((await explore(passing(write, publish, load, read))).failure?.kind).toBe('data-race');
    }
    for (const load of ['loadDependent', 'loadUnordered', 'loadAfterAtomic'] as const) {
      const look = (cpu: Cpu) => cpu[load](FLAG) === 1;
      expect((await explore(passing(write, store, look, read))).failure?.kind).toBe('data-race');
    }
  });

  test('stores are not delayed past loads: one of two threads sees the other', async () => {
    const body = (mine: number, other: number) => (cpu: Cpu) => {
      cpu.store(mine, 1);
      cpu.store(2 + mine, cpu.load(other) + 1);
    };
    const check = (memory: { read(address: number): number }) => {
      if (memory.read(2) === 1 && memory.read(3) === 1) throw new Error('neither saw the other');
    };
    const program = { words: 4, threads: [body(0, 1), body(1, 0)], check };
    expect((await expectExplored({ ...program, model: 'javascript' })).executions).toBe(3);
    expect((await explore({ ...program, model: 'x86-tso' })).verdict).toBe('failure');
  });

  test('an ordinary word that two threads write is a race, also where neither reads', async () => {
    const program = { words: 2, threads: [write, write] };
    expect((await explore({ ...program, model: 'javascript' })).failure?.kind).toBe('data-race');
  });
});
