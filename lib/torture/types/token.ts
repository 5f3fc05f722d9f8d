/**
 * What lets one waiter go for each time it is told to, as a lock: a token that goes from hand to hand.
 *
 *   word     epoch << TAG_BITS | the thread that has the epoch's token, 0 for none
 *   signals  one for each epoch
 *
 *   lock    wait for the epoch's signal    then (e, 0) -> (e, me)
 *   unlock  (e, me) -> (e, 0)              then complete the epoch's signal
 *
 * A thread that gets the token and finds the word taken is not the only one to get it. One that misses it is stranded.
 *
 * A dead thread may have taken the token with it, with no trace: it dies between its wait and the word, or between the
 * word and `complete`. So after each death, unless a living thread has the token, the director begins an epoch with a
 * token of its own, (e, x) -> (e + 1, 0), and lets all go who wait for the old one. If that turns up, it is void.
 */

import type { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { HoldfastError } from '../../errors.ts';
import { Completion } from '../../locking/completion.ts';
import { PthreadSem } from '../../pthread/sem.ts';
import type { AsyncWaitOptions, WaitOptions } from '../../sched/drive.ts';
import { maxThreads, Slot, slotAddress } from '../../sched/slot.ts';
import { type LockType, SLEEPING, type View, within } from '../lock-type.ts';
import { Violation } from '../section.ts';
import { ACTORS } from '../words.ts';

interface Signal {
  readonly handle: ObjectHandle;
  wait(options?: WaitOptions): void;
  waitAsync(options?: AsyncWaitOptions): Promise<void>;
  tryWait(): boolean;
  complete(): void;
  /** Lets all go who wait, and those who are about to. */
  completeAll(): void;
  /** Takes back what nobody has waited for. */
  reinit(): void;
  destroy(): void;
}

interface Handle {
  readonly address: number;
  readonly signals: readonly ObjectHandle[];
}

/** Nobody who is about to complete a signal lets this many deaths go by before it does. */
const EPOCHS = 64;
const TAG_BITS = 24;
const TAG = (1 << TAG_BITS) - 1;

export const completion = tokenType(
  'completion',
  'Completion: complete() for the next one when done, completeAll() after deaths; synchronous and asynchronous',
  Completion,
);

/** PthreadSem by the names of a Completion. */
export class SemSignal extends PthreadSem {
  complete(): void {
    this.post();
  }

  completeAll(): void {
    for (let acquirer = maxThreads(this.arena.cpu) * ACTORS; acquirer > 0; acquirer--) this.post();
  }

  reinit(): void {
    while (this.tryWait());
  }
}

export const pthreadSem = tokenType(
  'pthread-sem',
  'PthreadSem: post() for the next one when done; synchronous and asynchronous',
  SemSignal,
);

export function tokenType(
  name: string,
  summary: string,
  Type: new (arena: Arena, which?: ObjectHandle) => Signal,
): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    isRobust: false,
    create(arena): Handle {
      const address = arena.alloc(1);
      arena.cpu.write(address, 0);
      const signals = Array.from({ length: EPOCHS }, () => new Type(arena));
      signals[0]?.complete();
      return { address, signals: signals.map(({ handle }) => handle) };
    },
    open(arena, handle) {
      const { address, signals } = handle as Handle;
      return viewOf(
        arena,
        address,
        signals.map((signal) => new Type(arena, signal)),
      );
    },
  };
}

function viewOf(arena: Arena, word: number, signals: readonly Signal[]): View {
  const { cpu, thread } = arena;
  const me = cpu.load(thread.slot + Slot.life);
  const epochNow = () => cpu.load(word) >>> TAG_BITS;
  const signalOf = (epoch: number) => signals[epoch] as Signal;

  /** The token of `epoch` has come; false when it is void. */
  const claim = (epoch: number): boolean => {
    for (;;) {
      const seen = cpu.load(word);
      if (seen >>> TAG_BITS !== epoch) return false;
      if ((seen & TAG) !== 0) throw new Violation(`not alone: worker ${(seen & TAG) - 1} has the token as well`);
      if (cpu.cmpxchg(word, seen, seen | me) === seen) return true;
    }
  };

  const unlock = () => {
    const epoch = epochNow();
    cpu.store(word, epoch << TAG_BITS);
    signalOf(epoch).complete();
  };

  return {
    lock(_mode, timeout) {
      for (;;) {
        if ((cpu.load(word) & TAG) === me) {
          throw new HoldfastError('EDEADLK', "this thread's asynchronous code has the token");
        }
        const epoch = epochNow();
        signalOf(epoch).wait(within(timeout));
        if (claim(epoch)) return true;
      }
    },
    tryLock() {
      const epoch = epochNow();
      return signalOf(epoch).tryWait() && claim(epoch);
    },
    unlock,
    async lockAsync(_mode, options) {
      for (;;) {
        const epoch = epochNow();
        await signalOf(epoch).waitAsync(options);
        if (claim(epoch)) return unlock;
      }
    },
    afterDeath() {
      const seen = cpu.load(word);
      if ((seen & TAG) !== 0 && isAlive(seen & TAG)) return;
      const next = ((seen >>> TAG_BITS) + 1) % EPOCHS;
      signalOf(next).reinit();
      if (cpu.cmpxchg(word, seen, next << TAG_BITS) !== seen) return;
      signalOf(next).complete();
      signalOf(seen >>> TAG_BITS).completeAll();
    },
    ownerDied: false,
    makeConsistent: () => {},
    destroy() {
      for (const signal of signals) signal.destroy();
      arena.free(word);
    },
  };

  function isAlive(tag: number): boolean {
    for (let number = 0; number < maxThreads(cpu); number++) {
      if (cpu.load(slotAddress(cpu, number) + Slot.life) === tag) return true;
    }
    return false;
  }
}
