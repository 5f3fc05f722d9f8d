/** All litmus tests on all machines: none shows what its model forbids, and each shows the weakness that it has. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UnsupportedConstruct } from '../../../native-sim/litmus/errors.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { type MachineResult, runOnMachine } from '../../../native-sim/machine/litmus.ts';
import { SimError } from '../../../native-sim/machine/profile.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';

/** A long run sets another. */
const { HOLDFAST_LITMUS_RUNS: asked } = process.env as { readonly HOLDFAST_LITMUS_RUNS?: string };
const RUNS = Number(asked ?? 2000);

const folder = new URL('../../../native-sim/litmus/tests/', import.meta.url);
const tests = readdirSync(folder)
  .filter((file) => file.endsWith('.litmus'))
  .map((file) => readLitmus(readFileSync(new URL(file, folder), 'utf8')));

/** What a machine of each model must show in 2,000 runs, of the tests whose condition is a weak outcome. */
const SEEN: Readonly<Record<string, readonly string[]>> = {
  sc: [],
  'x86-tso': ['SB', 'SB+rfi', 'R', 'SB+rel+acq'],
  armv8: ['SB', 'SB+rfi', 'R', 'MP', 'MP+wmb+po', 'MP+po+rmb', 'MP+rel+ctrl', 'LB', 'S', '2+2W', 'WRC', 'ISA2', 'IRIW'],
  alpha: ['SB', 'R', 'MP', 'MP+wmb+addr', 'MP+rel+ctrl', 'LB', 'S', '2+2W', 'WRC', 'ISA2', 'IRIW'],
  power: ['SB', 'R', 'MP', 'LB', 'S', '2+2W', 'WRC', 'ISA2', 'IRIW', 'SB+rel+acq'],
};

/** Forbidden by x86-TSO, Armv8 and the kernel's model alike; an Alpha reorders what an address dependency joins. */
const FORBIDDEN = `SB+mbs SB+xchgs MP+wmb+rmb MP+rel+acq MP+wmb+addr MP+locks LB+acq+rel LB+mb+ctrl LB+ctrls LB+datas
S+wmb+acq S+wmb+addr R+mbs WRC+rel+rmb IRIW+mbs ISA2+rel+acq Z6.2+rels W+RWC+mb+acq+mb CoRR CoRW CoWR CoWW seqlock`.split(
  /\s+/,
);

/** What a read barrier forbids: between two inner domains the kernel's barriers, which are inner ones, forbid it no longer. */
const BY_BARRIERS = ['MP+wmb+rmb', 'WRC+rel+rmb', 'IRIW+mbs', 'seqlock', 'SB+mbs', 'R+mbs', 'W+RWC+mb+acq+mb'];

describe.each([...profiles.values()])('$name', (profile) => {
  const results = new Map<string, MachineResult>();

  it('shows nothing that its model forbids', { timeout: 600_000 }, () => {
    for (const test of tests) {
      try {
        results.set(test.name, runOnMachine(test, { profile, runs: RUNS }));
      } catch (thrown) {
        // RCU has no instructions, and some machines have fewer cores than a test has threads.
        if (!(thrown instanceof UnsupportedConstruct) && !(thrown instanceof SimError)) throw thrown;
      }
    }
    expect(results.size).toBeGreaterThan(30);
    for (const [name, { forbidden }] of results) expect(forbidden, name).toEqual([]);
    for (const name of FORBIDDEN) {
      if (profile.model === 'alpha' && name === 'MP+wmb+addr') continue;
      if (profile.innerCores !== undefined && BY_BARRIERS.includes(name)) continue;
      expect(results.get(name)?.positive ?? 0, name).toBe(0);
    }
  });

  it('shows the weakness that it has', () => {
    for (const name of SEEN[profile.model]!) {
      if (results.has(name)) expect(results.get(name)!.positive, name).toBeGreaterThan(0);
    }
    if (profile.model !== 'sc') return;
    const weak = [...results].filter(([, { positive }]) => positive > 0).map(([name]) => name);
    expect(weak).toEqual([]);
  });
});

it('two inner domains: message passing holds with barriers of the outer domain, and not with inner ones', () => {
  const run = (barrier: string) =>
    runOnMachine(
      readLitmus(`AArch64 MP
{ 0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x; }
 P0          | P1          ;
 MOV W0,#1   | LDR W0,[X1] ;
 STR W0,[X1] | DMB ${barrier} ;
 DMB SY      | LDR W2,[X3] ;
 STR W0,[X3] |             ;
exists (1:X0=1 /\\ 1:X2=0)`),
      { profile: profiles.get('split-8')!, runs: 3000 },
    );
  for (const barrier of ['OSH', 'SY']) expect(run(barrier).positive, barrier).toBe(0);
  for (const barrier of ['ISH', 'ISHLD']) {
    const { positive, forbidden } = run(barrier);
    expect(positive, barrier).toBeGreaterThan(0);
    expect(forbidden, barrier).toEqual([]);
  }
});
