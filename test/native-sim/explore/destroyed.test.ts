/** `destroy` beside calls of other threads, in every order that memory allows: each call came before it, or finds it gone. */
import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type DestroyAct, destroyed, SECTION_NAMES } from './programs/destroyed.ts';

const MODELS = ['x86-tso', 'armv8'] as const;
const CAST: Record<string, DestroyAct[]> = {
  'takes it, which is free': ['use', 'destroy'],
  'waits for it, or has it': ['use', 'drop'],
};
const random = { maxEvents: 20_000, mode: 'random' } as const;

describe.each(SECTION_NAMES)('%s', (name) => {
  const executions = name.startsWith('pthread') ? 40 : 100;

  test.each(Object.keys(CAST))('is destroyed while another thread %s', async (what) => {
    for (const model of MODELS) await expectExplored({ ...destroyed(name, CAST[what]!), model, executions, ...random });
  });

  test('is there or gone after a thread has died that destroyed or used it', async () => {
    const program = destroyed(name, ['use', 'destroy']);
    const { kills } = await expectExplored({
      ...program,
      model: 'armv8',
      kill: true,
      executions: 60,
      ...random,
    });
    expect(kills).toBeGreaterThan(4);
  });
});
