/**
 * How much has been done for one litmus test: the limit, so that a test that is too large says so in good time, and the
 * progress, so that whoever waits sees that something happens. Work is counted, not time: the same test always ends the same way.
 */
import { LitmusLimitExceeded } from './errors.ts';

const candidateLimit = 2_000_000;
/** Runs of threads; choices of traces, of places in coherence order and of writes to read from. */
const defaultStepLimit = 20_000_000;
const stepsPerReport = 1 << 17;
/** Measured under the kernel's model, with 10 to 180 events: steps then take about the same time in all tests. */
const pairsPerStep = 45;
/** By time it would be four; it is the memory that a trace takes which must not run out before the steps do. */
const stepsPerEvent = 10;

export type Progress = (steps: number, candidates: number) => void;

export class Work {
  candidates = 0;
  #steps = 0;
  #nextReport = stepsPerReport;
  readonly #report: Progress | undefined;

  readonly #stepLimit: number;

  /** `report` is called now and then. */
  constructor(report?: Progress, stepLimit = defaultStepLimit) {
    this.#report = report;
    this.#stepLimit = stepLimit;
  }

  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > this.#stepLimit) throw new LitmusLimitExceeded('steps', this.#stepLimit);
    if (this.#steps >= this.#nextReport) {
      this.#nextReport = this.#steps + stepsPerReport;
      this.#report?.(this.#steps, this.candidates);
    }
  }

  /** One run of a thread. */
  trace(events: number): void {
    this.step(stepsPerEvent * (events + 1));
  }

  /** One look at a candidate of so many events is worth many steps: a model works on their pairs. */
  candidate(events: number): void {
    if (++this.candidates > candidateLimit) throw new LitmusLimitExceeded('candidate executions', candidateLimit);
    this.step(15 + Math.floor((events * events) / pairsPerStep));
  }
}
