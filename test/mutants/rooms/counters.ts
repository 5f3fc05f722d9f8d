import type { Mutant } from '../mutant.ts';

const ATOMIC = 'lib/locking/atomic-int.ts';
const BIG = 'lib/locking/atomic-big-int.ts';
const BIG_TESTS = 'test/locking/atomic-big-int.test.ts';
const PERCPU = 'lib/locking/percpu-counter.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a big number grows beyond 64 bits',
    file: BIG,
    from: 'return wrapped(this.fetchAdd(value) + value);',
    to: 'return this.fetchAdd(value) + value;',
    tests: [BIG_TESTS],
  },
  {
    name: 'a big number is changed from a value that another thread has changed',
    file: BIG,
    from: '      if (seen === value) return value;\n',
    to: '      return value;\n',
    tests: [BIG_TESTS],
  },
  {
    name: 'a big number takes more than 64 bits',
    file: BIG,
    from: "typeof value === 'bigint' && wrapped(value) === value",
    to: "typeof value === 'bigint'",
    tests: [BIG_TESTS],
  },
  {
    name: 'a big number has 32 bits to test',
    file: BIG,
    from: 'wrapped(1n << BigInt(bit))',
    to: 'wrapped(1n << BigInt(bit % 32))',
    tests: [BIG_TESTS],
  },
  {
    name: 'a big number that is not positive counts down',
    file: BIG,
    from: 'return seen <= 0n ? undefined',
    to: 'return seen < 0n ? undefined',
    tests: [BIG_TESTS],
  },
  {
    name: 'returns the value of before',
    file: ATOMIC,
    from: '(this.fetchAdd(value) + value) | 0',
    to: 'this.fetchAdd(value)',
    tests: ['test/locking/atomic-int.test.ts'],
  },
  {
    name: 'adds to a value that another thread has changed',
    file: ATOMIC,
    from: '      if (seen === value) return value;\n',
    to: '      return value;\n',
    tests: ['test/locking/atomic-int.test.ts'],
  },
  {
    name: 'adds although it may not',
    file: ATOMIC,
    from: '(seen === unless ? undefined : seen + value)',
    to: 'seen + value',
    tests: ['test/locking/atomic-int.test.ts'],
  },
  {
    name: 'andnot keeps the bits',
    file: ATOMIC,
    from: 'this.#living().fetchAnd(this.#word, ~whole(bits));',
    to: 'this.#living().fetchAnd(this.#word, whole(bits));',
    tests: ['test/locking/atomic-int.test.ts'],
  },
  {
    name: 'decIfPositive goes below 0',
    file: ATOMIC,
    from: '(value <= 0 ? undefined : value - 1)',
    to: '(value < 0 ? undefined : value - 1)',
    tests: ['test/locking/atomic-int.test.ts'],
  },
  {
    name: 'decAndTest is one late',
    file: ATOMIC,
    from: 'fetchSub(this.#word, 1) === 1',
    to: 'fetchSub(this.#word, 1) === 0',
    tests: ['test/locking/atomic-int.test.ts'],
  },
  {
    name: 'folds what it has folded again',
    file: PERCPU,
    from: '  cpu.storeUnordered(line + Line.delta, 0);\n',
    to: '',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
  {
    name: 'notes what it is about to fold after it has begun',
    file: PERCPU,
    from: '  cpu.store(counter + Words.folding, line);\n  finishFold(cpu, counter);',
    to: '  cpu.store(counter + Words.low, sum | 0);\n  cpu.store(counter + Words.folding, line);\n  finishFold(cpu, counter);',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
  {
    name: 'leaves the high word',
    file: PERCPU,
    from: '  cpu.store(counter + Words.high, cpu.load(counter + Words.foldedHigh));\n',
    to: '',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
  {
    name: "takes the low word's sign for the sum's",
    file: PERCPU,
    from: '(cpu.load(counter + Words.low) >>> 0)',
    to: 'cpu.load(counter + Words.low)',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
  {
    name: 'a fold that a death has cut off is not finished',
    file: PERCPU,
    from: '    finishFold(cpu, counter);\n    for',
    to: '    cpu.store(counter + Words.folding, 0);\n    for',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
  {
    name: 'what a dead thread had is not told',
    file: PERCPU,
    from: '      if (isDead(number + 1)) fold(',
    to: '      if (isDead(number + 1) && number < 0) fold(',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
  {
    name: 'a batch of negative numbers is not told',
    file: PERCPU,
    from: 'if (Math.abs(delta) >= this.#batch)',
    to: 'if (delta >= this.#batch)',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
  {
    name: 'compares roughly where it is close',
    file: PERCPU,
    from: 'isClose ? this.sum() - value : rough',
    to: 'rough',
    tests: ['test/locking/percpu-counter.test.ts'],
  },
];
