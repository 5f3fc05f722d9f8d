import type { Mutant } from '../mutant.ts';

const MEMORY = ['test/arena/named-memory.test.ts'];
const GUARDS = ['test/debug/lockdep/guards.test.ts'];
const HEAP = 'lib/memory/heap.ts';
const MAP = 'lib/memory/heap-map.ts';
const VALIDATOR = 'lib/debug/lockdep/validator.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'Heap: a free block that is taken is counted as free still',
    file: MAP,
    from: '    cpu.write(Header.freeLines, cpu.read(Header.freeLines) - lines);\n',
    to: '',
    tests: MEMORY,
  },
  {
    name: 'Heap: an arena that is nearly full says so each time',
    file: HEAP,
    from: '    if (isFirst) cpu.write(Header.saidScarce, 1);\n',
    to: '',
    tests: MEMORY,
  },
  {
    name: 'Heap: an arena says that it is nearly full when half of it is free',
    file: MAP,
    from: 'const SCARCE = 5;',
    to: 'const SCARCE = 2;',
    tests: MEMORY,
  },
  {
    name: 'Heap: after a death the free blocks are counted twice',
    file: MAP,
    from: '    cpu.write(Header.freeLines, 0);\n    for (let bin',
    to: '    for (let bin',
    tests: ['test/memory/fsck.test.ts'],
  },
  {
    name: 'arena.alloc: threads have memory of one name and different lengths',
    file: 'lib/arena/named-memory.ts',
    from: '  if (found !== length) {',
    to: '  if (found < 0) {',
    tests: MEMORY,
  },
  {
    name: 'Lockdep: a guard that has released its lock is told of',
    file: VALIDATOR,
    from: " || hold.state !== 'held' ||",
    to: ' ||',
    tests: GUARDS,
  },
  {
    name: 'Lockdep: a guard of asynchronous code is not looked at',
    file: 'lib/locking/owned-lock.ts',
    from: 'return noteGuard(\n      this.thread,',
    to: 'return ((_lock: object, _task: number, guard: OnceGuard) => guard)(',
    tests: GUARDS,
  },
  {
    name: 'waits(): a thread that is to read the lock is said to write it',
    file: 'lib/locking/rw-semaphore/rw-semaphore.ts',
    from: "(cpu.load(task + Task.want) === READ ? 'read' : 'write')",
    to: "(cpu.load(task + Task.want) === -1 ? 'read' : 'write')",
    tests: ['test/sched/waits-for.test.ts'],
  },
];
