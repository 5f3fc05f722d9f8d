import type { Mutant } from '../mutant.ts';

const TESTS = ['test/locking/remembered-records.test.ts'];
const RW = 'lib/locking/rw-semaphore/core.ts';

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
    file: 'lib/locking/percpu-rw-semaphore/core.ts',
    from: '  if (count === 0) return false;\n  retire(',
    to: '  retire(',
    tests: TESTS,
  },
];
