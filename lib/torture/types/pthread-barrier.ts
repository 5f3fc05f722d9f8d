/**
 * The serial thread of a round has the barrier as a lock: the next round is not complete before it has come back. So two
 * are inside when somebody was released too early, or two were told that they are the serial one.
 *
 * Rounds are held at two barriers by turns. The serial thread destroys the one it has just come from, while others may
 * still be on their way out; nobody comes there again before all have met at the other one.
 *
 * That goes for threads that have all seen the last round end. Who takes a dead thread's place may still go to where the
 * last round was; so from the first death on the barriers stay. Those who wait for the newcomer at the other one try again,
 * as it does.
 */
import { struct } from '../../memory/struct.ts';
import { PthreadBarrier } from '../../pthread/barrier.ts';
import { isTimeout, type LockType, SLEEPING } from '../lock-type.ts';

/** How long one waits for the others before it looks again whether the run is over, ms. */
const PATIENCE = 50;

const Words = struct({
  /** Rounds that are over. */
  rounds: 1,
  deaths: 1,
});

interface Handle {
  readonly address: number;
  readonly count: number;
}

export const pthreadBarrier = barrierType(
  'pthread-barrier',
  'PthreadBarrier: whoever is told to be the serial one goes in, all threads meet again afterwards',
  0,
);

/** A barrier for `missing` fewer than there are threads. */
export function barrierType(name: string, summary: string, missing: number): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    isRobust: false,
    isAsync: false,
    hasTry: false,
    longHold: 500,
    create(arena, { threads }): Handle {
      const address = arena.alloc(Words.words);
      arena.cpu.write(address + Words.rounds, 0);
      arena.cpu.write(address + Words.deaths, 0);
      return { address, count: Math.max(1, threads - missing) };
    },
    open(arena, handle) {
      const { cpu } = arena;
      const { address, count } = handle as Handle;
      const barrierOf = (round: number) => new PthreadBarrier(arena, `pthread-barrier ${round % 2}`, { count });
      const both = () => [barrierOf(0), barrierOf(1)];
      return {
        lock(_mode, timeout) {
          const round = cpu.load(address + Words.rounds);
          const barrier = barrierOf(round);
          let isSerial: boolean;
          try {
            isSerial = barrier.wait({ timeout: timeout ?? PATIENCE });
          } catch (error) {
            if (timeout === undefined && isTimeout(error)) return false;
            throw error;
          }
          cpu.cmpxchg(address + Words.rounds, round, round + 1);
          if (isSerial && cpu.load(address + Words.deaths) === 0) barrier.destroy();
          return isSerial;
        },
        unlock: () => {},
        /** For the look at the end. */
        tryLock: () => both().every(({ waiting }) => waiting === 0),
        afterDeath: () => void cpu.fetchAdd(address + Words.deaths, 1),
        ownerDied: false,
        makeConsistent: () => {},
        destroy() {
          for (const barrier of both()) barrier.destroy();
          arena.free(address);
        },
      };
    },
  };
}
