/**
 * What an acquirer does next, drawn from its random numbers alone: never from what the lock answered, or when. So the
 * same seed gives each acquirer the same decisions, however the threads interleave.
 */

import type { LockType, Mode } from './lock-type.ts';
import { mix, Random } from './random.ts';
import type { Step } from './section.ts';

export interface Decision {
  readonly mode: Mode;
  /** Only try. */
  readonly tries: boolean;
  /** ms */
  readonly timeout: number | undefined;
  /** ms until the AbortSignal fires; 0: it fires as soon as the acquisition waits. */
  readonly abort: number | undefined;
  /** How long to hold the lock, and what to do before asking for it, ns. */
  readonly hold: number;
  readonly pause: number;
  /** Whether an asynchronous holder goes back to the event loop while it holds the lock. */
  readonly awaits: boolean;
  /** Whether to make and destroy a named object first. */
  readonly churns: boolean;
  /** Whether to let the event loop have a turn first. */
  readonly rests: boolean;
  /** Where to die if this thread is to die inside. */
  readonly dyingStep: Step;
}

const US = 1000;
const STEPS: readonly Step[] = ['arrived', 'wrecked', 'torn', 'torn', 'written'];
/** How many decisions a fingerprint covers. */
export const FINGERPRINT_DECISIONS = 16;

export class Decider {
  readonly #random: Random;
  readonly #type: LockType;
  readonly #isAsync: boolean;
  #made = 0;
  #hash = 0;

  constructor(seed: number, type: LockType, seat: number, incarnation: number, actor: number) {
    this.#random = new Random(seed, nameHash(type.name), seat, incarnation, actor);
    this.#type = type;
    this.#isAsync = actor > 0;
  }

  /** A hash of the first decisions, once they are made; 0 before. */
  get fingerprint(): number {
    return this.#made < FINGERPRINT_DECISIONS ? 0 : this.#hash;
  }

  next(): Decision {
    const random = this.#random;
    const { hasTimeouts, hasTry, modes, longHold } = this.#type;
    const decision: Decision = {
      mode: random.pick(modes),
      tries: hasTry && !this.#isAsync && random.oneIn(8),
      timeout: hasTimeouts && random.oneIn(6) ? random.below(4) : undefined,
      abort: this.#isAsync && random.oneIn(6) ? random.below(3) : undefined,
      hold: duration(random, longHold * US),
      pause: duration(random, 200 * US),
      awaits: random.oneIn(16),
      churns: random.oneIn(512),
      rests: random.oneIn(32),
      dyingStep: random.pick(STEPS),
    };
    if (++this.#made <= FINGERPRINT_DECISIONS) {
      const { timeout = -1, abort = -1, hold, pause } = decision;
      this.#hash = mix([this.#hash, timeout, abort, hold, pause, STEPS.indexOf(decision.dyingStep)], 1);
    }
    return decision;
  }
}

/** Nothing to do half of the time, mostly below 2 us, at times 20 to 50 us, rarely `longest`; ns. */
function duration(random: Random, longest: number): number {
  const draw = random.below(2000);
  if (draw === 0) return longest;
  if (draw < 40) return Math.min(longest, 20 * US + random.below(30 * US));
  return draw < 1000 ? random.below(2 * US) : 0;
}

export function nameHash(name: string): number {
  return mix(
    [...name].map((letter) => letter.charCodeAt(0)),
    7,
  );
}
