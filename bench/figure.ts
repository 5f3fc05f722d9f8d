/** One measured quantity, once per round. All peers of a scenario are measured in each round, in turns. */
export interface Figure {
  /** What was done, e.g. "lock + unlock". */
  readonly scenario: string;
  /** With what, e.g. "textbook". */
  readonly peer: string;
  readonly unit: 'ns' | 'k/s' | 'ms' | 'us, p99.9' | 'bytes' | 'least/most' | 'back-offs/set' | 'unended' | '% hits';
  readonly rounds: readonly number[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** How many times `a` is `b`: the median over the rounds of the ratio within one round. */
export function ratio(a: Figure, b: Figure): number {
  return median(a.rounds.map((value, round) => value / (b.rounds[round] ?? Number.NaN)));
}

/** What is left of `a` without `b`, round by round. */
export function difference(a: Figure, b: Figure): Figure {
  return { ...a, rounds: a.rounds.map((value, round) => value - (b.rounds[round] ?? Number.NaN)) };
}

/** One value that was measured. */
export interface Measured {
  readonly scenario: string;
  readonly peer: string;
  readonly unit: Figure['unit'];
  readonly value: number;
}

/** Figures as they come in, each round adding to what it is about. */
export class Figures {
  readonly #figures = new Map<string, Figure & { rounds: number[] }>();
  readonly #onMeasured: (measured: Measured) => void;

  constructor(onMeasured: (measured: Measured) => void = () => {}) {
    this.#onMeasured = onMeasured;
  }

  add(scenario: string, peer: string, unit: Figure['unit'], value: number): void {
    const key = `${scenario}\0${peer}\0${unit}`;
    const figure = this.#figures.get(key);
    if (figure === undefined) this.#figures.set(key, { scenario, peer, unit, rounds: [value] });
    else figure.rounds.push(value);
    this.#onMeasured({ scenario, peer, unit, value });
  }

  all(): Figure[] {
    return [...this.#figures.values()];
  }
}
