/** The code generator: a checked script as a program. */
import { Helper } from '../helpers.ts';
import { type Instruction, MOST_INSTRUCTIONS, Op } from '../instructions.ts';
import { type Format, type MapSpec, MOST_ARGUMENTS, type Probe, type Program } from '../program.ts';
import type { Label } from './assembler.ts';
import { ExpressionCode } from './code.ts';
import { formatOf } from './formats.ts';
import { parse } from './parser.ts';
import type { Block, Clause, Expression, MapUse, ProbeName, Statement } from './syntax.ts';
import { kindOf, pointOf, Types } from './types.ts';

/** The program of that source. Throws EINVAL, with line and column, for what is none. */
export function programOf(source: string): Program {
  const script = parse(source);
  const types = new Types(source, script);
  const texts: string[] = [];
  const formats: Format[] = [];
  const probes: Probe[] = [];
  const code: Instruction[] = [];
  for (const clause of script.clauses) {
    for (const name of clause.probes) {
      const instructions = new ClauseCode(types, name, texts, formats).clause(clause);
      probes.push(probeOf(source, name, code.length, instructions.length));
      code.push(...instructions);
    }
  }
  if (code.length > MOST_INSTRUCTIONS) {
    types.fail(0, `a program has at most ${MOST_INSTRUCTIONS} instructions, this one has ${code.length}`);
  }
  return { probes, code, maps: types.maps, formats, texts };
}

function probeOf(source: string, probe: ProbeName, start: number, length: number): Probe {
  const { name } = probe;
  if (probe.on === 'point') return { name, start, length, on: 'point', point: pointOf(source, probe) };
  if (probe.on === 'interval') return { name, start, length, on: 'interval', ms: probe.ms };
  return { name, start, length, on: probe.on };
}

class ClauseCode extends ExpressionCode {
  readonly #formats: Format[];

  constructor(types: Types, probe: ProbeName, texts: string[], formats: Format[]) {
    super(types, probe, texts);
    this.#formats = formats;
  }

  clause({ predicate, body }: Clause): Instruction[] {
    const { assembler } = this;
    const end = assembler.label();
    const kind = kindOf(this.types.source, this.probe);
    if (predicate !== undefined) this.types.expect('number', predicate, this.probe, this.variables);
    // What costs least comes first: most events end there.
    const isCheap = predicate !== undefined && this.#isCheap(predicate);
    if (predicate !== undefined && isCheap) this.jumpUnless(predicate, end);
    if (kind !== undefined) this.#onlyKind(kind, end);
    if (predicate !== undefined && !isCheap) this.jumpUnless(predicate, end);
    this.#block(body);
    assembler.place(end);
    assembler.emit(Op.exit);
    return assembler.finish();
  }

  #isCheap(expression: Expression): boolean {
    if (
      expression.is === 'comparison' ||
      expression.is === 'both' ||
      expression.is === 'either' ||
      expression.is === 'binary'
    ) {
      return this.#isCheap(expression.left) && this.#isCheap(expression.right);
    }
    if (expression.is === 'not' || expression.is === 'negative') return this.#isCheap(expression.of);
    return this.isSimple(expression);
  }

  #onlyKind(kind: string, end: Label): void {
    this.assembler.source = this.probe.at;
    this.lock(Helper.lockKind, this.probe.at);
    this.assembler.emit(Op.text, { dst: 1, imm: this.textNumber(kind) });
    this.assembler.emit(Op.jne, { dst: 0, src: 1 }, end);
  }

  #block(block: Block): void {
    for (const statement of block) {
      this.assembler.source = statement.at;
      this.#statement(statement);
    }
  }

  #statement(statement: Statement): void {
    const { assembler } = this;
    switch (statement.is) {
      case 'aggregate': {
        const { value, of } = statement.aggregation;
        if (of !== undefined) this.#expectNumber(of);
        this.#mapCall(Helper.mapUpdate, statement.map, value, statement.at, of);
        return;
      }
      case 'store':
        this.#store(statement);
        return;
      case 'add':
      case 'subtract': {
        this.#expectNumber(statement.value);
        const { value, at } = statement;
        const of: Expression = statement.is === 'add' ? value : { is: 'negative', of: value, at };
        this.#mapCall(Helper.mapAdd, statement.map, 'number', at, of);
        return;
      }
      case 'set':
        this.#set(statement.name, statement.value, statement.at);
        return;
      case 'if':
        this.#if(statement);
        return;
      case 'while':
        this.#while(statement.condition, statement.body);
        return;
      case 'for':
        this.#for(statement);
        return;
      case 'printf':
        this.#printf(statement);
        return;
      case 'delete':
        this.#mapCall(Helper.mapDelete, statement.map, undefined, statement.at);
        return;
      case 'print':
      case 'clear': {
        const imm = statement.is === 'print' ? Helper.printMap : Helper.clearMap;
        assembler.emit(Op.call, { imm, off: this.types.mapNumber(statement) });
        return;
      }
      case 'exit':
        assembler.emit(Op.call, { imm: Helper.end });
        assembler.emit(Op.exit);
        return;
      default:
        assembler.emit(Op.exit);
    }
  }

  #store({ map, value, at }: { readonly map: MapUse; readonly value: Expression; readonly at: number }): void {
    const spec = this.types.maps[this.types.mapNumber(map)] as MapSpec;
    const type = this.typeOf(value);
    if (spec.value === 'number' && type !== spec.type) {
      this.types.fail(at, `the values of @${spec.name} are of type ${spec.type}, and this is a ${type}`);
    }
    this.#mapCall(Helper.mapSet, map, 'number', at, value);
  }

  /** `expected`: what the map has to keep; undefined for any. */
  #mapCall(helper: number, use: MapUse, expected: MapSpec['value'] | undefined, at: number, value?: Expression): void {
    const number = this.types.mapNumber(use);
    const map = this.types.maps[number] as MapSpec;
    if (expected !== undefined && map.value !== expected) {
      const named = (kind: string) => (kind === 'number' ? 'what is stored' : `a ${kind}`);
      this.types.fail(at, `@${map.name} is ${named(map.value)}, and here ${named(expected)}`);
    }
    this.types.checkKeys(use, map, this.probe, this.variables);
    this.mapArguments(use, map, value);
    this.assembler.source = at;
    this.assembler.emit(Op.call, { imm: helper, off: number });
  }

  #expectNumber(expression: Expression): void {
    this.types.expect('number', expression, this.probe, this.variables);
  }

  #set(name: string, value: Expression, at: number): void {
    const type = this.typeOf(value);
    const before = this.variables.get(name);
    if (before !== undefined && before !== type) {
      this.types.fail(at, `$${name} is a ${before}, and this is a ${type}`);
    }
    this.into(0, value);
    this.variables.set(name, type);
    this.assembler.emit(Op.store, { src: 0, off: this.slotOf(name, at) });
  }

  #if({ condition, yes, no }: Statement & { is: 'if' }): void {
    this.#expectNumber(condition);
    const [other, end] = [this.assembler.label(), this.assembler.label()];
    this.jumpUnless(condition, other);
    this.#block(yes);
    if (no.length > 0) this.assembler.jump(end);
    this.assembler.place(other);
    this.#block(no);
    this.assembler.place(end);
  }

  #while(condition: Expression, body: Block): void {
    this.#expectNumber(condition);
    const [begin, end] = [this.assembler.label(), this.assembler.label()];
    this.assembler.place(begin);
    this.jumpUnless(condition, end);
    this.#block(body);
    this.assembler.jump(begin);
    this.assembler.place(end);
  }

  #for({ name, from, to, body, at }: Statement & { is: 'for' }): void {
    this.#set(name, from, at);
    const variable: Expression = { is: 'variable', name, at };
    const next: Expression = { is: 'binary', operator: '+', left: variable, right: { is: 'number', value: 1, at }, at };
    const condition: Expression = { is: 'comparison', operator: '<', left: variable, right: to, at };
    this.#while(condition, [...body, { is: 'set', name, value: next, at }]);
  }

  #printf({ format, values, at }: Statement & { is: 'printf' }): void {
    const types = values.map((value) => this.typeOf(value));
    const made = formatOf(format, types);
    if (typeof made === 'string') this.types.fail(at, made);
    this.arguments(values.slice(0, MOST_ARGUMENTS).map((of, i) => ({ register: 1 + i, of })));
    this.assembler.source = at;
    this.assembler.emit(Op.call, { imm: Helper.print, off: this.#formats.push(made) - 1 });
  }
}
