import type { Mutant } from '../mutant.ts';

const WITHOUT = 'native-sim/machine/without.ts';
const LITMUS_THREAD = 'native-sim/machine/litmus-thread.ts';
const EXPERIMENTS = 'native-sim/scale/published-locks.ts';
const TEXTBOOK = 'native-sim/scale/textbook.ts';

const SHARING = 'native-sim/scale/sharing.ts';
const WORD_NAMES = 'native-sim/scale/word-names.ts';
const STRUCT = 'lib/memory/struct.ts';
const MEMORY_SYSTEM = 'native-sim/machine/memory-system.ts';
const MACHINE = 'native-sim/machine/machine.ts';
const CORE = 'native-sim/machine/core.ts';
const CACHES = 'native-sim/machine/caches.ts';
const TIMED_CPU = 'native-sim/machine/timed-cpu.ts';
const EXCLUSIVES = 'native-sim/machine/exclusives.ts';
const OPERATION = 'native-sim/machine/operation.ts';
const PROPAGATION = 'native-sim/machine/propagation.ts';
const LOCKS = 'native-sim/scale/locks.ts';
const MICROSCOPE = 'native-sim/explain/microscope.ts';
const PAGE_SCRIPT = 'native-sim/explain/page-script.ts';

const ARCS_TEST = 'test/native-sim/machine/arcs.test.ts';
const RESUMABLE_TEST = 'test/native-sim/machine/resumable.test.ts';
const BARRIERS_TEST = 'test/native-sim/machine/barriers.test.ts';
const EXCLUSIVES_TEST = 'test/native-sim/machine/exclusives.test.ts';
const POWER_TEST = 'test/native-sim/machine/power.test.ts';
const WINDOWS_TEST = 'test/native-sim/machine/windows.test.ts';
const LABORATORY_TEST = 'test/native-sim/scale/laboratory.test.ts';
const SHARING_TEST = 'test/native-sim/scale/sharing.test.ts';
const STRUCT_TEST = 'test/memory/struct.test.ts';
const EXPLAIN_TEST = 'test/native-sim/explain/explain.test.ts';
const WITHOUT_TEST = 'test/native-sim/machine/without.test.ts';
const COMMAND_TEST = 'test/native-sim/scale/command.test.ts';
const EXPERIMENTS_TEST = 'test/native-sim/scale/experiments.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'sim: a line that comes back takes a second place in its set',
    file: CACHES,
    from: 'if (other === line) return -1;',
    to: '',
    tests: [ARCS_TEST],
  },
  {
    name: 'sim: the place of a line that is gone is not free',
    file: CACHES,
    from: 'other < 0 || isGone(other)',
    to: 'other < 0',
    tests: [ARCS_TEST],
  },
  {
    name: 'sim: a full set replaces one place always',
    file: CACHES,
    from: '(way + 1) % this.#ways',
    to: 'way',
    tests: [ARCS_TEST],
  },
  {
    name: 'sim: sets are kept account of only where one more line would overflow them',
    file: CACHES,
    from: '<= size.ways) return null',
    to: '<= 16 * size.ways) return null',
    tests: [ARCS_TEST],
  },
  {
    name: "sim: a generator's step keeps the log of the step before",
    file: TIMED_CPU,
    from: '        thread.length = 0;\n        return result;',
    to: '        return result;',
    tests: [RESUMABLE_TEST],
  },
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
    name: 'sim: an inner barrier holds for what another inner domain has written, in litmus tests',
    file: LITMUS_THREAD,
    from: ' && !(isForeign && (earlier.tags & Tag.inner) !== 0)',
    to: '',
    tests: ['test/native-sim/machine/litmus.test.ts'],
  },
  {
    name: 'sim: what an inner domain may see is judged with what others have written',
    file: 'native-sim/machine/litmus.ts',
    from: 'if (hasOthers) {',
    to: 'if (false) {',
    tests: ['test/native-sim/machine/litmus.test.ts'],
  },
  {
    name: 'sim: a row is compared with a row of other cores',
    file: EXPERIMENTS,
    from: 'row.lock === of.lock && row.cores === 16',
    to: 'row.lock === of.lock && row.cores === 32',
    tests: [EXPERIMENTS_TEST],
  },
  {
    name: 'sim: runs that cannot be are found out by worker threads',
    file: 'native-sim/scale/jobs.ts',
    from: 'for (const run of runs) checkRun(run);',
    to: '',
    tests: [COMMAND_TEST],
  },
  {
    name: 'sim: a figure is far off on one side only',
    file: 'native-sim/scale/experiment-report.ts',
    from: 'Math.max(ratio, 1 / ratio)',
    to: 'ratio',
    tests: [COMMAND_TEST],
  },
  {
    name: 'sim: the writer of a rwlock is a word that nobody has named',
    file: 'native-sim/scale/textbook-layout.ts',
    from: "case 'glibc-rwlock':",
    to: "case 'increment':",
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: all dies have eight cores',
    file: EXPERIMENTS,
    from: '8 * Math.floor(core / 6) + (core % 6)',
    to: 'core',
    tests: [EXPERIMENTS_TEST],
  },
  {
    name: 'sim: a parked waiter of MCS is not woken',
    file: TEXTBOOK,
    from: 'cpu.xchgRelease(next + 1, 0) === ASLEEP',
    to: 'cpu.xchgRelease(next + 1, 0) !== ASLEEP',
    tests: [EXPERIMENTS_TEST],
  },
  {
    name: 'sim: a HITM for a word that has changed counts as false',
    file: SHARING,
    from: 'this.#written[address]! <= lost',
    to: 'this.#written[address]! >= lost',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: a first request counts as false',
    file: SHARING,
    from: 'if (lost > 0 && ',
    to: 'if (',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: a line that is shared but clean counts as a HITM',
    file: SHARING,
    from: '(state !== State.modified && state !== State.owned)',
    to: 'state === State.invalid',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: an upgrade counts as a HITM',
    file: SHARING,
    from: 'supplier === core || ',
    to: '',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: lines of one core are listed',
    file: SHARING,
    from: 'users.size < 2',
    to: 'users.size < 1',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: lines that nobody writes are listed',
    file: SHARING,
    from: ' || words.every(({ writers }) => writers.length === 0)',
    to: '',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: any two written words have different writers',
    file: SHARING,
    from: 'writers.join() !== written[0]!.writers.join()',
    to: 'true',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: readers are not told from writers',
    file: SHARING,
    from: 'const READS = 1;',
    to: 'const READS = 3;',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: the observer is not told of a commit',
    file: MEMORY_SYSTEM,
    from: 'this.observer?.committed(core, address, value);',
    to: '',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: a core that is ahead knows the home of a line too early',
    file: MEMORY_SYSTEM,
    from: 'if (leaves > this.#events.earliest) ',
    to: 'if (leaves > time) ',
    tests: [EXPLAIN_TEST],
  },
  {
    name: 'sim: a field of a nested struct has the name of the struct',
    file: STRUCT,
    from: 'wordName(length, at)',
    to: "''",
    tests: [STRUCT_TEST],
  },
  {
    name: 'sim: all elements of an array are the first',
    file: STRUCT,
    from: 'Math.floor(at / element.words)',
    to: '0',
    tests: [STRUCT_TEST],
  },
  {
    name: 'sim: a word of a slot is that of thread 0',
    file: WORD_NAMES,
    from: 'Math.floor((address - threads) / threadWords)',
    to: '0',
    tests: [SHARING_TEST],
  },
  {
    name: 'sim: the microscope does not say what a barrier waited for',
    file: MICROSCOPE,
    from: 'case Waits.drained:\n',
    to: '',
    tests: [EXPLAIN_TEST],
  },
  {
    name: 'sim: an invalidation that has been carried out stays in the queue shown',
    file: MICROSCOPE,
    from: '.filter(({ until }) => until > time)',
    to: '',
    tests: [EXPLAIN_TEST],
  },
  {
    name: 'sim: cores run ahead under the microscope',
    file: MACHINE,
    from: 'inOrder ? 1 :',
    to: '!inOrder ? 1 :',
    tests: [EXPLAIN_TEST],
  },
  {
    name: 'sim: steps are as late as the end of what they do',
    file: MACHINE,
    from: 'observer.stepped(begun)',
    to: 'observer.stepped(core.clock)',
    tests: [EXPLAIN_TEST],
  },
  {
    name: 'sim: the page forgets what was there before',
    file: PAGE_SCRIPT,
    from: '{ ...state, ...changes }',
    to: '{ ...changes }',
    tests: [EXPLAIN_TEST],
  },
  {
    name: 'sim: a step back is two',
    file: PAGE_SCRIPT,
    from: "['back', () => step - 1]",
    to: "['back', () => step - 2]",
    tests: [EXPLAIN_TEST],
  },
  {
    name: 'sim: a run that is unwound leaves its readers counted',
    file: LOCKS,
    from: 'const kept = hasMemory || opensEachRun ?',
    to: 'const kept = opensEachRun ?',
    tests: [LABORATORY_TEST],
  },
  {
    name: 'sim: an entry of the invalidate queue that is used again keeps its old line',
    file: CORE,
    from: 'entry.words[word] = memory[from + word]!',
    to: 'entry.words[word] ||= memory[from + word]!',
    tests: [WINDOWS_TEST, LABORATORY_TEST],
  },
  {
    name: 'sim: the store behind one that has become visible is lost',
    file: CORE,
    from: 'let next = at + 1; next < stores.length; next++',
    to: 'let next = at + 2; next < stores.length; next++',
    tests: [BARRIERS_TEST, LABORATORY_TEST],
  },
  {
    name: 'sim: a request that is done stands for another that is not',
    file: CORE,
    from: 'if (requests[at] === request) requests[at] = last;',
    to: '',
    tests: [BARRIERS_TEST, LABORATORY_TEST],
  },
  {
    name: 'sim: the monitor keeps a line that another core has written',
    file: MEMORY_SYSTEM,
    from: "this.#loseReservation(core, line, 'write');",
    to: '',
    tests: [EXCLUSIVES_TEST],
  },
  {
    name: 'sim: the monitor keeps a line that was evicted',
    file: MEMORY_SYSTEM,
    from: "this.#loseReservation(core, line, 'eviction');",
    to: '',
    tests: [EXCLUSIVES_TEST],
  },
  {
    name: 'sim: the monitor loses any line when one is taken away',
    file: MEMORY_SYSTEM,
    from: 'if (core.reserved !== line) return;',
    to: 'if (core.reserved < 0) return;',
    tests: [EXCLUSIVES_TEST],
  },
  {
    name: 'sim: every store-exclusive succeeds that owns its line',
    file: EXCLUSIVES,
    from: 'if (this.#spurious === 0 || ',
    to: 'if (this.#spurious >= 0 || ',
    tests: [EXCLUSIVES_TEST],
  },
  {
    name: 'sim: a pair stores though its comparison has failed',
    file: OPERATION,
    from: 'if (thread.code === Code.cmpxchg && core.reservedValue !== thread.x) {',
    to: 'if (thread.code === Code.cmpxchg && core.reservedValue === thread.x) {',
    tests: [EXCLUSIVES_TEST],
  },
  {
    name: 'sim: a pair waits for none of the stores before it',
    file: OPERATION,
    from: 'if (this.#mustDrain(core, thread, line)) return',
    to: 'if (this.#exclusives === null && this.#mustDrain(core, thread, line)) return',
    tests: [WINDOWS_TEST],
  },
  {
    name: 'sim: a core that reads a write has not seen what its barriers brought along',
    file: PROPAGATION,
    from: 'core.floor = Math.max(core.floor, base);',
    to: '',
    tests: [POWER_TEST],
  },
  {
    name: 'sim: an lwsync does not take along what was read',
    file: PROPAGATION,
    from: 'core.base = Math.max(core.base, core.seen, core.floor);',
    to: '',
    tests: [POWER_TEST],
  },
  {
    name: 'sim: a write brings nothing along that was brought to its thread',
    file: PROPAGATION,
    from: 'return Math.max(core.base, core.floor);',
    to: 'return core.base;',
    tests: [POWER_TEST],
  },
  {
    name: "sim: a write does not bring its own thread's earlier ones along",
    file: PROPAGATION,
    from: 'Math.max(base, core.committedBefore)',
    to: 'base',
    tests: [POWER_TEST],
  },
  {
    name: 'sim: old lines answer behind a sync',
    file: PROPAGATION,
    from: 'core.floor = Math.max(core.floor, time);',
    to: '',
    tests: [POWER_TEST],
  },
  {
    name: 'sim: POWER is multi-copy atomic',
    file: MEMORY_SYSTEM,
    from: "profile.model === 'power' ?",
    to: "profile.model !== 'power' ?",
    tests: [POWER_TEST],
  },
];
