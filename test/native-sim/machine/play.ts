/** Threads of a test: each a core, a start in ns, and what its thread does once. */
import { Machine } from '../../../native-sim/machine/machine.ts';
import { type Part as MachinePart, runParts } from '../../../native-sim/machine/parts.ts';
import type { Profile } from '../../../native-sim/machine/profile.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import type { TimedCpu } from '../../../native-sim/machine/timed-cpu.ts';

export type Part = MachinePart<TimedCpu>;

export function profile(name: string, changes: Partial<Profile> = {}): Profile {
  return { ...profiles.get(name)!, ...changes };
}

export interface PlayOptions {
  on?: Profile;
  words?: number;
  seed?: number;
}

export function play(
  parts: readonly Part[],
  { on = profile('alpha-8'), words = 256, seed = 1 }: PlayOptions = {},
): Machine {
  const cores = Math.max(...parts.map(([core]) => core)) + 1;
  const machine = new Machine({ profile: on, cores, words, seed });
  runParts(machine, (number) => machine.cpu(number), parts);
  return machine;
}
