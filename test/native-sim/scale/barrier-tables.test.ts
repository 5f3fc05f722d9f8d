/** The seed's two tables of barriers and its two guarantees, as a simulated Armv8 has them. */
import { beforeAll, describe, expect, it } from 'vitest';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { type BarrierTables, barrierTables, showBarriers } from '../../../native-sim/scale/barrier-tables.ts';
import { runSimCommand } from '../../../native-sim/scale/command.ts';

let tables: BarrierTables;
beforeAll(async () => {
  tables = await barrierTables(profiles.get('graviton-64')!);
});

const named = (feature: string) => tables.arm.find((row) => row.feature === feature)!;

it('DMB against DSB: nine rows, two of cache maintenance, and what the seed has wrong', () => {
  expect(tables.arm.map(({ feature }) => feature)).toEqual([
    'Ordering',
    'Completion',
    'Global visibility',
    'MESI interaction',
    'Write-back to memory',
    'Scope',
    'Performance',
    'Use cases',
    'Core stalling',
    'DC CVAC in front of it',
    'DC CIVAC in front of it',
  ]);
  const wrong = tables.arm.filter(({ agrees }) => !agrees).map(({ feature }) => feature);
  expect(wrong).toEqual(['MESI interaction', 'Write-back to memory', 'Use cases']);
});

it('compiler barrier against memory barrier: what the simulated machine has to say', () => {
  const [scope, caches, reload, use] = tables.compiler;
  expect([scope, caches, use].map((row) => row!.agrees)).toEqual([true, true, true]);
  // How often two reads differ depends on when real threads run.
  expect(reload!.measured.join()).toMatch(/\d+ of 2,000,000 pairs differ.*\d+ of 2,000,000 pairs differ/);
});

it('a line that nobody reads stays modified behind DMB and DSB, and a reader has it shared', () => {
  expect(named('MESI interaction').measured).toEqual([
    'modified; with a reader shared',
    'modified; with a reader shared',
  ]);
  expect(named('Completion').measured).toEqual(['1 store in the buffer behind it', '0 stores in the buffer behind it']);
});

describe('the two guarantees', () => {
  it('hold: order within a core for both, visibility across cores for a DSB, which a DMB does not promise', () => {
    expect(tables.guarantees.map(({ holds }) => holds)).toEqual([true, true, false]);
    for (const { broken } of tables.guarantees) expect(broken.of).toBeGreaterThan(200);
  });
});

it('--barriers as text and as JSON, on a machine of Armv8 only', async () => {
  expect(showBarriers(tables)).toMatch(
    /^Compiler barrier and memory barrier\n[\s\S]*DMB and DSB on graviton-64\n[\s\S]*NOT as the seed says/,
  );
  const out = async (profile?: string) => {
    let text = '';
    await runSimCommand({ barriers: true, json: true, profile }, { out: (more) => (text += more) });
    return JSON.parse(text) as BarrierTables;
  };
  await expect(out('intel-48')).rejects.toThrow('a machine whose model is armv8; received intel-48 (x86-tso)');
  const { arm, guarantees } = await out();
  expect(arm).toEqual(tables.arm);
  expect(guarantees).toEqual(tables.guarantees);
});
