/**
 * The ways in which a litmus file gets no verdict: it is malformed, it uses something this reader does not model, it
 * needs more work than the limit, or nothing at all can happen. Each is its own class, so that no caller can take one for
 * a verdict.
 */

/** Malformed: where, and what was expected there. Lines and columns count from 1. */
export class LitmusSyntaxError extends Error {
  readonly line: number;
  readonly column: number;
  readonly expected: string;

  constructor(line: number, column: number, expected: string, found: string) {
    super(`${line}:${column}: expected ${expected}, found ${found}`);
    this.name = 'LitmusSyntaxError';
    this.line = line;
    this.column = column;
    this.expected = expected;
  }
}

/** Well-formed as far as we can tell, but `construct` is not modelled: the verdict is withheld. */
export class UnsupportedConstruct extends Error {
  readonly construct: string;

  constructor(construct: string, line?: number, column?: number) {
    super(line === undefined ? `unsupported: ${construct}` : `${line}:${column}: unsupported: ${construct}`);
    this.name = 'UnsupportedConstruct';
    this.construct = construct;
  }
}

/** Half of an address stands for nothing: herd has no such value either. */
export const addressInParts = 'an address that is accessed in parts';

/** There are more candidate executions than `limit`: an error, never a truncated answer. */
export class LitmusLimitExceeded extends Error {
  constructor(what: string, limit: number) {
    super(`too large: more than ${limit.toLocaleString('en')} ${what}`);
    this.name = 'LitmusLimitExceeded';
  }
}

/** No execution ends: "never" would be an answer to a question that was not asked. */
export class NoExecution extends Error {
  constructor(why: string) {
    super(`no execution: ${why}`);
    this.name = 'NoExecution';
  }
}
