/** What all flavours of RCU have in common for their readers: pointers, checks and reports. Waiting for them is in `domain.ts`. */
import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Kind } from '../memory/kinds.ts';
import { ASKED, Checks, type Traits } from './checks.ts';
import { dumpTree } from './dump.ts';
import { RcuWords } from './layout.ts';
import { type Caller, type ReaderChecks, type Readers, readersOf } from './reader.ts';
import { mayReport, setReporting } from './running.ts';

/** So that three times as long is no more than half of what a word's ms count. */
const LONGEST_STALL = 2 ** 28;

const checks = new WeakMap<Readers, Checks>();

/** A domain as its readers see it. */
export abstract class RcuReadSide extends SharedObject {
  protected readonly cpu: Cpu;
  /** @internal */
  protected readonly readers: Readers;

  /** @internal */
  protected constructor(kind: Kind, arena: Arena, which: string | ObjectHandle | undefined) {
    super(kind, arena, which);
    this.cpu = this.thread.cpu;
    this.readers = readersOf(this.thread, this.address);
    if (ASKED.stacks) setReporting(this.thread, true);
  }

  /** The last step of a constructor: the checks that the environment asks for. */
  protected begin(): void {
    if ((ASKED.strict || ASKED.debug) && this.#checks === undefined) this.#lookFor(ASKED);
  }

  /** The pointer in the arena's word `address`, for a reader: what is read through it was written before it was published. */
  dereference(address: number): number {
    return this.readers.pointers.loadDependent(address);
  }

  /**
   * `dereference` for code that also runs outside readers, where a lock protects the pointer instead: in debug mode it is
   * reported if neither does. `rcu_dereference_check`.
   */
  dereferenceCheck(address: number, isProtected: boolean): number {
    return isProtected ? this.cpu.loadDependent(address) : this.dereference(address);
  }

  /** Publishes `value` in the arena's word `address`: readers that find it see all that was written before. */
  assignPointer(address: number, value: number): void {
    this.cpu.storeRelease(address, value);
  }

  /**
   * After how many ms a period that does not end is reported, again after three times as long and 3 ms: on the standard error
   * stream, and on the `node:diagnostics_channel` named `holdfast:rcu:stall`. 0 for never. It holds for all threads, and looks
   * only while a thread waits for a period. @default 21,000
   */
  get stallTimeout(): number {
    return this.living.load(this.address + RcuWords.stallTimeout);
  }

  /** Throws EINVAL for what is no whole number from 0 to 2^28. */
  set stallTimeout(timeout: number) {
    this.current();
    if (!Number.isInteger(timeout) || timeout < 0 || timeout > LONGEST_STALL) {
      throw new HoldfastError('EINVAL', `stallTimeout is whole ms from 0 to 2^28, received ${shown(timeout)}`);
    }
    this.cpu.store(this.address + RcuWords.stallTimeout, timeout);
  }

  /**
   * Whether a stall warning of this thread says where the threads are that hold the period up, as far as it has started them, or
   * they theirs: by Node's diagnostic report, for which the warning waits. That takes some 0.1 s; and for as long as a native call
   * lasts, such as `execSync`, that one of these threads is in. It holds for all domains.
   * @default false, or whether HOLDFAST_RCU in the environment has `stacks`
   */
  get stallStacks(): boolean {
    return mayReport(this.thread);
  }

  /** Throws EINVAL for what is neither true nor false. */
  set stallStacks(isOn: boolean) {
    this.current();
    if (typeof isOn !== 'boolean') {
      throw new HoldfastError('EINVAL', `stallStacks is true or false, received ${shown(isOn)}`);
    }
    setReporting(this.thread, isOn);
  }

  /**
   * Whether each reader of this thread that goes out begins a period and helps it along, and frees what the thread has given to
   * `kfree` as far as it can: what the program uses after its reader is found sooner. For tests: each reader costs about a
   * microsecond. It holds for all views of the domain on this thread. Throws EBUSY inside a reader.
   * @default false, or whether HOLDFAST_RCU in the environment has `strict`; RCU_STRICT_GRACE_PERIOD
   */
  get strict(): boolean {
    return this.#checks?.strict ?? false;
  }

  set strict(isOn: boolean) {
    this.#lookFor({ strict: isOn, debug: this.debug });
  }

  /**
   * Whether mistakes of this thread are reported, on the standard error stream and on the `node:diagnostics_channel` named
   * `holdfast:rcu:misuse`: a dereference outside a reader, a sleep inside one (but of `Srcu`), a reader that a thread leaves
   * open, a function that is queued by `call` while it waits already. Stall warnings say where the readers of this thread went
   * in. It holds for all views of the domain on this thread. Throws EBUSY inside a reader, and ENOMEM.
   * @default false, or whether HOLDFAST_RCU in the environment has `debug`; CONFIG_PROVE_RCU
   */
  get debug(): boolean {
    return this.#checks?.debug ?? false;
  }

  set debug(isOn: boolean) {
    this.#lookFor({ strict: this.strict, debug: isOn });
  }

  /** The domain's periods, its tree and the threads inside, in lines of text for people. `rcu_dump_rcu_node_tree`. */
  dumpTree(): string {
    this.current();
    return dumpTree(this.thread, this.readers.domain);
  }

  /** Readers are looked at by `wanted` from here on, or not at all. */
  protected watch(wanted: ReaderChecks | undefined): void {
    this.readers.watch(wanted);
  }

  /** Whether readers say where they begin. */
  protected get hasReaders(): boolean {
    return true;
  }

  /** Whether readers may sleep, also in debug mode. */
  protected get maySleep(): boolean {
    return false;
  }

  /** Before the thread waits in whatever way: a quiescent state, unless a reader is inside. */
  protected beforeSleep(): void {}

  /** Whether a reader of this thread is inside. */
  get readLockHeld(): boolean {
    return this.readers.isInside;
  }

  /** Whether a reader is inside that has no guard: the caller's own, if it is on the stack. */
  protected get isSyncReader(): boolean {
    return this.readers.depth > 0;
  }

  /** Frees what this thread has given to `kfree`, as far as periods are over. */
  protected abstract reclaim(): void;

  /** For `call`: the function waits in the queue already. `by`: the call. */
  protected reportDouble(by: Caller): void {
    this.#checks?.double(by);
  }

  get #checks(): Checks | undefined {
    return checks.get(this.readers);
  }

  #lookFor({ strict, debug }: { strict: boolean; debug: boolean }): void {
    this.current();
    for (const value of [strict, debug]) {
      if (typeof value === 'boolean') continue;
      throw new HoldfastError('EINVAL', `strict and debug are true or false, received ${shown(value)}`);
    }
    if (!this.hasReaders) throw new HoldfastError('EINVAL', `the ${this.label} has no readers that could be checked`);
    if (this.readLockHeld) {
      throw new HoldfastError('EBUSY', `this thread is inside a reader of the ${this.label}: checks change outside`);
    }
    const { readers } = this;
    const own = this.#checks ?? new Checks(readers, this.#traits());
    own.debug = debug;
    own.strict = strict;
    checks.set(readers, own);
    this.watch(strict || debug ? own : undefined);
  }

  #traits(): Traits {
    return {
      objects: this.arena.objects,
      maySleep: this.maySleep,
      isInside: () => this.readLockHeld,
      isSync: () => this.isSyncReader,
      reclaim: () => this.reclaim(),
    };
  }
}
