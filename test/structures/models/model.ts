/**
 * Structures against plain JavaScript ones: random calls, made by fast-check, which looks for a short sequence of calls that
 * still fails when one has failed. `npm test` makes some thousands of calls; test/structures/models/long.ts a million.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { Arena } from '../../../lib/index.ts';

export interface Model<Call> {
  readonly name: string;
  readonly calls: fc.Arbitrary<Call>;
  /**
   * A new structure, in an arena that is used again, beside its model. `call` makes one call of both, `end` comes after the last
   * one; both throw when something differs.
   */
  make(arena: Arena): { call(call: Call): void; end(): void };
}

/** Throws unless the structure's answer is the model's. */
export function same(what: string, is: unknown, shall: unknown): void {
  if (!isDeepStrictEqual(is, shall)) throw new Error(`${what} is ${show(is)}, not ${show(shall)}`);
}

function show(value: unknown): string {
  return fc.stringify(value);
}

/** The code of the error that `body` throws, or what it returns. */
export function codeOr<Result>(body: () => Result): Result | string {
  try {
    return body();
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === undefined) throw error;
    return code;
  }
}

/** Calls in a run, at most. */
const MOST_CALLS = 300;

/** Makes runs of random calls until there were `calls` of them. Throws with the shortest run that fails. */
export function compare<Call>({ name, calls, make }: Model<Call>, wanted: number, seed?: number): number {
  const arena = Arena.create({ bytes: 16 << 20 });
  let made = 0;
  const property = fc.property(fc.array(calls, { minLength: 1, maxLength: MOST_CALLS, size: 'max' }), (run) => {
    const pair = make(arena);
    for (const call of run) pair.call(call);
    pair.end();
    made += run.length;
  });
  while (made < wanted) {
    const result = fc.check(property, { numRuns: 20, ...(seed !== undefined && { seed: seed + made }) });
    if (result.failed) throw new Error(`${name}: ${fc.defaultReportMessage(result)}`);
  }
  same('what fsck finds', arena.fsck(), []);
  return made;
}
