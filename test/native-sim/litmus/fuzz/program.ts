/** Random small litmus tests, as data: `print.ts` writes them down in each language, `operational.ts` runs them. */
import { randomBelow } from '../../explore/fuzz/program.ts';

export type Order = 'relaxed' | 'acquire' | 'release' | 'full';

/** Where the value or the address of an access comes from, beside the constant: the result of an earlier step. */
interface Dependency {
  /** The step whose result the address depends on, though it does not change it. */
  readonly through?: number | undefined;
}

export type Step =
  | ({ readonly do: 'read'; readonly at: number; readonly order: 'plain' | 'relaxed' | 'acquire' } & Dependency)
  | ({
      readonly do: 'write';
      readonly at: number;
      readonly order: 'plain' | 'relaxed' | 'release';
      readonly value: number;
      /** The step whose result is added to `value`, or, with `masked`, is only depended on. */
      readonly from?: number | undefined;
      readonly masked?: boolean;
    } & Dependency)
  | { readonly do: 'xchg'; readonly at: number; readonly value: number; readonly order: Order; readonly pair: boolean }
  | {
      readonly do: 'cmpxchg';
      readonly at: number;
      readonly expected: number;
      readonly value: number;
      readonly order: Order;
    }
  /** `kind` counts through the fences that the language has. */
  | { readonly do: 'fence'; readonly kind: number }
  /** The next step is left out unless the result of step `of` is `value`. */
  | { readonly do: 'if'; readonly of: number; readonly value: number };

export interface Program {
  readonly threads: readonly (readonly Step[])[];
  readonly initial: readonly number[];
  /** The condition: the result of some step, or a location, is `value`. */
  readonly asks: { readonly thread: number; readonly step: number } | { readonly location: number };
  readonly value: number;
}

export interface Features {
  /** Accesses that are not marked. */
  readonly plain: boolean;
  /** A read-modify-write may be a load-exclusive and a store-exclusive, which may fail. */
  readonly pairs: boolean;
  readonly cmpxchg: boolean;
}

export const LOCATIONS = ['x', 'y', 'z'] as const;

/** Steps that have a result. */
export function hasResult(step: Step): boolean {
  return step.do === 'read' || step.do === 'xchg' || step.do === 'cmpxchg';
}

export function randomProgram(seed: number, features: Features): Program {
  const below = randomBelow(Math.imul(seed, 104_729) + 11);
  const sizes = [
    [1 + below(4), 1 + below(4)],
    [1 + below(3), 1 + below(3), 1 + below(2)],
    [1 + below(2), 1 + below(2), 1 + below(2), 1],
  ][[0, 0, 0, 1, 1, 1, 1, 2][below(8)]!]!;
  const locations = [1, 2, 2, 2, 2, 3][below(6)]!;
  const threads = sizes.map((size) => randomThread(below, size, locations, features));
  const initial = LOCATIONS.map(() => (below(6) === 0 ? 1 : 0));
  const results = threads.flatMap((steps, thread) => {
    return steps.flatMap((step, at) => (hasResult(step) ? [{ thread, step: at }] : []));
  });
  const asks = results.length > 0 && below(4) > 0 ? results[below(results.length)]! : { location: below(locations) };
  return { threads, initial, asks, value: below(3) };
}

function randomThread(below: (n: number) => number, size: number, locations: number, features: Features): Step[] {
  const steps: Step[] = [];
  for (let made = 0; made < size; made++) {
    const results = steps.flatMap((step, at) => (hasResult(step) ? [at] : []));
    const result = results[below(Math.max(1, results.length))];
    const guarded = result !== undefined && below(5) === 0;
    if (guarded) steps.push({ do: 'if', of: result, value: below(2) });
    steps.push(randomStep(below, locations, features, result, guarded));
  }
  return steps;
}

function randomStep(
  below: (n: number) => number,
  locations: number,
  features: Features,
  result: number | undefined,
  guarded: boolean,
): Step {
  const at = below(locations);
  const order = (['relaxed', 'acquire', 'release', 'full'] as const)[below(4)]!;
  const through = result !== undefined && below(4) === 0 ? result : undefined;
  const plain = features.plain && below(4) === 0;
  const kind = below(guarded ? 7 : 9);
  if (kind < 3) return { do: 'read', at, order: plain ? 'plain' : below(3) === 0 ? 'acquire' : 'relaxed', through };
  if (kind < 6) {
    const from = result !== undefined && below(2) === 0 ? result : undefined;
    const strength = plain ? 'plain' : below(3) === 0 ? 'release' : 'relaxed';
    const masked = from !== undefined && below(2) === 0;
    return {
      do: 'write',
      at,
      order: strength,
      value: masked || from === undefined ? 1 + below(2) : below(2),
      from,
      masked,
      through,
    };
  }
  if (kind === 6) {
    if (features.cmpxchg && below(2) === 0)
      return { do: 'cmpxchg', at, expected: below(2), value: 1 + below(2), order };
    return { do: 'xchg', at, value: 1 + below(2), order, pair: features.pairs && below(2) === 0 };
  }
  return { do: 'fence', kind: below(8) };
}
