import type { Mutant } from '../mutant.ts';

const STALL = 'lib/rcu/stall.ts';
const PERIOD = 'lib/rcu/grace-period.ts';
const SEQUENCE = 'lib/rcu/sequence.ts';
const DOMAIN = 'lib/rcu/domain.ts';
const READ_SIDE = 'lib/rcu/read-side.ts';
const DUMP = 'lib/rcu/dump.ts';
const WAIT = 'lib/rcu/wait.ts';
const REF = 'lib/rcu/percpu-ref.ts';
const REF_CORE = 'lib/rcu/percpu-ref-core.ts';
const TESTS = ['test/rcu/stall.test.ts'];
const REF_EXPLORED = 'test/native-sim/explore/percpu-ref.test.ts';
const REF_TESTS = ['test/rcu/percpu-ref.test.ts'];

export const mutants: readonly Mutant[] = [
  {
    name: 'a stall is reported at each look from then on',
    file: STALL,
    from: '  cpu.store(record + Period.stallDue, (now + REPEAT * timeout + REPEAT_MORE) | 0);\n  return waited;',
    to: '  return waited;',
    tests: TESTS,
  },
  {
    name: 'a stall is reported again after one timeout',
    file: STALL,
    from: 'const REPEAT = 3;',
    to: 'const REPEAT = 1;',
    tests: TESTS,
  },
  {
    name: 'the record of a period is taken for that of the next',
    file: STALL,
    from: 'if (cpu.load(record + Period.stallOf) !== of) {',
    to: 'if (cpu.load(record + Period.stallOf) === 0) {',
    tests: TESTS,
  },
  {
    name: 'the time for which the process was stopped counts',
    file: STALL,
    from: 'if (gap >= Math.max(timeout / 2, LATEST_LOOK)) {',
    to: 'if (gap < 0) {',
    tests: TESTS,
  },
  {
    name: 'a look that is a little late starts the time anew',
    file: STALL,
    from: 'Math.max(timeout / 2, LATEST_LOOK)',
    to: 'timeout / 2',
    tests: TESTS,
  },
  {
    name: 'who does not get the record looks all the same',
    file: STALL,
    from: '  if (!tryLatch(cpu, record + Period.stallLatch, id)) return;\n',
    to: '  tryLatch(cpu, record + Period.stallLatch, id);\n',
    tests: TESTS,
  },
  {
    name: 'a stall of a thread itself is one of others',
    file: STALL,
    from: 'threads.some(({ thread }) => thread === detectedBy)',
    to: 'false',
    tests: TESTS,
  },
  {
    name: 'readers that left meanwhile are not told apart from a period that nobody ends',
    file: STALL,
    from: 'later - stateOf(later) > stall.period)',
    to: 'false)',
    tests: TESTS,
  },
  {
    name: 'a warning does not say which thread makes no step',
    file: STALL,
    from: 'starved: threads.length === 0 && holder !== 0 ? holder - 1 : undefined',
    to: 'starved: undefined',
    tests: TESTS,
  },
  {
    name: 'the threads that an expedited period waits for are those of the normal one',
    file: STALL,
    from: 'const mask = cpu.load(leafAt(domain, index) + pace.mask);',
    to: 'const mask = cpu.load(leafAt(domain, index) + 1);',
    tests: TESTS,
  },
  {
    name: 'periods that were asked for behind the current one are not counted',
    file: SEQUENCE,
    from: 'const current = stateOf(sequence) === IDLE ? sequence : endAfter(sequence - stateOf(sequence));',
    to: 'const current = sequence + 8;',
    tests: TESTS,
  },
  {
    name: 'a record that a dead thread has stays its own',
    file: PERIOD,
    from: '  for (const { period } of PACES) freeOfDead(repairer, rcu + period + Period.stallLatch);\n',
    to: '',
    tests: TESTS,
  },
  {
    name: 'a task that waits waits for a latch as well',
    file: WAIT,
    from: 'if (!isPreemptible) advance',
    to: 'if (isPreemptible) advance',
    tests: TESTS,
  },
  {
    name: 'who polls never looks for a stall',
    file: DOMAIN,
    from: '    for (const pace of [NORMAL, EXPEDITED]) checkStall(thread, readers.domain, pace);\n',
    to: '',
    tests: TESTS,
  },
  {
    name: 'a timeout for warnings that is none is taken',
    file: READ_SIDE,
    from: '!Number.isInteger(timeout) || timeout < 0',
    to: 'timeout < 0',
    tests: TESTS,
  },
  {
    name: 'a dump shows the leaves first',
    file: DUMP,
    from: 'return shown.toReversed();',
    to: 'return shown;',
    tests: TESTS,
  },
  {
    name: 'an asynchronous call of RCU takes no signal',
    file: DOMAIN,
    from: 'limitsOf(this.cpu, options, ABORTABLE_OPTIONS);\n    if (this.isSyncReader)',
    to: 'limitsOf(this.cpu, options);\n    if (this.isSyncReader)',
    tests: ['test/rcu/rcu.test.ts'],
  },
  {
    name: 'references are counted by atomics on all threads at once',
    file: REF,
    from: '    this.#qsbr.synchronize(options);\n    this.#endSwitch(switching);\n',
    to: '    this.#endSwitch(switching);\n',
    tests: REF_TESTS,
  },
  {
    name: 'a switch that is late confirms whatever was begun since',
    file: REF,
    from: '(withPhase(state, LIVE) + GENERATION) | 0)',
    to: 'withPhase(state, LIVE))',
    tests: REF_TESTS,
  },
  {
    name: 'references that were taken meanwhile are not looked for',
    file: REF_CORE,
    from: '  return cpu.loadAcquire(taken) === before;\n',
    to: '  return before >= 0;\n',
    tests: [REF_EXPLORED, ...REF_TESTS],
  },
  {
    name: 'a reference is counted before it is on its line',
    file: REF_CORE,
    from: '  cpu.fetchAdd(line, difference);\n  // Fully ordered, and last: pairs with the loads in `wereNone`.\n  if (difference > 0) cpu.fetchAdd(taken, difference);\n',
    to: '  if (difference > 0) cpu.fetchAdd(taken, difference);\n  cpu.fetchAdd(line, difference);\n',
    tests: [REF_EXPLORED],
  },
  {
    name: 'whether there are none is said of references that are counted by plain stores again',
    file: REF,
    from: 'this.#cpu.loadAcquire(this.#state) === state) return isZero;',
    to: 'this.#cpu.loadAcquire(this.#state) !== CLOSED) return isZero;',
    tests: REF_TESTS,
  },
  {
    name: 'references in atomic mode cannot be killed',
    file: REF_CORE,
    from: 'return phase === LIVE || phase === SWITCHING || phase === ATOMIC;',
    to: 'return phase === LIVE || phase === SWITCHING;',
    tests: REF_TESTS,
  },
  {
    name: 'references are confirmed without a grace period',
    file: REF,
    from: '    this.#qsbr.synchronize(options);\n    this.#cpu.cmpxchg(this.#state, killed,',
    to: '    this.#cpu.cmpxchg(this.#state, killed,',
    tests: REF_TESTS,
  },
  {
    name: 'a confirmer that is late confirms whatever was killed since',
    file: REF,
    from: 'const next = (withPhase(confirmed, LIVE) + GENERATION) | 0;',
    to: 'const next = withPhase(confirmed, LIVE);',
    tests: REF_TESTS,
  },
  {
    name: 'the last reference of a thread wakes nobody',
    file: REF,
    from: 'if (this.#cpu.fetchSub(this.#line, 1) === 1) wakeUp(this.thread, this.address, 0);',
    to: 'this.#cpu.fetchSub(this.#line, 1);',
    tests: REF_TESTS,
  },
  {
    name: 'references of a dead thread stay counted',
    file: REF_CORE,
    from: '    for (let number = 0; number < threads; number++) if (isDead(number + 1)) cpu.store(lineOf(ref, number), 0);\n',
    to: '',
    tests: REF_TESTS,
  },
  {
    name: 'a thread detaches with references',
    file: REF_CORE,
    from: '  isHeldBy: (cpu, ref, id) => cpu.load(lineOf(ref, id - 1)) > 0,\n',
    to: '  isHeldBy: () => false,\n',
    tests: REF_TESTS,
  },
  {
    name: 'a thread without a reference takes one of what was killed',
    file: REF,
    from: 'if (this.held === 0) {',
    to: 'if (this.held < 0) {',
    tests: REF_TESTS,
  },
  {
    name: 'a thread makes reports that was not told to',
    file: STALL,
    from: 'threads.length === 0 || !mayReport(thread)',
    to: 'threads.length === 0',
    tests: ['test/rcu/running.test.ts'],
  },
  {
    name: 'where a thread is now is asked of its neighbour',
    file: 'lib/rcu/running.ts',
    from: 'Slot.life)) - 1);',
    to: 'Slot.life)));',
    tests: ['test/rcu/running.test.ts'],
  },
];
