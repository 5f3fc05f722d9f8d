/**
 * Litmus tests on this machine: what comes out must be a state that some model allows, every iteration must be counted,
 * and atomic accesses must be sequentially consistent, whatever the hardware. Nothing here asks that a weak outcome be seen: that is
 * luck.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { UnsupportedConstruct } from '../../../native-sim/litmus/errors.ts';
import { formatHardware, runOnHardware } from '../../../native-sim/litmus/hardware.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { formatVerdict } from '../../../native-sim/litmus/report.ts';

const iterations = 4000;

function ours(name: string) {
  return readLitmus(readFileSync(new URL(`../../../native-sim/litmus/tests/${name}.litmus`, import.meta.url), 'utf8'));
}

describe('on real worker threads', () => {
  it.each(['SB', 'MP', 'MP+wmb+addr', 'fetch-adds', 'MP+locks'])(
    '%s: atomics show only what SC allows',
    async (name) => {
      const test = ours(name);
      const result = await runOnHardware(test, { accesses: 'atomic', iterations });
      expect(result.positive + result.negative).toBe(iterations);
      const allowed = formatVerdict(checkLitmus(test, { model: 'sc' }));
      for (const state of result.states) expect(allowed).toContain(state.text);
      expect(result.positive).toBe(0);
    },
  );

  it('two threads that pass a value on see it arrive whole', async () => {
    const test = readLitmus(`C arrive
{ int x = 3; int *p = &x; }
P0(int *x, int **p, int *y) { WRITE_ONCE(*x, 7); smp_store_release(p, y); }
P1(int *x, int **p) { int *r0; int r1; r0 = smp_load_acquire(p); if (r0 != x) r1 = READ_ONCE(*x); else r1 = 7; }
exists (~1:r1=7)`);
    const result = await runOnHardware(test, { accesses: 'atomic', iterations });
    expect(formatHardware(test, result)).toContain(`Observation arrive Never 0 ${iterations}`);
  });

  it('a thread sees its own plain stores', async () => {
    const sum = (add: string) => `C sum
{}
P0(int *x) { int r0; ${add} ${add} }
exists (~x=2)`;
    const plain = readLitmus(sum('r0 = *x; *x = r0 + 1;'));
    const result = await runOnHardware(plain, { accesses: 'plain', iterations });
    expect(result).toMatchObject({ positive: 0, negative: iterations });
  });

  it('what hardware mode cannot run is named', async () => {
    const rcu = readLitmus('C rcu\n{}\nP0(int *x) { synchronize_rcu(); }\nexists (x=1)');
    await expect(runOnHardware(rcu, { accesses: 'plain' })).rejects.toThrow(UnsupportedConstruct);
    const assembly = readLitmus('X86 T\n{}\nP0 ;\nMOV [x],$1 ;\nexists (x=1)');
    await expect(runOnHardware(assembly, { accesses: 'plain' })).rejects.toThrow(UnsupportedConstruct);
  });
});
