import type { Mutant } from '../mutant.ts';

const TALLY = 'lib/debug/profile/tally.ts';
const HISTOGRAM = 'lib/debug/profile/histogram.ts';
const LAYOUT = 'lib/debug/profile/layout.ts';
const ROWS = 'lib/debug/profile/rows.ts';
const STACKS = 'lib/debug/profile/stacks.ts';
const RECORDER = 'lib/debug/profile/recorder.ts';
const SAMPLES = 'lib/debug/profile/samples.ts';
const SESSION = 'lib/debug/profile/session.ts';
const READ = 'lib/debug/profile/read.ts';
const CONTENTION = 'lib/sched/contention.ts';
const SUMS = 'test/debug/tally.test.ts';
const WAITS = 'test/debug/profile.test.ts';
const SESSIONS = 'test/debug/sessions.test.ts';
const REPORTS = 'test/debug/reports.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'an addition pays no carry',
    file: TALLY,
    from: '    if (owed === 0 || cpu',
    to: '    if (owed >= 0 || cpu',
    tests: [SUMS],
  },
  {
    name: 'an addition looks at the low word before the high one',
    file: TALLY,
    from: `    const high = cpu.load(tally + Tally.high);
    const owed = owedTo(high, cpu.load(tally + Tally.low));`,
    to: `    const low = cpu.load(tally + Tally.low);
    const high = cpu.load(tally + Tally.high);
    const owed = owedTo(high, low);`,
    tests: [SUMS],
  },
  {
    name: 'the multiples of 2^32 in an addition are lost',
    file: TALLY,
    from: 'Math.floor(amount / 2 ** 32) * (OVERLAP + 1)',
    to: '0',
    tests: [SUMS],
  },
  {
    name: 'a reader does not count what is owed',
    file: TALLY,
    from: '    return ((high + owedTo(high, low)) >>> 0)',
    to: '    return (high >>> 0)',
    tests: [SUMS],
  },
  {
    name: 'a reader takes two words of different times for one sum',
    file: TALLY,
    from: '    if (cpu.load(tally + Tally.high) !== high) continue;\n',
    to: '',
    tests: [SUMS],
    equivalent: 'the low word, read later, says what the high one lacks: the check is for 2^32 added in between',
  },
  {
    name: 'durations from 2^31 ns on fall in the bucket of their low bits',
    file: HISTOGRAM,
    from: 'ns < 2 ** 31 ? 31 - Math.clz32(ns) : 62 - Math.clz32(ns / 2 ** 31)',
    to: '31 - Math.clz32(ns)',
    tests: [SUMS],
  },
  {
    name: 'a quantile may be longer than the longest wait',
    file: HISTOGRAM,
    from: '    return Math.min(max, end',
    to: '    return Math.max(0, end',
    tests: [SUMS],
  },
  {
    name: 'a full table has its first entry taken over',
    file: LAYOUT,
    from: '    if (seen === key || seen === 0) return entry;\n  }\n  return 0;',
    to: '    if (seen === key || seen === 0) return entry;\n  }\n  return table;',
    tests: [WAITS],
  },
  {
    name: 'an entry that another thread has just claimed is taken for one’s own',
    file: LAYOUT,
    from: '    if (seen === key || seen === 0) return entry;',
    to: '    if (seen === key || seen === 0 || i > 0) return entry;',
    tests: [WAITS],
  },
  {
    name: 'a session whose owner has died goes on',
    file: LAYOUT,
    from: '    cpu.xchg(Header.profile, 0);\n',
    to: '',
    tests: [SESSIONS],
  },
  {
    name: 'a session whose owner has died keeps others out',
    file: LAYOUT,
    from: '    cpu.storeRelease(profile + Profile.owner, 0);\n',
    to: '',
    tests: [SESSIONS],
  },
  {
    name: 'a slot says for good that a dead thread is recording',
    file: LAYOUT,
    from: '      cpu.store(slot + Recording.session, 0);\n',
    to: '',
    tests: [SESSIONS],
  },
  {
    name: 'a row that a dead thread has claimed is never named',
    file: ROWS,
    from: '    if (this.#cpu.loadAcquire(row + Row.named) === 0) nameRow(this.#cpu, row, subject);\n',
    to: '    if (this.#cpu.cmpxchg(row + Row.named, 0, 2) === 0) nameRow(this.#cpu, row, subject);\n',
    tests: [SESSIONS],
  },
  {
    name: 'a lock at the address of a destroyed one is taken for it',
    file: ROWS,
    from: '    if (this.#heap.isObject(object)) {\n      key = mixed',
    to: '    if (this.#heap.isObject(object) && object < 0) {\n      key = mixed',
    tests: [WAITS],
  },
  {
    name: 'readers and writers of a lock have one row',
    file: ROWS,
    from: '    let key = mixed(object, shared ? 1 : 0);',
    to: '    let key = mixed(object, 0);',
    tests: [WAITS],
  },
  {
    name: 'a name is cut off in the middle of a character',
    file: ROWS,
    from: '  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;\n',
    to: '',
    tests: [WAITS],
  },
  {
    name: 'a lock without a row is dropped with its class',
    file: ROWS,
    from: '    return this.#claim(ROWS, CLASS_ROWS,',
    to: '    return this.#claim(ROWS, 0,',
    tests: [WAITS],
  },
  {
    name: 'the stack of a thread that died while it wrote it is nobody’s',
    file: STACKS,
    from: '    if (cpu.loadAcquire(stack + Stack.text) === 0 && !this.#write(stack, utf8(text))) return -1;',
    to: '    if (cpu.cmpxchg(stack + Stack.text, 0, -1) === 0 && !this.#write(stack, utf8(text))) return -1;',
    tests: [SESSIONS],
  },
  {
    name: 'the way in which the program shows errors is not restored',
    file: STACKS,
    from: '    Error.prepareStackTrace = prepare;\n',
    to: '',
    tests: [WAITS],
  },
  {
    name: 'the library’s own frames stand in front of the program’s',
    file: STACKS,
    from: '({ file }) => !file.startsWith(OWN)',
    to: '({ file }) => file !== OWN',
    tests: [WAITS],
  },
  {
    name: 'a thread records without a look whether the session is over',
    file: SAMPLES,
    from: '  if (cpu.loadUnordered(Header.profile) === session) add();',
    to: '  if (cpu.load(Header.profile) !== -1) add();',
    tests: [SESSIONS],
  },
  {
    name: 'a thread does not say that it is recording',
    file: SAMPLES,
    from: '  cpu.xchg(slot + Recording.session, session);\n',
    to: '',
    tests: [SESSIONS],
  },
  {
    name: 'a sample stands for one wait, however short that was',
    file: SAMPLES,
    from: '? SAMPLED_ALWAYS / waited : 0;',
    to: '? 1 : 0;',
    tests: [WAITS],
  },
  {
    name: 'the shortest wait is the last one',
    file: SAMPLES,
    from: '(seen) => seen === 0 || seen > bits',
    to: '(seen) => seen !== bits',
    tests: [WAITS],
  },
  {
    name: 'an asynchronous call is charged to the event loop',
    file: RECORDER,
    from: '    if (wait.async) wait.trace ??= capture();\n',
    to: '',
    tests: [WAITS],
  },
  {
    name: 'two profiles are made at once',
    file: SESSION,
    from: '  if (owner !== 0) {',
    to: '  if (owner < 0) {',
    tests: [SESSIONS],
  },
  {
    name: 'a profile begins with what is left of the last one',
    file: SESSION,
    from: 'last !== 0 && word < Profile.words',
    to: 'last < 0 && word < Profile.words',
    tests: [SESSIONS],
  },
  {
    name: 'a profile is read while a thread is recording',
    file: SESSION,
    from: '=== session) unfinished++;',
    to: '=== session) unfinished += 0;',
    tests: [SESSIONS],
  },
  {
    name: 'a thread that has detached reads the profile of another',
    file: SESSION,
    from: '    if (thread.self === DETACHED && cpu',
    to: '    if (thread.self === 0 && cpu',
    tests: [SESSIONS],
  },
  {
    name: 'a wait for an event counts as one for a lock',
    file: READ,
    from: '    event: !isLockKind(kindNameOf(subject.kind)),',
    to: '    event: false,',
    tests: [WAITS],
  },
  {
    name: 'a wait that was recorded by one session’s watch goes to the next',
    file: CONTENTION,
    from: '    if ((known?.session ?? 0) === session) continue;',
    to: '    if (known !== undefined) continue;',
    tests: [SESSIONS, WAITS],
  },
  {
    name: 'what runs in the middle of a wait ends it',
    file: CONTENTION,
    from: '  thread.wait = undefined;\n  return begun;',
    to: '  return begun;',
    tests: [WAITS, SESSIONS],
  },
  {
    name: 'a call that spun and got the lock is not told of',
    file: CONTENTION,
    from: 'if (isOver) endWatched(wait, outcome);',
    to: '',
    tests: [WAITS],
  },
  {
    name: 'a call that throws leaves its wait to the next one',
    file: CONTENTION,
    from: '    if (isOver) thread.wait = undefined;\n',
    to: '',
    tests: [WAITS],
  },
  {
    name: 'a wait for a condition is charged to the mutex under it',
    file: CONTENTION,
    from: '    if (wait.object === 0) wait.object = cpu.load(task + Task.within);\n    for (const watch of wait.watches) watch.sleeps(wait);',
    to: '    for (const watch of wait.watches) watch.sleeps(wait);',
    tests: [WAITS],
  },
  {
    name: 'places that differ are one in the reports',
    file: 'lib/debug/reports/terminal.ts',
    from: '    const key = JSON.stringify([lock, frames]);',
    to: '    const key = lock;',
    tests: [REPORTS],
  },
  {
    name: 'the frames of collapsed stacks begin with the innermost',
    file: 'lib/debug/reports/collapsed.ts',
    from: '...calls.reverse()',
    to: '...calls',
    tests: [REPORTS],
  },
  {
    name: 'a place has no line',
    file: 'lib/debug/reports/pprof.ts',
    from: 'new Line({ functionId, line, column })',
    to: 'new Line({ functionId, column })',
    tests: [REPORTS],
  },
  {
    name: 'markup in a name of the program’s gets into the report',
    file: 'lib/page/page.ts',
    from: '/[&<>"]/g',
    to: '/[&]/g',
    tests: [REPORTS],
  },
];
