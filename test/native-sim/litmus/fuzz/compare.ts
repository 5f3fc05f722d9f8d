/** Random tests, each put to the real search and to a slow reference; what differs is told. */
import { checkLitmus, type Verdict } from '../../../../native-sim/litmus/check.ts';
import { dialectOf, type ModelName } from '../../../../native-sim/litmus/dialect.ts';
import { readLitmus } from '../../../../native-sim/litmus/read.ts';
import { armv8 } from '../../../../native-sim/models/armv8.ts';
import type { Model } from '../../../../native-sim/models/execution.ts';
import { javascript } from '../../../../native-sim/models/javascript.ts';
import { lkmm } from '../../../../native-sim/models/lkmm.ts';
import { power as powerModel } from '../../../../native-sim/models/power.ts';
import { rvwmo } from '../../../../native-sim/models/rvwmo.ts';
import { sc } from '../../../../native-sim/models/sc.ts';
import { x86Tso } from '../../../../native-sim/models/x86-tso.ts';
import { naiveOutcome } from './naive.ts';
import { type AbstractMachine, type IsFull, operationalStates } from './operational.ts';
import { aarch64, c, kernelC, type Language, power, print, riscv, x86 } from './print.ts';
import { type Features, hasResult, LOCATIONS, type Program, randomProgram } from './program.ts';

export interface Target {
  readonly name: string;
  readonly language: Language;
  readonly model: Model;
  readonly rmw?: 'lse' | 'llsc';
  readonly features: Features;
  /** The machine that the model describes, where there is one. */
  readonly machine?: { readonly kind: AbstractMachine; readonly isFull: IsFull };
}

const kernel: Features = { plain: false, pairs: false, cmpxchg: true };
const mixed: Features = { ...kernel, plain: true };
const assembly: Features = { plain: false, pairs: true, cmpxchg: false };
const isKernelFull: IsFull = (kind) => kind < 2;
const isX86Full: IsFull = (kind) => x86.fence(kind) === 'mfence';

export const targets: readonly Target[] = [
  { name: 'C, sc', language: c, model: sc, features: kernel, machine: { kind: 'sc', isFull: isKernelFull } },
  {
    name: 'C, x86-tso',
    language: c,
    model: x86Tso,
    features: kernel,
    machine: { kind: 'x86-tso', isFull: isKernelFull },
  },
  { name: 'C, armv8', language: c, model: armv8, features: kernel },
  { name: 'C, armv8 with LL/SC', language: c, model: armv8, rmw: 'llsc', features: kernel },
  { name: 'C, lkmm', language: kernelC, model: lkmm, features: mixed },
  { name: 'C, javascript', language: c, model: javascript, features: mixed },
  { name: 'AArch64', language: aarch64, model: armv8, features: { ...assembly, cmpxchg: true } },
  { name: 'RISCV', language: riscv, model: rvwmo, features: assembly },
  { name: 'PPC', language: power, model: powerModel, features: assembly },
  {
    name: 'X86_64',
    language: x86,
    model: x86Tso,
    features: { ...assembly, pairs: false },
    machine: { kind: 'x86-tso', isFull: isX86Full },
  },
];

export type Comparison =
  | { readonly kind: 'equal' | 'too large' }
  | { readonly kind: 'different'; readonly what: string; readonly text: string };

/** `limit`: how many candidates the reference goes through at most. */
export function compare(target: Target, seed: number, limit: number): Comparison {
  const program = randomProgram(seed, target.features);
  const text = print(program, target.language);
  const different = (what: string): Comparison => ({ kind: 'different', what, text });
  const model = target.model.name as ModelName;
  const verdict = checkLitmus(readLitmus(text), { model, ...(target.rmw === undefined ? {} : { rmw: target.rmw }) });
  if (target.machine !== undefined) {
    const expected = operationalStates(program, target.machine.kind, target.machine.isFull);
    const states = new Set(verdict.states.map(({ values }) => inOrder(program, target.language, verdict, values)));
    if (!sameKeys(expected, states)) return different(`machine: ${[...expected].sort().join(' | ')}`);
  }
  // Guesses out of thin air are another matter.
  if (verdict.notes.length > 0) return { kind: 'too large' };
  const expected = naiveOutcome(readLitmus(text), target.model, dialectOf(model, target.rmw), limit);
  if (expected === undefined) return { kind: 'too large' };
  if (verdict.positive !== expected.positive || verdict.negative !== expected.negative) {
    return different(
      `${verdict.positive} and ${verdict.negative} executions, not ${expected.positive} and ${expected.negative}`,
    );
  }
  const counts = new Map(verdict.states.map(({ values, executions }) => [values.join(), executions]));
  const same =
    sameKeys(counts, expected.states) && [...counts].every(([key, count]) => expected.states.get(key) === count);
  return same ? { kind: 'equal' } : different(`states: ${JSON.stringify([...expected.states])}`);
}

function sameKeys(a: { has(key: string): boolean; size: number; keys(): Iterable<string> }, b: typeof a): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key));
}

/** A state as `operationalStates` has it. */
function inOrder(program: Program, language: Language, verdict: Verdict, values: readonly bigint[]): string {
  const { test, locations } = verdict;
  const results = program.threads.flatMap((steps, thread) =>
    steps.flatMap((step, at) => {
      if (!hasResult(step)) return [];
      const register = language.register(at).toLowerCase();
      const found = locations.findIndex(
        (location) =>
          location.kind === 'register' && location.thread === thread && location.register.toLowerCase() === register,
      );
      return [values[found]];
    }),
  );
  const memory = LOCATIONS.map((name) => {
    const address = test.memory.address(name);
    return values[locations.findIndex((location) => location.kind === 'memory' && location.address === address)];
  });
  return [...results, ...memory].join();
}
