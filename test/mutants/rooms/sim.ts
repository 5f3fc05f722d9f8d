import type { Mutant } from '../mutant.ts';

const WITHOUT = 'native-sim/machine/without.ts';
const LITMUS_THREAD = 'native-sim/machine/litmus-thread.ts';
const EXPERIMENTS = 'native-sim/scale/experiments.ts';
const TEXTBOOK = 'native-sim/scale/textbook.ts';

const WITHOUT_TEST = 'test/native-sim/machine/without.test.ts';
const EXPERIMENTS_TEST = 'test/native-sim/scale/experiments.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'sim: the invalidate queue stays',
    file: WITHOUT,
    from: "causes.includes('lazy-coherence') ?",
    to: "causes.includes('write-back') ?",
    tests: [WITHOUT_TEST],
  },
  {
    name: 'sim: the store buffer keeps one entry',
    file: WITHOUT,
    from: '...profile.storeBuffer, entries: 0',
    to: '...profile.storeBuffer, entries: 1',
    tests: [WITHOUT_TEST],
  },
  {
    name: 'sim: a machine in order keeps its model',
    file: WITHOUT,
    from: "model !== 'sc' ?",
    to: "model === 'sc' ?",
    tests: [WITHOUT_TEST],
  },
  {
    name: 'sim: a thread without a store buffer does not wait for its store',
    file: LITMUS_THREAD,
    from: "this.#model === 'sc' || system.profile.storeBuffer.entries === 0",
    to: "this.#model === 'sc'",
    tests: [WITHOUT_TEST],
  },
  {
    name: 'sim: a row is compared with a row of other cores',
    file: EXPERIMENTS,
    from: 'row.lock === of.lock && row.cores === 16',
    to: 'row.lock === of.lock && row.cores === 32',
    tests: [EXPERIMENTS_TEST],
  },
  {
    name: 'sim: a parked waiter of MCS is not woken',
    file: TEXTBOOK,
    from: 'cpu.xchgRelease(next + 1, 0) === ASLEEP',
    to: 'cpu.xchgRelease(next + 1, 0) !== ASLEEP',
    tests: [EXPERIMENTS_TEST],
  },
];
