import type { Mutant } from '../mutant.ts';

const TESTS = ['test/locking/remembered-records.test.ts'];
const EXPLORED = 'test/native-sim/explore/readers-writers.test.ts';
const RW = 'lib/locking/rw-semaphore/core.ts';
const PERCPU = 'lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';

export const mutants: readonly Mutant[] = [
  {
    name: "a view counts in another lock's record",
    file: 'lib/sched/holds.ts',
    from: 'return record !== 0 && cpu.read(record + Hold.lock) === lock;',
    to: 'return record !== 0;',
    tests: TESTS,
  },
  {
    name: 'RwSemaphore: a reader that is none leaves by its record',
    file: RW,
    from: '  if (cpu.read(record + Hold.count) < HELD) return false;\n',
    to: '',
    tests: TESTS,
  },
  {
    name: 'RwSemaphore: a reader leaves by its record, and wakes nobody',
    file: RW,
    from: '    if (word & (MODE | WAITERS | HANDOFF)) return false;\n    if (changeCount(cpu, address, word, record, -1)) return true;',
    to: '    if (word & MODE) return false;\n    if (changeCount(cpu, address, word, record, -1)) return true;',
    tests: TESTS,
  },
  {
    name: 'PercpuRwSemaphore: a reader that is none leaves by its record',
    file: PERCPU,
    from: '      if (count !== 0) {',
    to: '      if (count !== -1) {',
    tests: TESTS,
  },
  {
    name: "PercpuRwSemaphore: a reader takes a record that is another lock's by now",
    file: PERCPU,
    from: 'if (options === undefined && free === 0 && record !== 0 && cpu.read(record + LOCK) === this.address) {',
    to: 'if (options === undefined && free === 0 && record !== 0) {',
    tests: TESTS,
  },
  {
    name: 'PercpuRwSemaphore: a reader that knows its record comes in beside a writer',
    file: PERCPU,
    from: '& WRITER) === 0) return;',
    to: '& AWAITED) === 0) return;',
    tests: [EXPLORED],
  },
  {
    name: 'PercpuRwSemaphore: a reader that knows its record leaves and wakes no writer',
    file: PERCPU,
    from: '        if (word & AWAITED) finishRetiring(',
    to: '        if (word & LEAVING) finishRetiring(',
    tests: [EXPLORED],
  },
  {
    name: 'PercpuRwSemaphore: a reader that met a writer stays in the count',
    file: PERCPU,
    from: '      retire(cpu, this.#block, record, count);\n    }\n    this.#readSlow',
    to: '    }\n    this.#readSlow',
    tests: [EXPLORED],
  },
];
