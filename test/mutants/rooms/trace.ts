import type { Mutant } from '../mutant.ts';

const SESSION = 'test/debug/trace/session.test.ts';
const STEPS = 'test/debug/trace/steps.test.ts';
const EVENTS = 'test/debug/trace/points.test.ts';
const PICTURE = 'test/debug/trace/perfetto.test.ts';
const TRACER = 'lib/debug/trace/tracer.ts';
const RINGS = 'lib/debug/trace/rings.ts';
const READ = 'lib/debug/trace/read.ts';
const TIMELINE = 'lib/debug/trace/perfetto/timeline.ts';
const PERFETTO = 'lib/debug/trace/perfetto/perfetto.ts';

export const mutants: readonly Mutant[] = [
  // Rings.
  {
    name: 'a record counts before it is written',
    file: RINGS,
    from: '    const wide = WIDE[point] as number;\n',
    to: '    const wide = WIDE[point] as number;\n    cpu.store(this.#ring + Ring.written, this.#written + 1);\n',
    tests: [STEPS],
  },
  {
    name: 'a reader takes the record that is being written over',
    file: READ,
    from: '- size + 1;',
    to: '- size;',
    tests: [STEPS, SESSION],
  },
  {
    name: 'a reader does not look again how far the writer has come',
    file: READ,
    from: '  const overwritten = writtenTo(cpu, ring) - size + 1;',
    to: '  const overwritten = before - size + 1;',
    tests: [STEPS],
  },
  {
    name: 'a thread that finds no ring writes to none that there is',
    file: RINGS,
    from: 'number < cpu.load(tables + Tables.ringCount)',
    to: 'number >= 0',
    tests: [SESSION],
  },
  {
    name: 'the high word of a duration is lost',
    file: RINGS,
    from: '(last * PER_HIGH) | 0',
    to: '1',
    tests: [SESSION],
  },
  {
    name: 'what was overwritten is not counted',
    file: READ,
    from: '      lost: recorded - records.length,',
    to: '      lost: 0,',
    tests: [SESSION],
  },
  {
    name: 'the high word of a hold is lost',
    file: RINGS,
    from: '(held * PER_HIGH) | 0',
    to: '1',
    tests: [SESSION],
  },
  {
    name: 'a lock that is taken after the end is recorded',
    file: RINGS,
    from: '    if (cpu.loadUnordered(Header.trace) !== session) return false;\n',
    to: '',
    tests: [SESSION, STEPS],
  },
  {
    name: 'a lock is recorded without the mark',
    file: RINGS,
    from: '    cpu.xchg(mark, 1);\n',
    to: '',
    tests: [STEPS, SESSION],
  },
  {
    name: 'a thread with two sinks tells the first one of its locks',
    file: TRACER,
    from: 'first !== undefined && others.length === 0 &&',
    to: 'first !== undefined && others.length >= 0 &&',
    tests: [SESSION, 'test/debug/program/session.test.ts'],
  },
  // Beginning and end.
  {
    name: 'a thread tells without its mark',
    file: TRACER,
    from: '    cpu.xchg(this.#mark, 1);\n    // The exchange orders it.\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'a thread asks for its sinks without its mark',
    file: TRACER,
    from: '    cpu.xchg(this.#mark, 1);\n    this.session',
    to: '    this.session',
    tests: [STEPS],
  },
  {
    name: 'a thread goes on with the sinks of the last trace',
    file: TRACER,
    from: '    if (cpu.loadUnordered(Header.trace) !== this.session) {',
    to: '    if (cpu.load(Header.trace) === 0) {',
    tests: [STEPS, SESSION],
  },
  {
    name: 'a hold has the number that its lock had in the last trace',
    file: TRACER,
    from: '        hold.since = this.thread.cpu.now();\n        this.#followTrace();\n',
    to: '        this.#followTrace();\n        this.#holds.begin(address, task, lock, mode);\n',
    tests: [STEPS],
  },
  {
    name: 'a hold that goes untold is as old as the one before in its place',
    file: TRACER,
    from: '        hold.since = this.thread.cpu.now();\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'a trace begins while a thread is in the middle of an event',
    file: 'lib/debug/trace/session.ts',
    from: '    if (quiesce(cpu) > 0) throw',
    to: '    if (quiesce(cpu) < 0) throw',
    tests: [STEPS],
  },
  {
    name: 'two threads trace an arena',
    file: 'lib/debug/trace/session.ts',
    from: '  if (owner !== 0) throw',
    to: '  if (owner < 0) throw',
    tests: [SESSION],
  },
  {
    name: 'a trace ends with nobody to begin another one when its thread dies',
    file: 'lib/debug/trace/layout.ts',
    from: '      cpu.storeRelease(tables + Tables.owner, 0);\n    }',
    to: '    }',
    tests: [STEPS],
  },
  {
    name: 'a thread that dies while it begins a trace leaves it begun',
    file: 'lib/debug/trace/layout.ts',
    from: '    if (busy !== 0 && isDead(busy)) cpu.storeRelease(tables + Tables.busy, 0);\n',
    to: '',
    tests: [STEPS],
  },
  {
    name: 'the mark of a dead thread stays',
    file: 'lib/debug/trace/layout.ts',
    from: '      cpu.store(slot + Emitting.mark, 0);\n',
    to: '',
    tests: [STEPS],
  },
  // What is told to which observer.
  {
    name: 'one of two observers does not know its own call',
    file: 'lib/sched/lock-observer.ts',
    from: '  return wanted instanceof WantedByGroup ? wanted.of(observer) : wanted;',
    to: '  return observer === undefined ? undefined : wanted;',
    tests: [STEPS],
  },
  {
    name: 'the end of one observer is the end of both',
    file: 'lib/sched/lock-observer.ts',
    from: 'filter(([, other]) => other !== observer)',
    to: 'filter(([, other]) => other === undefined)',
    tests: [STEPS],
  },
  {
    name: 'a lock that is free counts as one that is waited for when the thread is observed',
    file: 'lib/locking/owned-lock.ts',
    from: '    const isFree =\n      (wanted',
    to: '    const isFree =\n      wanted === null && (wanted',
    tests: [EVENTS, SESSION],
  },
  {
    name: 'nobody hears of a task that is woken',
    file: 'lib/sched/task.ts',
    from: '  cpu.onUnpark?.(task);\n',
    to: '',
    tests: [EVENTS],
  },
  {
    name: 'a wait on an event loop has no task',
    file: 'lib/sched/drive.ts',
    from: '  if (wait !== undefined) wait.task = task;\n',
    to: '',
    tests: [EVENTS],
  },
  {
    name: 'a wait for an event is a contention',
    file: TRACER,
    from: 'const LOCKS = /(mutex|lock|semaphore|sem)$/;',
    to: 'const LOCKS = /./;',
    tests: [EVENTS],
  },
  {
    name: 'a lock that was taken before the trace has a hold time',
    file: 'lib/debug/trace/holds.ts',
    from: '    if (at < 0) return undefined;\n    const hold',
    to: '    if (at < 0) return { address, task, lock: 0, mode: 0, since: 0 };\n    const hold',
    tests: [SESSION],
  },
  // Pictures.
  {
    name: 'slices that overlap are drawn on one track',
    file: TIMELINE,
    from: '> slice.begin) continue;',
    to: '> Number.POSITIVE_INFINITY) continue;',
    tests: [PICTURE],
  },
  {
    name: 'what begins at a time lies in what ends then',
    file: PERFETTO,
    from: 'order: ENDS,',
    to: 'order: BEGINS + 1,',
    tests: [PICTURE],
  },
  {
    name: 'a number of more than 32 bits is cut off',
    file: 'lib/debug/trace/perfetto/protobuf.ts',
    from: 'rest = Math.floor(rest / 128)',
    to: 'rest = rest >>> 7',
    tests: [PICTURE],
  },
  {
    name: 'a flow does not end',
    file: PERFETTO,
    from: 'event.fixed64(TrackEvent.endOfFlow, arrives)',
    to: 'event.fixed64(TrackEvent.flow, arrives)',
    tests: [PICTURE],
  },
];
