/**
 * What RCU does beside its work on a thread that looks for mistakes of the program:
 *
 *   strict   a reader that goes out ends at once all that it can: it reports, a period is begun and helped, and what this thread
 *            has given to `kfree` is freed. What a program uses after its reader is found sooner (RCU_STRICT_GRACE_PERIOD)
 *   debug    reports what the kernel's CONFIG_PROVE_RCU and debug objects report (`RcuMisuse`), and notes where readers went
 *            in, for stall warnings
 *
 * Neither costs anything while it is off: fast paths compare the nesting with 0 and 1, and a thread with checks counts
 * from elsewhere (`WATCHED` in reader.ts).
 *
 * HOLDFAST_RCU=strict,debug in the environment turns them on, in all domains of all threads. (And `stacks`: see running.ts.)
 */
import { channel } from 'node:diagnostics_channel';
import { tell } from '../arena/spawn.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Objects } from '../memory/object-store.ts';
import { advance, snapshot } from './grace-period.ts';
import { EXPEDITED, NORMAL } from './layout.ts';
import type { Caller, ReaderChecks, Readers } from './reader.ts';
import { clearStacks, openStacks, writeStack } from './stacks.ts';

/** Name of the `node:diagnostics_channel` on which the thread that has made a mistake publishes an `RcuMisuse`. */
export const MISUSE_CHANNEL = 'holdfast:rcu:misuse';
const misuses = channel(MISUSE_CHANNEL);

/** A use of RCU that debug mode has found to be wrong. */
export interface RcuMisuse {
  /** Kind and name of the domain. */
  readonly domain: string;
  /** CPU number of the thread. */
  readonly thread: number;
  readonly problem: string;
  /** Where, as `Error.stack` has it. */
  readonly stack: string;
}

/** The kernel's, for a head that is queued twice: further reports are dropped. */
const MOST_DOUBLES = 4;

const asked = (process.env.HOLDFAST_RCU ?? '').split(',').map((word) => word.trim());
export const ASKED = {
  strict: asked.includes('strict'),
  debug: asked.includes('debug'),
  stacks: asked.includes('stacks'),
} as const;

/** What a domain's class says of its readers. */
export interface Traits {
  readonly objects: Objects;
  /** Whether its readers may sleep, and nobody is to be told. */
  readonly maySleep: boolean;
  /** Whether a reader of this thread is inside. */
  isInside(): boolean;
  /** Whether one is inside that has no guard. */
  isSync(): boolean;
  /** Frees what this thread has given to `kfree`, as far as periods are over. */
  reclaim(): void;
}

/** The checks of one thread's readers in one domain. */
export class Checks implements ReaderChecks {
  readonly readers: Readers;
  readonly #traits: Traits;
  /** What dereferences go through. */
  readonly pointers: Pick<Cpu, 'loadDependent'>;
  strict = false;
  #debug = false;
  #ignoreSleeps = () => {};
  /** Places that were reported. */
  readonly #told = new Set<string>();
  #doubles = 0;

  constructor(readers: Readers, traits: Traits) {
    this.readers = readers;
    this.#traits = traits;
    this.pointers = {
      loadDependent: (address) => {
        if (!traits.isInside()) this.report('a pointer was dereferenced outside a reader', this.pointers.loadDependent);
        return readers.cpu.loadDependent(address);
      },
    };
  }

  get debug(): boolean {
    return this.#debug;
  }

  set debug(isOn: boolean) {
    const { readers } = this;
    const { thread, cpu, domain } = readers;
    if (isOn === this.#debug) return;
    if (isOn) {
      openStacks(cpu, this.#traits.objects, domain.rcu);
      if (!this.#traits.maySleep) {
        this.#ignoreSleeps = thread.hooks.add({ sleeping: this.#sleeping, running: () => {} });
      }
    } else {
      clearStacks(cpu, domain.rcu, thread.number);
      this.#ignoreSleeps();
    }
    this.#debug = isOn;
  }

  /** A reader is about to enter the lane, by way of the function `by`. */
  entering(lane: number, by: Caller): void {
    if (!this.#debug) return;
    const { cpu, domain, thread } = this.readers;
    writeStack(cpu, domain.rcu, { number: thread.number, lane }, stackAbove(by));
  }

  /** A reader has left its lane. */
  left(): void {
    if (!this.strict) return;
    const { thread, domain } = this.readers;
    advance(thread, domain, NORMAL, snapshot(thread, domain, NORMAL));
    advance(thread, domain, EXPEDITED, 0);
    this.#traits.reclaim();
  }

  /** The thread leaves the arena. */
  leaving(): void {
    if (this.#debug && this.#traits.isInside()) this.report('a thread leaves inside a reader', this.leaving);
  }

  /** A callback is queued that is in the queue already. */
  double(by: Caller): void {
    if (this.#doubles++ < MOST_DOUBLES) this.report('a callback was queued that waits already', by);
  }

  /** Once for each place. `by`: the function of the library that the program has called. */
  report(problem: string, by: Caller): void {
    const { thread, domain } = this.readers;
    const stack = stackAbove(by);
    const place = `${problem}\n${stack}`;
    if (this.#told.has(place)) return;
    this.#told.add(place);
    const label = this.#traits.objects.labelOf(domain.rcu);
    tell(`rcu: WARNING: suspicious RCU usage on thread ${thread.number}, ${label}: ${problem}\n${stack}`);
    misuses.publish({ domain: label, thread: thread.number, problem, stack } satisfies RcuMisuse);
  }

  readonly #sleeping = () => {
    if (this.#traits.isSync()) this.report('a thread sleeps inside a reader', this.#sleeping);
  };
}

function stackAbove(by: Caller): string {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, by);
  return (holder.stack ?? '').split('\n').slice(1).join('\n');
}
