import type { Mutant } from '../mutant.ts';

const CORE = 'lib/locking/rt-mutex/core.ts';
const CYCLE = 'lib/locking/rt-mutex/cycle.ts';
const LIST = 'lib/sched/wait-list.ts';
const REAPER = 'lib/arena/reaper.ts';
const RACES = 'test/locking/rt-races.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'an asynchronous call that gives up leaves its priority to the next one',
    file: 'lib/locking/rt-mutex/rt-mutex.ts',
    from: "    if (outcome !== 'acquired' && outcome !== 'owner-died') this.#setRank(waiter.task, [0, 0]);\n",
    to: '',
    tests: ['test/locking/async-priority.test.ts'],
  },
  {
    name: 'a wounded context counts as about to back off wherever it waits',
    file: CYCLE,
    from: 'if (cpu.load(main + Contestant.flag) !== 0 && cpu.load(main + Contestant.wounded) !== 0) return false;',
    to: 'if (cpu.load(main + Contestant.wounded) !== 0) return false;',
    tests: [RACES],
  },
  {
    name: 'a wounded context does not count as about to back off',
    file: CYCLE,
    from: '    if (cpu.load(main + Contestant.flag) !== 0 && cpu.load(main + Contestant.wounded) !== 0) return false;\n',
    to: '',
    tests: [RACES],
  },
  {
    name: 'a death leaves heirs where they wait',
    file: REAPER,
    from: '    if (!reorderLiving(this.#repairer, repair)) this.#isSettled = false;\n',
    to: '',
    tests: [RACES],
  },
  {
    name: 'a list with another first waiter after a death: nobody looks again',
    file: REAPER,
    from: '(list: number) => this.#repair(this.#heap.objectAt(list))',
    to: '() => true',
    tests: [RACES],
  },
  {
    name: 'a free lock is not kept for an asynchronous task in the chain',
    file: CYCLE,
    from: 'isOwned(word) ? ownerOf(word) : reservedFor(cpu, lock, word, lock === first)',
    to: 'isOwned(word) ? ownerOf(word) : 0',
    tests: [RACES],
  },
  {
    name: 'an unlock does not hand back what it inherited',
    file: CORE,
    from: '  inherit(cpu, slot, wakes);\n  if (isLost)',
    to: '  if (isLost)',
    tests: ['test/locking/rt-mutex.test.ts'],
  },
  {
    name: 'a priority raised while its thread joins a list is missed',
    file: LIST,
    from: '    if (cpu.load(task + Task.priority) === priority) return;\n',
    to: '    return;\n',
    tests: ['test/futex/steps.test.ts'],
  },
  {
    name: 'ww-mutex: a context backs off from one that releases what it holds',
    file: 'lib/locking/ww-mutex/context.ts',
    from: '    cpu.store(this.task + Contestant.stamp, 0);\n    for',
    to: '    for',
    tests: ['test/native-sim/explore/rt-mutex.test.ts'],
  },
  {
    name: 'ww-mutex: a context that has let go of what it held has no age any more',
    file: 'lib/locking/ww-mutex/context.ts',
    from: '    cpu.store(this.task + Contestant.stamp, this.stamp);\n',
    to: '',
    tests: ['test/locking/ww-mutex.test.ts', 'test/native-sim/explore/rt-mutex.test.ts'],
  },
  {
    name: 'ww-mutex: a getter of the options ends the context that the lock is for',
    file: 'lib/locking/ww-mutex/ww-mutex.ts',
    from: '    const limits = limitsOf(thread.cpu, options);\n    const task = this.#taskOf(context, false);\n',
    to: '    const task = this.#taskOf(context, false);\n    const limits = limitsOf(thread.cpu, options);\n',
    tests: ['test/locking/ww-mutex.test.ts'],
  },
];
