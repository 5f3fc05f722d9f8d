/**
 * How much has been done for one litmus test: the limit, so that a test that is too large says so in good time, and the
 * progress, so that whoever waits sees that something happens. Work is counted, not time: the same test always ends the same way.
 */
import { LitmusLimitExceeded } from './errors.ts';

const candidateLimit = 2_000_000;
/** Runs of threads; choices of traces, of places in coherence order and of writes to read from. */
const defaultStepLimit = 20_000_000;
const stepsPerReport = 1 << 17;
/** A search is not judged before that part of the steps is done. */
const leastEvidence = 0.1;
/**
 * A search is given up if, at the rate of its beginning, it would take so many times the steps that it may. The beginning need not
 * be typical, so this is divided by the part of the steps that it took, down to the second number.
 */
const hopeless = 0.8;
const leastHopeless = 1.5;
/** Measured under the kernel's model, with 10 to 180 events: steps then take about the same time in all tests. */
const pairsPerStep = 45;
/** By time it would be four; it is the memory that a trace takes which must not run out before the steps do. */
const stepsPerEvent = 10;

export type Progress = (steps: number, candidates: number) => void;

export class Work {
  candidates = 0;
  /** The search was given up before the limit. */
  gaveUp = false;
  #steps = 0;
  #nextReport = stepsPerReport;
  readonly #report: Progress | undefined;

  readonly #stepLimit: number;
  readonly #givesUp: boolean;
  /** Where the search through combinations began, and how much of it is behind, of 1 in all. */
  #searchedFrom = 0;
  #searched = 0;

  /** `report` is called now and then. `givesUp`: do not go on to the limit once it is as good as certain that the limit will be reached. */
  constructor(report?: Progress, stepLimit = defaultStepLimit, givesUp = false) {
    this.#report = report;
    this.#stepLimit = stepLimit;
    this.#givesUp = givesUp;
  }

  step(count = 1): void {
    this.#steps += count;
    if (this.#steps > this.#stepLimit) throw new LitmusLimitExceeded('steps', this.#stepLimit);
    if (this.#steps >= this.#nextReport) {
      this.#nextReport = this.#steps + stepsPerReport;
      this.#report?.(this.#steps, this.candidates);
      if (this.#givesUp && this.#isHopeless()) {
        this.gaveUp = true;
        throw new LitmusLimitExceeded('steps', this.#stepLimit);
      }
    }
  }

  /** The search through a tree of combinations begins. */
  beginSearch(): void {
    this.#searchedFrom = this.#steps;
    this.#searched = 0;
  }

  /** Another part of that tree is done with, for which each node counts as much as its siblings; the whole is 1. */
  searched(share: number): void {
    this.#searched += share;
  }

  #isHopeless(): boolean {
    const steps = this.#steps - this.#searchedFrom;
    const evidence = steps / this.#stepLimit;
    if (evidence < leastEvidence) return false;
    return steps > this.#stepLimit * this.#searched * Math.max(leastHopeless, hopeless / evidence);
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
