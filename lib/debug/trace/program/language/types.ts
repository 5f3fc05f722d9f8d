/** What the names in a trace program mean, and of which type each expression is. */
import { kindNames } from '../../../../memory/kinds.ts';
import { POINTS, pointNamed } from '../../points.ts';
import { linearBuckets, MOST_STEPS as MOST_BUCKETS } from '../histogram.ts';
import { defaultEntries, MOST_ENTRIES } from '../pool.ts';
import { type MapSpec, MOST_KEYS, MOST_MAPS, type ValueType } from '../program.ts';
import { fail } from './source.ts';
import type { Block, Clause, Expression, MapUse, ProbeName, Script, Statement } from './syntax.ts';

/** Words that every event has, or every event of a lock. */
export const WORDS = {
  nsecs: 'number',
  cpu: 'number',
  name: 'text',
  kind: 'text',
  stack: 'stack',
  probe: 'text',
} as const satisfies Record<string, ValueType>;

export type Word = keyof typeof WORDS;

/** A place of a field in the event, or one of WORDS. */
export type Meaning =
  | { readonly field: number; readonly type: ValueType }
  | { readonly word: Word; readonly type: ValueType };

export type Variables = Map<string, ValueType>;

/** The kind of lock that a probe is about, as its kind is called; undefined for all. */
export function kindOf(source: string, probe: ProbeName): string | undefined {
  if (probe.on !== 'point' || probe.kind === '*') return undefined;
  const names = kindNames();
  const kind = names.find((name) => name.replaceAll(/\W/g, '_') === probe.kind);
  if (kind !== undefined) return kind;
  return fail(
    source,
    probe.at,
    `there is no kind ${JSON.stringify(probe.kind)} of objects; expected * for all, or one of ${names
      .map((name) => name.replaceAll(/\W/g, '_'))
      .sort()
      .join(', ')}`,
  );
}

/** The number of a probe's trace point. */
export function pointOf(source: string, probe: ProbeName & { readonly on: 'point' }): number {
  const point = pointNamed(probe.point);
  if (point === undefined) {
    const names = POINTS.map(({ name }) => name).join(', ');
    return fail(source, probe.at, `there is no trace point ${JSON.stringify(probe.point)}; expected one of ${names}`);
  }
  if (probe.kind !== '*' && !hasLock(point)) {
    return fail(source, probe.at, `${probe.point} is about no lock: *:${probe.point} is its name`);
  }
  return point;
}

function hasLock(point: number): boolean {
  return POINTS[point]?.fields.some(({ type }) => type === 'lock') === true;
}

/** Types of a whole script: maps are found out from how they are used, variables clause by clause. */
export class Types {
  readonly source: string;
  /** In the order in which their numbers are. */
  maps: readonly MapSpec[];
  readonly #script: Script;

  constructor(source: string, script: Script) {
    this.source = source;
    this.#script = script;
    this.maps = [];
    this.maps = this.#mapsOf();
    for (const { name, at } of script.sizes) this.mapNumber({ name, at });
  }

  mapNumber({ name, at }: { readonly name: string; readonly at: number }): number {
    const number = this.maps.findIndex((map) => map.name === name);
    return number < 0 ? this.fail(at, `nothing is stored in @${name}`) : number;
  }

  fail(at: number, reason: string): never {
    return fail(this.source, at, reason);
  }

  meaningOf(probe: ProbeName, word: string, at: number): Meaning {
    const point = probe.on === 'point' ? pointOf(this.source, probe) : -1;
    const fields = POINTS[point]?.fields ?? [];
    const field = fields.findIndex(({ name, type }) => name === word && type !== 'stack');
    if (field >= 0) {
      const { type } = fields[field] as { type: string };
      return { field, type: type === 'lock' ? 'lock' : 'number' };
    }
    const isThere = word in WORDS && this.#isThere(word as Word, point);
    if (isThere) return { word: word as Word, type: WORDS[word as Word] };
    const words = Object.keys(WORDS).filter((known) => this.#isThere(known as Word, point));
    const known = [...fields.filter(({ type }) => type !== 'stack').map(({ name }) => name), ...words];
    return this.fail(at, `${probe.name} has no ${word}; it has ${[...new Set(known)].join(', ')}`);
  }

  #isThere(word: Word, point: number): boolean {
    if (word === 'name' || word === 'kind') return point >= 0 && hasLock(point);
    return word !== 'stack' || point >= 0;
  }

  typeOf(expression: Expression, probe: ProbeName, variables: Variables): ValueType {
    const numbers = (...parts: readonly Expression[]): ValueType => {
      for (const part of parts) this.expect('number', part, probe, variables);
      return 'number';
    };
    switch (expression.is) {
      case 'string':
        return 'text';
      case 'word':
        return this.meaningOf(probe, expression.word, expression.at).type;
      case 'variable': {
        const type = variables.get(expression.name);
        return type ?? this.fail(expression.at, `$${expression.name} has no value here`);
      }
      case 'map': {
        const map = this.maps[this.mapNumber(expression.map)] as MapSpec;
        this.checkKeys(expression.map, map, probe, variables);
        if (map.value === 'number') return map.type;
        return this.fail(
          expression.at,
          `@${map.name} is a ${map.value}, which each thread keeps for itself: it can be printed only`,
        );
      }
      case 'comparison':
        this.#checkComparison(expression, probe, variables);
        return 'number';
      case 'choice': {
        numbers(expression.condition);
        const type = this.typeOf(expression.yes, probe, variables);
        this.expect(type, expression.no, probe, variables);
        return type;
      }
      case 'binary':
      case 'both':
      case 'either':
        return numbers(expression.left, expression.right);
      case 'not':
      case 'negative':
        return numbers(expression.of);
      default:
        return 'number';
    }
  }

  expect(type: ValueType, expression: Expression, probe: ProbeName, variables: Variables): void {
    const found = this.typeOf(expression, probe, variables);
    if (found !== type) this.fail(expression.at, `expected a ${type}, found a ${found}`);
  }

  #checkComparison(expression: Expression & { is: 'comparison' }, probe: ProbeName, variables: Variables): void {
    const { left, right, operator, at } = expression;
    const type = this.typeOf(left, probe, variables);
    const isNothing = type !== 'number' && right.is === 'number' && right.value === 0;
    if (!isNothing) this.expect(type, right, probe, variables);
    const isEquality = operator === '==' || operator === '!=';
    if (type !== 'number' && !isEquality) this.fail(at, `a ${type} can be compared with == and != only`);
  }

  checkKeys({ keys, at }: MapUse, map: MapSpec, probe: ProbeName, variables: Variables): void {
    const expected = keyTypesOf(map);
    const found = keys.map((key) => this.typeOf(key, probe, variables));
    if (found.join() === expected.join()) return;
    this.fail(at, `the keys of @${map.name} are [${expected.join(', ')}], and here [${found.join(', ')}]`);
  }

  #mapsOf(): MapSpec[] {
    const maps: MapSpec[] = [];
    const seen: { use: MapUse; statement: Statement; clause: Clause }[] = [];
    for (const clause of this.#script.clauses) {
      eachStatement(clause.body, (statement) => {
        const isStored =
          statement.is === 'aggregate' ||
          statement.is === 'store' ||
          statement.is === 'add' ||
          statement.is === 'subtract';
        if (isStored) seen.push({ use: statement.map, statement, clause });
      });
    }
    this.maps = maps;
    for (const { entries, at } of this.#script.sizes) {
      if (entries < 2 || entries > MOST_ENTRIES) this.fail(at, `a map has from 2 to ${MOST_ENTRIES} entries`);
    }
    // What is read before it is stored in the text may be stored later in it: values of a map whose type depends on another one's come after that.
    for (let open = seen; open.length > 0; ) {
      const left = open.filter(({ use, statement, clause }) => {
        if (maps.some(({ name }) => name === use.name)) return false;
        const spec = this.#specOf(use, statement, clause);
        if (spec !== undefined) maps.push(spec);
        return spec === undefined;
      });
      if (left.length === open.length) {
        const { name, at } = (left[0] as { use: MapUse }).use;
        this.fail(at, `the type of @${name} can't be told: it depends on itself`);
      }
      open = left;
    }
    if (maps.length > MOST_MAPS) this.fail(0, `a program has at most ${MOST_MAPS} maps, this one has ${maps.length}`);
    return maps.map((map) => (map.entries > 0 ? map : { ...map, entries: defaultEntries(map, maps) }));
  }

  /** Undefined: it reads a map that is not known yet. */
  #specOf(use: MapUse, statement: Statement, { probes, body }: Clause): MapSpec | undefined {
    const probe = probes[0] as ProbeName;
    const value = statement.is === 'aggregate' ? statement.aggregation.value : 'number';
    const read = [...use.keys, ...(statement.is === 'store' ? [statement.value] : [])];
    let isKnown = true;
    const types = read.map((expression) => {
      const type = this.#tryType(expression, probe, body);
      if (type === undefined) isKnown = false;
      return type ?? 'number';
    });
    if (!isKnown) return undefined;
    if (use.keys.length > MOST_KEYS) this.fail(use.at, `a map has at most ${MOST_KEYS} keys`);
    const type = statement.is === 'store' ? (types.at(-1) as ValueType) : 'number';
    const linear = statement.is === 'aggregate' ? statement.aggregation.linear : undefined;
    if (linear !== undefined) this.#checkLinear(linear, statement.at);
    const size = this.#script.sizes.find(({ name }) => name === use.name);
    const keys = types.slice(0, use.keys.length);
    return { ...this.#sized(use, keys, size), value, type, ...(linear === undefined ? {} : { linear }) };
  }

  #sized({ name, at }: MapUse, keys: readonly ValueType[], size: Script['sizes'][number] | undefined) {
    if (keys.length === 0) {
      if (size !== undefined) this.fail(size.at, `@${name} has no keys, and so one value`);
      return { name, keys: [], isArray: true, entries: 1 };
    }
    if (size?.isArray !== true) return { name, keys, isArray: false, entries: size?.entries ?? 0 };
    if (keys.join() !== 'number') this.fail(at, `@${name} is an array: its key is one number`);
    return { name, keys: [], isArray: true, entries: size.entries };
  }

  #checkLinear(linear: NonNullable<MapSpec['linear']>, at: number): void {
    const { min, max, step } = linear;
    if (step < 1 || max <= min)
      this.fail(at, 'lhist(value, min, max, step) has a step of 1 or more, and a max above its min');
    if (linearBuckets(linear) > MOST_BUCKETS) {
      this.fail(at, `lhist() has at most ${MOST_BUCKETS} buckets, these are ${linearBuckets(linear)}`);
    }
  }

  /** The type of an expression whose variables have the types that the block gives them; undefined where that depends on an unknown map. */
  #tryType(expression: Expression, probe: ProbeName, body: Block): ValueType | undefined {
    const variables = new Map<string, ValueType>();
    const unknown = new Set<string>();
    const isUnknown = (whole: Expression) =>
      dependsOn(whole, (part) => {
        if (part.is === 'variable') return unknown.has(part.name);
        return part.is === 'map' && !this.maps.some(({ name }) => name === part.map.name);
      });
    eachStatement(body, (statement) => {
      if (statement.is === 'for') variables.set(statement.name, 'number');
      if (statement.is !== 'set' || variables.has(statement.name)) return;
      if (isUnknown(statement.value)) unknown.add(statement.name);
      else variables.set(statement.name, this.typeOf(statement.value, probe, variables));
    });
    return isUnknown(expression) ? undefined : this.typeOf(expression, probe, variables);
  }
}

/** The types of the keys with which a map is used. */
export function keyTypesOf({ keys, isArray, entries }: MapSpec): readonly ValueType[] {
  return isArray && entries > 1 ? ['number'] : keys;
}

function eachStatement(block: Block, visit: (statement: Statement) => void): void {
  for (const statement of block) {
    visit(statement);
    if (statement.is === 'if') {
      eachStatement(statement.yes, visit);
      eachStatement(statement.no, visit);
    }
    if (statement.is === 'while' || statement.is === 'for') eachStatement(statement.body, visit);
  }
}

/** Whether the expression, or one that it is made of, is like that. */
function dependsOn(expression: Expression, isLike: (part: Expression) => boolean): boolean {
  if (isLike(expression)) return true;
  return partsOf(expression).some((part) => dependsOn(part, isLike));
}

function partsOf(expression: Expression): readonly Expression[] {
  switch (expression.is) {
    case 'map':
      return expression.map.keys;
    case 'binary':
    case 'comparison':
    case 'both':
    case 'either':
      return [expression.left, expression.right];
    case 'not':
    case 'negative':
      return [expression.of];
    case 'choice':
      return [expression.condition, expression.yes, expression.no];
    default:
      return [];
  }
}
