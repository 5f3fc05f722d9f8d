import type { Mutant } from '../mutant.ts';

const WAITS_FOR = 'lib/sched/waits-for.ts';
const STATE = 'lib/debug/live/state.ts';
const METRICS = 'lib/debug/live/metrics.ts';
const HANDLER = 'lib/debug/live/handler.ts';
const LOOKS = 'lib/debug/live/live.ts';
const PROM_METRICS = 'lib/debug/live/prom.ts';
const DIFFERENCE = 'lib/debug/live/difference.ts';
const SERVE = 'lib/debug/live/serve.ts';
const TOP = 'lib/debug/reports/top.ts';
const THREADS = 'test/arena/threads.test.ts';
const LIVE = 'test/debug/live.test.ts';
const PROM = 'test/debug/prom.test.ts';
const REQUESTS = 'test/debug/live-requests.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a deadlock is reported once for each of its threads',
    file: WAITS_FOR,
    from: 'inOne.has(number) ? undefined : this.cycle(number)',
    to: 'this.cycle(number)',
    tests: [LIVE],
  },
  {
    name: 'deadlocks are looked for from the calling thread only',
    file: WAITS_FOR,
    from: 'if (holder === from) return [link];',
    to: 'if (holder === this.#thread.number) return [link];',
    tests: [LIVE],
  },
  {
    name: 'a wait that anybody may end makes a deadlock',
    file: WAITS_FOR,
    from: 'link === undefined || link.isAnyOf || !link.isAsleep',
    to: 'link === undefined || !link.isAsleep',
    tests: [LIVE, 'test/sched/waits-for.test.ts'],
  },
  {
    name: 'what waits asynchronously stands for its thread',
    file: STATE,
    from: 'waits.filter(({ async }) => !async)',
    to: 'waits.filter(({ async }) => async)',
    tests: [LIVE],
  },
  {
    name: 'a free slot is a thread',
    file: 'lib/arena/thread-state.ts',
    from: "if (phase === 'free') continue;",
    to: '',
    tests: [LIVE],
  },
  {
    name: 'a bucket counts the waits that begin with its end',
    file: METRICS,
    from: 'start < end ? sum + count : sum',
    to: 'start <= end ? sum + count : sum',
    tests: [LIVE],
  },
  {
    name: 'each row of a class has a histogram of its own',
    file: METRICS,
    from: 'const key = JSON.stringify(labels);',
    to: 'const key = String(groups.size);',
    tests: [LIVE],
  },
  {
    name: 'a quote in a name ends a label',
    file: METRICS,
    from: `.replaceAll('"', '\\\\"')`,
    to: '',
    tests: [LIVE],
  },
  {
    name: 'the profile of the next seconds has all before',
    file: LOOKS,
    from: 'return difference(this.#read(), before);',
    to: 'return this.#read();',
    tests: [LIVE],
  },
  {
    name: 'a profile that another thread makes is an error',
    file: LOOKS,
    from: "      if (error instanceof HoldfastError && error.code === 'EBUSY') return undefined;\n",
    to: '',
    tests: [LIVE],
  },
  {
    name: 'a closed handler goes on with its profile',
    file: LOOKS,
    from: 'session.stop();',
    to: 'session.read();',
    tests: [LIVE],
  },
  {
    name: 'the profile of a thread that has left is stopped all the same',
    file: LOOKS,
    from: '    if (this.#arena.thread.self !== DETACHED) session.stop();\n',
    to: '    session.stop();\n',
    tests: [PROM],
  },
  {
    name: 'the first that leaves a profile ends it for all',
    file: LOOKS,
    from: 'if (--this.#users === 0) this.#end();',
    to: 'this.#end();',
    tests: [PROM],
  },
  {
    name: 'what is closed twice leaves the profile twice',
    file: LOOKS,
    from: '    this.#profile = undefined;\n',
    to: '',
    tests: [PROM],
  },
  {
    name: 'a register is told the first look for ever',
    file: PROM_METRICS,
    from: '        latest = undefined;\n',
    to: '',
    tests: [PROM],
  },
  {
    name: 'each metric of a register takes a look of its own',
    file: PROM_METRICS,
    from: 'if (latest === undefined) {',
    to: '{',
    tests: [PROM],
  },
  {
    name: 'a counter of a register of OpenMetrics ends in _total_total',
    file: PROM_METRICS,
    from: 'name: this.name,',
    to: 'name,',
    tests: [PROM],
  },
  {
    name: 'an arena that the thread has left breaks the register of the program',
    file: PROM_METRICS,
    from: 'arena.thread.self === DETACHED ? [] : ',
    to: '',
    tests: [PROM],
  },
  {
    name: 'a POST is answered',
    file: HANDLER,
    from: "request.method !== 'GET' && request.method !== 'HEAD'",
    to: 'false',
    tests: [LIVE],
  },
  {
    name: 'places of two threads are one',
    file: DIFFERENCE,
    from: 'JSON.stringify([lock, shared, thread, async, frames])',
    to: 'JSON.stringify([lock, shared, thread, async])',
    tests: [LIVE],
  },
  {
    name: 'an observer that could not listen keeps its place and its profile',
    file: SERVE,
    from: `      end();
      fail(error);`,
    to: '      fail(error);',
    tests: [LIVE],
    equivalent: 'its thread ends, and who watches it repairs what it leaves',
  },
  {
    name: 'rates are over all the time',
    file: TOP,
    from: 'profile.duration - (past?.duration ?? 0)',
    to: 'profile.duration',
    tests: [LIVE],
  },
  {
    name: 'what was waited for most in all comes first',
    file: TOP,
    from: 'b.waiting - a.waiting',
    to: 'b.contentions - a.contentions',
    tests: [LIVE],
  },
  {
    name: 'what was destroyed is listed',
    file: 'lib/sched/object-states.ts',
    from: ' || !isPresent(cpu, address)',
    to: '',
    tests: [THREADS],
  },
  {
    name: 'of the calls that wait for an object the last one counts',
    file: 'lib/sched/object-states.ts',
    from: '(waiters.get(address) ?? 0) + 1',
    to: '1',
    tests: [THREADS],
  },
  {
    name: 'a death is told in the middle of the call that finds it',
    file: 'lib/arena/deaths.ts',
    from: `  Promise.resolve().then(() => {
    for (const death of dead) deaths.publish(death);
  });`,
    to: '  for (const death of dead) deaths.publish(death);',
    tests: [THREADS],
  },
  {
    name: 'a death is told with the number of a thread that comes later',
    file: 'lib/arena/reaper.ts',
    from: `    onReaped?.(slots.map((slot) => deadThreadOf(cpu, slot)));
    for (const slot of slots) free(cpu, slot);`,
    to: `    for (const slot of slots) free(cpu, slot);
    onReaped?.(slots.map((slot) => deadThreadOf(cpu, slot)));`,
    tests: [THREADS],
  },
  // Requests that nobody should send.
  {
    name: 'a request for no URL ends the process',
    file: HANDLER,
    from: "URL.canParse(url, 'http://localhost') ? new",
    to: 'url.length > 0 ? new',
    tests: [REQUESTS],
  },
  {
    name: 'what each object has answers requests',
    file: HANDLER,
    from: 'target !== undefined && Object.hasOwn(ANSWERS, target.pathname)',
    to: 'target !== undefined',
    tests: [REQUESTS],
    equivalent: 'what each object has does not begin with a slash; the look is for the reader',
  },
  {
    name: 'what was answered already is answered again',
    file: HANDLER,
    from: '  if (response.headersSent || response.destroyed) return;\n',
    to: '',
    tests: [REQUESTS],
  },
  {
    name: 'a request in an arena that the thread has left is the fault of whoever asks',
    file: HANDLER,
    from: '  if (arena.thread.self === DETACHED) return 503;\n',
    to: '',
    tests: [REQUESTS],
  },
  {
    name: 'a handler that ends lets requests wait for their seconds',
    file: LOOKS,
    from: '    for (const end of this.#pauses) end();\n',
    to: '',
    tests: [REQUESTS],
  },
  {
    name: 'a request that has waited keeps its timer',
    file: LOOKS,
    from: '        clearTimeout(timer);\n',
    to: '',
    tests: [REQUESTS],
  },
  {
    name: 'an error of the observer is one of the thread that started it',
    file: 'lib/debug/live/observer.ts',
    from: "new Promise<void>((resolve) => worker.once('exit', () => resolve()))",
    to: "once(worker, 'exit')",
    tests: [REQUESTS],
  },
  {
    name: 'rates are since a look at the program before it was started again',
    file: TOP,
    from: 'before?.profile?.startedAt === profile?.startedAt ? before?.profile : undefined',
    to: 'before?.profile',
    tests: [REQUESTS],
  },
  {
    name: 'a workqueue that was made again has ended four thousand million items',
    file: 'lib/debug/reports/workqueues.ts',
    from: 'seconds > 0 && passed >= 0',
    to: 'seconds > 0',
    tests: [REQUESTS],
  },
];
