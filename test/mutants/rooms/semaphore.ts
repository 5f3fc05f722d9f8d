import type { Mutant } from '../mutant.ts';

const CORE = 'lib/locking/semaphore/core.ts';
const WORDS = 'lib/locking/semaphore/words.ts';
const SEAT = 'test/locking/semaphore-seat.test.ts';
const EXPLORED = 'test/native-sim/explore/sleeping-locks.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a dead guard keeps the seat',
    file: 'lib/locking/semaphore/repair.ts',
    from: 'if (seated !== 0 && isDead(',
    to: 'if (seated < 0 && isDead(',
    tests: [SEAT],
  },
  {
    name: 'a guard gives back to the seat past those who wait',
    file: WORDS,
    from: 'seatedIn(cpu.fetchOrAcquire(seat, BY_LATCH)) !== 0',
    to: 'seatedIn(cpu.load(seat)) !== 0',
    tests: [SEAT],
  },
  {
    name: 'a vacant permit stays in the seat, whoever wants it',
    file: WORDS,
    from: '  const more = giveBack(free, 1);\n  commitWord(cpu, semaphore, more, seat, EMPTY);\n  return more;\n',
    to: '  return free;\n',
    tests: [SEAT],
  },
  {
    name: 'a permit leaves the seat before it is counted',
    file: WORDS,
    from: '  commitWord(cpu, semaphore, more, seat, EMPTY);\n  return more;\n',
    to: '  cpu.store(seat, EMPTY);\n  return more;\n',
    tests: [SEAT],
  },
  {
    name: 'a permit is in the seat before it is off the count',
    file: CORE,
    from: 'commitWord(cpu, semaphore, free, seat, task | BY_LATCH);',
    to: 'cpu.store(seat, task | BY_LATCH);',
    tests: [SEAT],
  },
  {
    name: 'the seat stays closed once somebody has waited',
    file: CORE,
    from: '  if (!isContended && cpu.load(seat) !== EMPTY) cpu.fetchAndRelaxed(seat, ~BY_LATCH);\n',
    to: '',
    tests: [SEAT],
  },
  {
    name: 'the seat is opened while somebody waits',
    file: CORE,
    from: 'if (!isContended && cpu.load(seat) !== EMPTY)',
    to: 'if (cpu.load(seat) !== EMPTY)',
    tests: [SEAT, EXPLORED],
  },
  {
    name: 'a semaphore is destroyed under the guard in its seat',
    file: WORDS,
    from: '    if (seatedIn(word) !== 0) return false;\n',
    to: '    if (seatedIn(word) !== 0) return true;\n',
    tests: [SEAT],
  },
  {
    name: 'a guard is let in by a semaphore that is being destroyed',
    file: CORE,
    from: 'if (isPresent(cpu, semaphore) && mayTake(',
    to: 'if (mayTake(',
    tests: [SEAT],
  },
  {
    name: 'a guard in the seat counts for nothing when it is destroyed',
    file: 'lib/locking/semaphore/semaphore.ts',
    from: '    seatedTask(cpu, semaphore) !== 0 ||\n',
    to: '',
    tests: ['test/locking/semaphore.test.ts', SEAT],
    equivalent: 'The seat is looked at once more when the words are closed (closeSeat).',
  },
  {
    name: 'a thread leaves while its guard is in the seat',
    file: 'lib/locking/semaphore/semaphore.ts',
    from: '    if (seated !== 0 && cpu.load(seated + Task.thread) === id) return true;\n',
    to: '',
    tests: ['test/locking/semaphore.test.ts'],
  },
];
