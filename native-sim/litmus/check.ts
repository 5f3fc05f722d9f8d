/**
 * The verdict on a litmus test under a model: its final states, how many executions satisfy the condition, and what
 * herd would say of them.
 */
import { armv8 } from '../models/armv8.ts';
import { type Execution, type Model, Tag } from '../models/execution.ts';
import { javascript } from '../models/javascript.ts';
import { lkmm } from '../models/lkmm.ts';
import { power } from '../models/power.ts';
import { rvwmo } from '../models/rvwmo.ts';
import { sc } from '../models/sc.ts';
import { x86Tso } from '../models/x86-tso.ts';
import { type AddressNumber, forEachExecution, type Visited } from './candidates.ts';
import { type FinalLocation, type FinalValue, holds, mentioned } from './condition.ts';
import { type Dialect, dialectOf, isKernelModel, type ModelName } from './dialect.ts';
import { LitmusLimitExceeded, NoExecution, UnsupportedConstruct } from './errors.ts';
import type { Architecture, LitmusTest } from './test-file.ts';
import { findWitness } from './witness.ts';
import { type Progress, Work } from './work.ts';

const models: Readonly<Record<ModelName, Model>> = { sc, 'x86-tso': x86Tso, armv8, rvwmo, power, lkmm, javascript };

export const modelNames = Object.keys(models) as ModelName[];

/** The model that a test is written for. */
export const nativeModel: Readonly<Record<Architecture, ModelName>> = {
  C: 'lkmm',
  AArch64: 'armv8',
  X86: 'x86-tso',
  X86_64: 'x86-tso',
  RISCV: 'rvwmo',
  PPC: 'power',
};

export interface State {
  /** The value of each of the verdict's `locations`. */
  readonly values: readonly bigint[];
  readonly executions: number;
  readonly satisfies: boolean;
}

export interface Verdict {
  readonly test: LitmusTest;
  readonly model: ModelName;
  /** What a state shows: registers by thread, then memory. */
  readonly locations: readonly FinalLocation[];
  readonly states: readonly State[];
  /** Executions that satisfy the condition, and that do not. */
  readonly positive: number;
  readonly negative: number;
  readonly observation: 'Never' | 'Sometimes' | 'Always';
  /** The test's own claim ("exists", "~exists", "forall") holds. */
  readonly ok: boolean;
  /** Loops were unrolled only so far. */
  readonly cut: boolean;
  /** What is wrong with the test, as `data-race`. */
  readonly flags: readonly string[];
  /** What the verdict leaves out. */
  readonly notes: readonly string[];
  /** There are too many executions to list: one of each kind was looked for. Numbers and states are of those, and flags are not known. */
  readonly sampled: boolean;
  readonly candidates: number;
}

export interface CheckOptions {
  /** Default: the model that the test's language is written for. */
  readonly model?: ModelName | undefined;
  /** How the arm64 kernel would make read-modify-writes. Default: `lse`. */
  readonly rmw?: 'lse' | 'llsc';
  /** Called now and then while the candidates are gone through. */
  readonly progress?: Progress | undefined;
  /** More steps than that are an error; default: 20 million. A step is one choice; a candidate counts as 15, and more if it has many events. */
  readonly steps?: number | undefined;
}

export function checkLitmus(test: LitmusTest, options: CheckOptions = {}): Verdict {
  const name = options.model ?? nativeModel[test.architecture];
  if (test.architecture !== 'C' && name !== 'sc' && name !== nativeModel[test.architecture]) {
    throw new UnsupportedConstruct(`${test.architecture} instructions under the model ${name}`);
  }
  if (test.architecture === 'C' && !isKernelModel(name)) throw new UnsupportedConstruct(`C under the model ${name}`);
  const dialect = dialectOf(name, options.rmw);
  const work = new Work(options.progress, options.steps, true);
  try {
    return list(test, name, dialect, work);
  } catch (thrown) {
    if (!(thrown instanceof LitmusLimitExceeded)) throw thrown;
    const sampled = sample(test, name, dialect, options);
    if (sampled !== undefined) return sampled;
    if (!work.gaveUp) throw thrown;
  }
  // There is no verdict by fewer executions: it is worth all the steps.
  return list(test, name, dialect, new Work(options.progress, options.steps));
}

/** The verdict from all executions. */
function list(test: LitmusTest, name: ModelName, dialect: Dialect, work: Work): Verdict {
  const model = models[name];
  const locations = shownLocations(test);
  const states = new Map<string, { values: bigint[]; executions: number; satisfies: boolean }>();
  const flags = new Set<string>();
  let positive = 0;
  let negative = 0;
  let executions = 0;
  const visit = (final: FinalValue, x: Execution, addressNumber: AddressNumber): void => {
    executions++;
    if (test.filter !== undefined && !holds(test.filter, final)) return;
    const satisfies = holds(test.condition, final);
    if (satisfies) positive++;
    else negative++;
    for (const flag of model.flags?.(x) ?? []) flags.add(flag);
    if (name === 'lkmm' && asksForLock(locations, x, addressNumber)) flags.add('lock-final');
    const values = locations.map(final);
    const key = values.join();
    const state = states.get(key);
    if (state === undefined) states.set(key, { values, executions: 1, satisfies });
    else state.executions++;
  };
  const visited = forEachExecution(test, model, dialect, visit, work);
  const { candidates, cut, strayed } = visited;
  if (executions === 0 && !cut) {
    throw new NoExecution(strayed ? 'every one accesses what is no location, as a null pointer is' : 'it deadlocks');
  }
  return {
    test,
    model: name,
    locations,
    states: [...states.values()].sort((a, b) => compareValues(a.values, b.values)),
    positive,
    negative,
    observation: observationOf(positive, negative),
    ok: isOk(test, positive, negative),
    cut,
    flags: [...flags],
    notes: notesOn(visited, executions),
    sampled: false,
    candidates,
  };
}

function observationOf(positive: number, negative: number): Verdict['observation'] {
  return positive === 0 ? 'Never' : negative === 0 ? 'Always' : 'Sometimes';
}

/** The verdict from one execution of each kind; undefined: looking for them takes too long as well. */
function sample(test: LitmusTest, name: ModelName, dialect: Dialect, options: CheckOptions): Verdict | undefined {
  const locations = shownLocations(test);
  const work = new Work(options.progress, options.steps);
  let found: State[];
  try {
    found = [true, false].flatMap((satisfies) => {
      const values = findWitness(test, models[name], dialect, satisfies, locations, work);
      return values === undefined ? [] : [{ values, executions: 1, satisfies }];
    });
  } catch (thrown) {
    if (thrown instanceof LitmusLimitExceeded) return undefined;
    throw thrown;
  }
  const positive = found.filter((state) => state.satisfies).length;
  const negative = found.length - positive;
  return {
    test,
    model: name,
    locations,
    states: found.sort((a, b) => compareValues(a.values, b.values)),
    positive,
    negative,
    observation: observationOf(positive, negative),
    ok: isOk(test, positive, negative),
    cut: false,
    flags: [],
    notes: ['too many executions to list: one that satisfies the condition, and one that does not, were looked for'],
    sampled: true,
    candidates: work.candidates,
  };
}

function notesOn({ circular, ofUnknown, incomplete }: Visited, executions: number): string[] {
  const notes: string[] = [];
  if (executions === 0) notes.push('no execution ends within the turns that loops are followed for');
  if (ofUnknown > 0) notes.push(`in ${ofUnknown} executions a value comes out of thin air: it is shown as S`);
  if (circular) notes.push('left out: executions in which a value comes out of thin air and is calculated with');
  if (incomplete) notes.push('values out of thin air were not looked for: too many');
  return notes;
}

/** Whether the final value of a spin lock is asked for, which the kernel's model does not define. */
function asksForLock(locations: readonly FinalLocation[], x: Execution, addressNumber: AddressNumber): boolean {
  return locations.some((location) => {
    if (location.kind !== 'memory') return false;
    const number = addressNumber(location.address);
    for (let event = 0; event < x.count; event++) {
      if (x.address[event] === number && (x.tags[event]! & (Tag.lockWrite | Tag.unlock)) !== 0) return true;
    }
    return false;
  });
}

function isOk(test: LitmusTest, positive: number, negative: number): boolean {
  if (test.quantifier === 'exists') return positive > 0;
  return test.quantifier === 'forall' ? negative === 0 : positive === 0;
}

function compareValues(a: readonly bigint[], b: readonly bigint[]): number {
  for (let at = 0; at < a.length; at++) {
    if (a[at]! !== b[at]!) return a[at]! < b[at]! ? -1 : 1;
  }
  return 0;
}

/** The locations that a state of the test shows: registers by thread, then memory. */
export function shownLocations(test: LitmusTest): FinalLocation[] {
  const byKey = new Map<string, FinalLocation>();
  for (const location of [...test.locations, ...mentioned(test.condition)]) {
    byKey.set(locationKey(location, test), location);
  }
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, location]) => location);
}

/** Sorts registers, by thread, before memory. */
function locationKey(location: FinalLocation, test: LitmusTest): string {
  if (location.kind === 'register') return `0${String(location.thread).padStart(4, '0')}:${location.register}`;
  return `1${test.memory.show(location.address)}`;
}
