import type { Mutant } from '../mutant.ts';

const SPIN = 'lib/locking/spin-lock.ts';
const QUEUE = 'lib/locking/spin-queue.ts';
const QUEUE_REPAIR = 'lib/locking/spin-queue-repair.ts';
const MCS = 'lib/locking/mcs-lock.ts';
const TICKET = 'lib/locking/ticket-lock.ts';
const OSQ = 'lib/locking/osq.ts';
const RW = 'lib/locking/rw-lock.ts';
const RW_CORE = 'lib/locking/rw-lock-core.ts';

const HANDED_ON = 'test/locking/spin-queue.test.ts';
const DEATHS = 'test/locking/spinning-deaths.test.ts';
const LOCKS = 'test/locking/spinning.test.ts';
const OSQ_TEST = 'test/locking/osq.test.ts';
const RW_TEST = 'test/locking/rw-lock.test.ts';
const EXPLORED = 'test/native-sim/explore/holdfast.test.ts';
const EXPLORED_RW = 'test/native-sim/explore/readers-writers.test.ts';
const REAPING = 'test/arena/reaper.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'the head names its successor once its own node is out of the queue',
    file: QUEUE,
    from: '    kind.nameHead?.(cpu, lock, successor);\n    if (grant(cpu, successor, node)) break;\n    // The reaper has evicted it, and puts its proxy there.\n    cpu.storeRelease(node + SpinNode.settled, 1);\n    successor = cpu.condLoadAcquire(node + SpinNode.next, differs, successor, Number.POSITIVE_INFINITY);\n  }\n  releaseNode(cpu, node);\n',
    to: '    if (grant(cpu, successor, node)) break;\n    // The reaper has evicted it, and puts its proxy there.\n    cpu.storeRelease(node + SpinNode.settled, 1);\n    successor = cpu.condLoadAcquire(node + SpinNode.next, differs, successor, Number.POSITIVE_INFINITY);\n  }\n  releaseNode(cpu, node);\n  kind.nameHead?.(cpu, lock, successor);\n',
    tests: [HANDED_ON],
  },
  {
    name: 'SpinLock: unlock looks whom to wake after the release',
    file: SPIN,
    from: '      if (cpu.cmpxchg(address, word, word - this.#locked) !== word) continue;\n      if (next !== 0) kick(cpu, next);',
    to: '      if (cpu.cmpxchg(address, word, word - this.#locked) !== word) continue;\n      if (next !== 0) kick(cpu, nextTask(cpu, this.address, cpu.load(address)) || next);',
    tests: [HANDED_ON],
  },
  {
    name: 'SpinLock: unlock wakes nobody',
    file: SPIN,
    from: '      if (next !== 0) kick(cpu, next);\n      observer',
    to: '      observer',
    tests: [HANDED_ON, EXPLORED],
  },
  {
    name: 'SpinLock: a head that sleeps does not say so',
    file: SPIN,
    from: '(isPending ? word - mine : word) | ASLEEP;',
    to: 'isPending ? word - mine : word;',
    tests: [EXPLORED],
  },
  {
    name: 'SpinLock: a head that sleeps is not named',
    file: SPIN,
    from: '  cpu.store(lock + Spin.head, node);\n',
    to: '',
    tests: [EXPLORED],
  },
  {
    name: 'SpinLock: a head sleeps without a look at the lock',
    file: SPIN,
    from: '    if (isForHead(word, mine)) break;\n',
    to: '',
    tests: [EXPLORED],
  },
  {
    name: 'SpinLock: a pending thread that queues up stays pending',
    file: SPIN,
    from: 'isTaken ? word - mine : word + id - mine',
    to: 'isTaken ? word : word + id - mine',
    tests: [EXPLORED, LOCKS],
  },
  {
    name: 'SpinLock: the reaper takes back no pending bits',
    file: SPIN,
    from: '(pending !== 0 && isDead(pending) ? word & PENDING : 0);',
    to: '0;',
    tests: [DEATHS, EXPLORED],
  },
  {
    name: 'SpinLock: the death of an owner is not told',
    file: SPIN,
    from: '    if (ownerDied) cpu.store(lock + SpinningLockHeader.ownerDied, 1);\n',
    to: '',
    tests: [LOCKS],
  },
  {
    name: 'SpinLock: the next thread is not woken when the reaper frees the lock',
    file: SPIN,
    from: '    if (next !== 0) kick(cpu, next);\n  }\n}',
    to: '  }\n}',
    tests: [DEATHS],
    equivalent: 'Each reap ends with a wake-up of all that sleep (wakeAll). The kick only makes it sooner.',
  },
  {
    name: 'SpinLock: the head keeps no claim once it has lost',
    file: SPIN,
    from: 'sleepAsHead(thread, lock, node, keepsClaim);',
    to: 'sleepAsHead(thread, lock, node, keepsClaim && false);',
    tests: [HANDED_ON],
  },
  {
    name: 'a node is used again with the number of its last use',
    file: QUEUE,
    from: '(cpu.load(node + SpinNode.locked) & ~STATE) + USE);',
    to: 'cpu.load(node + SpinNode.locked) & ~STATE);',
    tests: [HANDED_ON],
  },
  {
    name: 'who is evicted goes on as the head',
    file: QUEUE,
    from: '  if (isGranted(locked)) return true;\n  releaseNode(cpu, node);\n  return false;',
    to: '  return true;',
    tests: [DEATHS, EXPLORED],
  },
  {
    name: 'the head grants whoever waits at that node by now',
    file: QUEUE,
    from: '!isWaiting(value) || cpu.load(node + SpinNode.prev) !== prev',
    to: '!isWaiting(value)',
    tests: [DEATHS, EXPLORED],
  },
  {
    name: 'a proxy keeps its era while a reaper works on it',
    file: QUEUE_REPAIR,
    from: '  const era = cpu.load(proxy + SpinNode.era);\n  cpu.store(proxy + SpinNode.era, 0);\n',
    to: '  const era = cpu.load(proxy + SpinNode.era);\n',
    tests: [DEATHS, EXPLORED],
  },
  {
    name: 'a proxy of an earlier era serves for a later death',
    file: QUEUE_REPAIR,
    from: 'cpu.load(node + SpinNode.era) > latest)',
    to: 'cpu.load(node + SpinNode.era) > 0 * latest)',
    tests: [DEATHS],
  },
  {
    name: 'a proxy at the head counts as an owner',
    file: QUEUE_REPAIR,
    from: 'if (wasHead(repairer, kind, lock)) kind.headDied',
    to: 'kind.headDied',
    tests: [DEATHS],
  },
  {
    name: 'McsLock: the death of an owner is not told',
    file: MCS,
    from: '  headDied: (cpu, lock) => cpu.store(lock + SpinningLockHeader.ownerDied, 1),\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'those who leave after the evictions are not waited for',
    file: QUEUE_REPAIR,
    from: '  // A node that had granted its successor before that could be evicted is leaving.\n  if (!allSettled(repairer, kind, lock)) return false;\n',
    to: '',
    tests: [DEATHS, EXPLORED],
    equivalent:
      'isHead waits for each live node itself. Whoever had granted its successor is not settled until it has left, so isHead finds it gone, or does not settle.',
  },
  {
    name: 'a head that leaves counts as the head',
    file: QUEUE_REPAIR,
    from: '    if (!isSteady) return undefined;\n',
    to: '',
    tests: [DEATHS, EXPLORED],
    equivalent:
      'After the second allSettled in placeProxy whoever has granted its successor is gone. A head that is not settled tries to leave in vain, and is the head.',
  },
  {
    name: 'the waiters in front of the proxy are not evicted',
    file: QUEUE_REPAIR,
    from: '  for (const { node, value } of inFront) if (evict(cpu, node, value)) unpark(cpu, taskOf(cpu, node));\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'waiters behind the proxy are evicted too, and the proxy is left without a successor',
    file: QUEUE_REPAIR,
    from: '    if (at === proxy) return false;\n',
    to: '',
    tests: [DEATHS, EXPLORED],
  },
  {
    name: 'the dead leave their nodes in the queue',
    file: QUEUE_REPAIR,
    from: '  for (const node of nodesOf(repairer, kind, lock, true)) if (node !== proxy) forget(cpu, node);\n',
    to: '',
    tests: [DEATHS, EXPLORED],
  },
  {
    name: 'TicketLock: a dead waiter counts as an owner when its turn comes',
    file: TICKET,
    from: '  markWaiters(cpu, lock, dead);\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'TicketLock: the death of an owner is not told',
    file: TICKET,
    from: '    if (held.has(ticket)) cpu.store(lock + SpinningLockHeader.ownerDied, 1);\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'TicketLock: a thread keeps its claim until it has released the lock',
    file: TICKET,
    from: '    cpu.store(entry + TicketEntry.lock, -this.address);\n    cpu.storeRelease(this.address + Ticket.serving',
    to: '    cpu.storeRelease(this.address + Ticket.serving',
    tests: [DEATHS],
  },
  {
    name: 'TicketLock: a thread that takes a ticket does not say so',
    file: TICKET,
    from: '    cpu.store(entry + TicketEntry.lock, -this.address);\n    // A release',
    to: '    // A release',
    tests: [DEATHS],
  },
  {
    name: 'TicketLock: the reaper does not wait for those that take a ticket',
    file: TICKET,
    from: 'if (!settle(word, differs, -lock)) return undefined;',
    to: 'break;',
    tests: [DEATHS],
  },
  {
    name: 'TicketLock: the tickets of the dead are served before their turn',
    file: TICKET,
    from: '    if (!settle(serving, equals, ticket)) return false;\n',
    to: '',
    tests: [DEATHS],
  },
  {
    name: 'OSQ: the reaper evicts a node that is in another queue by now',
    file: OSQ,
    from: '  if (seen !== tail && seen !== -tail) return false;\n',
    to: '',
    tests: [OSQ_TEST],
  },
  {
    name: 'OSQ: the queue is opened after the dead have been forgotten',
    file: OSQ,
    from: '  cpu.storeRelease(tail, 0);\n  for (const node of dead) cpu.storeRelease(node + SpinNode.lock, 0);\n',
    to: '  for (const node of dead) cpu.storeRelease(node + SpinNode.lock, 0);\n  cpu.storeRelease(tail, 0);\n',
    tests: [OSQ_TEST],
  },
  {
    name: 'OSQ: nobody waits until the evicted have left',
    file: OSQ,
    from: '  if (!evicted.every((node) => settle(node + SpinNode.settled, isSettled, 0))) return false;\n',
    to: '',
    tests: [OSQ_TEST],
  },
  {
    name: 'OSQ: who leaves a closed queue frees its node itself',
    file: OSQ,
    from: 'function abandon(cpu: Cpu, node: number): void {\n',
    to: 'function abandon(cpu: Cpu, node: number): void {\n  cpu.store(node + SpinNode.lock, 0);\n',
    tests: [OSQ_TEST],
  },
  {
    name: 'RwLock: a reader looks for the writer to wake after it has left',
    file: RW_CORE,
    from: '    kick(cpu, mainTask(cpu, writer));\n    return true;',
    to: '    const late = cpu.load(lock + RwWords.word) & WRITER;\n    if (late !== 0) kick(cpu, mainTask(cpu, late));\n    return true;',
    tests: [HANDED_ON],
  },
  {
    name: 'RwLock: a writer sleeps and does not say so',
    file: RW_CORE,
    from: 'cpu.fetchOr(readers, WAITED)',
    to: 'cpu.load(readers)',
    tests: [HANDED_ON, EXPLORED_RW],
  },
  {
    name: 'RwLock: a writer leaves WAITED behind',
    file: RW_CORE,
    from: '    if (value !== 0) cpu.fetchAndRelaxed(readers, READERS);\n',
    to: '',
    tests: [EXPLORED_RW, RW_TEST],
    equivalent:
      'WAITED is a hint. It is legal for it to be set in vain: a reader looks at the writer then, and finds none.',
  },
  {
    name: 'RwLock: a writer does not wait for the readers',
    file: RW,
    from: '    else if (!isDrained(thread.cpu, address, this.#readerWords)) drain(',
    to: '    else if (thread.id < 0) drain(',
    tests: [EXPLORED_RW],
  },
  {
    name: 'RwLock: who reads may ask to write, and waits for itself',
    file: RW,
    from: '    if (thread.free !== 0 || (thread.cpu.load(this.#reader) & this.#bit) !== 0) this.#writeLockSlow();\n    else if',
    to: '    if',
    tests: [RW_TEST],
  },
  {
    name: 'RwLock: who does not write may unlock',
    file: RW,
    from: "    if (this.#writer !== thread.id) throw this.unheld(this.#notHeld('writeUnlock'));\n",
    to: '',
    tests: [RW_TEST],
  },
  {
    name: 'RwLock: dead readers stay inside',
    file: RW_CORE,
    from: '    if (isDead(id)) cpu.fetchAnd(readerWord(lock, id), ~readerBit(id));\n',
    to: '    if (isDead(id) && id < 0) return true;\n',
    tests: [EXPLORED_RW, RW_TEST],
  },
  {
    name: 'RwLock: the head keeps no claim once it has lost',
    file: RW_CORE,
    from: '      hasLost = true;\n',
    to: '',
    tests: [HANDED_ON],
  },
  {
    name: 'the slot of a dead thread keeps a node in the queue of a destroyed lock',
    file: QUEUE,
    from: '    cpu.store(node + SpinNode.era, 0);\n    cpu.store(node + SpinNode.lock, 0);\n',
    to: '',
    tests: [REAPING],
    equivalent:
      'a destroyed lock stays in the arena until no dead thread is left that may have seen it, and is repaired like all others: that has cleared the node',
  },
  {
    name: 'the slot of a dead thread keeps a ticket of a destroyed lock',
    file: TICKET,
    from: '      for (const entry of ENTRIES) cpu.store(slot + entry + TicketEntry.lock, 0);\n',
    to: '',
    tests: [DEATHS],
    equivalent: 'as for the nodes of the queue: the repair of the destroyed lock has cleared the entry',
  },
  {
    name: 'MCS: a thread that lines up is taken for the owner, by what its node said before',
    file: MCS,
    from: 'if (cpu.loadAcquire(node + SpinNode.lock) !== lock) continue;',
    to: 'if (cpu.load(node + SpinNode.lock) !== lock) continue;',
    tests: ['test/native-sim/explore/trios.test.ts'],
  },
  {
    name: 'ticket lock: a thread that lines up is taken for the owner, by the ticket that it had before',
    file: TICKET,
    from: 'if (cpu.loadAcquire(entry + TicketEntry.lock) !== lock) continue;',
    to: 'if (cpu.load(entry + TicketEntry.lock) !== lock) continue;',
    tests: ['test/native-sim/explore/trios.test.ts'],
  },
];
