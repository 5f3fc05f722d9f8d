/**
 * Turns the threads of a C litmus test into JavaScript that a worker thread runs at full speed, a function of `(m, b,
 * o, k)`: shared memory and where this iteration's locations begin in it, results and where this iteration's begin.
 *
 * Marked accesses become ordinary typed-array accesses or Atomics, as asked; read-modify-writes and locks are Atomics
 * either way. JavaScript has no fences, so fences become nothing. A pointer is the word at which its location begins
 * within the iteration, with `pointerBit` set so that it is told from an integer.
 */
import type { Expression, FunctionDefinition, Statement } from './c-syntax.ts';
import { UnsupportedConstruct } from './errors.ts';
import type { LitmusTest } from './test-file.ts';
import type { Token } from './tokens.ts';

export type Accesses = 'plain' | 'atomic';

/** One location to a cache line. */
export const wordsPerLocation = 16;
export const pointerBit = 0x4000_0000;

/** Where each symbol begins within an iteration. */
export function layout(test: LitmusTest): Map<string, number> {
  const offsets = new Map<string, number>();
  let offset = 0;
  for (const name of test.memory.names()) {
    offsets.set(name, offset);
    offset += Math.ceil(test.memory.elements(name) / wordsPerLocation) * wordsPerLocation;
  }
  return offsets;
}

/** The body of a function of `(m, b, o, k)`; `results` are the registers to leave in `o`, in order. */
export function compileThread(
  definition: FunctionDefinition,
  offsets: ReadonlyMap<string, number>,
  accesses: Accesses,
  results: readonly string[],
): string {
  const compiler = new Compiler(offsets, accesses);
  const body = compiler.statement(definition.body);
  const registers = new Set([...compiler.registers, ...results]);
  const declare = [...registers].map((name) => `let ${variable(name)} = 0;`);
  const store = results.map((name, at) => `o[k + ${at}] = ${variable(name)};`);
  return [...declare, body, ...store].join('\n');
}

function variable(name: string): string {
  return `$${name}`;
}

class Compiler {
  readonly registers = new Set<string>();
  readonly #offsets: ReadonlyMap<string, number>;
  readonly #accesses: Accesses;

  constructor(offsets: ReadonlyMap<string, number>, accesses: Accesses) {
    this.#offsets = offsets;
    this.#accesses = accesses;
  }

  statement(statement: Statement): string {
    switch (statement.kind) {
      case 'block':
        return statement.statements.map((inner) => this.statement(inner)).join('\n');
      case 'evaluate':
        return `${this.value(statement.expression)};`;
      case 'if': {
        const { condition, then, otherwise } = statement;
        return `if (${this.value(condition)}) {\n${this.statement(then)}\n} else {\n${this.statement(otherwise)}\n}`;
      }
      case 'assign': {
        const right = this.value(statement.value);
        if (statement.to.kind !== 'name') return `m[${this.#word(statement.to)}] = ${right};`;
        this.registers.add(statement.to.name);
        return `${variable(statement.to.name)} = ${right};`;
      }
      case 'while':
      case 'break':
      case 'continue':
        throw new UnsupportedConstruct('a loop on hardware');
    }
  }

  value(expression: Expression): string {
    switch (expression.kind) {
      case 'number':
        return `(${expression.value})`;
      case 'name':
        return this.#name(expression.name);
      case 'unary':
        if (expression.operator === '!') return `(${this.value(expression.operand)} === 0 ? 1 : 0)`;
        return `(${expression.operator} ${this.value(expression.operand)} | 0)`;
      case 'binary':
        return this.#binary(expression.operator, this.value(expression.left), this.value(expression.right));
      case 'address':
        return `(${this.#wordInIteration(expression.of)} | ${pointerBit})`;
      case 'dereference':
      case 'index':
        return `m[${this.#word(expression)}]`;
      case 'call':
        return this.#call(expression.name, expression.arguments, expression.at);
    }
  }

  #name(name: string): string {
    const offset = this.#offsets.get(name);
    return offset === undefined || this.registers.has(name) ? variable(name) : `${offset + pointerBit}`;
  }

  #binary(operator: string, left: string, right: string): string {
    if (operator === '&&' || operator === '||') return `((${left} !== 0) ${operator} (${right} !== 0) ? 1 : 0)`;
    if (operator === '==' || operator === '!=') return `(${left} ${operator}= ${right} ? 1 : 0)`;
    if (operator === '<' || operator === '>' || operator === '<=' || operator === '>=') {
      return `(${left} ${operator} ${right} ? 1 : 0)`;
    }
    return operator === '*' ? `Math.imul(${left}, ${right})` : `(${left} ${operator} ${right} | 0)`;
  }

  /** The word of shared memory that an lvalue names. */
  #word(expression: Expression): string {
    return `b + ${this.#wordInIteration(expression)}`;
  }

  #wordInIteration(expression: Expression): string {
    if (expression.kind === 'dereference') return this.#target(expression.address);
    if (expression.kind === 'index') return `(${this.#target(expression.base)} + ${this.value(expression.index)})`;
    if (expression.kind === 'name' && this.#offsets.has(expression.name))
      return `${this.#offsets.get(expression.name)}`;
    throw new UnsupportedConstruct('address of an expression that has none');
  }

  /** The word, within the iteration, that a pointer points at. */
  #target(pointer: Expression): string {
    if (pointer.kind === 'name' && this.#offsets.has(pointer.name) && !this.registers.has(pointer.name)) {
      return `${this.#offsets.get(pointer.name)}`;
    }
    return `(${this.value(pointer)} & ${pointerBit - 1})`;
  }

  #call(name: string, args: readonly Expression[], at: Token): string {
    const plain = name.replace(/^atomic(?:_long|64)_/, 'atomic_').replace(/_(?:relaxed|acquire|release)$/, '');
    const cell = (position: number): string => `m, b + ${this.#target(args[position]!)}`;
    const value = (position: number): string => this.value(args[position]!);
    switch (name) {
      case 'READ_ONCE':
      case 'rcu_dereference':
        return this.#load(this.#wordInIteration(args[0]!));
      case 'WRITE_ONCE':
      case 'rcu_assign_pointer':
      case 'smp_store_mb':
        return this.#store(this.#wordInIteration(args[0]!), value(1));
      case 'smp_load_acquire':
      case 'atomic_read':
      case 'atomic_read_acquire':
      case 'spin_is_locked':
        return this.#load(this.#target(args[0]!));
      case 'smp_store_release':
      case 'atomic_set':
      case 'atomic_set_release':
        return this.#store(this.#target(args[0]!), value(1));
      case 'spin_lock':
        return `while (Atomics.compareExchange(${cell(0)}, 0, 1) !== 0);`;
      case 'spin_trylock':
        return `(Atomics.compareExchange(${cell(0)}, 0, 1) === 0 ? 1 : 0)`;
      case 'spin_unlock':
        return `Atomics.store(${cell(0)}, 0)`;
    }
    if (/^(?:smp_mb|smp_rmb|smp_wmb|barrier|smp_mb__\w+)$/.test(name)) return '';
    if (/^(?:atomic_)?xchg$/.test(plain)) return `Atomics.exchange(${cell(0)}, ${value(1)})`;
    if (/^(?:atomic_)?cmpxchg$/.test(plain)) return `Atomics.compareExchange(${cell(0)}, ${value(1)}, ${value(2)})`;
    const modify = /^atomic_(fetch_)?(add|sub|and|or|xor|inc|dec)(_return|_and_test)?$/.exec(plain);
    if (modify === null) throw new UnsupportedConstruct(`function ${name}() on hardware`, at.line, at.column);
    return this.#modify(modify[2]!, modify[3], args);
  }

  #load(word: string): string {
    return this.#accesses === 'atomic' ? `Atomics.load(m, b + ${word})` : `m[b + ${word}]`;
  }

  #store(word: string, value: string): string {
    return this.#accesses === 'atomic' ? `Atomics.store(m, b + ${word}, ${value})` : `(m[b + ${word}] = ${value})`;
  }

  #modify(operation: string, suffix: string | undefined, args: readonly Expression[]): string {
    const counts = operation === 'inc' || operation === 'dec';
    const method = operation === 'inc' ? 'add' : operation === 'dec' ? 'sub' : operation;
    const operand = counts ? '1' : this.value(args[0]!);
    const word = this.#target(args[counts ? 0 : 1]!);
    const old = `Atomics.${method}(m, b + ${word}, ${operand})`;
    if (suffix === undefined) return old;
    const operator = { add: '+', sub: '-', and: '&', or: '|', xor: '^' }[method]!;
    const now = `(${old} ${operator} ${operand} | 0)`;
    return suffix === '_return' ? now : `(${now} === 0 ? 1 : 0)`;
  }
}
