/**
 * How much has been done for one litmus test: the limit, so that a test that is too large says so in good time, and the
 * progress, so that whoever waits sees that something happens. Work is counted, not time: the same test always ends the same way.
 */
import { LitmusLimitExceeded } from './errors.ts';

const candidateLimit = 5_000_000;
/** Choices of traces, of places in coherence order and of writes to read from. */
const stepLimit = 100_000_000;
const stepsPerReport = 1 << 20;

export class Work {
  candidates = 0;
  #steps = 0;
  readonly #report: ((steps: number, candidates: number) => void) | undefined;

  /** `report` is called now and then. */
  constructor(report?: (steps: number, candidates: number) => void) {
    this.#report = report;
  }

  step(): void {
    if (++this.#steps > stepLimit) throw new LitmusLimitExceeded('steps', stepLimit);
    if (this.#steps % stepsPerReport === 0) this.#report?.(this.#steps, this.candidates);
  }

  candidate(): void {
    if (++this.candidates > candidateLimit) throw new LitmusLimitExceeded('candidate executions', candidateLimit);
    // One look at a candidate is worth many steps.
    this.#steps += 15;
    this.step();
  }
}
