import type { Mutant } from '../mutant.ts';

const PERIOD = 'lib/rcu/grace-period.ts';
const READER = 'lib/rcu/reader.ts';
const SEQUENCE = 'lib/rcu/sequence.ts';
const WAIT = 'lib/rcu/wait.ts';
const CALLBACKS = 'lib/rcu/callbacks.ts';
const STRETCH = 'lib/rcu/stretch.ts';
const DOMAIN = 'lib/rcu/domain.ts';
const RCU = 'test/rcu/rcu.test.ts';
const QSBR = 'test/rcu/rcu-qsbr.test.ts';
const EXPLORED = 'test/native-sim/explore/rcu.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a cookie is good after the period that was under way',
    file: SEQUENCE,
    from: 'const FULL_PERIOD = 7;',
    to: 'const FULL_PERIOD = 4;',
    tests: [RCU],
  },
  {
    name: 'the high word is not read again',
    file: SEQUENCE,
    from: 'if (cpu.load(at + Period.high) === high) return join(high, low);',
    to: 'if (high === high) return join(high, low);',
    tests: [RCU],
  },
  {
    name: 'the high word changes after the low one',
    file: SEQUENCE,
    from: '  if (wraps) cpu.storeRelease(at + Period.highAgain, high);',
    to: '',
    tests: [RCU],
  },
  {
    name: 'the low word is compared without a sign',
    file: SEQUENCE,
    from: 'return ((cpu.read(at + Period.needed) - sequence) | 0) >= 0;',
    to: 'return cpu.read(at + Period.needed) >>> 0 >= sequence % 2 ** 32;',
    tests: [RCU],
  },
  {
    name: 'a number that is half-wrapped stays so',
    file: SEQUENCE,
    from: '  if (cpu.load(at + Period.high) === again) return;',
    to: '  if (again >= 0) return;',
    tests: [RCU],
  },
  {
    name: 'a reader that goes in is not looked for',
    file: PERIOD,
    from: 'if (state === OUTSIDE) return false;',
    to: 'if (state !== AWAITED) return false;',
    tests: [RCU],
  },
  {
    name: 'a reader is waited for without being marked',
    file: PERIOD,
    from: 'cpu.cmpxchgRelaxed(lane, INSIDE, AWAITED) === INSIDE',
    to: 'state === INSIDE',
    tests: [RCU],
  },
  {
    name: 'a reader that another period has marked counts as gone',
    file: PERIOD,
    from: 'if (state === AWAITED || cpu',
    to: 'if (state === AWAITED) return false;\n    if (cpu',
    tests: [RCU, EXPLORED],
  },
  {
    name: 'a joining thread is missed',
    file: READER,
    from: '    announce(thread, rcu);',
    to: '    if (thread.number === 0) announce(thread, rcu);',
    tests: [RCU],
  },
  {
    name: 'the last of several leaves is not looked at',
    file: PERIOD,
    from: 'index < leaves && index * leafThreads < threads',
    to: 'index < leaves && (index + 1) * leafThreads < threads',
    tests: [RCU],
  },
  {
    name: 'the tree above a leaf is not told that it is busy',
    file: PERIOD,
    from: 'mask === 0 ? above & ~bit : above | bit',
    to: 'above & ~bit',
    tests: [RCU],
  },
  {
    name: 'a leaf tells the tree with each reader that leaves',
    file: PERIOD,
    from: '  if ((before === 0) === (mask === 0)) return false;\n',
    to: '  if (before === 0) return false;\n  mask = 0;\n',
    tests: [RCU, EXPLORED],
  },
  {
    name: 'a report of one lane is taken for all',
    file: PERIOD,
    from: '    return !isAwaited(cpu, line, pace) && setMask',
    to: '    return setMask',
    tests: [RCU],
  },
  {
    name: 'a report is for normal periods only',
    file: PERIOD,
    from: '  const over = PACES.filter((pace) => {',
    to: '  const over = PACES.slice(0, 1).filter((pace) => {',
    tests: [RCU, EXPLORED],
  },
  {
    name: 'nobody looks again for readers that were not told',
    file: PERIOD,
    from: '!== 0 && !lookAgain(thread, domain, pace)) return',
    to: '!== 0) return',
    tests: [RCU],
  },
  {
    name: 'a second look takes every lane for left',
    file: PERIOD,
    from: '  return cpu.loadAcquire(lane) !== AWAITED;',
    to: '  return cpu.loadAcquire(lane) <= AWAITED;',
    tests: [RCU],
  },
  {
    name: 'the end of a period wakes nobody',
    file: PERIOD,
    from: 'if (makeSteps(thread, domain, pace)) wakeUp(thread, rcu, 0);',
    to: 'makeSteps(thread, domain, pace);',
    tests: [EXPLORED],
  },
  {
    name: 'a period that follows another at once does not look who is inside',
    file: PERIOD,
    from: '      scan(thread, domain, pace);\n',
    to: '      if (!hasEnded) scan(thread, domain, pace);\n',
    tests: [RCU],
  },
  {
    name: "a dead thread's reader stays",
    file: PERIOD,
    from: '      for (let lane = 0; lane < LANES; lane++) cpu.store(line + Line.lanes + lane, OUTSIDE);\n',
    to: '',
    tests: [RCU],
  },
  {
    name: "a dead thread's bits stay",
    file: PERIOD,
    from: '      cpu.write(line + Line.awaited, 0);\n',
    to: '',
    tests: [RCU, EXPLORED],
  },
  {
    name: 'callbacks of a dead thread are waited for',
    file: PERIOD,
    from: '      cpu.store(line + Line.done, cpu.load(line + Line.queued));\n',
    to: '',
    tests: [RCU],
  },
  {
    name: 'a reader that leaves reports before it is out',
    file: READER,
    from: '  cpu.storeReleaseLight(lane, OUTSIDE);\n  return state === AWAITED;',
    to: '  if (state !== AWAITED) cpu.storeReleaseLight(lane, OUTSIDE);\n  return state === AWAITED;',
    tests: [RCU],
  },
  {
    name: 'overlapping readers stay in a lane that is waited for',
    file: READER,
    from: 'if (!isAwaited || this.#counts[other] > 0) {',
    to: 'if (!isAwaited || other >= 0) {',
    tests: [RCU],
  },
  {
    name: 'overlapping readers turn to a lane that is not empty',
    file: READER,
    from: 'if (!isAwaited || this.#counts[other] > 0) {',
    to: 'if (!isAwaited) {',
    tests: [RCU, EXPLORED],
  },
  {
    name: 'a lane is left with the first of its readers',
    file: READER,
    from: '    if (this.#counts[index] === 0) this.exit',
    to: '    if (this.#counts[index] >= 0) this.exit',
    tests: [RCU],
  },
  {
    name: 'who waits does not look by itself',
    file: WAIT,
    from: "step = path.next(isEarly ? 'woken' : reason);",
    to: 'if (!isEarly) step = path.next(reason);',
    tests: [RCU],
  },
  {
    name: 'a callback runs with the batch, whatever its period',
    file: CALLBACKS,
    from: '      if (!isOver(thread, domain, NORMAL, end)) break;\n',
    to: '      void end;\n',
    tests: ['test/rcu/callbacks.test.ts'],
  },
  {
    name: 'a callback that throws ends the batch',
    file: CALLBACKS,
    from: '  } catch (error) {\n    queueMicrotask',
    to: '  } catch (error) {\n    if (error) throw error;\n    queueMicrotask',
    tests: [RCU],
  },
  {
    name: 'a barrier asks for one callback less',
    file: DOMAIN,
    from: '- queued) | 0) < 0);',
    to: '- queued + 1) | 0) < 0);',
    tests: [RCU],
  },
  {
    name: 'the end of a stretch reports a reader that is inside',
    file: STRETCH,
    from: '    if (this.depth > 0) return false;\n',
    to: '',
    tests: [QSBR],
  },
  {
    name: 'a thread that sleeps stays online',
    file: STRETCH,
    from: '    readers.thread.hooks.add({ sleeping: () => void this.quiescent(), running: () => {} });\n',
    to: '',
    tests: [QSBR],
  },
  {
    name: 'the end of a stretch that has gone offline before is the last',
    file: STRETCH,
    from: '    this.#isEndQueued = false;\n',
    to: '',
    tests: [QSBR],
  },
];
