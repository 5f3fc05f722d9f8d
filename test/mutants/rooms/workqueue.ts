import type { Mutant } from '../mutant.ts';

const POOL = 'lib/workqueue/pool.ts';
const POOLS = 'lib/workqueue/pools.ts';
const LISTS = 'lib/workqueue/lists.ts';
const REPAIR = 'lib/workqueue/repair.ts';
const SUBMITTER = 'lib/workqueue/submitter.ts';
const KWORKER = 'lib/workqueue/kworker.ts';
const VALUES = 'lib/workqueue/values.ts';
const WORKQUEUE = 'lib/workqueue/workqueue.ts';
const POOL_TEST = 'test/workqueue/pool.test.ts';
const EXPLORED = 'test/native-sim/explore/workqueue.test.ts';
const THREADS_TEST = 'test/workqueue/workqueue.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a worker does not look again for what was queued while it became idle',
    file: POOL,
    from: '    // Looks at `incoming` behind that: the first idle worker, this one perhaps, is woken for what has come meanwhile.\n    this.#findWorker();',
    to: '    if (item !== 0) this.#findWorker();',
    tests: [POOL_TEST],
  },
  {
    name: 'a worker that comes back to a slot which is another’s goes on',
    file: POOL,
    from: 'cpu.load(this.address + Pool.running) <= this.#limit ? this.#pick(worker) : 0',
    to: 'this.#pick(worker)',
    tests: [POOL_TEST],
  },
  {
    name: 'a worker that goes to sleep wakes nobody in its place',
    file: POOL,
    from: '    cpu.mb();\n    this.#findWorker();',
    to: '    cpu.mb();',
    tests: [POOL_TEST, THREADS_TEST],
  },
  {
    name: 'a worker that is woken does not count until it runs',
    file: POOL,
    from: '      this.#leaveIdle(idle);\n      this.#wakee',
    to: '      this.#wakee',
    tests: [POOL_TEST],
  },
  {
    name: 'workers are woken beyond the slots',
    file: POOL,
    from: 'idle !== 0 && cpu.load(address + Pool.running) < this.#limit',
    to: 'idle !== 0',
    tests: [POOL_TEST],
  },
  {
    name: 'a worker is asked for while one is on its way',
    file: POOL,
    from: '      if (state === STARTING) return;\n',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'idle workers are culled down to none',
    file: POOL,
    from: 'idle > 2 && (idle - 2) * 4 >= busy',
    to: '(idle - 2) * 4 >= busy',
    tests: [POOL_TEST],
  },
  {
    name: 'an idle worker whose continuation sleeps stays on the idle list',
    file: POOL,
    from: '    this.#setState(worker, state === IDLE ? ASIDE : ASLEEP);',
    to: '    this.#setState(worker, ASLEEP);',
    tests: [POOL_TEST],
  },
  {
    name: 'an item that ends activates none that waits',
    file: POOL,
    from: '    if (cpu.read(pwq + Pwq.inactive) !== 0) this.#activate(pwq);\n',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'flushers end in any order',
    file: POOL,
    from: '      if (cpu.read(first + Item.inFlight) !== 0) return;',
    to: '      if (cpu.read(pwq + Pwq.inFlight) !== 0) return;',
    tests: [POOL_TEST],
  },
  {
    name: 'a flush begins no colour of its own',
    file: POOL,
    from: 'cpu.write(pwq + Pwq.colour, (colour + 1) | 0);',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'a flush does not see what is still in incoming',
    file: POOL,
    from: '    this.#drain();\n    const colour',
    to: '    const colour',
    tests: [POOL_TEST],
  },
  {
    name: 'a drained chain is listed newest first',
    file: POOL,
    from: 'for (let i = chain.length - 1; i >= 0; i--) this.#list(chain[i] as number);',
    to: 'for (let i = 0; i < chain.length; i++) this.#list(chain[i] as number);',
    tests: [POOL_TEST],
  },
  {
    name: 'an item overtakes those of its queue that are inactive',
    file: LISTS,
    from: ' && cpu.read(pwq + Pwq.inactive) === 0',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'maxActive lets one more begin',
    file: LISTS,
    from: 'active < cpu.load(pwq + Pwq.maxActive)',
    to: 'active <= cpu.load(pwq + Pwq.maxActive)',
    tests: [POOL_TEST],
  },
  {
    name: 'what a dead worker ran stays RUNNING',
    file: REPAIR,
    from: '    cpu.write(item + Item.encoding, DIED);\n    lose(cpu, item, state);',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'what a dead thread had taken from incoming is in no list',
    file: REPAIR,
    from: '  listTaken(cpu, pool);\n',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'a dead worker counts as running',
    file: REPAIR,
    from: '      cpu.write(worker + WorkerRecord.state, FREE_RECORD);\n      cpu.write(worker + WorkerRecord.thread, 0);',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'what a dead submitter had filled and not queued waits for ever',
    file: REPAIR,
    from: '    if (state !== PENDING && !isUnlisted(cpu, item, state)) continue;',
    to: '    if (!isUnlisted(cpu, item, state)) continue;',
    tests: [POOL_TEST],
  },
  {
    name: 'what a dead submitter had cancelled and not queued waits for ever',
    file: REPAIR,
    from: '    if (state !== PENDING && !isUnlisted(cpu, item, state)) continue;',
    to: '    if (state !== PENDING) continue;',
    tests: [POOL_TEST],
  },
  {
    name: 'what a dead worker had handed over is lost after it was received and queued again',
    file: REPAIR,
    from: '  cpu.cmpxchg(item + Item.state, state, LOST);',
    to: '  cpu.xchg(item + Item.state, LOST);',
    tests: [POOL_TEST],
  },
  {
    name: 'an item has its number before its colour',
    file: POOL,
    from: '    cpu.write(item + Item.colour, cpu.read(pwq + Pwq.colour));\n',
    to: '    cpu.write(item + Item.seq, 1); cpu.write(item + Item.colour, cpu.read(pwq + Pwq.colour));\n',
    tests: [POOL_TEST],
  },
  {
    name: 'a full arena ends whoever wants a worker',
    file: POOLS,
    from: "if (!(error instanceof HoldfastError) || error.code !== 'ENOMEM') throw error;",
    to: 'throw error;',
    tests: [THREADS_TEST],
  },
  {
    name: 'a submitter whose worker died between the two steps of its ringing is not woken',
    file: REPAIR,
    from: '    cpu.wake(port + Port.armed, 1);\n',
    to: '',
    tests: [EXPLORED],
  },
  {
    name: 'running items do not count as active after a death',
    file: REPAIR,
    from: '  for (const item of running) count(cpu, cpu.read(item + Item.pwq) + Pwq.nrActive);\n',
    to: '',
    tests: [POOL_TEST],
  },
  {
    name: 'a call that is given up before it begins runs',
    file: SUBMITTER,
    from: 'while (state === PENDING || state === LISTED) {',
    to: 'while (state === FREE) {',
    tests: [THREADS_TEST],
  },
  {
    name: 'an item that was abandoned rejects the call that has it now, or is told to nobody',
    file: SUBMITTER,
    from: '    cpu.xchg(item + Item.aborted, 1);\n',
    to: '',
    tests: [THREADS_TEST],
  },
  {
    name: 'lost items are not looked for',
    file: SUBMITTER,
    from: 'const hasLost = cpu.load(this.#port + Port.rescan) !== 0 &&',
    to: 'const hasLost = false &&',
    tests: [THREADS_TEST],
  },
  {
    name: 'blocks for arguments are never freed',
    file: SUBMITTER,
    from: '    if (cpu.read(item + Item.argument) !== 0) this.#values.free(item, Item.argument);\n',
    to: '',
    tests: [THREADS_TEST],
  },
  {
    name: 'a worker that awaits sleeps where its event loop stands still',
    file: KWORKER,
    from: 'if (this.#awaited.size > 0 || hasOutstanding(this.#arena)) {',
    to: 'if (hasOutstanding(this.#arena)) {',
    tests: [THREADS_TEST],
  },
  {
    name: 'minus zero comes over as zero',
    file: VALUES,
    from: '(value | 0) === value && (value !== 0 || 1 / value > 0)',
    to: '(value | 0) === value',
    tests: [THREADS_TEST],
  },
  {
    name: 'one object in two places comes over as two',
    file: VALUES,
    from: 'seen.includes(value) || ',
    to: '',
    tests: [THREADS_TEST],
  },
  {
    name: 'a closed queue takes items',
    file: WORKQUEUE,
    from: 'if (state === CLOSED) throw',
    to: 'if (state < OPEN) throw',
    tests: [THREADS_TEST],
  },
];
