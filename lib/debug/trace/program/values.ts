/**
 * What the verifier knows of a register or a slot of the stack: its type, and from where to where a number lies. A value is one object
 * wherever it was copied to, and no two values are one object.
 */
import { Op } from './instructions.ts';
import { clamped, LARGEST, product, quotient, remainder } from './numbers.ts';
import type { ValueType } from './program.ts';

export interface Value {
  /** 'none': nothing was written yet, or another path has written something else. */
  readonly type: ValueType | 'none';
  /** Of a number, both inclusive. A constant has one. */
  readonly min: number;
  readonly max: number;
}

const WORD = 2 ** 32 - 1;

export const NONE: Value = { type: 'none', min: 0, max: 0 };

export function between(min: number, max: number): Value {
  return { type: 'number', min, max };
}

export function constant(value: number): Value {
  return between(value, value);
}

/** Each time another object: two values that nothing is known of are not one. */
export function anyOf(type: ValueType): Value {
  return type === 'number' ? between(-LARGEST, LARGEST) : { type, min: 0, max: WORD };
}

function anyWord(): Value {
  return between(0, WORD);
}

/** Whether what holds for `wide` holds for all that `value` may be: what was proven of `wide` is proven of it. */
export function contains(wide: Value, value: Value): boolean {
  if (wide === value || wide.type === 'none') return true;
  return wide.type === value.type && wide.min <= value.min && wide.max >= value.max;
}

export function isSame(a: Value, b: Value): boolean {
  return a === b || (a.type === b.type && a.min === b.min && a.max === b.max);
}

/** What `a OP b` may be. */
export function combined(op: number, a: Value, b: Value): Value {
  if (a.min === a.max && b.min === b.max) return constant(computed(op, a.min, b.min));
  switch (op) {
    case Op.add:
      return between(clamped(a.min + b.min), clamped(a.max + b.max));
    case Op.sub:
      return between(clamped(a.min - b.max), clamped(a.max - b.min));
    case Op.mul: {
      const corners = [a.min, a.max].flatMap((x) => [product(x, b.min), product(x, b.max)]);
      return between(Math.min(...corners), Math.max(...corners));
    }
    case Op.div:
      return divided(a, b);
    case Op.mod:
      return modulo(a, b);
    case Op.and:
      // The result has no bit that either of them has not.
      return between(0, Math.min(isWord(a) ? a.max : WORD, isWord(b) ? b.max : WORD));
    case Op.or:
    case Op.xor:
      return isWord(a) && isWord(b) ? between(0, allBits(Math.max(a.max, b.max))) : anyWord();
    case Op.rsh:
      return between(0, isWord(a) ? a.max : WORD);
    default:
      return anyWord();
  }
}

/** `a OP b`: what the interpreter and the compiler compute. */
export function computed(op: number, a: number, b: number): number {
  switch (op) {
    case Op.add:
      return clamped(a + b);
    case Op.sub:
      return clamped(a - b);
    case Op.mul:
      return product(a, b);
    case Op.div:
      return quotient(a, b);
    case Op.mod:
      return remainder(a, b);
    case Op.and:
      return (a & b) >>> 0;
    case Op.or:
      return (a | b) >>> 0;
    case Op.xor:
      return (a ^ b) >>> 0;
    case Op.lsh:
      return (a << b) >>> 0;
    default:
      return a >>> b;
  }
}

function isWord({ min, max }: Value): boolean {
  return min >= 0 && max <= WORD;
}

/** The largest number with no more bits than `x`. */
function allBits(x: number): number {
  return 2 ** (32 - Math.clz32(x)) - 1;
}

function divided(a: Value, b: Value): Value {
  const most = Math.max(Math.abs(a.min), Math.abs(a.max));
  if (b.min <= 0) return between(-most, most);
  const corners = [a.min, a.max].flatMap((x) => [quotient(x, b.min), quotient(x, b.max)]);
  return between(Math.min(...corners), Math.max(...corners));
}

function modulo(a: Value, b: Value): Value {
  const divisor = Math.max(Math.abs(b.min), Math.abs(b.max));
  const mayBeZero = b.min <= 0 && b.max >= 0;
  const least = mayBeZero ? a.min : Math.max(a.min, 1 - divisor);
  const most = mayBeZero ? a.max : Math.min(a.max, divisor - 1);
  return between(a.min < 0 ? least : 0, a.max > 0 ? most : 0);
}

/** `x CMP y`, and what is true where that is not. */
const OPPOSITE: Readonly<Record<number, number>> = {
  [Op.jeq]: Op.jne,
  [Op.jne]: Op.jeq,
  [Op.jlt]: Op.jge,
  [Op.jle]: Op.jgt,
  [Op.jgt]: Op.jle,
  [Op.jge]: Op.jlt,
};

export function oppositeOf(op: number): number {
  return OPPOSITE[op] as number;
}

/** What two numbers are where `a CMP b` is true; undefined where it can't be. */
export function narrowed(op: number, a: Value, b: Value): readonly [Value, Value] | undefined {
  switch (op) {
    case Op.jeq: {
      const both = cut(a, b.min, b.max);
      return both && [both, both];
    }
    case Op.jne: {
      const [one, other] = [without(a, b), without(b, a)];
      return one && other && [one, other];
    }
    case Op.jlt:
      return pair(cut(a, -LARGEST, b.max - 1), cut(b, a.min + 1, LARGEST));
    case Op.jle:
      return pair(cut(a, -LARGEST, b.max), cut(b, a.min, LARGEST));
    case Op.jgt:
      return pair(cut(a, b.min + 1, LARGEST), cut(b, -LARGEST, a.max - 1));
    default:
      return pair(cut(a, b.min, LARGEST), cut(b, -LARGEST, a.max));
  }
}

function pair(a: Value | undefined, b: Value | undefined): readonly [Value, Value] | undefined {
  return a && b && [a, b];
}

function cut(value: Value, min: number, max: number): Value | undefined {
  if (min <= value.min && max >= value.max) return value;
  const [least, most] = [Math.max(value.min, min), Math.min(value.max, max)];
  return least > most ? undefined : between(least, most);
}

/** `value` where it is not that constant. */
function without(value: Value, { min, max }: Value): Value | undefined {
  if (min !== max) return value;
  if (value.min === min) return cut(value, min + 1, LARGEST);
  return value.max === min ? cut(value, -LARGEST, min - 1) : value;
}
