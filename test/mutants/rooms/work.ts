/** Works that wait for their timers, and what a call can come to. */
import type { Mutant } from '../mutant.ts';

const CORE = 'lib/workqueue/work-core.ts';
const RUNNER = 'lib/workqueue/runner.ts';
const STEPS = ['test/workqueue/work-pool.test.ts'];
const WORKERS = ['test/workqueue/work.test.ts'];

export const mutants: readonly Mutant[] = [
  {
    name: 'a timer that fires does not wait for the thread that has started it',
    file: CORE,
    from: '  latch(cpu, latchOf(work), id);\n  const twin = twinIn(cpu, work, DELAYED);\n  unlatch(cpu, latchOf(work));\n  return twin;',
    to: '  return id === 0 ? 0 : twinIn(cpu, work, DELAYED);',
    tests: STEPS,
  },
  {
    name: 'a work that is queued now loses its timer before it is queued',
    file: 'lib/workqueue/pool-works.ts',
    from: '    if (isDelayed && isClosed) {',
    to: '    if (isDelayed) cancel();\n    if (isDelayed && isClosed) {',
    tests: STEPS,
  },
  {
    name: 'a work that is queued now keeps its timer',
    file: 'lib/workqueue/pool-works.ts',
    from: '    if (isDelayed) cancel();\n',
    to: '',
    tests: STEPS,
  },
  {
    name: 'a twin is delayed before its timer is started',
    file: CORE,
    from: '  const isFirst = startTimer(cpu, id, cpu.load(work + WorkWords.timer), deadline);\n',
    to: '  if (cpu.load(twin + Item.state) === FREE) {\n    cpu.store(twin + Item.pwq, pwq);\n    cpu.store(twin + Item.state, DELAYED);\n  }\n  const isFirst = startTimer(cpu, id, cpu.load(work + WorkWords.timer), deadline);\n',
    tests: STEPS,
  },
  {
    name: 'a thenable is called by the worker itself',
    file: RUNNER,
    from: 'Promise.resolve(result).then(',
    to: '(result as PromiseLike<unknown>).then(',
    tests: WORKERS,
  },
  {
    name: 'what a result has for a then is looked at without care',
    file: RUNNER,
    from: "      isPending = typeof (result as PromiseLike<unknown> | undefined)?.then === 'function';\n    } catch (error) {",
    to: '      isPending = false;\n    } catch (error) {',
    tests: WORKERS,
  },
  {
    name: 'a worker dies of an error that can not be shown',
    file: RUNNER,
    from: 'return inspect(error);\n  } catch {\n    return UNREADABLE;',
    to: 'return inspect(error);\n  } catch (failure) {\n    throw failure;',
    tests: WORKERS,
  },
  {
    name: 'a worker dies of an error that can not be cloned',
    file: 'lib/workqueue/values.ts',
    from: 'cloneIn(form, error)',
    to: 'form(error)',
    tests: WORKERS,
  },
  {
    name: 'a long time counts as none',
    file: 'lib/workqueue/times.ts',
    from: 'us <= 0 && us > -SKEW',
    to: 'us <= 0',
    tests: ['test/workqueue/pool.test.ts'],
  },
];
