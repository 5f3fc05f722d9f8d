import { describe, test } from 'vitest';
import { HoldfastError } from '../../../lib/errors.ts';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { PthreadBarrier } from '../../../lib/pthread/barrier.ts';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, type View } from './programs/holdfast.ts';

type Shared = View & { barriers: PthreadBarrier[] };

/** Two that meet, the second of which gives up now and then and comes again. */
function hesitation(): Program {
  const program: Program<Shared> = {
    words: 8192,
    setup(cpu) {
      const view = makeArenas(cpu, 2, 1, 8192);
      const first = new PthreadBarrier(view.arenas[0]!, undefined, { count: 2 });
      return { ...view, barriers: view.arenas.map((arena) => PthreadBarrier.from(arena, first.handle, { count: 2 })) };
    },
    threads: [
      (_cpu: Cpu, me: number, { barriers }: Shared) => void barriers[me]!.wait(),
      (_cpu: Cpu, me: number, { barriers }: Shared) => {
        try {
          barriers[me]!.wait({ timeout: 1 });
        } catch (error) {
          if (!(error instanceof HoldfastError)) throw error;
          barriers[me]!.wait();
        }
      },
    ],
    reaper: (_cpu, died, view) => reapDead(view, died),
  };
  return program as unknown as Program;
}

describe('one that gives up in the moment in which it is counted, and the other goes', () => {
  test.each(['sc', 'x86-tso', 'armv8'] as const)('on %s', async (model) => {
    await expectExplored({ ...hesitation(), model, mode: 'random', executions: 3000 });
  });
});
