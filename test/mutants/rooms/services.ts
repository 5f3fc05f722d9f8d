import type { Mutant } from '../mutant.ts';

const MEMORY = ['test/arena/named-memory.test.ts'];
const GUARDS = ['test/debug/lockdep/guards.test.ts'];
const HEAP = 'lib/memory/heap.ts';
const MAP = 'lib/memory/heap-map.ts';
const REAPER = 'lib/arena/reaper.ts';
const SLICES = ['test/arena/slices.test.ts'];
const SHARED = 'lib/arena/shared-object.ts';
const PERCPU = 'lib/locking/percpu-rw-semaphore/core.ts';
const WRITERS = ['test/locking/percpu-writers.test.ts'];
const CROWDS = ['test/sched/crowds.test.ts'];
const WAITS_FOR = ['test/sched/waits-for.test.ts'];
const VALIDATOR = 'lib/debug/lockdep/validator.ts';
const SEQLOCK = ['test/locking/seqlock.test.ts'];
const SECTIONS = ['test/locking/sections.test.ts'];
const OFFER = 'lib/sched/offer.ts';
const MUTEX = 'lib/locking/mutex-core.ts';
const LOOPS = ['test/locking/busy-loop.test.ts'];
const EXPLORE = ['test/native-sim/explore/command.test.ts'];
const COMPUTING = ['test/structures/shared-cache-compute.test.ts'];

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
    from: 'return noteGuard(this.thread, ',
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
  {
    name: 'Reaper: a slice goes on to the end of its batch, however long each object takes',
    file: REAPER,
    from: 'if (following !== undefined && cpu.now() >= end) {',
    to: 'if (following !== undefined && end < 0) {',
    tests: SLICES,
  },
  {
    name: 'Reaper: a slice that ended in the middle of a batch leaves the rest of it out',
    file: REAPER,
    from: '        this.#line = this.#heap.lineOf(following);\n',
    to: '        this.#line = next;\n',
    tests: SLICES,
  },
  {
    name: 'Reaper: a slice goes on although others wait for the names',
    file: REAPER,
    from: '!isOver && !pass.isAwaited && cpu.now() < end',
    to: '!isOver && cpu.now() < end',
    tests: SLICES,
  },
  {
    name: 'Reaper: a pass does not say that others wait for the names',
    file: REAPER,
    from: 'yield pass.isAwaited;',
    to: 'yield false;',
    tests: SLICES,
  },
  {
    name: 'Reaper: a thread that repairs all at once latches the names again at once',
    file: REAPER,
    from: 'if (pass.isAwaited) standAside(cpu, Header.namesLatch);',
    to: ';',
    tests: SLICES,
  },
  {
    name: 'PercpuRwSemaphore: a writer that comes straight after another one looks for readers',
    file: PERCPU,
    from: '(isAlone ? ALONE : 0)',
    to: '0',
    tests: CROWDS,
  },
  {
    name: 'PercpuRwSemaphore: a writer does not hear of a reader that joins',
    file: PERCPU,
    from: '  cpu.fetchAnd(blockOf(lock), ~ALONE);\n',
    to: '',
    tests: WRITERS,
  },
  {
    name: 'PercpuRwSemaphore: a writer after readers is alone',
    file: PERCPU,
    from: 'readers.length === 0 && writerOf(from) !== 0',
    to: 'writerOf(from) !== 0',
    tests: WRITERS,
  },
  {
    name: 'PercpuRwSemaphore: a writer after one that waited for readers is alone',
    file: PERCPU,
    from: ' && (from & (DRAINING | ALONE)) !== DRAINING;',
    to: ';',
    tests: WRITERS,
  },
  {
    name: 'PercpuRwSemaphore: each writer looks for a reader anew',
    file: PERCPU,
    from: '  if (isReadStill(cpu, lock)) return false;\n',
    to: '',
    tests: CROWDS,
  },
  {
    name: 'PercpuRwSemaphore: a reader that a writer has seen once is inside for ever',
    file: PERCPU,
    from: ' && isHeld(cpu, record, lock, HELD);',
    to: ';',
    tests: ['test/locking/reader-writer.test.ts'],
  },
  {
    name: 'PercpuRwSemaphore: the readers are counted for each that gives up when the last writer has',
    file: 'lib/locking/percpu-rw-semaphore/percpu-rw-semaphore.ts',
    from: "    if (writerOf(word) === 0) return isReadStill(cpu, this.address) ? 'held by readers' : 'not held any more';\n",
    to: '',
    tests: CROWDS,
  },
  {
    name: 'ETIMEDOUT: each call makes a report of its own',
    file: SHARED,
    from: 'if (start < this.#lastReport.until) return',
    to: 'if (false) return',
    tests: CROWDS,
  },
  {
    name: 'ETIMEDOUT: a report is good for ever',
    file: SHARED,
    from: 'if (start < this.#lastReport.until) return',
    to: 'if (this.#lastReport.until > 0) return',
    tests: WAITS_FOR,
  },
  {
    name: 'Wait list: a thread that only blocks looks for tasks of its own',
    file: 'lib/sched/wait-list.ts',
    from: 'async || tasksInUse === 0 ? 0',
    to: 'async ? 0',
    tests: CROWDS,
  },
  {
    name: 'Futex: a thread that only blocks looks for tasks of its own',
    file: 'lib/futex/table.ts',
    from: '  if (cpu.load(slotAddress(cpu, thread - 1) + Slot.chunks) === 0) return 0;\n',
    to: '',
    tests: CROWDS,
  },
  {
    name: 'SeqLock: an asynchronous write keeps the list, which changes while it waits',
    file: 'lib/locking/seqlock/seq-lock.ts',
    from: 'wordsOf(values, true)',
    to: 'wordsOf(values)',
    tests: SEQLOCK,
  },
  {
    name: 'SeqLock: a write whose options run code keeps the list',
    file: 'lib/locking/seqlock/seq-lock.ts',
    from: 'wordsOf(values, options !== undefined)',
    to: 'wordsOf(values)',
    tests: SEQLOCK,
  },
  {
    name: 'Sequence counts: a list is as long as it is when it is written',
    file: 'lib/locking/seqlock/core.ts',
    from: 'i < count',
    to: 'i < words.length',
    tests: SEQLOCK,
  },
  {
    name: 'Mutex: a section is looked at when the lock is held',
    file: 'lib/locking/mutex.ts',
    from: 'runHolding(checkSection(section), this.acquire(options))',
    to: 'runHolding(section, this.acquire(options))',
    tests: SECTIONS,
  },
  {
    name: 'Sections of asynchronous calls are looked at when the lock is held',
    file: 'lib/arena/guard.ts',
    from: '  checkSection(section);\n  const held = await acquire();\n',
    to: '  const held = await acquire();\n  checkSection(section);\n',
    tests: SECTIONS,
  },
  {
    name: 'torture: a line of progress is one character too long',
    file: 'lib/torture/progress.ts',
    from: 'type.length - 2',
    to: 'type.length - 1',
    tests: ['test/torture/progress.test.ts'],
  },
  {
    name: 'explore: what is no program is explored',
    file: 'native-sim/explore/explore.ts',
    from: '  checkProgram(options as ExploreOptions);\n',
    to: '',
    tests: EXPLORE,
  },
  {
    name: 'holdfast explore: bad usage has a stack',
    file: 'lib/cli/explore.ts',
    from: "name !== 'ExploreError' && !(",
    to: '!(',
    tests: EXPLORE,
  },
  {
    name: 'Mutex: only a task of an event loop is woken where it is first in line',
    file: 'lib/sched/wait-list.ts',
    from: '=== ASYNC ? [] : [task];',
    to: '=== ASYNC ? [] : [];',
    tests: LOOPS,
  },
  {
    name: 'Mutex: what was handed to an event loop is taken over by no other thread',
    file: OFFER,
    from: 'return now >= waiter.lookAgain;',
    to: 'return false;',
    tests: LOOPS,
  },
  {
    name: 'Mutex: what was handed to an event loop is taken over at once',
    file: OFFER,
    from: 'return now >= waiter.lookAgain;',
    to: 'return true;',
    tests: LOOPS,
  },
  {
    name: 'Mutex: a waiter that gives up leaves nobody to look after an event loop',
    file: MUTEX,
    from: 'outcome === undefined ? [] : firstBehindLoop(cpu, list)',
    to: '[] as number[]',
    tests: LOOPS,
  },
  {
    name: 'Mutex: an event loop is left no time for what another task has handed to its own',
    file: OFFER,
    from: 'if (waiter.lookAgain === undefined || waiter.offer !== offer) {',
    to: 'if (waiter.lookAgain === undefined) {',
    tests: LOOPS,
  },
  {
    name: 'Mutex: an event loop that is always busy is passed for ever',
    file: OFFER,
    from: 'now + PATIENCE * 2 ** (offer & TIMES)',
    to: 'now + PATIENCE',
    tests: LOOPS,
  },
  {
    name: 'Mutex: how often a task was passed counts for its next call',
    file: MUTEX,
    from: '    beginWaiting(cpu, task);\n',
    to: '',
    tests: LOOPS,
  },
  {
    name: 'Mutex: what was given to a task that passes it on counts as held by its thread',
    file: 'lib/locking/mutex.ts',
    from: '  holder: holderOf,\n  isOnOffer,\n',
    to: '  holder: holderOf,\n',
    tests: LOOPS,
  },
  {
    name: 'SeqLock: what was given to a task that passes it on counts as held by its thread',
    file: 'lib/locking/seqlock/seq-lock.ts',
    from: '  holder: holderOf,\n  isOnOffer,\n',
    to: '  holder: holderOf,\n',
    tests: LOOPS,
  },
  {
    name: 'Waits: nobody looks again',
    file: 'lib/sched/drive.ts',
    from: 'if (until >= deadline)',
    to: 'if (until > 0)',
    tests: LOOPS,
  },
  {
    name: 'Mutex: how long an unlock takes grows with the event loops’ tasks in line',
    file: 'lib/sched/wait-list.ts',
    from: 'n < MOST_OF_LOOPS && ',
    to: '',
    tests: CROWDS,
  },
  {
    name: 'waits-for: a wait for the value of a cache is one for a block of the heap',
    file: 'lib/sched/waits-for.ts',
    from: '?.partOf?.(cpu, block) ?? block',
    to: ' && block',
    tests: COMPUTING,
  },
  {
    name: 'waits-for: the thread that computes a value is taken for the holder of a lock',
    file: 'lib/sched/waits-for.ts',
    from: 'isAnyOf: address !== block || ',
    to: 'isAnyOf: ',
    tests: COMPUTING,
  },
  {
    name: 'RwLock: postMessage of a guard meets the calls of its side before the lock',
    file: 'lib/locking/rw-lock.ts',
    from: '      lock,\n      get ownerDied',
    to: '      get ownerDied',
    tests: ['test/locking/guards.test.ts'],
  },
  {
    name: 'a text with a view in it that was destroyed throws',
    file: 'lib/memory/views.ts',
    from: "'handle', 'toString', 'toJSON'",
    to: "'handle', 'toJSON'",
    tests: ['test/arena/destroyed-views.test.ts'],
  },
  {
    name: 'Heap: an ENOMEM does not say what to do',
    file: HEAP,
    from: '; an arena does not grow, so Arena.create({ bytes }) has to ask for more, or something in it to be destroyed',
    to: '',
    tests: ['test/memory/heap.test.ts'],
  },
  {
    name: 'spawn: a bundle that is a CommonJS module knows its own address',
    file: 'lib/arena/spawn.ts',
    from: "HERE?.startsWith('data:') === false",
    to: "!HERE!.startsWith('data:')",
    tests: ['test/examples/bundlers.test.ts'],
  },
  {
    name: 'kthreadd: a program that is kthreadd itself, in a bundle, is nobody who needs it',
    file: 'lib/arena/kthreadd.ts',
    from: 'if (!own.has(number + 1) && cpu',
    to: 'if (number + 1 !== thread.id && !own.has(number + 1) && cpu',
    tests: ['test/arena/kthread.test.ts'],
  },
];
