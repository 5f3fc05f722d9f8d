import { inspect } from 'node:util';
import { HoldfastError, shown } from '../errors.ts';
import { Header } from '../memory/header.ts';
import {
  ABORTABLE_OPTIONS,
  type AbortableOptions,
  block,
  blockAsync,
  limitsOf,
  type WaitOptions,
} from '../sched/drive.ts';
import type { Waiter } from '../sched/slow-path.ts';
import type { Arena } from './arena.ts';
import {
  advance,
  ENDED,
  FAILED,
  failureOf,
  isUnderWay,
  KthreadRecord,
  NEW,
  openRecord,
  untilStarted,
  WANTED,
} from './kthread-record.ts';
import { SYSTEM } from './kthreadd.ts';

export interface KthreadOptions {
  /** Whether the function gets a thread of its own, 9 to 13 MB: only where it must block. @default false */
  thread?: boolean | undefined;
  /** A word for the function, a 32-bit whole number: the address of what it works on. @default 0 */
  data?: number | undefined;
}

const STATES = ['new', 'wanted', 'starting', 'running', 'ended', 'failed'] as const;
export type KthreadState = (typeof STATES)[number];

/**
 * Asks for a system task: `exported`, a function of the module at the URL `module`, called with the arena as it is
 * attached there, and with what it is told about itself (`KthreadSelf`). It runs on the event loop of kthreadd, the
 * arena's system thread, which is started on first need; so it must not block, unless it asks for a thread of its own.
 *
 * There is one task of each `name` in an arena. Asking for one that is under way changes nothing, so every thread that
 * needs it may ask; one that has ended or failed is started again. When the thread that it runs on dies, it is started
 * again, from the beginning: what it keeps has to be in the arena. The request outlives the caller.
 *
 * Does not wait: `ready()` of what it returns does. Throws EINVAL for arguments that are none, and where `name` is another
 * task's; ENOMEM.
 *
 * Source: kernel/kthread.c, kthread_run.
 */
export function kthreadRun(
  arena: Arena,
  module: string | URL,
  exported: string,
  name: string,
  { thread: ownThread = false, data = 0 }: KthreadOptions = {},
): Kthread {
  arena.thread.current();
  const url = String(module);
  if (url !== SYSTEM && !URL.canParse(url)) {
    throw new HoldfastError('EINVAL', `a system task's module is a URL, received ${shown(module)}`);
  }
  if (typeof exported !== 'string' || exported === '') {
    throw new HoldfastError(
      'EINVAL',
      `a system task is a function that its module exports, received ${shown(exported)}`,
    );
  }
  if (typeof ownThread !== 'boolean') {
    throw new HoldfastError('EINVAL', `thread is true or false, received ${shown(ownThread)}`);
  }
  if ((data | 0) !== data) throw new HoldfastError('EINVAL', `data is a 32-bit whole number, received ${shown(data)}`);
  const record = openRecord(arena.cpu, arena.objects, name, { module: url, exported, ownThread, data });
  const kthread = new Kthread(arena, name, record);
  kthread.wake();
  return kthread;
}

const notCloneable = () => 'a Kthread is a view of one thread: send its name, and call kthreadRun() there';

/** A system task, as any thread of the arena sees it. */
export class Kthread {
  /** Not cloneable: `postMessage` of a view is an error, with this function's text in it. */
  protected readonly cloning: () => string = notCloneable;
  readonly name: string;
  readonly #arena: Arena;
  readonly #record: number;

  /** Made by `kthreadRun`. */
  constructor(arena: Arena, name: string, record: number) {
    this.#arena = arena;
    this.name = name;
    this.#record = record;
  }

  /** How far it is; out of date as soon as it is read. */
  get state(): KthreadState {
    return STATES[this.#arena.cpu.loadAcquire(this.#record + KthreadRecord.state)] ?? 'new';
  }

  /**
   * Waits until the task runs, blocking the thread. Throws ETIMEDOUT, EINVAL for bad options, and EAGAIN with the
   * reason when it has failed. A caller that gives up leaves the request as it is.
   */
  ready(options?: WaitOptions): void {
    const { thread } = this.#arena;
    thread.current();
    block(thread, limitsOf(thread.cpu, options), (waiter) => untilStarted(this.#record, waiter), this);
    this.#check();
  }

  /** `ready` that never blocks the event loop. Rejects with the signal's reason as well. */
  async readyAsync(options?: AbortableOptions): Promise<void> {
    const { thread, heap } = this.#arena;
    thread.current();
    const limits = limitsOf(thread.cpu, options, ABORTABLE_OPTIONS);
    const path = (waiter: Waiter) => untilStarted(this.#record, waiter);
    const { task } = await blockAsync(thread, heap, limits, path, this);
    thread.returnTask(task);
    this.#check();
  }

  /** Asks for the task again, if it has ended or failed. Throws EBUSY while it is being stopped. */
  wake(): void {
    const { cpu, thread } = this.#arena;
    thread.current();
    const stop = this.#record + KthreadRecord.stop;
    if (isUnderWay(cpu.loadAcquire(this.#record + KthreadRecord.state))) {
      if (cpu.load(stop) === 1)
        throw new HoldfastError('EBUSY', `the system task ${shown(this.name)} is being stopped`);
    } else {
      cpu.store(stop, 0);
      cpu.store(this.#record + KthreadRecord.starts, 0);
      // First: whoever repairs what this thread leaves, if it dies behind the exchange, makes kthreadd.
      cpu.store(Header.kthreaddWanted, 1);
      advance(cpu, this.#record, [NEW, ENDED, FAILED], WANTED);
    }
    this.#arena.requestKthreadd();
  }

  /** The task is to end: its signal aborts, and it is started no more. Does not wait for that. `kthread_stop`. */
  stop(): void {
    const { cpu, thread } = this.#arena;
    thread.current();
    cpu.store(this.#record + KthreadRecord.stop, 1);
    if (!advance(cpu, this.#record, [NEW, WANTED], ENDED)) this.#arena.requestKthreadd();
  }

  /** @internal */
  notInTime(timeout: number | undefined): HoldfastError {
    return new HoldfastError('ETIMEDOUT', `the system task ${shown(this.name)} was not started within ${timeout} ms`);
  }

  #check(): void {
    const { cpu } = this.#arena;
    if (cpu.loadAcquire(this.#record + KthreadRecord.state) !== FAILED) return;
    throw new HoldfastError('EAGAIN', `the system task ${shown(this.name)} failed: ${failureOf(cpu, this.#record)}`);
  }

  toJSON(): string {
    return inspect(this);
  }

  toString(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    return `Kthread(${this.name}, ${this.state})`;
  }
}
