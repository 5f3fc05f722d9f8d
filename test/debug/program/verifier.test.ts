/** What the verifier rejects, and why; and what it must not reject. A case for each check. */
import { expect, test } from 'vitest';
import { Helper } from '../../../lib/debug/trace/program/helpers.ts';
import { IMM, type Instruction, Op, TIME } from '../../../lib/debug/trace/program/instructions.ts';
import { LARGEST } from '../../../lib/debug/trace/program/numbers.ts';
import { MOST_STEPS, verify } from '../../../lib/debug/trace/program/verifier.ts';
import { instruction, SCOPE } from './programs.ts';

const set = (dst: number, imm: number) => instruction(Op.mov | IMM, { dst, imm });
const copy = (dst: number, src: number) => instruction(Op.mov, { dst, src });
const field = (dst: number, imm: number) => instruction(Op.field, { dst, imm });
const call = (imm: number, off = 0) => instruction(Op.call, { imm, off });
const store = (src: number, off: number) => instruction(Op.store, { src, off });
const load = (dst: number, off: number) => instruction(Op.load, { dst, off });
const when = (op: number, dst: number, imm: number, off: number) => instruction(op | IMM, { dst, imm, off });
const add = (dst: number, imm: number) => instruction(Op.add | IMM, { dst, imm });
const exit = instruction(Op.exit);

/** Numbers of maps in SCOPE. */
const [STORED, ARRAY, COUNTED, TIMES] = [0, 1, 2, 3];
/** Fields: a lock, a word, a number to 7, a stack. */
const [LOCK, WORD, SMALL, STACK] = [0, 1, 2, 3];

/** Puts a value in each slot of the stack from 0 on. */
const filled = (slots: number) => [set(0, 1), ...Array.from({ length: slots }, (_, off) => store(0, off))];

const rejected: [name: string, code: Instruction[], at: number, reason: RegExp][] = [
  ['nothing', [], 0, /an exit at least/],
  ['an op that there is not', [instruction(27), exit], 0, /there is no op 27/],
  ['an immediate where there is none', [instruction(Op.neg | IMM), exit], 0, /there is no op/],
  ['a register that there is not', [set(10, 1), exit], 0, /r0 to r9/],
  ['an immediate of more than 53 bits', [set(0, 2 ** 53), exit], 0, /53 bits/],
  ['a fraction', [set(0, 0.5), exit], 0, /53 bits/],
  ['the end without an exit', [set(0, 1)], 0, /goes on behind its last/],
  ['a jump behind the end', [instruction(Op.jump, { off: 1 }), exit], 0, /jumps to 2, out/],
  ['a jump before the start', [set(0, 1), when(Op.jeq, 0, 0, -3), exit], 1, /jumps to -1, out/],
  ['instructions that no path leads to', [exit, exit], 1, /no path/],
  ['a register that was not written', [copy(0, 1), exit], 0, /r1 was not written/],
  [
    'one that was written on one path',
    [field(1, WORD), when(Op.jeq, 1, 0, 1), set(2, 1), copy(0, 2), exit],
    3,
    /r2 was not written on each path/,
  ],
  ['a comparison of what was not written', [when(Op.jeq, 1, 0, 0), exit], 0, /r1 was not written/],
  ['arguments after a call', [call(Helper.stack), copy(0, 1), exit], 1, /r1 was not written/],
  ['arguments that a call took', [set(1, 1), call(Helper.mapGet, STORED), copy(6, 1), exit], 2, /r1 was not written/],
  ['a slot that was not written', [load(0, 3), exit], 0, /slot 3 of the stack was not written/],
  ['a slot outside of the stack', [set(0, 1), store(0, 32), exit], 1, /slots 0 to 31, this is slot 32/],
  ['a slot before the stack', [set(0, 1), store(0, -1), exit], 1, /this is slot -1/],
  [
    'an index that nothing is known of',
    [...filled(8), field(1, WORD), instruction(Op.loadAt, { dst: 0, src: 1 }), exit],
    10,
    /from 0 to 4294967295/,
  ],
  [
    'an index that may be one too large',
    [...filled(32), field(1, SMALL), instruction(Op.loadAt, { dst: 0, src: 1, off: 25 }), exit],
    34,
    /from 25 to 32/,
  ],
  [
    'an index that may be negative',
    [...filled(8), field(1, SMALL), add(1, -1), instruction(Op.loadAt, { dst: 0, src: 1 }), exit],
    11,
    /from -1 to 6/,
  ],
  [
    'an index to a slot that was not written',
    [...filled(7), field(1, SMALL), instruction(Op.loadAt, { dst: 0, src: 1 }), exit],
    9,
    /slot 7 of the stack/,
  ],
  [
    'a store to an index that nothing is known of',
    [set(0, 1), field(1, WORD), instruction(Op.storeAt, { dst: 1, src: 0 }), exit],
    2,
    /from 0 to/,
  ],
  [
    'slots of two types at an index',
    [...filled(8), field(2, LOCK), store(2, 3), field(1, SMALL), instruction(Op.loadAt, { dst: 0, src: 1 }), exit],
    12,
    /not of one type/,
  ],
  [
    'a slot that a store by index may have made another type',
    [...filled(8), field(1, SMALL), field(2, LOCK), instruction(Op.storeAt, { dst: 1, src: 2 }), load(0, 3), exit],
    12,
    /slot 3 of the stack was not written/,
  ],
  ['a field that the event does not have', [field(0, 9), exit], 0, /no field 9/],
  ['a text that the program does not have', [instruction(Op.text, { imm: 2 }), exit], 0, /no text 2/],
  ['a lock that is computed with', [field(1, LOCK), add(1, 1), exit], 1, /r1 is a lock/],
  [
    'a number and a stack that are added',
    [set(0, 1), field(1, STACK), instruction(Op.add, { dst: 0, src: 1 }), exit],
    2,
    /r1 is a stack/,
  ],
  ['a lock that is negated', [field(1, LOCK), instruction(Op.neg, { dst: 1 }), exit], 1, /r1 is a lock/],
  [
    'a lock that is compared with a stack',
    [field(1, LOCK), field(2, STACK), instruction(Op.jeq, { dst: 1, src: 2 }), exit],
    2,
    /a lock and a stack can't be compared/,
  ],
  [
    'locks of which one is to be less',
    [field(1, LOCK), field(2, LOCK), instruction(Op.jlt, { dst: 1, src: 2 }), exit],
    2,
    /can't be compared/,
  ],
  ['a lock that is compared with 5', [field(1, LOCK), when(Op.jeq, 1, 5, 0), exit], 1, /can't be compared/],
  [
    'the name of a number',
    [set(1, 5), call(Helper.lockName), exit],
    1,
    /lockName takes a lock in r1, which is a number/,
  ],
  ['a helper that there is not', [call(99), exit], 0, /no helper 99/],
  ['a map that there is not', [set(1, 1), call(Helper.mapGet, 7), exit], 1, /no map 7/],
  ['a format that there is not', [call(Helper.print, 3), exit], 0, /no format 3/],
  ['a line without its values', [set(1, 1), call(Helper.print, 0), exit], 1, /r2 was not written/],
  [
    'a line with values of other types',
    [set(1, 1), set(2, 1), call(Helper.print, 0), exit],
    2,
    /print takes a text in r2/,
  ],
  ['a key of another type', [field(1, LOCK), call(Helper.mapGet, STORED), exit], 1, /mapGet takes a number in r1/],
  [
    'a key that is not there',
    [instruction(Op.text, { dst: 1 }), call(Helper.mapUpdate, COUNTED), exit],
    1,
    /r2 was not written/,
  ],
  ['a value that is not there', [field(1, LOCK), call(Helper.mapUpdate, TIMES), exit], 1, /r5 was not written/],
  ['a histogram that is read', [field(1, LOCK), call(Helper.mapGet, TIMES), exit], 1, /can't be read/],
  ['a stored value that is counted', [set(1, 1), call(Helper.mapUpdate, STORED), exit], 1, /nothing to add to/],
  [
    'an array at an index that nothing is known of',
    [field(1, WORD), call(Helper.mapGet, ARRAY), exit],
    1,
    /from 0 to 4294967295 by what is known; the array has 0 to 7/,
  ],
  [
    'an array at an index that may be negative',
    [field(1, SMALL), add(1, -1), call(Helper.mapGet, ARRAY), exit],
    2,
    /from -1 to 6/,
  ],
  [
    'an array at an index that may be one too large',
    [field(1, SMALL), add(1, 1), call(Helper.mapGet, ARRAY), exit],
    2,
    /from 1 to 8/,
  ],
  [
    'an index that was compared before it was changed',
    [field(1, WORD), when(Op.jge, 1, 8, 2), add(1, 1), call(Helper.mapGet, ARRAY), exit],
    3,
    /from 1 to 8/,
  ],
  [
    'an index that was compared on another path',
    [field(1, WORD), field(2, TIME), when(Op.jeq, 2, 0, 1), when(Op.jge, 1, 8, 1), call(Helper.mapGet, ARRAY), exit],
    4,
    /from 0 to/,
  ],
  ['a loop for ever', [set(0, 1), instruction(Op.jump, { off: -1 }), exit], 2, /no path/],
  ['a loop that may go on for ever', [field(1, WORD), when(Op.jne, 1, 0, -1), exit], 1, /may never end/],
  [
    'a loop that goes on for too long',
    [set(1, 1e9), add(1, -1), when(Op.jne, 1, 0, -2), exit],
    2,
    new RegExp(`more than ${MOST_STEPS} steps`),
  ],
  ['a loop whose end nobody knows', [field(1, WORD), add(1, -1), when(Op.jgt, 1, 0, -2), exit], 2, /more than/],
];

test.each(rejected)('%s', (_name, code, at, reason) => {
  const verdict = verify(code, SCOPE);
  expect(verdict).toMatchObject({ instruction: at, reason: expect.stringMatching(reason) });
});

const accepted: [name: string, code: Instruction[], steps: number][] = [
  ['an exit', [exit], 1],
  ['an index that was compared', [field(1, WORD), when(Op.jge, 1, 8, 1), call(Helper.mapGet, ARRAY), exit], 4],
  [
    'an index that was compared when it was loaded before',
    [field(1, WORD), when(Op.jge, 1, 8, 2), field(1, WORD), call(Helper.mapGet, ARRAY), exit],
    5,
  ],
  [
    'an index whose copy was compared',
    [field(1, WORD), store(1, 0), when(Op.jgt, 1, 7, 2), load(1, 0), call(Helper.mapGet, ARRAY), exit],
    6,
  ],
  [
    'an index in a remainder',
    [field(1, WORD), instruction(Op.mod | IMM, { dst: 1, imm: 8 }), call(Helper.mapGet, ARRAY), exit],
    4,
  ],
  [
    'an index in a mask',
    [field(1, WORD), instruction(Op.and | IMM, { dst: 1, imm: 7 }), call(Helper.mapGet, ARRAY), exit],
    4,
  ],
  ['a lock that is none', [field(1, LOCK), when(Op.jeq, 1, 0, 1), call(Helper.lockName), exit], 4],
  [
    'texts that are compared',
    [
      field(1, LOCK),
      call(Helper.lockName),
      instruction(Op.text, { dst: 1 }),
      instruction(Op.jne, { dst: 0, src: 1 }),
      exit,
    ],
    5,
  ],
  ['a loop of a hundred turns', [set(1, 100), add(1, -1), when(Op.jne, 1, 0, -2), exit], 202],
  [
    'loops in loops',
    [set(6, 5), set(7, 5), add(7, -1), when(Op.jgt, 7, 0, -2), add(6, -1), when(Op.jgt, 6, 0, -5), exit],
    67,
  ],
  [
    'a branch in each turn of a loop',
    [set(6, 200), field(1, WORD), when(Op.jeq, 1, 0, 1), set(2, 1), add(6, -1), when(Op.jgt, 6, 0, -5), exit],
    1002,
  ],
];

test.each(accepted)('%s is rejected, or not known how long it takes', (_name, code, steps) => {
  expect(verify(code, SCOPE)).toEqual({ steps });
});

test('a field that this event does not have, and others have', () => {
  const { 3: _, ...fields } = SCOPE.fields;
  expect(verify([field(0, STACK), exit], { ...SCOPE, fields })).toMatchObject({ reason: 'the event has no field 3' });
});

/** Goes on `off` instructions behind the next one, or not, and leaves nothing by which the two paths can be told apart. */
const either = (off: number) => [set(1, 1), call(Helper.mapGet, STORED), when(Op.jeq, 0, 0, off + 1), set(0, 0)];

test('what is proven of copies is taken for proven of two values that look the same', () => {
  for (const [first, second] of [
    [1, 2],
    [2, 1],
  ] as const) {
    // On one of the paths r6 is a copy of what is in the slot.
    const code = [
      field(7, 4),
      field(8, TIME),
      store(7, 0),
      ...either(2),
      copy(6, 6 + second),
      instruction(Op.jump, { off: 1 }),
      copy(6, 6 + first),
      set(0, 0),
      when(Op.jgt, 6, 7, 2),
      load(1, 0),
      call(Helper.mapGet, ARRAY),
      exit,
    ];
    expect(verify(code, SCOPE)).toMatchObject({ instruction: 13, reason: expect.stringMatching(/from 0 to/) });
  }
});

test('what is proven of a few values is taken for proven of more', () => {
  const modulo = (imm: number) => [field(6, WORD), instruction(Op.mod | IMM, { dst: 6, imm })];
  const code = (first: number, second: number) => [
    ...either(3),
    ...modulo(second),
    instruction(Op.jump, { off: 2 }),
    ...modulo(first),
    set(0, 0),
    copy(1, 6),
    call(Helper.mapGet, ARRAY),
    exit,
  ];
  expect(verify(code(8, 4), SCOPE)).toHaveProperty('steps');
  expect(verify(code(8, 16), SCOPE)).toMatchObject({ instruction: 11, reason: expect.stringMatching(/from 0 to 15/) });
  expect(verify(code(16, 8), SCOPE)).toMatchObject({ instruction: 11, reason: expect.stringMatching(/from 0 to 15/) });
});

test('a remainder is from where to where it can be', () => {
  const [index, ...rest] = [field(1, SMALL), call(Helper.mapGet, ARRAY), exit] as const;
  const negative = [index, instruction(Op.neg, { dst: 1 }), instruction(Op.mod | IMM, { dst: 1, imm: 8 }), ...rest];
  expect(verify(negative, SCOPE)).toMatchObject({ instruction: 3, reason: expect.stringMatching(/from -7 to 0/) });
  // By 0 it is what it was.
  const byZero = [field(1, WORD), field(2, SMALL), instruction(Op.mod, { dst: 1, src: 2 }), ...rest];
  expect(verify(byZero, SCOPE)).toMatchObject({
    instruction: 3,
    reason: expect.stringMatching(/from 0 to 4294967295/),
  });
});

test('what a comparison leaves is not what is left', () => {
  const cases: [number, number, number][] = [
    [Op.jlt, 0, 4],
    [Op.jle, 0, 5],
    [Op.jgt, 6, LARGEST],
    [Op.jge, 5, LARGEST],
    [Op.jeq, 5, 5],
  ];
  for (const [op, least, most] of cases) {
    // Whether the bound is exact: the array is reached at the index 7 at most, and at 8 not.
    const shift = most === LARGEST ? -least : 7 - most;
    const narrow = [field(1, WORD), instruction(Op.mod | IMM, { dst: 1, imm: 12 })];
    const code = (by: number) => [...narrow, when(op, 1, 5, 1), exit, add(1, by), call(Helper.mapGet, ARRAY), exit];
    expect(verify(code(shift), SCOPE), `${op}`).toHaveProperty('steps');
    const past = most === LARGEST ? shift - 1 : shift + 1;
    expect(verify(code(past), SCOPE), `${op}`).toHaveProperty('reason');
  }
});
