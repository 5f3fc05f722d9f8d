/**
 * The verifier: whether a program may run. It follows each path with what is known of each register and slot of the stack, as the
 * kernel's does (kernel/bpf/verifier.c): a loop is gone through turn by turn, so a program that it accepts ends, after at most `steps`
 * instructions, and never uses what was not written, an index that is out of bounds, or a number as something else.
 *
 *   at each place that a jump leads to, the state is compared with those in which that place was reached before:
 *     one of which all paths were followed to their ends, and that is at least as wide   this path needs no further look
 *     one that is on this very path, and the same                                        it can go round for ever: rejected
 *
 * A run follows one of the paths that were looked at, or one that is covered by one; so no run is longer than the longest of
 * them, and with at most MOST_STEPS in all, none is longer than that.
 */
import { HELPER_NAMES, type Named, signatureOf } from './helpers.ts';
import {
  IMM,
  type Instruction,
  isArithmetic,
  isConditional,
  Op,
  REGISTERS,
  STACK_SLOTS,
  THREAD,
  TIME,
} from './instructions.ts';
import { checkForm, jumpTargets, type Rejection } from './paths.ts';
import type { ValueType } from './program.ts';
import {
  anyOf,
  between,
  combined,
  constant,
  contains,
  isSame,
  NONE,
  narrowed,
  oppositeOf,
  type Value,
} from './values.ts';

/** Instructions that the verifier goes through, on all paths together. */
export const MOST_STEPS = 1 << 14;

/** What a program may use. */
export interface Scope extends Named {
  readonly fields: Readonly<Record<number, { readonly type: ValueType; readonly most: number }>>;
  readonly texts: number;
}

/** `steps`: the most instructions that a run takes. */
export type Verdict = { readonly steps: number } | Rejection;

/** Registers, behind them the stack, and behind that the fields of the event: a field that was compared is known when it is loaded again. */
type State = readonly Value[];

const FIRST_FIELD = REGISTERS + STACK_SLOTS;
const FIELDS = Math.max(TIME, THREAD) + 1;

function firstState({ fields }: Scope): State {
  const values = Array.from({ length: FIELDS }, (_, i) => {
    const field = fields[i];
    if (field === undefined) return NONE;
    return field.type === 'number' ? between(0, field.most) : anyOf(field.type);
  });
  return [...Array.from({ length: FIRST_FIELD }, () => NONE), ...values];
}

export function verify(code: readonly Instruction[], scope: Scope): Verdict {
  return checkForm(code) ?? new Verifier(code, scope).run();
}

/** States with which a new one is compared at each place: the latest. Others cost more than they save, a long loop the square of its turns. */
const COMPARED = 8;

/** What is known of a place that a jump leads to. */
interface Place {
  /** The states in which the path that is being followed has come here. */
  readonly onPath: State[];
  /** Those from which all paths were followed, and how long the longest one was. */
  readonly done: { readonly state: State; readonly twins: Twins; readonly longest: number }[];
}

/**
 * By register or slot: the first one that holds the same value, which is the same object then. What is learned of one by a comparison
 * holds for all of them; so what is proven where two are twins is not proven where they are not.
 */
type Twins = readonly number[];

/** A stretch of the path that is being followed, up to where it branches. */
interface Stretch {
  /** Where it begins, if a jump leads there. */
  readonly place: Place | undefined;
  /** Instructions in it. */
  readonly steps: number;
  /** What is to be followed from its end. */
  readonly open: { readonly at: number; readonly state: State }[];
  /** Of the paths from its end. */
  longest: number;
}

class Rejected {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

class Verifier {
  readonly #code: readonly Instruction[];
  readonly #scope: Scope;
  readonly #places = new Map<number, Place>();
  #steps = 0;
  /** The instruction that is looked at. */
  #at = 0;

  constructor(code: readonly Instruction[], scope: Scope) {
    this.#code = code;
    this.#scope = scope;
    for (const target of jumpTargets(code)) this.#places.set(target, { onPath: [], done: [] });
  }

  run(): Verdict {
    try {
      return { steps: this.#follow() };
    } catch (error) {
      if (!(error instanceof Rejected)) throw error;
      return { instruction: this.#at, reason: error.reason };
    }
  }

  /** The length of the longest path. */
  #follow(): number {
    const path: Stretch[] = [];
    let ended = this.#enter(path, 0, firstState(this.#scope));
    for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
      if (ended !== undefined) last.longest = Math.max(last.longest, ended);
      const next = last.open.pop();
      if (next !== undefined) {
        ended = this.#enter(path, next.at, next.state);
        continue;
      }
      ended = last.steps + last.longest;
      if (last.place !== undefined) leave(last.place, ended);
      path.pop();
    }
    return ended as number;
  }

  /** Follows the path from `at` to where it branches. Returns its length if that is known already. */
  #enter(path: Stretch[], at: number, state: State): number | undefined {
    this.#at = at;
    const place = this.#places.get(at);
    const covered = place?.done.findLast(({ state: wide, twins }) => covers(wide, twins, state));
    if (covered !== undefined) return covered.longest;
    if (place?.onPath.slice(-COMPARED).some((other) => isSameState(other, state))) {
      throw new Rejected('the loop may never end: it comes back here and nothing has changed');
    }
    place?.onPath.push(state);
    path.push({ place, ...this.#straight(at, state), longest: 0 });
    return undefined;
  }

  #straight(from: number, entry: State): Pick<Stretch, 'steps' | 'open'> {
    const state = [...entry];
    for (let at = from, steps = 1; ; at++, steps++) {
      this.#at = at;
      if (++this.#steps > MOST_STEPS) {
        throw new Rejected(
          `it can't be shown that the program ends: there are more than ${MOST_STEPS} steps to follow`,
        );
      }
      const instruction = this.#code[at] as Instruction;
      const { op, off } = instruction;
      if (op === Op.exit) return { steps, open: [] };
      if (op === Op.jump) return { steps, open: [{ at: at + 1 + off, state }] };
      if (isConditional(op)) return { steps, open: this.#branches(at, instruction, state) };
      this.#apply(instruction, state);
      if (this.#places.has(at + 1)) return { steps, open: [{ at: at + 1, state }] };
    }
  }

  #branches(at: number, { op, dst, src, off, imm }: Instruction, state: State): Stretch['open'] {
    const base = op & ~IMM;
    const left = this.#register(state, dst);
    const right = (op & IMM) === 0 ? this.#register(state, src) : constant(imm);
    if (left.type !== 'number' || right.type !== 'number') {
      this.#checkComparison(base, left, right);
      return [
        { at: at + 1, state },
        { at: at + 1 + off, state },
      ];
    }
    const follow = (target: number, comparison: number) => {
      const values = narrowed(comparison, left, right);
      if (values === undefined) return [];
      return [
        { at: target, state: state.map((value) => (value === left ? values[0] : value === right ? values[1] : value)) },
      ];
    };
    return [...follow(at + 1, oppositeOf(base)), ...follow(at + 1 + off, base)];
  }

  #checkComparison(base: number, left: Value, right: Value): void {
    const isNothing = right.type === 'number' && right.min === 0 && right.max === 0;
    if ((base === Op.jeq || base === Op.jne) && (left.type === right.type || isNothing)) return;
    throw new Rejected(`a ${left.type} and a ${right.type} can't be compared so`);
  }

  #apply(instruction: Instruction, state: Value[]): void {
    const { op, dst, src, off, imm } = instruction;
    const base = op & ~IMM;
    if (base === Op.mov) state[dst] = op === Op.mov ? this.#register(state, src) : constant(imm);
    else if (isArithmetic(op)) {
      const right = op === base ? this.#number(state, src) : constant(imm);
      state[dst] = combined(base, this.#number(state, dst), right);
    } else if (op === Op.neg) {
      const { min, max } = this.#number(state, dst);
      state[dst] = between(0 - max, 0 - min);
    } else if (op === Op.field) state[dst] = this.#field(state, imm);
    else if (op === Op.text) state[dst] = this.#text(imm);
    else if (op === Op.load) state[dst] = this.#slot(state, off);
    else if (op === Op.store) state[REGISTERS + off] = this.#register(state, src);
    else if (op === Op.loadAt) state[dst] = this.#loadAt(state, off, src);
    else if (op === Op.storeAt) this.#storeAt(state, off, dst, src);
    else this.#call(imm, off, state);
  }

  #register(state: State, register: number): Value {
    const value = state[register] as Value;
    if (value.type === 'none') throw new Rejected(`r${register} was not written on each path that leads here`);
    return value;
  }

  #number(state: State, register: number): Value {
    const value = this.#register(state, register);
    if (value.type !== 'number') throw new Rejected(`r${register} is a ${value.type}, and no number to compute with`);
    return value;
  }

  #field(state: State, imm: number): Value {
    const value = imm >= 0 && imm < FIELDS ? state[FIRST_FIELD + imm] : undefined;
    if (value === undefined || value.type === 'none') throw new Rejected(`the event has no field ${imm}`);
    return value;
  }

  #text(imm: number): Value {
    if (!(imm >= 0 && imm < this.#scope.texts)) throw new Rejected(`the program has no text ${imm}`);
    return anyOf('text');
  }

  #slot(state: State, off: number): Value {
    const value = state[REGISTERS + off] as Value;
    if (value.type === 'none')
      throw new Rejected(`slot ${off} of the stack was not written on each path that leads here`);
    return value;
  }

  /** The first and the last slot that an index may lead to. */
  #bounds(state: State, off: number, register: number): [number, number] {
    const { min, max } = this.#number(state, register);
    const [first, last] = [off + min, off + max];
    if (first < 0 || last >= STACK_SLOTS) {
      throw new Rejected(
        `the slot is from ${first} to ${last} by what is known of r${register}; the stack has the slots 0 to ${STACK_SLOTS - 1}`,
      );
    }
    return [first, last];
  }

  #loadAt(state: State, off: number, register: number): Value {
    const [first, last] = this.#bounds(state, off, register);
    const values = Array.from({ length: last - first + 1 }, (_, i) => this.#slot(state, first + i));
    const { type } = values[0] as Value;
    if (values.some((value) => value.type !== type)) {
      throw new Rejected(`the slots from ${first} to ${last} of the stack are not of one type`);
    }
    if (type !== 'number') return anyOf(type as ValueType);
    return between(Math.min(...values.map(({ min }) => min)), Math.max(...values.map(({ max }) => max)));
  }

  /** One of these slots has the value then, and the others what they had. */
  #storeAt(state: Value[], off: number, register: number, source: number): void {
    const [first, last] = this.#bounds(state, off, register);
    const value = this.#register(state, source);
    for (let slot = REGISTERS + first; slot <= REGISTERS + last; slot++) {
      state[slot] = first === last ? value : either(state[slot] as Value, value);
    }
  }

  #call(helper: number, off: number, state: Value[]): void {
    const signature = signatureOf(helper, off, this.#scope);
    if (typeof signature === 'string') throw new Rejected(signature);
    for (const { register, type, below } of signature.takes) this.#argument(state, helper, register, type, below);
    for (let register = 1; register <= 5; register++) state[register] = NONE;
    const { returns } = signature;
    state[0] = returns === undefined ? constant(0) : anyOf(returns);
  }

  #argument(state: State, helper: number, register: number, type: ValueType, below: number | undefined): void {
    const value = this.#register(state, register);
    if (value.type !== type) {
      throw new Rejected(`${HELPER_NAMES[helper]} takes a ${type} in r${register}, which is a ${value.type}`);
    }
    if (below === undefined || (value.min >= 0 && value.max < below)) return;
    throw new Rejected(
      `the index in r${register} is from ${value.min} to ${value.max} by what is known; the array has 0 to ${below - 1}`,
    );
  }
}

/** All paths from the state that was the last to come there were followed. */
function leave({ onPath, done }: Place, longest: number): void {
  const state = onPath.pop() as State;
  done.push({ state, twins: twinsOf(state), longest });
  if (done.length > COMPARED) done.shift();
}

function twinsOf(state: State): Twins {
  const first = new Map<Value, number>();
  return state.map((value, i) => {
    const twin = value.type === 'number' ? (first.get(value) ?? i) : i;
    if (twin === i) first.set(value, i);
    return twin;
  });
}

/** It is not known which: so it is nobody's twin, though it may look the same. */
function either(a: Value, b: Value): Value {
  if (a.type !== b.type) return NONE;
  return { type: a.type, min: Math.min(a.min, b.min), max: Math.max(a.max, b.max) };
}

function covers(wide: State, twins: Twins, state: State): boolean {
  return wide.every((value, i) => contains(value, state[i] as Value) && state[i] === state[twins[i] as number]);
}

function isSameState(a: State, b: State): boolean {
  return a.every((value, i) => isSame(value, b[i] as Value));
}
