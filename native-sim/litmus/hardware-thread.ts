/**
 * One thread of a litmus test on real hardware: what the worker runs.
 *
 * Iterations come in batches. Within a batch every iteration has locations of its own, and the threads keep in step by
 * a short, bounded spin before each, so that their bodies overlap; a thread that is not running is not waited for.
 * Between batches thread 0 counts the final states and resets memory while the others sleep.
 */
import { parentPort } from 'node:worker_threads';

export interface HardwarePlan {
  /** Body of a function of `(m, b, o, k)`; see `hardware-compile.ts`. */
  readonly source: string;
  readonly thread: number;
  readonly threads: number;
  readonly batches: number;
  readonly iterationsPerBatch: number;
  /** Shared: the locations of every iteration of a batch. */
  readonly memory: SharedArrayBuffer;
  readonly wordsPerIteration: number;
  /** What each iteration's locations hold at the start. */
  readonly initial: readonly number[];
  /** Shared: the final registers of every iteration of a batch, per thread `registersPerIteration` words apart. */
  readonly registers: SharedArrayBuffer;
  readonly registersPerIteration: number;
  /** Where this thread's registers begin among those of an iteration. */
  readonly firstRegister: number;
  /** Words of an iteration's memory that a state shows. */
  readonly shown: readonly number[];
  /** Shared: arrivals, generation, then a line for each thread's progress. */
  readonly control: SharedArrayBuffer;
}

/** Final registers then shown memory, joined by commas, with how often they were seen. */
export type StateCounts = Map<string, number>;

type Body = (m: Int32Array, b: number, o: Int32Array, k: number) => void;

const arrivals = 0;
const generation = 1;
export const wordsPerLine = 16;
/** About a microsecond: longer than threads that do run are apart. */
const spinsInStep = 300;

export function runHardwareThread(plan: HardwarePlan): void {
  const memory = new Int32Array(plan.memory);
  const registers = new Int32Array(plan.registers);
  const control = new Int32Array(plan.control);
  const body = new Function('m', 'b', 'o', 'k', plan.source) as Body;
  const counts: StateCounts = new Map();
  for (let batch = 0; batch < plan.batches; batch++) {
    if (plan.thread === 0) reset(memory, plan);
    barrier(control, plan.threads);
    runBatch(plan, body, memory, registers, control, batch * plan.iterationsPerBatch);
    barrier(control, plan.threads);
    if (plan.thread === 0) tally(plan, memory, registers, counts);
  }
  parentPort?.postMessage(plan.thread === 0 ? counts : undefined);
}

function reset(memory: Int32Array, plan: HardwarePlan): void {
  for (let iteration = 0; iteration < plan.iterationsPerBatch; iteration++) {
    memory.set(plan.initial, iteration * plan.wordsPerIteration);
  }
}

function runBatch(
  plan: HardwarePlan,
  body: Body,
  memory: Int32Array,
  registers: Int32Array,
  control: Int32Array,
  done: number,
): void {
  const { thread, threads, wordsPerIteration, registersPerIteration, firstRegister } = plan;
  const mine = (thread + 1) * wordsPerLine;
  for (let iteration = 0; iteration < plan.iterationsPerBatch; iteration++) {
    const turn = done + iteration + 1;
    Atomics.store(control, mine, turn);
    for (let other = 0; other < threads; other++) {
      if (other === thread) continue;
      const theirs = (other + 1) * wordsPerLine;
      for (let spin = 0; spin < spinsInStep && Atomics.load(control, theirs) < turn; spin++);
    }
    body(memory, iteration * wordsPerIteration, registers, iteration * registersPerIteration + firstRegister);
  }
}

/** All threads arrive before any leaves. */
function barrier(control: Int32Array, threads: number): void {
  const now = Atomics.load(control, generation);
  if (Atomics.add(control, arrivals, 1) === threads - 1) {
    Atomics.store(control, arrivals, 0);
    Atomics.add(control, generation, 1);
    Atomics.notify(control, generation);
    return;
  }
  while (Atomics.load(control, generation) === now) Atomics.wait(control, generation, now);
}

function tally(plan: HardwarePlan, memory: Int32Array, registers: Int32Array, counts: StateCounts): void {
  for (let iteration = 0; iteration < plan.iterationsPerBatch; iteration++) {
    const at = iteration * plan.registersPerIteration;
    const state = [
      ...registers.subarray(at, at + plan.registersPerIteration),
      ...plan.shown.map((word) => memory[iteration * plan.wordsPerIteration + word]!),
    ].join();
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
}
