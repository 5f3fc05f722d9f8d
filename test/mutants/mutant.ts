/**
 * A mistake put into the code on purpose: a check that is not repeated, a wake-up forgotten, a repair step left out. The
 * tests named with it must notice. A mutant that changes nothing anybody could see is marked as equivalent, with the
 * argument.
 */
export interface Mutant {
  /** What is wrong in it. */
  readonly name: string;
  readonly file: string;
  /** The piece of the file, which stands there once, and what takes its place. */
  readonly from: string;
  readonly to: string;
  /** The test files of which one must fail, those that fail soonest first. */
  readonly tests: readonly string[];
  /** Why nobody can tell the mutant from the code. */
  readonly equivalent?: string;
}

/** The text of the file with the mistake in it. Throws when the piece does not stand there exactly once. */
export function mutated(text: string, { name, file, from, to }: Mutant): string {
  const at = text.indexOf(from);
  if (at < 0) throw new Error(`${name}: ${file} has no ${JSON.stringify(from)} any more`);
  if (text.indexOf(from, at + 1) >= 0) throw new Error(`${name}: ${file} has ${JSON.stringify(from)} more than once`);
  return text.slice(0, at) + to + text.slice(at + from.length);
}
