/** `destroy` beside calls of other threads, in every order that memory allows: each call came before it, or finds it gone. */
import { describe, expect, test } from 'vitest';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import { type DestroyAct, destroyed, refused, SECTION_NAMES } from './programs/destroyed.ts';

const CAST: Record<string, DestroyAct[]> = {
  'takes it, which is free': ['use', 'destroy'],
  'waits for it, or has it': ['use', 'drop'],
};
/** All that x86 allows, Arm allows. */
const random = { model: 'armv8', maxEvents: 20_000, mode: 'random' } as const;

describe.each(SECTION_NAMES)('%s', (name) => {
  const executions = name.startsWith('pthread') ? 30 : 70;

  test.each(Object.keys(CAST))('is destroyed while another thread %s', async (what) => {
    await expectExplored({ ...destroyed(name, CAST[what]!), executions, ...random });
  });

  test('is there or gone after a thread has died that destroyed or used it', async () => {
    const program = destroyed(name, ['use', 'destroy']);
    const { kills } = await expectExplored({
      ...program,
      kill: true,
      executions: 25,
      ...random,
    });
    expect(kills).toBeGreaterThan(4);
  });
});

test('a thread that tries to take a lock which nobody ever holds finds it held, while it is destroyed', async () => {
  await expectExplored({ ...refused(), executions: 400, ...random });
});
