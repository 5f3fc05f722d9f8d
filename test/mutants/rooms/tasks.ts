import type { Mutant } from '../mutant.ts';

const STORE = 'lib/sched/task-store.ts';
const ROUNDS = 'lib/sched/rounds.ts';
const CARE = 'lib/arena/task-care.ts';
const TEST = 'test/sched/task-store.test.ts';
const EXPLORED = 'test/native-sim/explore/rounds.test.ts';
const REAL = 'test/arena/task-care.test.ts';

/** The memory of tasks: how it goes back to the heap, and how it does not too early. */
export const mutants: readonly Mutant[] = [
  {
    name: 'a chunk is freed before its round is over',
    file: STORE,
    from: 'this.#slot + Slot.retired) !== 0 && isRoundOver(cpu, this.#round, this.#owner)',
    to: 'this.#slot + Slot.retired) !== 0',
    tests: [TEST, EXPLORED],
  },
  {
    name: 'a round begins before the chunks are unlinked',
    file: STORE,
    from: 'Slot.retired) === 0 && this.#retire()) this.#round = beginRound(cpu);',
    to: 'Slot.retired) === 0) {\n      this.#round = beginRound(cpu);\n      this.#retire();\n    }',
    tests: [EXPLORED],
  },
  {
    name: 'a chunk with a task in use is retired',
    file: STORE,
    from: ' && tasksIn(chunk).every((task) => free.has(task))',
    to: '',
    tests: [TEST],
  },
  {
    name: 'a chunk with a task that shared words may name is retired',
    file: STORE,
    from: 'cpu.read(chunk + Chunk.isKept) === 0 && ',
    to: '',
    tests: [TEST],
  },
  {
    name: 'what was needed since the last look is retired',
    file: STORE,
    from: 'Math.min(this.#leastFree, this.#all - CHUNK_TASKS)',
    to: 'Math.min(this.#free.length, this.#all - CHUNK_TASKS)',
    tests: [TEST],
  },
  {
    name: 'a retired chunk is unlinked before it is in the other chain',
    file: STORE,
    from: '      cpu.storeRelease(this.#slot + Slot.retired, chunk);\n',
    to: '      cpu.storeRelease(before, cpu.read(chunk + Chunk.next));\n      cpu.storeRelease(this.#slot + Slot.retired, chunk);\n',
    tests: [TEST],
  },
  {
    name: 'a retired chunk leads nowhere',
    file: STORE,
    from: '      spare--;\n',
    to: '      spare--;\n      cpu.write(chunk + Chunk.next, 0);\n',
    tests: [EXPLORED],
  },
  {
    name: 'tasks of a retired chunk are taken again',
    file: STORE,
    from: '      for (const task of tasksIn(chunk)) free.delete(task);\n',
    to: '',
    tests: [TEST],
  },
  {
    name: 'a chunk that is freed leaves its chain before the thread notes it',
    file: STORE,
    from: '      cpu.store(nascent, block);\n      cpu.store(first, cpu.read(chunk + Chunk.nextRetired));\n',
    to: '      cpu.store(first, cpu.read(chunk + Chunk.nextRetired));\n      cpu.store(nascent, block);\n',
    tests: [TEST],
  },
  {
    name: 'what the last thread of the slot has retired is lost',
    file: STORE,
    from: '    this.#adopt();\n',
    to: '',
    tests: [TEST],
  },
  {
    name: 'a chunk in both chains is taken over twice',
    file: STORE,
    from: '      if (leadsTo(cpu, chain, chunk)) continue;\n',
    to: '',
    tests: [TEST],
  },
  {
    name: 'a block that the chain of retired chunks leads to is freed after a death',
    file: 'lib/sched/slot.ts',
    from: ' || retiredChunks(cpu, slot).includes(chunk)',
    to: '',
    tests: [TEST],
  },
  {
    name: 'the calling thread holds up its own round',
    file: ROUNDS,
    from: 'number === caller - 1 || ',
    to: '',
    tests: [TEST],
  },
  {
    name: 'the dead hold up a round',
    file: ROUNDS,
    from: 'Slot.life) <= 0) return false',
    to: 'Slot.life) === 0) return false',
    tests: [TEST],
  },
  {
    name: 'a thread that told the round before is behind',
    file: ROUNDS,
    from: ' - round) | 0) < 0',
    to: ' - round) | 0) <= 0',
    tests: [TEST],
  },
  {
    name: 'a thread is taken for one that has told what comes after',
    file: ROUNDS,
    from: 'storeRelease(slot + Slot.round, round)',
    to: 'storeRelease(slot + Slot.round, round + 1)',
    tests: [TEST],
  },
  {
    name: 'nobody looks after a crowd',
    file: CARE,
    from: '    tasks.onGrown = () => this.#plan();\n',
    to: '',
    tests: [REAL],
  },
  {
    name: 'one that sleeps in a synchronous call is not rung',
    file: CARE,
    from: '    cpu.wake(slot + Slot.mainTask + Task.state, 1);\n',
    to: '',
    tests: [REAL],
  },
  {
    name: 'a worker that has nothing to do is not rung',
    file: CARE,
    from: '    if (restsAt !== 0) cpu.wake(restsAt, 1);\n',
    to: '',
    tests: [REAL],
  },
  {
    name: 'a worker that is rung does not tell the round',
    file: CARE,
    from: 'address === this.#thread.restsAt || ',
    to: '',
    tests: [REAL],
  },
  {
    name: 'one that is idle is not rung',
    file: CARE,
    from: '    cpu.wake(slot + Slot.bell, Number.POSITIVE_INFINITY);\n',
    to: '',
    tests: [REAL],
  },
  {
    name: 'a thread is rung once',
    file: CARE,
    from: 'void ring.then(this.#turn);',
    to: 'void ring.then(() => tellRound(this.#cpu, this.#thread.slot));',
    tests: [REAL],
  },
  {
    name: 'a task with nodes is not kept',
    file: 'lib/sched/vector.ts',
    from: '  if (waiter.async) thread.tasks.keep(task);\n',
    to: '',
    tests: [TEST],
  },
  {
    name: 'one that owns a word of the program is not kept',
    file: 'lib/futex/pi-futex.ts',
    from: '        arena.thread.tasks.keep(waiter.task);\n',
    to: '',
    tests: [TEST],
  },
  {
    name: 'one that reads a PercpuRwSemaphore at once is not kept',
    file: 'lib/locking/percpu-rw-semaphore/wait.ts',
    from: '  if (async) thread.tasks.keep(task);\n  const tried',
    to: '  const tried',
    tests: [TEST],
  },
];
