/** Threads that do one thing each, and what the machine makes of them. */
import type { Machine } from './machine.ts';

/** On which core, from when on in ns, and what. */
export type Part<C> = readonly [core: number, start: number, act: (cpu: C) => void];

/** Runs the machine to its end with these threads. `cpuOf`: the `Cpu` of a thread. */
export function runParts<C>(machine: Machine, cpuOf: (number: number) => C, parts: readonly Part<C>[]): void {
  for (const [number, [core, start, act]] of parts.entries()) {
    const cpu = cpuOf(number);
    machine.spawn(
      () => {
        act(cpu);
        return false;
      },
      core,
      start,
    );
  }
  machine.run();
}
