/**
 * The words of a workqueue in shared memory (kernel/workqueue.c). Which latch guards which word:
 *
 *   I   set once, before anybody else can see it     P   the pool's latch     A   atomic, by anybody
 *   O   by the item's owner: the submitter while FREE, the worker while RUNNING, then the submitter again
 *
 *   Workqueue --- Pwq (one for each pool that it uses) --- Pool --- Worker (a kworker thread each)
 *                      inactive items                      items to run, idle workers
 *
 * `Item.state`:
 *
 *   FREE                     with its submitter, which may fill it
 *   PENDING                  filled; in the pool's `incoming`, or about to be
 *   LISTED                   a worker has taken it from there: on the worklist, or inactive behind `maxActive`
 *   CANCELLED                its submitter wants it no more; whoever comes across it in a list ends it
 *   RUNNING | id << 4        on the thread with CPU number id - 1, which may be awaiting it
 *   FLUSHING                 no work: it ends when all that was queued before it has
 *   DONE | id << 4           that thread has ended it, and hands it to its submitter
 *   LOST                     that thread died before it handed it over, or while it ran it
 *
 *   submit   FREE -> PENDING                       cancel   PENDING | LISTED -> CANCELLED, cmpxchg
 *   drain    PENDING -> LISTED, cmpxchg            pick     LISTED -> RUNNING, cmpxchg
 *   finish   RUNNING | FLUSHING | CANCELLED -> DONE  death  RUNNING | DONE -> LOST, by the reaper
 *   receive  DONE | LOST -> FREE
 *
 * All but submit, cancel and receive happen under the pool's latch. So every list and every count can be made again from
 * the items' and the workers' own words, and is, when a thread has died.
 *
 * A `Work` is queued again and again, and has two items of its own, its twins: one may be pending while the other runs. They
 * have no port, and their steps are fewer. All are single stores, under the work's latch (W), which is inside the pool's:
 *
 *   queue    FREE -> LISTED                  delay    FREE | LISTED -> DELAYED, with a timer that is started before
 *   expire   DELAYED -> LISTED               cancel   LISTED | DELAYED -> FREE
 *   pick     LISTED -> RUNNING, while the other is not; else it is DEFERRED until that ends
 *   finish   RUNNING -> FREE                 death    RUNNING -> FREE, by the reaper, under the pool's latch alone
 */
import { ObjectHeader } from '../memory/objects.ts';
import { arrayOf, LINE_WORDS, struct } from '../memory/struct.ts';
import { WaitList } from '../sched/wait-list.ts';

export const FREE = 0;
export const PENDING = 1;
export const LISTED = 2;
export const CANCELLED = 3;
export const RUNNING = 4;
export const FLUSHING = 5;
export const DONE = 6;
export const LOST = 7;
/** Of a work alone: it is to be queued when its timer expires. */
export const DELAYED = 8;
/** What the item is at, without the thread's id. */
export const PHASE = 15;
export const ID_SHIFT = 4;

/** Words for arguments, and then for the result, in the item itself. */
export const INLINE_WORDS = 15;

/** Buckets of a histogram of times. */
export const TIMES = 26;

export const Item = struct({
  /** In the pool's `incoming` or the port's `completed`: the item pushed before. */
  link: 1,
  /** P: in the worklist, the pwq's inactive items, or its flushers: the item behind it, and the one in front. */
  next: 1,
  prev: 1,
  /** A. */
  state: 1,
  /** O: its pool_workqueue, port, number in the port, and function (`work.ts`). Of a work: no port, and the work's address. */
  pwq: 1,
  port: 1,
  index: 1,
  fn: 1,
  /** P: its place in the pool's order, 0 before it is LISTED. */
  seq: 1,
  /** P: the colour that it was queued in. For a flusher: the colour that it waits for. */
  colour: 1,
  /** O: how arguments or result are encoded (`values.ts`). */
  encoding: 1,
  /** O: blocks of the heap for arguments and result that do not fit; 0 for none. The submitter frees both. */
  argument: 1,
  result: 1,
  /** A: 1 when the submitter has given up while the item runs. */
  aborted: 1,
  /** P: the record of the worker that runs it; before that, where it is: 0 (on the worklist), INACTIVE, or DEFERRED. */
  worker: 1,
  /**
   * P: the pool that has listed it, or lists it now: written before `state` says so. So an item that is LISTED, RUNNING or FLUSHING, and
   * whose home is a pool, stays so while that pool is latched.
   */
  home: 1,
  /** P: when it was queued, and once it is RUNNING when it began; us on `cpu.now()`, cut off to 32 bits. */
  since: 1,
  values: INLINE_WORDS,
});

/** `Item.worker`: it waits for `maxActive`. */
export const INACTIVE = 1;
/** `Item.worker`: it may run, and is in the pool's list of those whose other twin runs. */
export const DEFERRED = 2;

/** A flusher has no values: items of its colour that have not ended (P), and the task that blocks until it ends (O), or 0. */
export const IN_FLIGHT = Item.values;
export const FLUSH_TASK = Item.values + 1;

/**
 * `work_struct`, `delayed_work`: what may be queued again and again. W, read without: everything else that is not I or A.
 */
export const WorkWords = struct({
  header: ObjectHeader,
  /** Those that flush or cancel it. Their latch is the work's. */
  waiters: WaitList,
  /** I: its function, and how its arguments are encoded behind it (`arguments.ts`). */
  fn: 1,
  encoding: 1,
  /** A: its timer, or 0. */
  timer: 1,
  /** How often it has been disabled. */
  disabled: 1,
  /** How often it has been queued, and which of these each twin is. */
  number: 1,
  numbers: 2,
  /** 1: the last of these waits for readers of RCU, if it is DELAYED: the timer does not queue it. */
  awaitsReaders: 1,
  /** A: how often it has come to an end, and of these with an error or with the death of the worker. */
  runs: 1,
  failures: 1,
  twins: arrayOf(2, Item),
  args: 0,
});

/** Items in one slab: 16 KiB. */
export const SLAB_ITEMS = 127;
export const Slab = struct({
  header: ObjectHeader.words,
  /** I: the port's slab before this one. */
  next: 1,
  /** I. */
  port: 1,
  pad: 2 * LINE_WORDS - ObjectHeader.words - 2,
  items: SLAB_ITEMS * Item.words,
});

/** Where a submitting thread receives its items. It outlives the thread: the next one in that slot has it then. */
export const Port = struct({
  header: ObjectHeader.words,
  /** A: the submitter's CPU number plus one; negative when it is dead, and the next thread in its slot has not come yet. */
  owner: 1,
  /** A: the newest slab. */
  slabs: 1,
  pad: LINE_WORDS - ObjectHeader.words - 2,
  /** A: items that have ended, the last first. */
  completed: 1,
  /** A: ARMED while the submitter waits for `completed` on its event loop. */
  armed: 1,
  /** A: 1 when a worker has died: some items are LOST. */
  rescan: 1,
  /** The newest of the items that the submitter has taken from there, and has not received yet; see `takeCompleted`. */
  taking: 1,
  pad2: LINE_WORDS - 4,
});

/** `pool_workqueue`: what one workqueue has in one pool. All of it P but for `pool` and `maxActive`. */
export const Pwq = struct({
  /** I. */
  pool: 1,
  workqueue: 1,
  /** A. */
  maxActive: 1,
  /** Items on the worklist or running. */
  nrActive: 1,
  /** Items that wait for others to end, first and last. */
  inactive: 1,
  inactiveLast: 1,
  nrInactive: 1,
  /** The colour in which items are queued, and those of that colour that have not ended. */
  colour: 1,
  inFlight: 1,
  flushers: 1,
  flushersLast: 1,
  /** Items that have ended, all in all. */
  ended: 1,
  /** 1: the rescuer is called to these items. It looks without the latch, and takes them with it. */
  mayday: 1,
  /** How often it was called, and how many items it has run. */
  maydays: 1,
  rescued: 1,
  /** How often an item has computed for so long that its worker gave its slot away. */
  hogs: 1,
  /** How often a worker was woken because one went to sleep in such an item. */
  wakes: 1,
  /** What its items have computed: seconds, and microseconds beside them. */
  computed: 2,
  pad: 1,
  /** How long items have waited before they began, and how long they took then: see `times.ts`. */
  waits: TIMES,
  runs: TIMES,
});

export const OPEN = 0;
/** With the drainer's id above DRAINER_SHIFT. */
export const DRAINING = 1;
export const CLOSED = 2;
export const DRAINER_SHIFT = 2;

/** Of a workqueue's state. */
export function isDraining(state: number): boolean {
  return (state & ((1 << DRAINER_SHIFT) - 1)) === DRAINING;
}

/** `workqueue_struct`. */
export const Wq = struct({
  header: ObjectHeader.words,
  /** A: OPEN, DRAINING | id << 2 while that thread drains it, or CLOSED. */
  state: 1,
  /** I: how many pwqs it was made with, one for each slot, or one. */
  flags: 1,
  nrPwqs: 1,
  /** A: what `Pwq.maxActive` is while the queue is not frozen (`root.ts`). */
  savedMaxActive: 1,
  /** A, of an unbound queue: the pwq in which items are queued, and the newest that attributes have added (`attributes.ts`). */
  current: 1,
  added: 1,
  pad: LINE_WORDS - ObjectHeader.words - 6,
  pwqs: 0,
});

/** A pwq that other attributes than the queue's first have asked for. It is the queue's until that is destroyed. */
export const AddedPwq = struct({
  header: ObjectHeader.words,
  /** I: the one that was added before. */
  next: 1,
  pad: LINE_WORDS - ObjectHeader.words - 1,
  pwq: Pwq,
});

/** Worker flags, `state` of a record. FREE_RECORD: nobody's. */
export const FREE_RECORD = 0;
/** Its thread has been asked for (kernel: PREP). */
export const STARTING = 1;
/** On the idle list. */
export const IDLE = 2;
/** Counted in `running`. */
export const BUSY = 3;
/** In the middle of an item, asleep; or it awaits as many items as it may. */
export const ASLEEP = 4;
/** It was idle, and a continuation of one that it awaits has gone to sleep. */
export const ASIDE = 5;
/** In an item that computes for long: it is not counted, so that its slot is another's. */
export const CPU_BOUND = 6;
/** The rescuer's record, once it has come to the pool: it is not counted. */
export const RESCUING = 7;

/** All of it P but `pool`. */
export const WorkerRecord = struct({
  state: 1,
  /** The thread's CPU number plus one. */
  thread: 1,
  /** What it sleeps on when it is idle. */
  task: 1,
  /** The worker that went idle before it. */
  nextIdle: 1,
  /** When its thread was asked for: ms on `cpu.now()`, cut off to 32 bits. */
  since: 1,
  /** I. */
  pool: 1,
  /** The item whose function it has called last, until it looks for the next; 0 for none. */
  current: 1,
  /** When it began that: us on `cpu.now()`, cut off to 32 bits. */
  began: 1,
  /** Items that it awaited when it looked for the next, or when one ended: what computes for long is left to another worker. */
  awaits: 1,
});

/** What an item's `fn` leads to: its function's names, which `work.ts` reads. */
export const FunctionWords = struct({
  header: ObjectHeader.words,
  /** I: of the module's URL and the function's name, bytes. */
  moduleLength: 1,
  nameLength: 1,
  /** A: above 0 once a call of it has computed for long without a sleep; so many short ones make up for that. */
  slow: 1,
  texts: 0,
});

/** Records of a pool. There is one more: the rescuer's. */
export const MOST_WORKERS = 64;

/** There are 64 slots at most. */
export const SLOT_MASK_WORDS = 2;

/** `worker_pool`. */
export const Pool = struct({
  header: ObjectHeader.words,
  /** I: workers that may run at once; the slot, or -1 for an unbound pool; nice. */
  limit: 1,
  slot: 1,
  nice: 1,
  /** I: as many threads at most; items that each may await. */
  maxWorkers: 1,
  maxAwaited: 1,
  /** I: the arena's `Root`. */
  root: 1,
  /** A: the pool's timer (`pool-timer.ts`); 0 only until the pool is complete. */
  timer: 1,
  /** I, of an unbound pool: bits of the slots that it is for. */
  slots: SLOT_MASK_WORDS,
  pad: LINE_WORDS - ObjectHeader.words - 7 - SLOT_MASK_WORDS,
  latch: 1,
  /** P: the items in `incoming` that are being taken; see `drain`. */
  taking: 1,
  /** P: items LISTED so far. */
  seq: 1,
  /** P: the worklist, first and last. */
  first: 1,
  last: 1,
  /** P: twins that are DEFERRED, first and last. */
  deferred: 1,
  deferredLast: 1,
  /** P: the idle workers, the last to become so first; and how many there are, and records in use. */
  idle: 1,
  nrIdle: 1,
  nrWorkers: 1,
  /** P: what the timer has been started for (`watch.ts`). */
  watched: 1,
  /** P: when an item began last: us on `cpu.now()`, cut off to 32 bits. */
  progress: 1,
  /** P, and read without: what `running` counts beside the workers that are BUSY (`root.ts`). */
  bias: 1,
  pad2: LINE_WORDS - 13,
  /** A: items that submitters have pushed, the last first. */
  incoming: 1,
  /** P, and read without: `nr_running`, workers that are BUSY, and `bias`. */
  running: 1,
  pad3: LINE_WORDS - 2,
  workers: (MOST_WORKERS + 1) * WorkerRecord.words,
});

/** Words of `Root`, a record for each arena: what is the same for all its workqueues. */
export const Root = struct({
  header: ObjectHeader.words,
  slots: 1,
  maxWorkers: 1,
  maxAwaited: 1,
  /** A: what the rescuer sleeps on; 0 while its thread has not come. */
  rescuer: 1,
  /** A: 1 while queues that are freezable take no item up. */
  frozen: 1,
  /** I: 1 where power-efficient queues are unbound. */
  powerEfficient: 1,
  /** A: bits of the slots that are offline, and of those that unbound workers leave alone. */
  offline: SLOT_MASK_WORDS,
  excluded: SLOT_MASK_WORDS,
});

export function workerAt(pool: number, index: number): number {
  return pool + Pool.workers + index * WorkerRecord.words;
}

/** The rescuer's record in that pool. */
export function rescuerAt(pool: number): number {
  return workerAt(pool, MOST_WORKERS);
}

export function pwqAt(wq: number, index: number): number {
  return wq + Wq.pwqs + index * Pwq.words;
}

/** The items of a work, by their number, 0 or 1. */
export function twinAt(work: number, index: number): number {
  return work + WorkWords.twins + index * Item.words;
}

export function itemAt(slab: number, index: number): number {
  return slab + Slab.items + index * Item.words;
}
