/** The words of a program one after the other, as the parser takes them. */
import { fail, type Token, tokensOf } from './source.ts';

export class Tokens {
  readonly source: string;
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(source: string) {
    this.source = source;
    this.#tokens = tokensOf(source);
  }

  get next(): Token {
    return this.#tokens[this.#next] as Token;
  }

  get isAtEnd(): boolean {
    return this.next.kind === 'end';
  }

  take(): Token {
    const { next } = this;
    if (next.kind !== 'end') this.#next++;
    return next;
  }

  /** Whether the next one is that sign or word. */
  is(text: string): boolean {
    const { kind, text: next } = this.next;
    return (kind === 'sign' || kind === 'word') && next === text;
  }

  /** Takes it if it is next. */
  accepts(text: string): boolean {
    const isNext = this.is(text);
    if (isNext) this.take();
    return isNext;
  }

  /** Takes it, or fails. */
  expect(text: string): Token {
    if (!this.is(text)) this.fails(JSON.stringify(text));
    return this.take();
  }

  /** Takes one of that kind, or fails. `what`: how the message calls it. */
  expectKind(kind: Token['kind'], what: string): Token {
    if (this.next.kind !== kind) this.fails(what);
    return this.take();
  }

  fails(expected: string): never {
    return fail(this.source, this.next.at, `expected ${expected}, found ${shownToken(this.next)}`);
  }
}

function shownToken({ kind, text }: Token): string {
  if (kind === 'end') return 'the end of the program';
  const sign = kind === 'map' ? '@' : kind === 'variable' ? '$' : '';
  return JSON.stringify(sign + text);
}
