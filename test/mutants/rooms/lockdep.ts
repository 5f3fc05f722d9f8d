import type { Mutant } from '../mutant.ts';

const SEAM = 'test/sched/lock-observer.test.ts';
const MATRIX = 'test/debug/lockdep/matrix.test.ts';
const CONTEXTS = 'test/debug/lockdep/contexts.test.ts';
const MEETINGS = 'test/debug/lockdep/meetings.test.ts';
const THREADS = 'test/debug/lockdep/threads.test.ts';
const VALIDATOR = 'lib/debug/lockdep/validator.ts';
const ORDERS = 'lib/debug/lockdep/orders.ts';
const LAYOUT = 'lib/debug/lockdep/layout.ts';
const SESSION = 'lib/debug/lockdep/session.ts';
const SUPPRESS = 'lib/debug/lockdep/suppress.ts';
const REPORTER = 'lib/debug/lockdep/reporter.ts';
const HOLDS = 'lib/debug/lockdep/holds.ts';
const CALLBACKS = 'lib/debug/lockdep/callbacks.ts';

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
    from: '    else thread.observer?.gave(this, task);\n',
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
  // Asynchronous calls.
  {
    name: 'an asynchronous call waits with what its code gives back before it awaits',
    file: VALIDATOR,
    from: '#validate(hold, sync.filter(isHeld), others.filter(isHeld))',
    to: '#validate(hold, sync, others)',
    tests: [CONTEXTS],
  },
  {
    name: 'what a flow has held keeps its stack',
    file: HOLDS,
    from: '  hold.trace = {};\n',
    to: '',
    tests: ['test/debug/lockdep/guards.test.ts'],
  },
  {
    name: 'the validators of a thread are kept for ever',
    file: VALIDATOR,
    from: '  validators.add(new WeakRef(validator));\n',
    to: '  validators.add({ deref: () => validator } as never);\n',
    tests: ['test/debug/lockdep/guards.test.ts'],
  },
  // Callbacks.
  ...[
    ['what a program does before its event loop turns is a callback', VALIDATOR, ' && holds.stretch > 0)', ')'],
    [
      'a section that does not await lets callbacks come',
      VALIDATOR,
      'if (hold.stretch !== this.holds.stretch && this.#has(CALLBACKS))',
      'if (this.#has(CALLBACKS))',
    ],
    ['callbacks are looked at where nobody has asked for it', SESSION, '(callbacks ? CALLBACKS : 0)', 'CALLBACKS'],
    [
      'a callback that comes behind the section is not looked at',
      CALLBACKS,
      '? this.#sections.values() : []',
      '? [] : []',
    ],
    [
      'a section that comes behind the callback is not looked at',
      CALLBACKS,
      '? this.#waits.values() : []',
      '? [] : []',
    ],
    ['what callbacks do is known after reset', VALIDATOR, '      this.#callbacks.clear();\n', ''],
    [
      'a section keeps no stack of what it has held',
      CALLBACKS,
      'known.set(key, { ...hold });',
      'known.set(key, hold);',
    ],
  ].map(
    ([name, file, from, to]) => ({ name, file, from, to, tests: ['test/debug/lockdep/callbacks.test.ts'] }) as Mutant,
  ),
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
    file: REPORTER,
    from: '    if (isClaimed(cpu, claimed)) return false;\n',
    to: '',
    tests: [MEETINGS],
  },
  // What is held.
  {
    name: 'a tried lock is an order',
    file: VALIDATOR,
    from: '    if (hold.tries) {',
    to: '    if (hold.tries && form.async) {',
    tests: [CONTEXTS],
  },
  {
    name: 'what was taken before a tried lock is no order',
    file: VALIDATOR,
    from: 'sync.findLastIndex(({ isOrdered }) => isOrdered)',
    to: 'sync.length - 1',
    tests: [CONTEXTS],
  },
  {
    name: 'open asynchronous sections do not count for synchronous locks',
    file: VALIDATOR,
    from: 'this.#validate(hold, holds.sync, holds.async)',
    to: 'this.#validate(hold, holds.sync, [])',
    tests: [CONTEXTS],
  },
  {
    name: 'flows hold what others of the thread hold',
    file: VALIDATOR,
    from: '[holds.syncOfFlow(), holds.ofFlow()];',
    to: '[holds.syncOfFlow(), [...holds.async]];',
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
    from: "filter(({ state, form }) => state === 'held' && form.async)",
    to: "filter(({ state, form }) => state !== 'over' && form.async)",
    tests: [CONTEXTS],
  },
  {
    name: 'readers without a guard may sleep',
    file: VALIDATOR,
    from: "isAtomic: SPINNING.has(kind) || (kind !== 'srcu' && isRcuReader && !form.async),",
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
    from: '    const { subclass } = this;\n    this.subclass = 0;\n',
    to: '    const { subclass } = this;\n',
    tests: [CONTEXTS],
  },
  // Where two things meet.
  {
    name: 'a lock that found no room for its class has one below the tables',
    file: VALIDATOR,
    from: 'if (number === undefined || number < 0) return undefined;',
    to: 'if (number === undefined) return undefined;',
    tests: [MEETINGS],
  },
  {
    name: 'two sessions have one number',
    file: SESSION,
    from: 'const next = ((last | 1) + 1) % 2 ** 30 || 2;',
    to: 'const next = last < 0 ? 0 : 2;',
    tests: [MEETINGS],
  },
  {
    name: 'tables are cleared while a living thread adds',
    file: SESSION,
    from: '      if (++looks === LOOKS) return false;',
    to: '      if (++looks === LOOKS) return true;',
    tests: [MEETINGS],
  },
  {
    name: 'a dead thread keeps the tables from being cleared',
    file: SESSION,
    from: 'cpu.load(slot + Slot.life) > 0 && !isGone',
    to: '!isGone',
    tests: [MEETINGS],
  },
  {
    name: 'a reset that came to nothing has ended the session',
    file: SESSION,
    from: '        cpu.xchg(Header.lockdep, session);\n        throw',
    to: '        throw',
    tests: [MEETINGS],
  },
  {
    name: 'what is found is told in the middle of adding',
    file: REPORTER,
    from: '    this.#found.push(report);\n',
    to: '    this.#found.push(report);\n    this.tell();\n',
    tests: [MEETINGS],
  },
  {
    name: 'what is found is told to nobody',
    file: VALIDATOR,
    from: '    this.#reporter.tell();\n',
    to: '',
    tests: [CONTEXTS],
  },
  {
    name: 'reports are read while they are forgotten',
    file: REPORTER,
    from: 'if (cpu.load(tables + Tables.session) === session) return',
    to: 'return',
    tests: [MEETINGS],
  },
  {
    name: 'tables are cleared with no sign of it',
    file: SESSION,
    from: '  cpu.store(tables + Tables.session, last | 1);\n',
    to: '',
    tests: [MEETINGS],
    equivalent: 'a reset has said so before; without one nobody adds, and a reader meets another number behind it',
  },
  {
    name: 'suppressions are written where they are read',
    file: SUPPRESS,
    from: '((at >>> LENGTH_BITS) & 1)',
    to: '0',
    tests: [MEETINGS],
  },
  {
    name: 'suppressions count before they are written',
    file: SUPPRESS,
    from: '  writeBytes(cpu, placeOf(tables, next), bytes);\n',
    to: '  cpu.storeRelease(word, next | bytes.length);\n  writeBytes(cpu, placeOf(tables, next), bytes);\n',
    tests: [MEETINGS],
  },
  {
    name: 'suppressions that were changed meanwhile are obeyed half',
    file: SUPPRESS,
    from: 'if (cpu.load(word) === at) return text;',
    to: 'return text;',
    tests: [MEETINGS],
  },
  {
    name: 'what was taken before anybody looked is not held',
    file: VALIDATOR,
    from: 'return isHeldBy(this.#cpu, lock.address, this.#thread.id);',
    to: 'return false;',
    tests: [MEETINGS],
  },
  {
    name: 'readers that were in before anybody looked are not',
    file: VALIDATOR,
    from: ' || kind?.isHeldBy?.(cpu, lock, id) === true;',
    to: ';',
    tests: [MEETINGS],
  },
  {
    name: 'a path goes on behind a recursive reader',
    file: VALIDATOR,
    from: 'hold.isOrdered = hold.reading !== RECURSIVE;',
    to: 'hold.isOrdered = true;',
    tests: [MEETINGS],
  },
  {
    name: 'each lock that is waited for is ordered, reported or not',
    file: VALIDATOR,
    from: '      isOrdered: false,',
    to: '      isOrdered: !tries,',
    tests: [MEETINGS],
  },
  {
    name: 'flows hold what others have taken synchronously',
    file: VALIDATOR,
    from: '[holds.syncOfFlow(), holds.ofFlow()];',
    to: '[[...holds.sync], holds.ofFlow()];',
    tests: [MEETINGS],
  },
  {
    name: 'a flow forgets what it has taken synchronously when it awaits',
    file: HOLDS,
    from: 'hold.stretch === stretch || own.includes(hold)',
    to: 'hold.stretch === stretch',
    tests: [MEETINGS],
  },
  {
    name: 'what is taken synchronously takes from the flow what it had',
    file: HOLDS,
    from: 'holds: withIt(holds), before: withIt(before), stretch',
    to: 'holds: [hold], before: [hold], stretch',
    tests: [MEETINGS],
  },
  {
    name: 'a call to give back what is not held takes the subclass of the next lock',
    file: VALIDATOR,
    from: '{ async: false, shared: false }, true, undefined, 0);',
    to: '{ async: false, shared: false }, true, undefined, this.#takeSubclass());',
    tests: [MEETINGS],
  },
  {
    name: 'nested is for threads that have heard of lockdep',
    file: 'lib/debug/lockdep/assert.ts',
    from: '  lookForObserver(thread);\n',
    to: '',
    tests: [MEETINGS],
  },
  {
    name: 'a thread that began to be observed too late stays so',
    file: VALIDATOR,
    from: '    if (session === 0) this.#end();\n',
    to: '',
    tests: [MEETINGS],
  },
  {
    name: 'a thread that has left is observed',
    file: 'lib/sched/lock-observer.ts',
    from: '  if (thread.self === DETACHED) return;\n',
    to: '',
    tests: [MEETINGS],
  },
];
