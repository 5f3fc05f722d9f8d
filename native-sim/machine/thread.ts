/**
 * A thread of the machine: a function that is called again and again, each call one step. When its thread has to wait, the
 * step is unwound and later replayed (`native-sim/replay/replay.ts`). Where nothing else has to run meanwhile the machine
 * goes on inside the waiting call instead.
 *
 * A thread whose loop has no end in sight (a system thread's) would be run again from further and further back. It is
 * written as a generator instead, whose steps are as short as it likes; see `TimedCpu.step`.
 *
 * What a step keeps outside shared memory has to be as it was at the step's start, or its thread's own and the same
 * after each run.
 */
import { describeKey, divergence, keyOf } from '../replay/replay.ts';
import { Waits } from './codes.ts';
import { ZERO } from './event-queue.ts';

/** Of `spinStart`; a double, as `ZERO` is. */
export const NOT_SPINNING = -0.5;

export class SimThread {
  readonly number: number;
  /** The core that it runs on. */
  core: number;
  /** One step. Returns false when the thread is at its end. */
  readonly step: () => boolean;
  /** Instead: a generator, see `TimedCpu.step`. */
  readonly body: Generator<void, void> | null;

  /** Results of the step's operations so far, and how many of them this run has read. */
  readonly log: number[] = [];
  /** Which operation each was: another one on replay means that the step depends on what is not in memory. */
  readonly keys: number[] = [];
  length = 0;
  cursor = 0;

  /** The operation under way. */
  code = 0;
  address = 0;
  x = 0;
  y = 0;
  order = 0;
  until: ((value: number, arg: number) => boolean) | null = null;
  spins = 0;
  /** When its spin loop began (negative: it has not), and when it gives up (0: never); moved on while another thread has the core. */
  spinStart = NOT_SPINNING;
  spinLimit = ZERO;
  leftAt = ZERO;
  /** ns, of a sleep. */
  deadline = ZERO;
  isPending = false;
  result = 0;
  /** What it waits for, and, if a line, which. */
  waits: number = Waits.nothing;
  line = -1;
  /** Its operation is done, and it goes on at this time. */
  isReady = true;
  readyAt = ZERO;
  hasEnded = false;
  /** Its core is not taken from it, as in a kernel that has disabled preemption. */
  holdsCore = false;
  /** Counts what could be waited for: an event of an earlier wait is none of this one. */
  generation = 0;

  /** The recorded result of the next operation, which must be this one. */
  recorded(code: number, address: number): number {
    const at = this.cursor++;
    if (this.keys[at] !== keyOf(code, address)) this.#diverged(at, code, address);
    return this.log[at]!;
  }

  /** An operation that needed nothing from memory is done. */
  record(code: number, result: number): void {
    this.keys[this.length] = keyOf(code, 0);
    this.log[this.length++] = result;
    this.cursor++;
  }

  #diverged(at: number, code: number, address: number): never {
    throw new Error(divergence(this.number, at, describeKey(this.keys[at]!), describeKey(keyOf(code, address))));
  }

  constructor(number: number, core: number, step: () => boolean, body: Generator<void, void> | null) {
    this.number = number;
    this.core = core;
    this.step = step;
    this.body = body;
  }
}
