import type { Mutant } from '../mutant.ts';

const VERIFIER_TEST = 'test/debug/program/verifier.test.ts';
const RANDOM = 'test/debug/program/random.test.ts';
const LANGUAGE = 'test/debug/program/language.test.ts';
const FOLDER = 'lib/debug/trace/program';
const VERIFIER = `${FOLDER}/verifier.ts`;
const PATHS = `${FOLDER}/paths.ts`;
const VALUES = `${FOLDER}/values.ts`;
const HELPERS = `${FOLDER}/helpers.ts`;

/** The verifier without one of its checks. */
const verifier = (name: string, from: string, to: string): Mutant => ({
  name: `the verifier lets pass ${name}`,
  file: VERIFIER,
  from,
  to,
  tests: [VERIFIER_TEST, RANDOM],
});

const form = (name: string, from: string, to: string): Mutant => ({
  name: `the verifier lets pass ${name}`,
  file: PATHS,
  from,
  to,
  tests: [VERIFIER_TEST, RANDOM],
});

export const mutants: readonly Mutant[] = [
  // The form of programs.
  form('ops that there are not', '  if (base >= OPS || ', '  if ('),
  form('registers that there are not', '  if (dst >= REGISTERS || src >= REGISTERS) return', '  if (dst > 15) return'),
  form('immediates of more than 53 bits', '  if (!(Math.abs(imm) <= LARGEST) || ', '  if ('),
  form('slots outside of the stack', 'isStack && (off < 0 || off >= STACK_SLOTS)', 'isStack && off < 0'),
  form('slots before the stack', 'isStack && (off < 0 || off >= STACK_SLOTS)', 'isStack && off >= STACK_SLOTS'),
  form(
    'jumps out of the program',
    '  if (jumps && code[i + 1 + off] === undefined)',
    '  if (jumps && i + 1 + off < 0)',
  ),
  form('programs without an end', 'i === code.length - 1 && op !== Op.exit && op !== Op.jump', 'i > code.length'),
  form(
    'code that is never reached',
    '  return dead < 0 ? undefined : { instruction: dead',
    '  return dead < 1e9 ? undefined : { instruction: dead',
  ),
  // The values.
  verifier(
    'registers that were not written',
    "    if (value.type === 'none') throw new Rejected(`r",
    '    if (value === undefined) throw new Rejected(`r',
  ),
  verifier(
    'slots that were not written',
    "    if (value.type === 'none')\n      throw new Rejected(`slot",
    '    if (value === undefined)\n      throw new Rejected(`slot',
  ),
  verifier(
    'locks that are computed with',
    "    if (value.type !== 'number') throw",
    "    if (value.type === 'none') throw",
  ),
  verifier(
    'fields that an event does not have',
    "value === undefined || value.type === 'none') throw new Rejected(`the event",
    'value === undefined) throw new Rejected(`the event',
  ),
  verifier('texts that a program does not have', 'imm < this.#scope.texts)', 'imm <= this.#scope.texts)'),
  verifier('an index behind the stack', 'if (first < 0 || last >= STACK_SLOTS)', 'if (first < 0)'),
  verifier('an index before the stack', 'if (first < 0 || last >= STACK_SLOTS)', 'if (last >= STACK_SLOTS)'),
  verifier(
    'slots of several types at an index',
    '    if (values.some((value) => value.type !== type)) {',
    '    if (values.length > 99) {',
  ),
  verifier(
    'a slot that may have another value',
    'first === last ? value : either(state[slot] as Value, value)',
    'value',
  ),
  verifier(
    'arguments after a call',
    '    for (let register = 1; register <= 5; register++) state[register] = NONE;\n',
    '',
  ),
  verifier('arguments of another type', '    if (value.type !== type) {', "    if (value.type === 'none') {"),
  verifier('an index behind an array', 'value.min >= 0 && value.max < below', 'value.min >= 0'),
  verifier('an index before an array', 'value.min >= 0 && value.max < below', 'value.max < below'),
  verifier('an index that is one too large', 'value.max < below', 'value.max <= below'),
  verifier('comparisons of different types', '(left.type === right.type || isNothing)', 'true'),
  verifier('an order of locks', '(base === Op.jeq || base === Op.jne) && ', ''),
  verifier('a loop without an end', '    if (++this.#steps > MOST_STEPS) {', '    if (++this.#steps > 1e7) {'),
  verifier(
    'a loop in which nothing changes',
    "      throw new Rejected('the loop may never end",
    "      if (false) throw new Rejected('the loop may never end",
  ),
  verifier('what was proven of a copy', ' && state[i] === state[twins[i] as number]', ''),
  verifier(
    'what was proven of less',
    'contains(value, state[i] as Value) && ',
    'contains(state[i] as Value, value) && ',
  ),
  {
    ...verifier(
      'longer runs than it says',
      '      ended = last.steps + last.longest;',
      '      ended = Math.max(last.steps, last.longest);',
    ),
    name: 'the verifier does not know how long a run takes',
  },
  {
    name: 'a sum is taken for smaller than it may be',
    file: VALUES,
    from: 'between(clamped(a.min + b.min), clamped(a.max + b.max))',
    to: 'between(clamped(a.min + b.min), a.max)',
    tests: [VERIFIER_TEST, RANDOM],
  },
  {
    name: 'a remainder is taken for positive',
    file: VALUES,
    from: 'between(a.min < 0 ? least : 0, a.max > 0 ? most : 0)',
    to: 'between(0, a.max > 0 ? most : 0)',
    tests: [VERIFIER_TEST, RANDOM],
  },
  {
    name: 'a remainder by what may be 0 is taken for less than that',
    file: VALUES,
    from: '  const mayBeZero = b.min <= 0 && b.max >= 0;',
    to: '  const mayBeZero = b.min === 0 && b.max === 0;',
    tests: [VERIFIER_TEST, RANDOM],
  },
  {
    name: 'x < y leaves x <= y',
    file: VALUES,
    from: '    case Op.jlt:\n      return pair(cut(a, -LARGEST, b.max - 1)',
    to: '    case Op.jlt:\n      return pair(cut(a, -LARGEST, b.max)',
    tests: [VERIFIER_TEST],
  },
  {
    name: 'x <= y leaves x < y',
    file: VALUES,
    from: '    case Op.jle:\n      return pair(cut(a, -LARGEST, b.max)',
    to: '    case Op.jle:\n      return pair(cut(a, -LARGEST, b.max - 1)',
    tests: [VERIFIER_TEST, RANDOM],
  },
  {
    name: 'the verifier lets pass helpers that there are not',
    file: HELPERS,
    from: '  if (HELPER_NAMES[helper] === undefined) return',
    to: '  if (helper < 0) return',
    tests: [VERIFIER_TEST, RANDOM],
  },
  {
    name: 'an array is as large as a hash',
    file: HELPERS,
    from: "? [{ register: 1, type: 'number' as const, below: map.entries }]",
    to: "? [{ register: 1, type: 'number' as const }]",
    tests: [VERIFIER_TEST],
  },
  {
    name: 'a histogram can be read as a number',
    file: HELPERS,
    from: '  if (!isShared(map)) return',
    to: "  if (map.value === 'count') return",
    tests: [VERIFIER_TEST, LANGUAGE],
  },
  // The interpreter and the compiler.
  {
    name: 'compiled programs multiply where they should divide',
    file: `${FOLDER}/compiler.ts`,
    from: '} = quotient(',
    to: '} = product(',
    tests: [RANDOM],
  },
  {
    name: 'interpreted additions are not cut off',
    file: `${FOLDER}/interpreter.ts`,
    from: 'registers[dst] = clamped(x + y);',
    to: 'registers[dst] = x + y;',
    tests: [RANDOM],
  },
  {
    name: 'compiled jumps land one behind',
    file: `${FOLDER}/compiler.ts`,
    from: '{i + 1 + off}; continue',
    to: '{i + 2 + off}; continue',
    tests: [RANDOM],
  },
];
