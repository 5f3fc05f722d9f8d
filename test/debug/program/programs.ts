/** Random programs, and a runtime for them that notes each call: for tests. */
import fc from 'fast-check';
import { Helper, signatureOf } from '../../../lib/debug/trace/program/helpers.ts';
import {
  IMM,
  type Instruction,
  Op,
  REGISTERS,
  STACK_SLOTS,
  THREAD,
  TIME,
} from '../../../lib/debug/trace/program/instructions.ts';
import { LARGEST } from '../../../lib/debug/trace/program/numbers.ts';
import type { MapSpec } from '../../../lib/debug/trace/program/program.ts';
import type { ProgramMap, Runtime } from '../../../lib/debug/trace/program/runtime.ts';
import type { Scope } from '../../../lib/debug/trace/program/verifier.ts';

const map = (name: string, spec: Partial<MapSpec>): MapSpec => ({
  name,
  keys: [],
  isArray: false,
  entries: 8,
  value: 'number',
  type: 'number',
  ...spec,
});

/** What the programs of these tests may use. */
export const SCOPE: Scope = {
  fields: {
    0: { type: 'lock', most: 2 ** 32 - 1 },
    1: { type: 'number', most: 2 ** 32 - 1 },
    2: { type: 'number', most: 7 },
    3: { type: 'stack', most: 2 ** 32 - 1 },
    4: { type: 'number', most: LARGEST },
    [TIME]: { type: 'number', most: LARGEST },
    [THREAD]: { type: 'number', most: 2 ** 10 - 1 },
  },
  maps: [
    map('stored', { keys: ['number'] }),
    map('array', { isArray: true }),
    map('counted', { keys: ['text', 'number'], value: 'count' }),
    map('times', { keys: ['lock'], value: 'hist' }),
    map('one', { isArray: true, entries: 1 }),
  ],
  formats: [{ pieces: ['a ', ' and ', ''], arguments: ['number', 'text'], as: [] }],
  texts: 2,
};

/** Fields of an event that are what SCOPE says. */
export const EVENT = { time: 123_456_789_012, fields: [3, 2 ** 32 - 1, 5, 17, LARGEST] as const };

/** A runtime that notes what it is called with, and lives of its maps being what they say. */
export function noting(calls: string[]): Runtime {
  const taken = (helper: number, off: number, values: readonly number[]) => {
    const signature = signatureOf(helper, off, SCOPE);
    if (typeof signature === 'string') throw new Error(signature);
    return signature.takes.map(({ register }) => values[register - 1]);
  };
  const maps = SCOPE.maps.map((_, off): ProgramMap => {
    const stored = new Map<string, number>();
    const note = (name: string, helper: number, values: number[]) => {
      const args = taken(helper, off, values);
      calls.push(`${name} ${off} ${args.join()}`);
      return args;
    };
    return {
      get: (...values) => stored.get(note('get', Helper.mapGet, values).join()) ?? 0,
      set: (...values) => void stored.set(note('set', Helper.mapSet, values).slice(0, -1).join(), values[4] as number),
      add: (...values) => void note('add', Helper.mapAdd, values),
      remove: (...values) => void note('remove', Helper.mapDelete, values),
      update: (...values) => void note('update', Helper.mapUpdate, values),
    };
  });
  return {
    thread: 1,
    maps,
    texts: [101, 102],
    lockName: (lock) => lock + calls.push(`name ${lock}`),
    lockKind: (lock) => lock + calls.push(`kind ${lock}`),
    stack: () => calls.push('stack'),
    print: (format, ...values) => void calls.push(`print ${taken(Helper.print, format, values)}`),
    printMap: (number) => void calls.push(`print map ${number}`),
    clearMap: (number) => void calls.push(`clear ${number}`),
    end: () => void calls.push('end'),
  };
}

const INTERESTING = [0, 1, -1, 2, 3, 7, 8, 31, 32, 33, 255, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 31)];

const register = fc.integer({ min: 0, max: REGISTERS - 1 });
const number = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...INTERESTING, LARGEST, -LARGEST) },
  { weight: 1, arbitrary: fc.integer({ min: -LARGEST, max: LARGEST }) },
);
const slot = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 3 }) },
  { weight: 1, arbitrary: fc.integer({ min: -1, max: STACK_SLOTS }) },
);

export const instruction = (op: number, parts: Partial<Instruction> = {}): Instruction => ({
  op,
  dst: 0,
  src: 0,
  off: 0,
  imm: 0,
  at: 0,
  ...parts,
});

const arithmetic = fc.integer({ min: Op.mov, max: Op.rsh });
const comparison = fc.integer({ min: Op.jeq, max: Op.jge });

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({ op: arithmetic, dst: register, src: register })
      .map(({ op, ...parts }) => instruction(op, parts)),
  },
  {
    weight: 6,
    arbitrary: fc
      .record({ op: arithmetic, dst: register, imm: number })
      .map(({ op, ...parts }) => instruction(op | IMM, parts)),
  },
  { weight: 1, arbitrary: register.map((dst) => instruction(Op.neg, { dst })) },
  {
    weight: 3,
    arbitrary: fc
      .record({ dst: register, imm: fc.constantFrom(0, 1, 1, 2, 2, 3, 4, 5, 6, 7) })
      .map((parts) => instruction(Op.field, parts)),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ dst: register, imm: fc.integer({ min: 0, max: 2 }) })
      .map((parts) => instruction(Op.text, parts)),
  },
  { weight: 2, arbitrary: fc.record({ dst: register, off: slot }).map((parts) => instruction(Op.load, parts)) },
  { weight: 3, arbitrary: fc.record({ src: register, off: slot }).map((parts) => instruction(Op.store, parts)) },
  {
    weight: 2,
    arbitrary: fc.record({ dst: register, src: register, off: slot }).map((parts) => instruction(Op.loadAt, parts)),
  },
  {
    weight: 2,
    arbitrary: fc.record({ dst: register, src: register, off: slot }).map((parts) => instruction(Op.storeAt, parts)),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ imm: fc.integer({ min: 0, max: 12 }), off: fc.integer({ min: 0, max: 5 }) })
      .map((parts) => instruction(Op.call, parts)),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ op: comparison, dst: register, src: register, off: fc.integer({ min: -2, max: 3 }) })
      .map(({ op, ...parts }) => instruction(op, parts)),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ op: comparison, dst: register, imm: number, off: fc.integer({ min: -2, max: 3 }) })
      .map(({ op, ...parts }) => instruction(op | IMM, parts)),
  },
  { weight: 1, arbitrary: fc.integer({ min: -1, max: 2 }).map((off) => instruction(Op.jump, { off })) },
);

/** Writes all registers and some of the stack: programs that begin with less are rejected at once, nearly all of them. */
const PROLOGUE: readonly Instruction[] = [
  ...Array.from({ length: REGISTERS }, (_, dst) => instruction(Op.mov | IMM, { dst, imm: dst })),
  instruction(Op.field, { dst: 6, imm: 2 }),
  instruction(Op.field, { dst: 7, imm: 0 }),
  ...Array.from({ length: 5 }, (_, off) => instruction(Op.store, { src: off, off })),
];

/** A loop of so many turns around the steps, which may use all but its counter. */
const loop = fc
  .record({ turns: fc.integer({ min: 1, max: 9 }), body: fc.array(step, { maxLength: 5 }) })
  .map(({ turns, body }) => [
    instruction(Op.mov | IMM, { dst: 9, imm: turns }),
    ...body,
    instruction(Op.sub | IMM, { dst: 9, imm: 1 }),
    instruction(Op.jgt | IMM, { dst: 9, imm: 0, off: -(body.length + 2) }),
  ]);

const piece = fc.oneof({ weight: 6, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: loop });

/** Mostly of the kind that a verifier may accept. */
export const program = fc
  .record({ pieces: fc.array(piece, { maxLength: 14 }), bare: fc.boolean() })
  .map(({ pieces, bare }) => [...(bare ? [] : PROLOGUE), ...pieces.flat(), instruction(Op.exit, {})]);
