import type { Mutant } from '../mutant.ts';

const SEAM = 'test/sched/lock-observer.test.ts';
const MATRIX = 'test/debug/lockdep/matrix.test.ts';
const CONTEXTS = 'test/debug/lockdep/contexts.test.ts';
const THREADS = 'test/debug/lockdep/threads.test.ts';
const VALIDATOR = 'lib/debug/lockdep/validator.ts';
const ORDERS = 'lib/debug/lockdep/orders.ts';
const LAYOUT = 'lib/debug/lockdep/layout.ts';
const HOLDS = 'lib/debug/lockdep/holds.ts';

export const mutants: readonly Mutant[] = [
  // The seam.
  {
    name: 'an observed thread unlocks on the fast path',
    file: 'lib/sched/thread.ts',
    from: '    this.mine = isOnItsOwn ? this.self : NEVER;',
    to: '    this.mine = this.self;',
    tests: [SEAM],
  },
  {
    name: 'an observed thread locks on the fast path',
    file: 'lib/sched/thread.ts',
    from: '    this.free = isOnItsOwn ? 0 : NEVER;',
    to: '    this.free = 0;',
    tests: [SEAM],
  },
  {
    name: 'a spinlock that is tried tells nobody',
    file: 'lib/locking/spin-lock.ts',
    from: '    thread.observer?.took(this, ALONE, task);\n',
    to: '',
    tests: [SEAM],
  },
  {
    name: 'a guard of asynchronous code gives its mutex back in secret',
    file: 'lib/locking/owned-lock.ts',
    from: '      else thread.observer?.gave(this, task);\n',
    to: '',
    tests: [SEAM],
  },
  {
    name: 'a reader that has met others is not seen',
    file: 'lib/locking/rw-semaphore/rw-semaphore.ts',
    from: 'options === undefined && thread.free === 0)',
    to: 'options === undefined)',
    tests: [SEAM],
  },
  // The graph.
  {
    name: 'a path goes on along readers that nobody waits for',
    file: LAYOUT,
    from: 'word & (afterReaders ? ALONE_WAYS : WAYS)',
    to: 'word & WAYS',
    tests: [MATRIX],
  },
  {
    name: 'recursive readers block like all others',
    file: LAYOUT,
    from: '(wanted === RECURSIVE ? 1 : 0)',
    to: '0',
    tests: [MATRIX],
  },
  {
    name: 'a cycle that readers only close is one',
    file: ORDERS,
    from: 'if (to === held && (heldReading === 0 || !readersOnly)) return',
    to: 'if (to === held) return',
    tests: [MATRIX],
  },
  {
    name: 'only orders of two locks are looked at',
    file: ORDERS,
    from: '      queue.push(next);\n',
    to: '',
    tests: [MATRIX],
  },
  {
    name: 'an order that a dead thread has not looked at is taken for known',
    file: ORDERS,
    from: '& (way << LOOKED_SHIFT)) !== 0;',
    to: '& way) !== 0;',
    tests: [THREADS],
  },
  {
    name: 'a report that was claimed is written again',
    file: 'lib/debug/lockdep/reporter.ts',
    from: '    if (isClaimed(cpu, claimed)) return false;\n',
    to: '',
    tests: [CONTEXTS],
    equivalent: 'It is withdrawn a moment later: the look saves the making of the text.',
  },
  // What is held.
  {
    name: 'a tried lock is an order',
    file: VALIDATOR,
    from: '    if (!hold.tries) this.#adding(',
    to: '    this.#adding(',
    tests: [CONTEXTS],
  },
  {
    name: 'what was taken before a tried lock is no order',
    file: VALIDATOR,
    from: 'sync.findLastIndex(({ tries }) => !tries)',
    to: 'sync.length - 1',
    tests: [CONTEXTS],
  },
  {
    name: 'open asynchronous sections do not count for synchronous locks',
    file: VALIDATOR,
    from: 'this.holds.ofFlow() : async;',
    to: 'this.holds.ofFlow() : [];',
    tests: [CONTEXTS],
  },
  {
    name: 'flows hold what others of the thread hold',
    file: VALIDATOR,
    from: 'this.holds.ofFlow() : async;',
    to: 'async : async;',
    tests: [CONTEXTS],
  },
  {
    name: 'flows that begin in one go see each other',
    file: HOLDS,
    from: 'return flow.stretch === this.stretch ? flow.before : flow.holds;',
    to: 'return flow.holds;',
    tests: [CONTEXTS],
  },
  {
    name: 'a call that came to nothing holds its lock',
    file: HOLDS,
    from: "return this.#before().filter(({ state }) => state === 'held');",
    to: "return this.#before().filter(({ state }) => state !== 'over');",
    tests: [CONTEXTS],
  },
  {
    name: 'readers without a guard may sleep',
    file: VALIDATOR,
    from: "isAtomic: SPINNING.has(kind) || (kind === 'rcu' && isRcuReader && !form.async),",
    to: 'isAtomic: SPINNING.has(kind),',
    tests: [MATRIX, CONTEXTS],
  },
  {
    name: 'contexts do not order the locks of a class',
    file: VALIDATOR,
    from: 'within === undefined || within !== hold.within',
    to: 'within !== undefined || hold.within === undefined',
    tests: [MATRIX],
  },
  {
    name: 'after reset a thread goes by what it knew before',
    file: VALIDATOR,
    from: '      this.#classes.forget();\n',
    to: '',
    tests: [CONTEXTS],
  },
  {
    name: 'a lock without a name has the class of the one that had its address',
    file: 'lib/debug/lockdep/classes.ts',
    from: 'const { serial = 0 } = (lock as { handle?: { serial?: number } }).handle ?? {};',
    to: 'const serial = 0;',
    tests: [CONTEXTS],
  },
  {
    name: 'a subclass stays for the locks that come',
    file: VALIDATOR,
    from: '    this.subclass = 0;\n    if (!this.#isRunning()) return undefined;',
    to: '    if (!this.#isRunning()) return undefined;',
    tests: [CONTEXTS],
  },
];
