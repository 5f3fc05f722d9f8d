/**
 * Runs the C of a litmus test: expressions, assignments and control flow. The kernel's primitives are in
 * `c-primitives.ts`.
 *
 * Local variables are registers. A name that is not local is a global, and its value is the address of that global, as
 * the value of the parameter that stands for it is.
 */
import { type Caller, callPrimitive } from './c-primitives.ts';
import type { Expression, FunctionDefinition, Statement } from './c-syntax.ts';
import { UnsupportedConstruct } from './errors.ts';
import type { MemoryMap } from './memory-map.ts';
import { combine, constant, type Tainted, type ThreadProgram, type ThreadRun } from './thread-run.ts';

/** herd's default number of turns of a loop. */
const LOOP_BOUND = 2;
/** Of a loop whose condition varies, but depends on nothing that was read. */
const COUNTING_LOOP_BOUND = 10_000;

const truth = (holds: boolean): bigint => (holds ? 1n : 0n);

const binary: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => (b === 0n ? 0n : a / b),
  '%': (a, b) => (b === 0n ? 0n : a % b),
  '&': (a, b) => a & b,
  '|': (a, b) => a | b,
  '^': (a, b) => a ^ b,
  '<<': (a, b) => a << (b & 63n),
  '>>': (a, b) => a >> (b & 63n),
  '==': (a, b) => truth(a === b),
  '!=': (a, b) => truth(a !== b),
  '<': (a, b) => truth(a < b),
  '<=': (a, b) => truth(a <= b),
  '>': (a, b) => truth(a > b),
  '>=': (a, b) => truth(a >= b),
  '&&': (a, b) => truth(a !== 0n && b !== 0n),
  '||': (a, b) => truth(a !== 0n || b !== 0n),
};

export function program(
  definition: FunctionDefinition,
  memory: MemoryMap,
  registers: ReadonlyMap<string, bigint>,
): ThreadProgram {
  const locals = new Set<string>();
  collectLocals(definition.body, new Set(definition.parameters), memory, locals);
  return {
    registers,
    run: (thread) => {
      new Interpreter(thread, memory, locals).execute(definition.body);
    },
  };
}

/** Whatever is assigned to by name is a local variable. */
function collectLocals(
  statement: Statement,
  parameters: ReadonlySet<string>,
  memory: MemoryMap,
  locals: Set<string>,
): void {
  switch (statement.kind) {
    case 'assign':
      if (statement.to.kind === 'name') locals.add(statement.to.name);
      break;
    case 'if':
      collectLocals(statement.then, parameters, memory, locals);
      collectLocals(statement.otherwise, parameters, memory, locals);
      break;
    case 'while':
      collectLocals(statement.body, parameters, memory, locals);
      if (statement.step !== undefined) collectLocals(statement.step, parameters, memory, locals);
      break;
    case 'block':
      for (const inner of statement.statements) collectLocals(inner, parameters, memory, locals);
  }
}

/** May `statement` leave the turn of the loop around it? */
function mayLeave(statement: Statement): boolean {
  switch (statement.kind) {
    case 'break':
    case 'continue':
      return true;
    case 'if':
      return mayLeave(statement.then) || mayLeave(statement.otherwise);
    case 'block':
      return statement.statements.some(mayLeave);
    default:
      return false;
  }
}

type Loop = Statement & { readonly kind: 'while' };

class Interpreter implements Caller {
  readonly thread: ThreadRun;
  readonly #memory: MemoryMap;
  readonly #locals: ReadonlySet<string>;
  /** Set between a `break` or `continue` and the end of the loop's turn. */
  #leaving: 'break' | 'continue' | undefined;

  constructor(thread: ThreadRun, memory: MemoryMap, locals: ReadonlySet<string>) {
    this.thread = thread;
    this.#memory = memory;
    this.#locals = locals;
  }

  execute(statement: Statement): void {
    if (this.thread.cut || this.#leaving !== undefined) return;
    switch (statement.kind) {
      case 'block':
        for (const inner of statement.statements) this.execute(inner);
        break;
      case 'evaluate':
        this.evaluate(statement.expression);
        break;
      case 'assign':
        this.#assign(statement.to, this.evaluate(statement.value));
        break;
      case 'if':
        this.#branch(statement.condition, statement.then, statement.otherwise);
        break;
      case 'while':
        this.#loop(statement);
        break;
      case 'break':
      case 'continue':
        this.#leaving = statement.kind;
    }
  }

  /** Each turn is under the control of the condition of every turn before it. */
  #loop({ condition, body, step, bodyFirst }: Loop): void {
    const { ctrl, pickCtrl } = this.thread;
    for (let turn = 0; ; turn++) {
      if (turn > 0 || bodyFirst !== true) {
        const holds = this.evaluate(condition);
        this.thread.branchOn(holds, condition);
        if (holds.value === 0n) break;
      }
      const counts = !this.thread.branchIsOpen && condition.kind !== 'number';
      if (turn === (counts ? COUNTING_LOOP_BOUND : LOOP_BOUND)) {
        this.thread.cut = true;
        return;
      }
      this.execute(body);
      const left = this.#leaving;
      this.#leaving = undefined;
      if (left === 'break') break;
      if (step !== undefined) this.execute(step);
      if (this.thread.cut) return;
    }
    this.thread.ctrl = ctrl;
    this.thread.pickCtrl = pickCtrl;
  }

  /**
   * A control dependency covers the arms of the `if`, and ends with them; unless an arm leaves the turn of a loop, for
   * then the rest of the turn depends on it too.
   */
  #branch(condition: Expression, then: Statement, otherwise: Statement): void {
    const { ctrl, pickCtrl } = this.thread;
    const holds = this.evaluate(condition);
    this.thread.branchOn(holds, condition);
    this.execute(holds.value !== 0n ? then : otherwise);
    if (mayLeave(then) || mayLeave(otherwise)) return;
    this.thread.ctrl = ctrl;
    this.thread.pickCtrl = pickCtrl;
  }

  #assign(to: Expression, value: Tainted): void {
    if (to.kind === 'name') this.thread.set(to.name, value);
    else this.thread.write(this.addressOf(to), value, this.thread.dialect.mapping.plain.write);
  }

  /** The address that an lvalue stands for: of `*x`, of `x[i]`. */
  addressOf(expression: Expression): Tainted {
    switch (expression.kind) {
      case 'dereference':
        return this.evaluate(expression.address);
      case 'index': {
        const base = this.evaluate(expression.base);
        const index = this.evaluate(expression.index);
        const size = expression.base.kind === 'name' ? this.#memory.type(expression.base.name).bytes : 4;
        return combine(base.value + index.value * BigInt(size), base, index);
      }
      case 'name':
        if (!this.#locals.has(expression.name)) return constant(this.#memory.address(expression.name));
        throw new UnsupportedConstruct(`address of "${expression.name}"`, expression.at.line, expression.at.column);
      default:
        throw new UnsupportedConstruct('address of an expression that has none');
    }
  }

  evaluate(expression: Expression): Tainted {
    switch (expression.kind) {
      case 'number':
        return constant(expression.value);
      case 'name':
        if (this.#locals.has(expression.name)) return this.thread.get(expression.name);
        if (this.#memory.has(expression.name)) return constant(this.#memory.address(expression.name));
        return this.thread.get(expression.name);
      case 'unary': {
        const operand = this.evaluate(expression.operand);
        const { value } = operand;
        const result =
          expression.operator === '!' ? truth(value === 0n) : expression.operator === '~' ? ~value : -value;
        return { ...operand, value: result };
      }
      case 'binary': {
        const left = this.evaluate(expression.left);
        const right = this.evaluate(expression.right);
        return combine(BigInt.asIntN(64, binary[expression.operator]!(left.value, right.value)), left, right);
      }
      case 'address':
        return this.addressOf(expression.of);
      case 'dereference':
      case 'index':
        return this.thread.read(this.addressOf(expression), this.thread.dialect.mapping.plain.read);
      case 'call':
        return callPrimitive(this, expression.name, expression.arguments, expression.at);
    }
  }
}
