/** Random small programs, as data: what the explored machine runs, and `oracle.ts` runs the slow way. */
import type { Cpu } from '../../../../lib/machine/cpu.ts';

const SUFFIXES = ['', 'Relaxed', 'Acquire', 'Release'] as const;
type Suffix = (typeof SUFFIXES)[number];

/** Words 0 and 1 are marked, word 2 is plain data; but `mixed` programs access words 0 and 1 in both ways. */
export const WORDS = 3;
const PLAIN = 2;

export type Access =
  | { do: 'load' | 'loadAcquire' | 'read'; at: number }
  | { do: 'store' | 'storeRelease' | 'write'; at: number; value: number }
  | { do: `fetchAdd${Suffix}` | `xchg${Suffix}`; at: number; value: number }
  | { do: `cmpxchg${Suffix}`; at: number; expected: number; value: number }
  /** condLoad until the word holds `expected`. */
  | { do: 'await'; at: number; expected: number }
  /** Loads, at most `turns` times, until the word holds `expected`; the result says in which turn it did. */
  | { do: 'spin'; at: number; expected: number; turns: number }
  | { do: 'mb' }
  | { do: 'wait' | 'waitUntil'; at: number; expected: number }
  | { do: 'wake'; at: number; count: number };

export type Step = Access & {
  /** The next `skip` steps are left out if the result is `when`. */
  skip: number;
  when: number;
};

export interface FuzzProgram {
  threads: Step[][];
  reaper: Step[] | null;
  /** Which thread dies, in programs with deaths. */
  victim: number;
}

/** What programs are made of. */
export const FEATURES = ['plain', 'mixed', 'wait', 'spin', 'death'] as const;
export type Feature = (typeof FEATURES)[number];

/** mulberry32: a whole number below `below`. */
export function randomBelow(seed: number): (below: number) => number {
  let a = seed | 0;
  return (below) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

export function randomProgram(seed: number, feature: Feature): FuzzProgram {
  const below = randomBelow(Math.imul(seed, 104_729) + 7);
  const sizes = below(2) === 0 ? [1 + below(4), 1 + below(4)] : [1 + below(3), 1 + below(3), 1 + below(2)];
  const some = (count: number) => Array.from({ length: count }, () => randomStep(below, feature));
  const threads = sizes.map(some);
  const reaper = feature === 'death' && below(2) === 0 ? some(1 + below(2)) : null;
  return { threads, reaper, victim: below(threads.length) };
}

function randomStep(below: (n: number) => number, feature: Feature): Step {
  const skip = below(4) === 0 ? 1 + below(2) : 0;
  return { ...randomAccess(below, feature), skip, when: below(2) };
}

function randomAccess(below: (n: number) => number, feature: Feature): Access {
  const [at, value, expected] = [below(2), 1 + below(2), below(2)];
  const suffix = SUFFIXES[below(4)]!;
  const kind = below(20);
  if (kind < 3) return { do: below(2) === 0 ? 'load' : 'loadAcquire', at };
  if (kind < 6) return { do: below(2) === 0 ? 'store' : 'storeRelease', at, value };
  if (kind < 7) return { do: `fetchAdd${suffix}`, at, value };
  if (kind < 8) return { do: `xchg${suffix}`, at, value };
  if (kind < 10) return { do: `cmpxchg${suffix}`, at, expected, value };
  if (kind < 12) return { do: 'await', at, expected };
  if (kind < 13) return { do: 'mb' };
  switch (feature) {
    case 'plain':
      return below(2) === 0 ? { do: 'read', at: PLAIN } : { do: 'write', at: PLAIN, value };
    case 'mixed':
      return mixedAccess(below, kind, at, value, expected);
    case 'spin':
      return { do: 'spin', at, expected, turns: [1, 2, 3, Number.POSITIVE_INFINITY][below(4)]! };
    default:
      if (kind < 16) return { do: 'wait', at, expected };
      return kind < 17 ? { do: 'waitUntil', at, expected } : { do: 'wake', at, count: value };
  }
}

/** What there is beside the marked accesses, where the same words are plain data too: more of what waits for a value. */
function mixedAccess(below: (n: number) => number, kind: number, at: number, value: number, expected: number): Access {
  if (kind < 16) return { do: 'write', at, value };
  if (kind < 17) return { do: 'read', at };
  if (kind < 18) return { do: 'spin', at, expected, turns: [2, Number.POSITIVE_INFINITY][below(2)]! };
  return kind < 19 ? { do: 'await', at, expected } : { do: 'waitUntil', at, expected };
}

const OUTCOMES = ['ok', 'not-equal', 'timed-out'];
const equals = (value: number, arg: number) => value === arg;

/**
 * Runs the steps on a machine, and notes their results. Each step is called from the one before, as each statement of a
 * program stands in a place of its own: by its place the explored machine tells one spin loop from the next.
 */
export function runSteps(cpu: Cpu, steps: readonly Step[], log: number[], from = 0): void {
  const step = steps[from];
  if (step === undefined) return;
  const result = perform(cpu, step);
  log.push(result);
  runSteps(cpu, steps, log, from + 1 + (step.skip > 0 && result === step.when ? step.skip : 0));
}

function perform(cpu: Cpu, step: Step): number {
  switch (step.do) {
    case 'load':
    case 'loadAcquire':
    case 'read':
      return cpu[step.do](step.at);
    case 'store':
    case 'storeRelease':
    case 'write':
      cpu[step.do](step.at, step.value);
      return 0;
    case 'await':
      return cpu.condLoad(step.at, equals, step.expected, Number.POSITIVE_INFINITY);
    case 'spin':
      return spin(cpu, step.at, step.expected, step.turns);
    case 'mb':
      cpu.mb();
      return 0;
    case 'wait':
      return OUTCOMES.indexOf(cpu.wait(step.at, step.expected, Number.POSITIVE_INFINITY));
    case 'waitUntil':
      return OUTCOMES.indexOf(cpu.wait(step.at, step.expected, 1000));
    case 'wake':
      return cpu.wake(step.at, step.count);
    default:
      if ('expected' in step) return cpu[step.do](step.at, step.expected, step.value);
      return cpu[step.do](step.at, step.value);
  }
}

/** The turn in which the word held `expected`, or `turns`; without a bound, 0. */
function spin(cpu: Cpu, at: number, expected: number, turns: number): number {
  for (let turn = 0; turn < turns; turn++) {
    if (cpu.load(at) === expected) return turns === Number.POSITIVE_INFINITY ? 0 : turn;
    cpu.relax();
  }
  return turns;
}

export function describe({ threads, reaper, victim }: FuzzProgram): string {
  const text = (steps: readonly Step[]) => steps.map((step) => JSON.stringify(step)).join('\n    ');
  const parts = threads.map((steps, t) => `thread ${t}\n    ${text(steps)}`);
  if (reaper !== null) parts.push(`reaper of ${victim}\n    ${text(reaper)}`);
  return parts.join('\n');
}
