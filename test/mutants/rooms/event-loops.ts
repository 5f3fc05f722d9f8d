/** Asynchronous code as it is explored, and what that has found. */
import type { Mutant } from '../mutant.ts';

const LOOPS = 'test/native-sim/explore/event-loops.test.ts';
const BUFFERING = 'test/native-sim/explore/load-buffering.test.ts';
const MACHINE = 'native-sim/explore/machine.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a new task is seen half made',
    file: 'lib/sched/task-store.ts',
    from: '    cpu.wmb();\n',
    to: '',
    tests: [LOOPS],
    equivalent:
      'on the explored machines: a task gets into a word by an acquire, or behind one, and Armv8 keeps that behind the release that follows here ([L]; po; [A]). The model of the kernel does not',
  },
  {
    name: 'mutex: who finds a new task in the word does not see it whole',
    file: 'lib/locking/mutex-core.ts',
    from: "  const word = cpu.loadAcquire(mutex + MutexWords.owner);\n  const owner = ownerOf(word);\n  if (owner === UNRECOVERABLE) return 'unrecoverable';",
    to: "  const word = cpu.load(mutex + MutexWords.owner);\n  const owner = ownerOf(word);\n  if (owner === UNRECOVERABLE) return 'unrecoverable';",
    tests: [LOOPS],
  },
  {
    name: 'rw-semaphore: who finds a new task in the word does not see it whole',
    file: 'lib/locking/rw-semaphore/wait.ts',
    from: '  const word = cpu.loadAcquire(wordOf(semaphore));\n  if (isUnrecoverable(word)) return',
    to: '  const word = cpu.load(wordOf(semaphore));\n  if (isUnrecoverable(word)) return',
    tests: [LOOPS],
  },
  {
    name: 'percpu-rw-semaphore: who finds a new task in the word does not see it whole',
    file: 'lib/locking/percpu-rw-semaphore/wait.ts',
    from: "'acquired' : undefined;\n  const block = cpu.loadAcquire(",
    to: "'acquired' : undefined;\n  const block = cpu.load(",
    tests: [LOOPS],
  },
  {
    name: 'an abort does not end the sleep',
    file: 'lib/sched/drive.ts',
    from: '    finishPark(cpu, waiter.task);\n    cpu.wake(waiter.task + Task.state, 1);\n',
    to: '    finishPark(cpu, waiter.task);\n',
    tests: ['test/sched/cancellation.test.ts', LOOPS],
  },
  {
    name: 'mutex: a thread that sleeps keeps what its asynchronous task was given',
    file: 'lib/locking/mutex-core.ts',
    from: '    waiter.aside = { of: mutex, pass: () => standAside(thread, mutex) };\n',
    to: '',
    tests: ['test/locking/stuck-waiters.test.ts', LOOPS],
  },
  {
    name: 'explorer: a loop that has taken a turn dies before that, when it is run again',
    file: MACHINE,
    from: '    if (isNew || this.g.op[this.g.threads[this.t]![this.cursor]!] !== Op.turn) this.dieIfDue();\n',
    to: '    this.dieIfDue();\n',
    tests: [LOOPS],
  },
  {
    name: 'explorer: the first wait of a loop ends, whichever is over',
    file: 'native-sim/explore/random.ts',
    from: 'over[Math.floor(this.random() * over.length)]!',
    to: 'over[0]!',
    tests: [LOOPS],
  },
  {
    name: 'explorer: a loop that waits for one thing while another is over is a deadlock',
    file: 'native-sim/explore/exhaustive.ts',
    from: "      if (this.waitsOf(t).some((wait) => this.#couldEnd(wait))) return 'blocked';\n",
    to: '',
    tests: [LOOPS],
  },
  {
    name: 'explorer: a thread that sleeps for long never looks around',
    file: MACHINE,
    from: '    if (this.stalled === null || !this.mayStall()) return -1;\n',
    to: '    return -1;\n',
    tests: ['test/native-sim/explore/random.test.ts'],
  },
  {
    name: 'explorer: a thread that has looked around was woken',
    file: MACHINE,
    from: "      if (victim < 0 || outcome === 'ok') return outcome;\n      this.awaitDeath(victim);\n      if (this.stalled!(this.t, victim)) this.#handled++;\n",
    to: '      return outcome;\n',
    tests: ['test/native-sim/explore/random.test.ts'],
  },
  {
    name: 'explorer: a thread that runs again has dealt with the deaths that it dealt with before',
    file: MACHINE,
    from: '    this.#handled = 0;\n',
    to: '',
    tests: ['test/native-sim/explore/random.test.ts'],
  },
  {
    name: 'reaper: one that sleeps with the names latched waits for them',
    file: 'lib/arena/reaper.ts',
    from: 'const hasNames = latchOwner(cpu, Header.namesLatch) === owner;',
    to: 'const hasNames = false;',
    tests: ['test/arena/reaper.test.ts'],
  },
  {
    name: 'explorer: a wake-up does not end the waits of the own thread',
    file: MACHINE,
    from: ' + (this.#loop?.end(address) ?? 0)',
    to: '',
    tests: [LOOPS],
  },
  {
    name: 'explorer: the tasks of a dead thread stand in their queues still',
    file: MACHINE,
    from: '    if (loop !== null) for (const { queue, sleeper } of [...loop.known, ...loop.ghosts]) this.#vacate(queue, sleeper);\n',
    to: '',
    tests: [LOOPS],
  },
  {
    name: 'explorer: a loop that has to die while it waits does not',
    file: MACHINE,
    from: '    if (isNew || this.g.op[this.g.threads[this.t]![this.cursor]!] !== Op.turn) this.dieIfDue();\n',
    to: '',
    tests: [LOOPS],
    equivalent:
      'the thread dies as it comes back from the wait, before it reads what has ended it: the same graph. Where nothing ends the wait, the program is a deadlock without the death',
  },
  {
    name: 'explorer: the time of another choice is that of the first',
    file: 'native-sim/explore/exhaustive.ts',
    from: '    if (op === Op.now) this.moveClock(e);\n',
    to: '',
    tests: [LOOPS],
  },
  {
    name: 'explorer: a read that decides what follows may see too early all the same',
    file: 'native-sim/explore/load-buffering.ts',
    from: '    const isSame = search.failure === null;',
    to: '    const isSame = true;',
    tests: [BUFFERING],
  },
  {
    name: 'explorer: load buffering against the order of the model',
    file: 'native-sim/explore/load-buffering.ts',
    from: '  return ordering.rebuild(copy) ? copy : null;',
    to: '  ordering.rebuild(copy);\n  return copy;',
    tests: [BUFFERING],
  },
  {
    name: 'explorer: a wait lines up in the turn it began in',
    file: 'native-sim/explore/event-loop.ts',
    from: "    for (const wait of over) wait.settle('not-equal');\n",
    to: '',
    tests: [LOOPS],
  },
  {
    name: 'explorer: a sleeper that looks around in vain does so again before any other',
    file: 'native-sim/explore/random.ts',
    from: '      this.#priority[this.t] = -this.#step;\n      this.#isPressed = false;\n',
    to: '',
    tests: ['test/native-sim/explore/random.test.ts'],
  },
];
