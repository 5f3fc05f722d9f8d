import { describe, test } from 'vitest';
import { WaitQueue } from '../../../lib/locking/wait-queue.ts';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { expectExplored } from '../../../native-sim/explore/expect.ts';
import type { Program } from '../../../native-sim/explore/program.ts';
import { makeArenas, type View } from './programs/holdfast.ts';

/** Thread i takes a flag `rounds[i]` times, waiting in a queue until it can, and counts. */
function takingTurns(rounds: readonly number[], exclusive: boolean): Program {
  type Shared = View & { queues: WaitQueue[] };
  const program: Program<Shared> = {
    words: 4096 + 2,
    setup(cpu) {
      const view = makeArenas(cpu, rounds.length, 1);
      const first = new WaitQueue(view.arenas[0]!);
      return { ...view, queues: view.arenas.map((arena) => WaitQueue.from(arena, first.handle)) };
    },
    threads: rounds.map((times) => (cpu: Cpu, me: number, { queues, shared: flag }: Shared) => {
      for (let round = 0; round < times; round++) {
        queues[me]!.wait(() => cpu.cmpxchgAcquire(flag, 0, 1) === 0, { exclusive });
        cpu.write(flag + 1, cpu.read(flag + 1) + 1);
        cpu.storeRelease(flag, 0);
        queues[me]!.wake();
      }
    }),
  };
  return program as unknown as Program;
}

describe('a waiter that is woken before it sleeps, finds that another was quicker, and is in no queue any more', () => {
  test.each(['sc', 'x86-tso', 'armv8'] as const)('on %s', async (model) => {
    for (const exclusive of [false, true]) {
      await expectExplored({ ...takingTurns([1, 2], exclusive), model, mode: 'random', executions: 4000 });
    }
  });
});
