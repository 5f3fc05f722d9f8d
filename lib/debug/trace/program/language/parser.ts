/**
 * The parser of trace programs: from their text to `Script`. The language is that of bpftrace, as far as it makes sense here.
 *
 *   program    { let @NAME = hash|array ( NUMBER ) ; | clause }
 *   clause     probe { , probe } [ / expression / ] block
 *   probe      BEGIN | END | interval : s|ms : NUMBER | kind : point | * : point
 *   statement  @map [keys] = aggregation | expression ;   also += -= ++ --
 *              $name = expression ;                       also += -= ++ --
 *              if ( expression ) block [ else block | else if ... ] | while ( expression ) block
 *              for ( $name : expression .. expression ) block
 *              printf ( "..." , expressions ) ; | print ( @map ) ; | clear ( @map ) ; | delete ( @map [keys] ) ; | exit ( ) ; | return ;
 */
import { DEEPEST, Expressions } from './expressions.ts';
import { fail, type Token } from './source.ts';
import type {
  Aggregation,
  Block,
  Clause,
  Expression,
  MapSize,
  MapUse,
  ProbeName,
  Script,
  Statement,
} from './syntax.ts';
import { Tokens } from './tokens.ts';

const AGGREGATIONS: readonly string[] = ['count', 'sum', 'avg', 'min', 'max', 'stats', 'hist', 'lhist'];
const INTERVAL_UNITS: Readonly<Record<string, number>> = { s: 1000, ms: 1 };
/** Of an interval. */
const LONGEST_MS = 2 ** 31 - 1;

/** Throws EINVAL, with line, column and what was expected. */
export function parse(source: string): Script {
  return new Parser(source).script();
}

class Parser {
  readonly #source: string;
  readonly #tokens: Tokens;
  readonly #expressions: Expressions;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
    this.#tokens = new Tokens(source);
    this.#expressions = new Expressions(this.#tokens);
  }

  script(): Script {
    const sizes: MapSize[] = [];
    const clauses: Clause[] = [];
    while (!this.#tokens.isAtEnd || clauses.length === 0) {
      if (this.#tokens.is('let')) sizes.push(this.#size());
      else clauses.push(this.#clause());
    }
    return { sizes, clauses };
  }

  #size(): MapSize {
    this.#tokens.expect('let');
    const { text: name, at } = this.#tokens.expectKind('map', 'the name of a map');
    this.#tokens.expect('=');
    const isArray = this.#tokens.accepts('array');
    if (!isArray && !this.#tokens.accepts('hash')) this.#tokens.fails('hash or array');
    this.#tokens.expect('(');
    const entries = this.#tokens.expectKind('number', 'a number of entries').value;
    this.#tokens.expect(')');
    this.#tokens.expect(';');
    return { name, isArray, entries, at };
  }

  #clause(): Clause {
    const probes = [this.#probe()];
    while (this.#tokens.accepts(',')) probes.push(this.#probe());
    let predicate: Expression | undefined;
    if (this.#tokens.accepts('/')) {
      predicate = this.#expressions.predicate();
      this.#tokens.expect('/');
    }
    return { probes, predicate, body: this.#block() };
  }

  #probe(): ProbeName {
    const { kind, text, at } = this.#tokens.next;
    if (kind !== 'word' && !this.#tokens.is('*')) {
      this.#tokens.fails('a probe, such as mutex:contention_end, *:acquire, interval:s:1, BEGIN or END');
    }
    this.#tokens.take();
    if (text === 'BEGIN') return { on: 'begin', name: text, at };
    if (text === 'END') return { on: 'end', name: text, at };
    this.#tokens.expect(':');
    if (text === 'interval') return this.#interval(at);
    const point = this.#tokens.expectKind('word', 'the name of a trace point').text;
    return { on: 'point', kind: text, point, name: `${text}:${point}`, at };
  }

  #interval(at: number): ProbeName {
    const unit = this.#tokens.next;
    const factor = unit.kind === 'word' ? INTERVAL_UNITS[unit.text] : undefined;
    if (factor === undefined) this.#tokens.fails('s or ms');
    this.#tokens.take();
    this.#tokens.expect(':');
    const number = this.#tokens.expectKind('number', 'how often');
    const ms = number.value * factor;
    if (ms < 1 || ms > LONGEST_MS) fail(this.#source, number.at, `an interval is from 1 to ${LONGEST_MS} ms`);
    return { on: 'interval', ms, name: `interval:${unit.text}:${number.text}`, at };
  }

  #block(): Block {
    if (++this.#depth > DEEPEST) this.#tokens.fails('something that is not nested so deeply');
    this.#tokens.expect('{');
    const statements: Statement[] = [];
    while (!this.#tokens.accepts('}')) {
      statements.push(this.#statement());
    }
    this.#depth--;
    return statements;
  }

  #statement(): Statement {
    const { next } = this.#tokens;
    const { at } = next;
    if (this.#tokens.accepts('if')) return this.#if(at);
    if (this.#tokens.accepts('while')) return { is: 'while', condition: this.#condition(), body: this.#block(), at };
    if (this.#tokens.accepts('for')) return this.#for(at);
    const statement = this.#simple(next);
    // The last one of a block needs none.
    if (!this.#tokens.is('}')) this.#tokens.expect(';');
    while (this.#tokens.accepts(';'));
    return statement;
  }

  #condition(): Expression {
    this.#tokens.expect('(');
    const condition = this.#expressions.expression();
    this.#tokens.expect(')');
    return condition;
  }

  #if(at: number): Statement {
    const condition = this.#condition();
    const yes = this.#block();
    if (!this.#tokens.accepts('else')) return { is: 'if', condition, yes, no: [], at };
    const other = this.#tokens.next.at;
    const no = this.#tokens.accepts('if') ? [this.#if(other)] : this.#block();
    return { is: 'if', condition, yes, no, at };
  }

  #for(at: number): Statement {
    this.#tokens.expect('(');
    const name = this.#tokens.expectKind('variable', 'a variable').text;
    this.#tokens.expect(':');
    const from = this.#expressions.expression();
    this.#tokens.expect('..');
    const to = this.#expressions.expression();
    this.#tokens.expect(')');
    return { is: 'for', name, from, to, body: this.#block(), at };
  }

  #simple({ kind, text, at }: Token): Statement {
    if (kind === 'map') return this.#toMap(this.#mapUse(), at);
    if (kind === 'variable') return this.#toVariable(at);
    if (kind !== 'word') this.#tokens.fails('a statement');
    this.#tokens.take();
    if (text === 'return') return { is: 'return', at };
    if (text === 'printf') return this.#printf(at);
    if (text !== 'print' && text !== 'clear' && text !== 'delete' && text !== 'exit') {
      const reason = AGGREGATIONS.includes(text)
        ? `${text}() is stored in a map: @ = ${text}(...)`
        : `there is no statement ${text}`;
      fail(
        this.#source,
        at,
        `${reason}; statements are @map = ..., $variable = ..., if, while, for, printf, print, clear, delete, exit, return`,
      );
    }
    this.#tokens.expect('(');
    const statement = this.#call(text, at);
    this.#tokens.expect(')');
    return statement;
  }

  #call(text: 'print' | 'clear' | 'delete' | 'exit', at: number): Statement {
    if (text === 'exit') return { is: 'exit', at };
    const map = this.#mapUse();
    if (text === 'delete') return { is: 'delete', map, at };
    if (map.keys.length > 0) fail(this.#source, map.at, `${text}() takes a whole map, without keys`);
    return { is: text, name: map.name, at };
  }

  #mapUse(): MapUse {
    const { text, at } = this.#tokens.expectKind('map', 'a map');
    return this.#expressions.map(text, at);
  }

  #toMap(map: MapUse, at: number): Statement {
    const { text } = this.#tokens.next;
    const one: Expression = { is: 'number', value: 1, at };
    if (this.#tokens.accepts('++')) return { is: 'add', map, value: one, at };
    if (this.#tokens.accepts('--')) return { is: 'subtract', map, value: one, at };
    if (this.#tokens.accepts('+=')) return { is: 'add', map, value: this.#expressions.expression(), at };
    if (this.#tokens.accepts('-=')) return { is: 'subtract', map, value: this.#expressions.expression(), at };
    if (text !== '=') this.#tokens.fails('=, +=, -=, ++ or --');
    this.#tokens.take();
    const value = this.#expressions.expression();
    if (value.is !== 'word' || !this.#tokens.is('(')) return { is: 'store', map, value, at };
    return { is: 'aggregate', map, aggregation: this.#aggregation(value.word, value.at), at };
  }

  #aggregation(name: string, at: number): Aggregation {
    if (!AGGREGATIONS.includes(name))
      fail(this.#source, at, `expected one of ${AGGREGATIONS.join(', ')}, found ${JSON.stringify(name)}`);
    const value = name as Aggregation['value'];
    this.#tokens.expect('(');
    const of = value === 'count' ? undefined : this.#expressions.expression();
    let linear: Aggregation['linear'];
    if (value === 'lhist') {
      const [min = 0, max = 0, step = 0] = [0, 1, 2].map(() => {
        this.#tokens.expect(',');
        return this.#signedNumber();
      });
      linear = { min, max, step };
    }
    this.#tokens.expect(')');
    return { value, of, ...(linear === undefined ? {} : { linear }) };
  }

  #signedNumber(): number {
    const isNegative = this.#tokens.accepts('-');
    const { value } = this.#tokens.expectKind('number', 'a number');
    return isNegative ? 0 - value : value;
  }

  #toVariable(at: number): Statement {
    const { text: name } = this.#tokens.take();
    const self: Expression = { is: 'variable', name, at };
    const one: Expression = { is: 'number', value: 1, at };
    const set = (value: Expression): Statement => ({ is: 'set', name, value, at });
    if (this.#tokens.accepts('++')) return set({ is: 'binary', operator: '+', left: self, right: one, at });
    if (this.#tokens.accepts('--')) return set({ is: 'binary', operator: '-', left: self, right: one, at });
    const operator = this.#tokens.is('+=') ? '+' : this.#tokens.is('-=') ? '-' : undefined;
    if (operator === undefined && !this.#tokens.is('=')) this.#tokens.fails('=, +=, -=, ++ or --');
    this.#tokens.take();
    const value = this.#expressions.expression();
    return set(operator === undefined ? value : { is: 'binary', operator, left: self, right: value, at });
  }

  #printf(at: number): Statement {
    this.#tokens.expect('(');
    const format = this.#tokens.expectKind('string', 'a format, such as "%s waited %d ns\\n"').text;
    const values: Expression[] = [];
    while (this.#tokens.accepts(',')) values.push(this.#expressions.expression());
    this.#tokens.expect(')');
    return { is: 'printf', format, values, at };
  }
}
