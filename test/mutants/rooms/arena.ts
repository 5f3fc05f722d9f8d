import type { Mutant } from '../mutant.ts';

const ARENA = 'lib/arena/arena.ts';
const LIVENESS = 'lib/arena/liveness.ts';
const REAPER = 'lib/arena/reaper.ts';
const SHARED = 'lib/arena/shared-object.ts';
const DEATHS = 'test/arena/deaths.test.ts';
const DESTROY = 'test/arena/destroy.test.ts';
const REAPING = 'test/arena/reaper.test.ts';
const BASICS = 'test/arena/arena.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a place that was not taken is no reason to look for the dead',
    file: ARENA,
    from: '      Arena.#visit(handle);\n      number = claimSlot',
    to: '      number = claimSlot',
    tests: [DEATHS],
  },
  {
    name: 'a thread takes the slot that is kept for visitors',
    file: ARENA,
    from: '    let number = claimSlot(cpu, 0, maxThreads(cpu) - SPARE);',
    to: '    let number = claimSlot(cpu, 0, maxThreads(cpu));',
    tests: [DEATHS, BASICS],
  },
  {
    name: 'a worker that has ended is watched without a look',
    file: ARENA,
    from: '      this.#lookForDead();\n      return;',
    to: '      return;',
    tests: [DEATHS],
  },
  {
    name: 'a watched worker that ended is not marked',
    file: ARENA,
    from: '      this.#markDead(tid);\n',
    to: '',
    tests: [DEATHS, BASICS],
    equivalent: 'on Linux: it is gone from /proc as well. Elsewhere nothing else finds it.',
  },
  {
    name: 'nobody looks when a watched worker has ended',
    file: ARENA,
    from: '      this.#markDead(tid);\n      this.#lookForDead();',
    to: '      this.#markDead(tid);',
    tests: [DEATHS, REAPING],
  },
  {
    name: 'a watcher that has detached does not visit',
    file: ARENA,
    from: '      else Arena.#visit(this.handle);',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'a slow path that stalls does not look for the dead',
    file: ARENA,
    from: '    cpu.onStall = () => arena.#sweep();\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'dead threads are marked and not reaped',
    file: ARENA,
    from: '    if (markGone(this.cpu)) this.#reapDead();',
    to: '    markGone(this.cpu);',
    tests: [DEATHS],
  },
  {
    name: 'only threads that nobody has marked are found',
    file: ARENA,
    from: '    found ||= cpu.load(slot + Slot.life) < 0;',
    to: '    found ||= life > 0 && cpu.load(slot + Slot.life) < 0;',
    tests: [DEATHS, BASICS],
  },
  {
    name: 'a thread that ends goes on until all is settled',
    file: REAPER,
    from: "while (reaped === 'again' && cpu.now() < patience);",
    to: "while (reaped === 'again' && patience > 0);",
    tests: [DEATHS],
  },
  {
    name: 'a thread that ends before all is settled keeps its slot',
    file: REAPER,
    from: "  if (isLeaving && reaped !== 'done') leaveToOthers",
    to: "  if (isLeaving && reaped === 'unknown') leaveToOthers",
    tests: [DEATHS],
  },
  {
    name: 'a slot is free again with the wait of its dead thread in it',
    file: 'lib/sched/task.ts',
    from: '  cpu.store(task + Task.within, 0);\n',
    to: '',
    tests: [DESTROY],
  },
  {
    name: 'no answer from /proc counts as an answer',
    file: LIVENESS,
    from: ' && !isMissing(TASKS)',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'a refusal by /proc counts as gone',
    file: LIVENESS,
    from: "    return (error as NodeJS.ErrnoException).code === 'ENOENT';",
    to: '    return error !== undefined;',
    tests: [DEATHS],
  },
  {
    name: 'a refusal by /proc is thrown',
    file: LIVENESS,
    from: "    return (error as NodeJS.ErrnoException).code === 'ENOENT';",
    to: "    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;\n    return true;",
    tests: [DEATHS],
  },
  {
    name: 'a thread whose number is not known is looked for',
    file: LIVENESS,
    from: '  return thread !== 0 && isMissing',
    to: '  return isMissing',
    tests: [DEATHS, BASICS],
  },
  {
    name: 'who waits does not keep an object from being destroyed',
    file: SHARED,
    from: '(address, end) => isWaitedFor(cpu, address, end)',
    to: '(address, end) => address < 0 && isWaitedFor(cpu, address, end)',
    tests: [DESTROY],
  },
  {
    name: 'a timeout behind a dead thread does not say so',
    file: SHARED,
    from: '    if (isHolder || this.#kind',
    to: '    if (!isHolder && this.#kind',
    tests: [DEATHS],
  },
  {
    name: 'a slot is freed with words in it of a room that the reaper has not loaded',
    file: REAPER,
    from: '    if (!knowsAreas(cpu, slot)) {\n      knowsAll = false;\n',
    to: '    if (!knowsAreas(cpu, slot)) {\n',
    tests: ['test/sched/areas.test.ts'],
  },
  {
    name: 'a block that a room may keep which the reaper has not loaded is freed',
    file: REAPER,
    from: '      knowsAll = false;\n      continue;\n',
    to: '      knowsAll = false;\n',
    tests: ['test/sched/areas.test.ts'],
  },
];
