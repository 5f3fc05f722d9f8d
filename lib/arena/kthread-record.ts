/**
 * The record of one system task in the arena: what it runs, and how far it is. It is an object of the heap, named
 * `kthread/NAME`, so there is one of each name, found by all threads.
 *
 *   state     NEW       nobody has asked for it yet
 *             WANTED    kthreadd is to start it
 *             STARTING  its module is loaded
 *             RUNNING   its function is about to be called, or has been
 *             ENDED     the function has returned, or the task was stopped
 *             FAILED    it could not be loaded, or it threw; `error` says what
 *
 *   kthreadRun   NEW | ENDED | FAILED -> WANTED
 *   kthreadd     WANTED -> STARTING -> RUNNING -> ENDED | FAILED
 *                STARTING | RUNNING -> WANTED   what a thread that died was at
 *   stop         WANTED -> ENDED                by one compare-and-exchange, as the start is: one of the two has it
 *
 * The kernel's request (`kthread_create_info`) lies on the requester's side, so that the two sides exchange its `done` to
 * agree on who frees it. Here the request is the task's own record, and it stays: a requester that dies or gives up leaves
 * nothing behind, and kthreadd starts what was asked for.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import type { Objects } from '../memory/object-store.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { readText, textWords, utf8, writeBytes } from '../memory/text.ts';
import { everyTask, maxThreads } from '../sched/slot.ts';
import type { GaveUp, SlowPath, Waiter } from '../sched/slow-path.ts';
import { finishPark, prepareToPark, Task, unpark, waitFor } from '../sched/task.ts';

/** What is kept of an error's message, bytes. */
const ERROR_BYTES = 240;
/** Bytes of a module's URL and of an export's name, in UTF-8. A path of Linux has at most 4,096. */
const LONGEST_TEXT = 8192;
/** Before the task's name, in the arena's table of names. */
const PREFIX = 'kthread/';

export const KthreadRecord = struct({
  header: ObjectHeader,
  state: 1,
  /** 1: it has a thread of its own. Set once. */
  ownThread: 1,
  /** 1: it is to end. */
  stop: 1,
  /** The CPU number plus one of the thread that its function runs on. */
  thread: 1,
  /** The requester's own word. Set once. */
  data: 1,
  /** Starts since it last came to run: one that dies each time while it is loaded is given up. */
  starts: 1,
  /** Bytes of the texts. `error` is written before FAILED, the others once. */
  errorLength: 1,
  moduleLength: 1,
  exportLength: 1,
  error: textWords(ERROR_BYTES),
  module: 0,
});

export const NEW = 0;
export const WANTED = 1;
export const STARTING = 2;
export const RUNNING = 3;
export const ENDED = 4;
export const FAILED = 5;

/** What a system task runs. */
export interface KthreadSpec {
  /** Where its module is, or SYSTEM for a function that `defineKthread` declared. */
  readonly module: string;
  /** The function that the module exports. */
  readonly exported: string;
  readonly ownThread: boolean;
  readonly data: number;
}

const KIND = defineKind<Repairer>({
  name: 'kthread',
  words: KthreadRecord,
  format: () => {},
  holder: () => 0,
  isBusy: (cpu, kthread) => isUnderWay(cpu.load(kthread + KthreadRecord.state)),
  // The thread that runs the tasks starts what a dead one has left: it knows what it runs itself.
  repair: () => true,
});

/** Whether a task in that state is to run, or runs. */
export function isUnderWay(state: number): boolean {
  return state === WANTED || state === STARTING || state === RUNNING;
}

/**
 * The record of that name, made if there is none. It is never freed: kthreadd walks the records without a latch. Throws
 * EINVAL for a name or texts that cannot be, and where the name is another task's.
 */
export function openRecord(cpu: Cpu, objects: Objects, name: string, spec: KthreadSpec): number {
  if (typeof name !== 'string' || name === '') {
    throw new HoldfastError('EINVAL', `a system task has a name, received ${shown(name)}`);
  }
  const record = objects.open(kindFor(spec), PREFIX + name);
  const { module, exported } = specOf(cpu, record);
  if (isSame(specOf(cpu, record), spec)) return record;
  throw new HoldfastError(
    'EINVAL',
    `the system task ${shown(name)} is ${shown(exported)} of ${shown(module)}; a task's name is its own for good`,
  );
}

/** The addresses of all records. */
export function records(cpu: Cpu, objects: readonly number[]): number[] {
  return objects.filter((address) => cpu.read(address + ObjectHeader.kind) === KIND.id);
}

export function nameOf(objects: Objects, record: number): string {
  return (objects.nameOf(record) ?? '').slice(PREFIX.length);
}

export function specOf(cpu: Cpu, record: number): KthreadSpec {
  const moduleLength = cpu.read(record + KthreadRecord.moduleLength);
  const exportAt = record + KthreadRecord.module + textWords(moduleLength);
  return {
    module: readText(cpu, record + KthreadRecord.module, moduleLength),
    exported: readText(cpu, exportAt, cpu.read(record + KthreadRecord.exportLength)),
    ownThread: cpu.read(record + KthreadRecord.ownThread) === 1,
    data: cpu.read(record + KthreadRecord.data),
  };
}

/** Moves the record on, if it is in one of the states `from`, and wakes those that wait for that. */
export function advance(cpu: Cpu, record: number, from: readonly number[], to: number): boolean {
  const has = from.some((state) => cpu.cmpxchg(record + KthreadRecord.state, state, to) === state);
  if (has) wakeWaiters(cpu, record);
  return has;
}

/** The task has come to its end by `error`. */
export function fail(cpu: Cpu, record: number, error: unknown): void {
  const message = utf8(String((error as Error)?.message ?? error)).subarray(0, ERROR_BYTES);
  writeBytes(cpu, record + KthreadRecord.error, message);
  cpu.write(record + KthreadRecord.errorLength, message.length);
  advance(cpu, record, [STARTING, RUNNING], FAILED);
}

/** What `fail` has noted. */
export function failureOf(cpu: Cpu, record: number): string {
  return readText(cpu, record + KthreadRecord.error, cpu.read(record + KthreadRecord.errorLength));
}

/** Waits until the task runs, or has come to an end. */
export function* untilStarted(record: number, waiter: Waiter): SlowPath<'started' | GaveUp> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  waitFor(cpu, task, record);
  for (let reason = 'woken'; ; reason = yield) {
    // Pairs with the barrier in `wakeWaiters`: the state is seen here, or the sleeper there.
    prepareToPark(cpu, task);
    const hasStarted = cpu.loadAcquire(record + KthreadRecord.state) >= RUNNING;
    if (!hasStarted && !waiter.aborted && reason !== 'timed-out') continue;
    finishPark(cpu, task);
    cpu.store(task + Task.blockedOn, 0);
    if (hasStarted) return 'started';
    return waiter.aborted ? 'aborted' : 'timed-out';
  }
}

/** Few wait, and seldom: they are in no list, which a death could leave torn, and are found by what they wait for. */
function wakeWaiters(cpu: Cpu, record: number): void {
  cpu.mb();
  for (const task of everyTask(cpu, maxThreads(cpu))) {
    if (cpu.load(task + Task.blockedOn) === record) unpark(cpu, task);
  }
}

/** KIND, with room for the texts of one task, which a new record starts out with. */
function kindFor({ module, exported, ownThread, data }: KthreadSpec): Kind {
  const [url, name] = [utf8(module), utf8(exported)];
  if (url.length + name.length > LONGEST_TEXT) {
    throw new HoldfastError(
      'EINVAL',
      `a system task's module and export have at most ${LONGEST_TEXT} bytes in UTF-8, received ${url.length + name.length}`,
    );
  }
  return {
    ...KIND,
    words: KthreadRecord.words + textWords(url.length) + textWords(name.length),
    format(cpu, record) {
      cpu.write(record + KthreadRecord.ownThread, ownThread ? 1 : 0);
      cpu.write(record + KthreadRecord.data, data);
      cpu.write(record + KthreadRecord.moduleLength, url.length);
      cpu.write(record + KthreadRecord.exportLength, name.length);
      writeBytes(cpu, record + KthreadRecord.module, url);
      writeBytes(cpu, record + KthreadRecord.module + textWords(url.length), name);
    },
  } as Kind;
}

function isSame(one: KthreadSpec, other: KthreadSpec): boolean {
  const isSameCode = one.module === other.module && one.exported === other.exported;
  return isSameCode && one.ownThread === other.ownThread && one.data === other.data;
}
