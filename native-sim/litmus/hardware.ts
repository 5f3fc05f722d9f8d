/**
 * Runs a C litmus test on this very machine: one worker thread per thread of the test, many iterations, and how often
 * each final state was seen. What is never seen may still be possible; what is seen is.
 */
import { spawnWorker, workerEntry } from '../../lib/arena/spawn.ts';
import { shownLocations } from './check.ts';
import { type FinalLocation, holds, mentioned } from './condition.ts';
import { UnsupportedConstruct } from './errors.ts';
import { type Accesses, compileThread, layout, pointerBit, wordsPerLocation } from './hardware-compile.ts';
import { type HardwarePlan, type StateCounts, wordsPerLine } from './hardware-thread.ts';
import { showLocation } from './report.ts';
import type { LitmusTest } from './test-file.ts';

export interface HardwareOptions {
  readonly accesses: Accesses;
  /** @default 100,000 */
  readonly iterations?: number;
}

export interface HardwareState {
  /** As `0:r0=1; [x]=2;` */
  readonly text: string;
  readonly count: number;
  readonly satisfies: boolean;
}

export interface HardwareResult {
  readonly accesses: Accesses;
  readonly states: readonly HardwareState[];
  readonly positive: number;
  readonly negative: number;
}

const iterationsPerBatch = 2000;

export async function runOnHardware(test: LitmusTest, options: HardwareOptions): Promise<HardwareResult> {
  if (test.architecture !== 'C') throw new UnsupportedConstruct(`${test.architecture} on hardware: C tests alone run`);
  const offsets = layout(test);
  const locations = shownLocations(test);
  const needed = [...locations, ...(test.filter === undefined ? [] : mentioned(test.filter))];
  const registers = test.functions.map((_, thread) => registersOf(needed, thread));
  const registersPerIteration = registers.reduce((sum, names) => sum + names.length, 0);
  const wordsPerIteration = Math.max(wordsPerLocation, offsets.size === 0 ? 0 : end(test, offsets));
  const shown = [...offsets.values()];
  const shared = {
    threads: test.functions.length,
    batches: Math.max(1, Math.ceil((options.iterations ?? 100_000) / iterationsPerBatch)),
    iterationsPerBatch,
    memory: new SharedArrayBuffer(4 * iterationsPerBatch * wordsPerIteration),
    wordsPerIteration,
    initial: initialWords(test, offsets, wordsPerIteration),
    registers: new SharedArrayBuffer(4 * iterationsPerBatch * Math.max(1, registersPerIteration)),
    registersPerIteration,
    shown,
    control: new SharedArrayBuffer(4 * wordsPerLine * (test.functions.length + 1)),
  };
  const plans = test.functions.map((definition, thread): HardwarePlan => {
    const firstRegister = registers.slice(0, thread).reduce((sum, names) => sum + names.length, 0);
    const source = compileThread(definition, offsets, options.accesses, registers[thread]!);
    return { ...shared, source, thread, firstRegister };
  });
  const results = await Promise.all(plans.map(runPlan));
  const order = registers.flatMap((names, thread) =>
    names.map((register): FinalLocation => ({ kind: 'register', thread, register })),
  );
  const memory = [...offsets.keys()].map(
    (name): FinalLocation => ({ kind: 'memory', address: test.memory.address(name) }),
  );
  return summarize(test, options.accesses, results[0]!, locations, [...order, ...memory], offsets);
}

function registersOf(locations: readonly FinalLocation[], thread: number): string[] {
  const names = new Set<string>();
  for (const location of locations) {
    if (location.kind === 'register' && location.thread === thread) names.add(location.register);
  }
  return [...names];
}

function end(test: LitmusTest, offsets: ReadonlyMap<string, number>): number {
  const last = [...offsets].at(-1)!;
  return last[1] + Math.ceil(test.memory.elements(last[0]) / wordsPerLocation) * wordsPerLocation;
}

/** An address as the compiled code knows it, an integer as itself. */
function toWord(value: bigint, test: LitmusTest, offsets: ReadonlyMap<string, number>): number {
  for (const [name, offset] of offsets) {
    if (test.memory.address(name) === value) return offset | pointerBit;
  }
  return Number(BigInt.asIntN(32, value));
}

function fromWord(word: number, test: LitmusTest, offsets: ReadonlyMap<string, number>): bigint {
  if ((word & pointerBit) !== 0 && word > 0) {
    for (const [name, offset] of offsets) {
      if ((word & (pointerBit - 1)) === offset) return test.memory.address(name);
    }
  }
  return BigInt(word);
}

function initialWords(test: LitmusTest, offsets: ReadonlyMap<string, number>, words: number): number[] {
  const initial = new Array<number>(words).fill(0);
  for (const [name, offset] of offsets) {
    for (let element = 0; element < test.memory.elements(name); element++) {
      const address = test.memory.address(name) + BigInt(element * test.memory.type(name).bytes);
      initial[offset + element] = toWord(test.memory.initialCell(address), test, offsets);
    }
  }
  return initial;
}

function runPlan(plan: HardwarePlan): Promise<StateCounts> {
  return new Promise((resolve, reject) => {
    const worker = spawnWorker(workerEntry('litmus'), { name: `litmus/${plan.thread}`, workerData: plan });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

function summarize(
  test: LitmusTest,
  accesses: Accesses,
  counts: StateCounts,
  locations: readonly FinalLocation[],
  order: readonly FinalLocation[],
  offsets: ReadonlyMap<string, number>,
): HardwareResult {
  const keys = order.map((location) => showLocation(location, test));
  const states = new Map<string, { text: string; count: number; satisfies: boolean }>();
  let positive = 0;
  let negative = 0;
  for (const [words, count] of counts) {
    const values = words.split(',').map((word) => fromWord(Number(word), test, offsets));
    const final = (location: FinalLocation): bigint => values[keys.indexOf(showLocation(location, test))] ?? 0n;
    if (test.filter !== undefined && !holds(test.filter, final)) continue;
    const satisfies = holds(test.condition, final);
    if (satisfies) positive += count;
    else negative += count;
    const text = locations
      .map((location) => `${showLocation(location, test)}=${test.memory.show(final(location))};`)
      .join(' ');
    const state = states.get(text);
    if (state === undefined) states.set(text, { text, count, satisfies });
    else state.count += count;
  }
  const sorted = [...states.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
  return { accesses, states: sorted, positive, negative };
}

/** In the form of litmus7: a histogram, with a star at the states that satisfy the condition. */
export function formatHardware(test: LitmusTest, result: HardwareResult): string {
  const { positive, negative } = result;
  const observation = positive === 0 ? 'Never' : negative === 0 ? 'Always' : 'Sometimes';
  const width = Math.max(...result.states.map((state) => String(state.count).length));
  return `${[
    `Test ${test.name} (this machine, ${result.accesses} accesses)`,
    `Histogram (${result.states.length} states)`,
    ...result.states.map((s) => `${String(s.count).padEnd(width)} ${s.satisfies ? '*' : ':'}>${s.text}`),
    `Witnesses`,
    `Positive: ${positive}, Negative: ${negative}`,
    `Observation ${test.name} ${observation} ${positive} ${negative}`,
  ].join('\n')}\n`;
}
