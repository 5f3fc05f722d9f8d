/** The atomic mode of PercpuRef as a program to explore: references that change hands while a thread asks whether there are any. */

import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { addAtomically, wereNone } from '../../../../lib/rcu/percpu-ref-core.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';

const [TAKEN, FIRST, SECOND, HAS, DONE] = [0, 1, 2, 3, 4];
const is = (value: number, wanted: number) => value === wanted;

function until(cpu: Cpu, word: number): void {
  cpu.condLoadAcquire(word, is, 1, Number.POSITIVE_INFINITY);
}

/**
 * Thread 0 takes a reference, and then thread 1 gives its own back, so at each moment somebody has one until thread 2 has looked
 * `looks` times.
 */
export function percpuRef(looks: number): Program {
  const first = { line: FIRST, taken: TAKEN };
  const second = { line: SECOND, taken: TAKEN };
  return {
    words: 5,
    labels: { taken: TAKEN, first: FIRST, second: SECOND, has: HAS, done: DONE },
    setup(cpu) {
      cpu.write(SECOND, 1);
      cpu.write(TAKEN, 1);
    },
    threads: [
      (cpu) => {
        addAtomically(cpu, first, 1);
        cpu.storeRelease(HAS, 1);
        until(cpu, DONE);
        addAtomically(cpu, first, -1);
      },
      (cpu) => {
        until(cpu, HAS);
        addAtomically(cpu, second, -1);
      },
      (cpu) => {
        for (let look = 0; look < looks; look++) {
          const isZero = wereNone(cpu, TAKEN, [FIRST, SECOND]);
          if (isZero) throw new Error('at no moment was there no reference');
        }
        cpu.storeRelease(DONE, 1);
      },
    ],
  };
}
