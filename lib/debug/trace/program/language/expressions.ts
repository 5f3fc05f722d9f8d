/** How expressions are parsed: the operators of C, with C's precedence. */
import type { Comparison, Expression, MapUse, Operator } from './syntax.ts';
import type { Tokens } from './tokens.ts';

/** From those that bind least. */
const LEVELS: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '<=', '>', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];
const COMPARISONS: readonly string[] = ['==', '!=', '<', '<=', '>', '>='];

/** How deeply expressions and blocks can be nested. */
export const DEEPEST = 64;

export class Expressions {
  readonly #tokens: Tokens;
  /** In a predicate `/` ends it, outside of parentheses. */
  #isPredicate = false;
  #depth = 0;

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  predicate(): Expression {
    this.#isPredicate = true;
    const expression = this.expression();
    this.#isPredicate = false;
    return expression;
  }

  expression(): Expression {
    if (++this.#depth > DEEPEST) this.#tokens.fails('something that is not nested so deeply');
    const condition = this.#binary(0);
    const { at } = this.#tokens.next;
    let expression = condition;
    if (this.#tokens.accepts('?')) {
      const yes = this.expression();
      this.#tokens.expect(':');
      expression = { is: 'choice', condition, yes, no: this.expression(), at };
    }
    this.#depth--;
    return expression;
  }

  /** `@name`, `@name[key, key]`; the name was taken. */
  map(name: string, at: number): MapUse {
    if (!this.#tokens.accepts('[')) return { name, keys: [], at };
    const keys = this.#unpredicated(() => {
      const found = [this.expression()];
      while (this.#tokens.accepts(',')) found.push(this.expression());
      return found;
    });
    this.#tokens.expect(']');
    return { name, keys, at };
  }

  #binary(level: number): Expression {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const { kind, text, at } = this.#tokens.next;
      if (kind !== 'sign' || !operators.includes(text) || (text === '/' && this.#isPredicate)) return left;
      this.#tokens.take();
      const right = this.#binary(level + 1);
      if (text === '&&') left = { is: 'both', left, right, at };
      else if (text === '||') left = { is: 'either', left, right, at };
      else if (COMPARISONS.includes(text)) left = { is: 'comparison', operator: text as Comparison, left, right, at };
      else left = { is: 'binary', operator: text as Operator, left, right, at };
    }
  }

  #unary(): Expression {
    const { at } = this.#tokens.next;
    const is = this.#tokens.accepts('!') ? 'not' : this.#tokens.accepts('-') ? 'negative' : undefined;
    if (is === undefined) return this.#primary();
    if (++this.#depth > DEEPEST) this.#tokens.fails('something that is not nested so deeply');
    const of = this.#unary();
    this.#depth--;
    return is === 'negative' && of.is === 'number' ? { ...of, value: 0 - of.value, at } : { is, of, at };
  }

  #primary(): Expression {
    const { kind, text, value, at } = this.#tokens.next;
    if (kind === 'sign' && text === '(') {
      this.#tokens.take();
      const inside = this.#unpredicated(() => this.expression());
      this.#tokens.expect(')');
      return inside;
    }
    if (kind === 'sign' || kind === 'end') this.#tokens.fails('an expression');
    this.#tokens.take();
    if (kind === 'number') return { is: 'number', value, at };
    if (kind === 'string') return { is: 'string', text, at };
    if (kind === 'variable') return { is: 'variable', name: text, at };
    if (kind === 'map') return { is: 'map', map: this.map(text, at), at };
    return { is: 'word', word: text, at };
  }

  /** Parentheses and brackets may have a division in them. */
  #unpredicated<Result>(parse: () => Result): Result {
    const before = this.#isPredicate;
    this.#isPredicate = false;
    const result = parse();
    this.#isPredicate = before;
    return result;
  }
}
