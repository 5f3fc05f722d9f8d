/**
 * Code for the expressions of one clause: what an expression is ends up in a register.
 *
 *   r0            where results come
 *   r1 to r5      arguments of calls
 *   r6 to r9      what is needed later, the outermost first; when there is more, it goes to the stack
 *   the stack     the variables of the clause, and above them what r6 to r9 have no room for
 */
import { Helper } from '../helpers.ts';
import { IMM, Op, STACK_SLOTS, THREAD, TIME } from '../instructions.ts';
import type { MapSpec, ValueType } from '../program.ts';
import { Assembler, type Label } from './assembler.ts';
import type { Expression, MapUse, ProbeName } from './syntax.ts';
import { keyTypesOf, type Meaning, type Types, type Variables } from './types.ts';

const OPS = {
  '+': Op.add,
  '-': Op.sub,
  '*': Op.mul,
  '/': Op.div,
  '%': Op.mod,
  '&': Op.and,
  '|': Op.or,
  '^': Op.xor,
  '<<': Op.lsh,
  '>>': Op.rsh,
  '==': Op.jeq,
  '!=': Op.jne,
  '<': Op.jlt,
  '<=': Op.jle,
  '>': Op.jgt,
  '>=': Op.jge,
} as const;

const OPPOSITE = { '==': '!=', '!=': '==', '<': '>=', '>=': '<', '>': '<=', '<=': '>' } as const;

const FIRST_KEPT = 6;
const KEPT = 4;
const VALUE = 5;

/** What a value is kept in: a register, or a slot of the stack behind the registers. */
type Kept = number;

export class ExpressionCode {
  readonly assembler = new Assembler();
  readonly variables: Variables = new Map();
  protected readonly types: Types;
  protected readonly probe: ProbeName;
  readonly #texts: string[];
  readonly #slots = new Map<string, number>();
  /** How many values are kept now. */
  #kept = 0;

  constructor(types: Types, probe: ProbeName, texts: string[]) {
    this.types = types;
    this.probe = probe;
    this.#texts = texts;
  }

  /** The slot of a variable. Those of a clause come from the bottom of the stack, what is kept from its top. */
  slotOf(name: string, at: number): number {
    let slot = this.#slots.get(name);
    if (slot === undefined) this.#slots.set(name, (slot = this.#slots.size));
    if (slot >= STACK_SLOTS / 2) this.types.fail(at, `a clause has at most ${STACK_SLOTS / 2} variables`);
    return slot;
  }

  textNumber(text: string): number {
    const known = this.#texts.indexOf(text);
    return known < 0 ? this.#texts.push(text) - 1 : known;
  }

  /** The expression's value in the register `dst`. */
  into(dst: number, expression: Expression): void {
    if (!this.#simple(dst, expression)) {
      this.#compute(expression);
      this.assembler.move(dst, 0);
    }
  }

  /** The expressions' values in the registers with these numbers. */
  arguments(values: readonly { readonly register: number; readonly of: Expression }[]): void {
    const complex = values.filter(({ of }) => !this.isSimple(of));
    const kept = complex.slice(0, -1).map((value) => {
      this.#compute(value.of);
      return { ...value, kept: this.#keep() };
    });
    const last = complex.at(-1);
    if (last !== undefined) {
      this.#compute(last.of);
      this.assembler.move(last.register, 0);
    }
    for (const { register, kept: place } of kept.toReversed()) this.#restore(register, place);
    for (const { register, of } of values) if (this.isSimple(of)) this.#simple(register, of);
  }

  /** The keys of the map in r1 and so on; `value` in r5. */
  mapArguments({ keys }: MapUse, map: MapSpec, value?: Expression): void {
    const isOne = keyTypesOf(map).length === 0;
    const number: Expression = { is: 'number', value: 0, at: 0 };
    const all = isOne ? [number] : keys;
    const values = all.map((of, i) => ({ register: 1 + i, of }));
    this.arguments(value === undefined ? values : [...values, { register: VALUE, of: value }]);
  }

  /** Goes on at `label` if the condition is not true, or with `when` if it is. */
  jumpUnless(condition: Expression, label: Label, when = false): void {
    const { assembler } = this;
    if (condition.is === 'not') {
      this.jumpUnless(condition.of, label, !when);
      return;
    }
    if (condition.is === 'both' || condition.is === 'either') {
      // One of them decides, and leads there, or past the other.
      if ((condition.is === 'both') !== when) {
        this.jumpUnless(condition.left, label, when);
        this.jumpUnless(condition.right, label, when);
        return;
      }
      const past = assembler.label();
      this.jumpUnless(condition.left, past, !when);
      this.jumpUnless(condition.right, label, when);
      assembler.place(past);
      return;
    }
    if (condition.is === 'comparison') {
      this.#compare(condition, when ? condition.operator : OPPOSITE[condition.operator], label);
      return;
    }
    this.into(0, condition);
    assembler.emit((when ? Op.jne : Op.jeq) | IMM, { dst: 0, imm: 0 }, label);
  }

  #compare({ left, right }: Expression & { is: 'comparison' }, operator: keyof typeof OPPOSITE, label: Label): void {
    const op = OPS[operator];
    if (right.is === 'number') {
      this.into(0, left);
      this.assembler.emit(op | IMM, { dst: 0, imm: right.value }, label);
      return;
    }
    this.#pair(left, right);
    this.assembler.emit(op, { dst: 0, src: 1 }, label);
  }

  /** `left` in r0, `right` in r1. */
  #pair(left: Expression, right: Expression): void {
    if (this.isSimple(right)) {
      this.into(0, left);
      this.#simple(1, right);
      return;
    }
    this.into(0, left);
    const kept = this.#keep();
    this.into(1, right);
    this.#restore(0, kept);
  }

  /** In r0; r1 to r5 may be used. */
  #compute(expression: Expression): void {
    const { assembler } = this;
    const { source } = assembler;
    assembler.source = expression.at;
    switch (expression.is) {
      case 'word':
        this.#word(this.types.meaningOf(this.probe, expression.word, expression.at), expression.at);
        break;
      case 'map':
        this.#read(expression.map);
        break;
      case 'binary':
        this.#binary(expression);
        break;
      case 'negative':
        this.into(0, expression.of);
        assembler.emit(Op.neg);
        break;
      case 'choice':
        this.#choose(expression.condition, expression.yes, expression.no);
        break;
      case 'comparison':
      case 'both':
      case 'either':
      case 'not':
        this.#choose(
          expression,
          { is: 'number', value: 1, at: expression.at },
          { is: 'number', value: 0, at: expression.at },
        );
        break;
      default:
        this.#simple(0, expression);
    }
    assembler.source = source;
  }

  #binary({ operator, left, right }: Expression & { is: 'binary' }): void {
    if (right.is === 'number') {
      this.into(0, left);
      this.assembler.emit(OPS[operator] | IMM, { dst: 0, imm: right.value });
      return;
    }
    this.#pair(left, right);
    this.assembler.emit(OPS[operator], { dst: 0, src: 1 });
  }

  #choose(condition: Expression, yes: Expression, no: Expression): void {
    const [other, end] = [this.assembler.label(), this.assembler.label()];
    this.jumpUnless(condition, other);
    this.into(0, yes);
    this.assembler.jump(end);
    this.assembler.place(other);
    this.into(0, no);
    this.assembler.place(end);
  }

  #read(use: MapUse): void {
    const number = this.types.mapNumber(use);
    this.mapArguments(use, this.types.maps[number] as MapSpec);
    this.assembler.emit(Op.call, { imm: Helper.mapGet, off: number });
  }

  #word(meaning: Meaning, at: number): void {
    const { assembler } = this;
    if (!('word' in meaning)) {
      assembler.emit(Op.field, { dst: 0, imm: meaning.field });
      return;
    }
    if (meaning.word === 'name' || meaning.word === 'kind')
      this.lock(meaning.word === 'name' ? Helper.lockName : Helper.lockKind, at);
    else if (meaning.word === 'stack') assembler.emit(Op.call, { imm: Helper.stack });
    else this.#everywhere(0, meaning.word);
  }

  /** The name or kind of the event's lock, in r0. */
  lock(helper: number, at: number): void {
    const meaning = this.types.meaningOf(this.probe, 'lock', at);
    this.assembler.emit(Op.field, { dst: 1, imm: 'field' in meaning ? meaning.field : 0 });
    this.assembler.emit(Op.call, { imm: helper });
  }

  #everywhere(dst: number, word: 'nsecs' | 'cpu' | 'probe'): void {
    if (word === 'probe') this.assembler.emit(Op.text, { dst, imm: this.textNumber(this.probe.name) });
    else this.assembler.emit(Op.field, { dst, imm: word === 'nsecs' ? TIME : THREAD });
  }

  /** Whether its value can be put into any register, and nothing else is changed. */
  protected isSimple(expression: Expression): boolean {
    if (expression.is === 'number' || expression.is === 'string' || expression.is === 'variable') return true;
    if (expression.is !== 'word') return false;
    const meaning = this.types.meaningOf(this.probe, expression.word, expression.at);
    return 'field' in meaning || meaning.word === 'nsecs' || meaning.word === 'cpu' || meaning.word === 'probe';
  }

  #simple(dst: number, expression: Expression): boolean {
    if (!this.isSimple(expression)) return false;
    const { assembler } = this;
    if (expression.is === 'number') assembler.constant(dst, expression.value);
    else if (expression.is === 'string') assembler.emit(Op.text, { dst, imm: this.textNumber(expression.text) });
    else if (expression.is === 'variable')
      assembler.emit(Op.load, { dst, off: this.slotOf(expression.name, expression.at) });
    else if (expression.is === 'word') {
      const meaning = this.types.meaningOf(this.probe, expression.word, expression.at);
      if ('field' in meaning) assembler.emit(Op.field, { dst, imm: meaning.field });
      else this.#everywhere(dst, meaning.word as 'nsecs' | 'cpu' | 'probe');
    }
    return true;
  }

  typeOf(expression: Expression): ValueType {
    return this.types.typeOf(expression, this.probe, this.variables);
  }

  /** Keeps what is in r0. */
  #keep(): Kept {
    const kept = this.#kept++;
    if (kept < KEPT) this.assembler.move(FIRST_KEPT + kept, 0);
    else this.assembler.emit(Op.store, { src: 0, off: this.#keptSlot(kept) });
    return kept;
  }

  /** What was kept last comes back first. */
  #restore(dst: number, kept: Kept): void {
    this.#kept--;
    if (kept < KEPT) this.assembler.move(dst, FIRST_KEPT + kept);
    else this.assembler.emit(Op.load, { dst, off: this.#keptSlot(kept) });
  }

  #keptSlot(kept: Kept): number {
    const slot = STACK_SLOTS - 1 - (kept - KEPT);
    if (slot < STACK_SLOTS / 2) this.types.fail(this.assembler.source, 'this expression is too deep');
    return slot;
  }
}
