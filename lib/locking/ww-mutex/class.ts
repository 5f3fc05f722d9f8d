import type { Arena } from '../../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import { defineKind, type Kind } from '../../memory/kinds.ts';
import { Contestant } from '../rt-mutex/words.ts';
import { asyncContexts, nextStamp, WwClassWords } from './contest.ts';
import { WwContext } from './context.ts';

/** Which of two contexts backs off: see `WwClass`. */
export type WwPolicy = 'wound-wait' | 'wait-die';

function kindOf(policy: WwPolicy): Kind {
  return defineKind({
    name: `ww-class-${policy}`,
    words: WwClassWords,
    format: (cpu, wwClass) => cpu.write(wwClass + WwClassWords.waitDie, policy === 'wait-die' ? 1 : 0),
    holder: () => 0,
    isBusy: () => false,
    repair: () => true,
  });
}

const KINDS: Record<WwPolicy, Kind> = { 'wound-wait': kindOf('wound-wait'), 'wait-die': kindOf('wait-die') };

export interface WwClassOptions {
  /** All who open one name must give the same. Default: 'wound-wait'. */
  policy?: WwPolicy | undefined;
}

export interface WwContextOptions {
  /** Have this context back off without need, ever more seldom, to try out the code that handles it. Default: false. */
  injectDeadlocks?: boolean | undefined;
}

/**
 * What wound/wait mutexes that are taken together belong to: it gives out the stamps that say which context is older,
 * and the policy. 'wound-wait' (the default) has fewer back-offs; with 'wait-die' whoever backs off does so at once,
 * when it asks for a lock, and never because of what others do later.
 *
 * Source: kernel include/linux/ww_mutex.h, Documentation/locking/ww-mutex-design.rst.
 */
export class WwClass extends SharedObject {
  readonly policy: WwPolicy;

  /** Opens the class of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, options: WwClassOptions = {}) {
    checkOptionNames(options, ['policy']);
    const { policy = 'wound-wait' } = options;
    const kind = KINDS[policy];
    if (kind === undefined) {
      throw new HoldfastError('EINVAL', `a policy is 'wound-wait' or 'wait-die', received ${shown(policy)}`);
    }
    super(kind, arena, which);
    this.policy = policy;
  }

  static from(arena: Arena, handle: ObjectHandle): WwClass {
    const isWaitDie = handle?.type === `holdfast.${KINDS['wait-die'].name}`;
    return new WwClass(arena, handle, { policy: isWaitDie ? 'wait-die' : 'wound-wait' });
  }

  /**
   * A context for synchronous calls, younger than all before it. Throws EBUSY while this thread has another context: a
   * synchronous wait would keep it from backing off.
   */
  begin(options?: WwContextOptions): WwContext {
    const injects = this.#check(options);
    if (asyncContexts.of(this.thread).size > 0) throw this.#busy('asynchronous acquire contexts under way');
    return this.#context(this.thread.self, injects);
  }

  /**
   * A context for asynchronous calls. Any number of them may be under way in one thread. Throws EBUSY while the thread
   * has a synchronous one, and ENOMEM.
   */
  beginAsync(options?: WwContextOptions): WwContext {
    const injects = this.#check(options);
    const task = this.thread.takeTask(this.arena.heap);
    asyncContexts.of(this.thread).add(task);
    return this.#context(task, injects);
  }

  protected override get shown(): string {
    return `WwClass(${this.name ?? this.address}, ${this.policy})`;
  }

  /** Whether to inject deadlocks. The options are read before anything has changed, as a getter of theirs may throw. */
  #check(options: WwContextOptions | undefined): boolean {
    if (options !== undefined) checkOptionNames(options, ['injectDeadlocks']);
    const injects = options?.injectDeadlocks === true;
    this.current();
    const { cpu, self } = this.thread;
    if (cpu.load(self + Contestant.stamp) !== 0) throw this.#busy('a synchronous acquire context');
    return injects;
  }

  #busy(what: string): HoldfastError {
    return new HoldfastError('EBUSY', `this thread has ${what}; end that with release() first`);
  }

  #context(task: number, injects: boolean): WwContext {
    const { cpu } = this.thread;
    cpu.store(task + Contestant.wounded, 0);
    const stamp = nextStamp(cpu, this.address);
    cpu.store(task + Contestant.stamp, stamp);
    return new WwContext(this, this.thread, task, stamp, injects);
  }
}
