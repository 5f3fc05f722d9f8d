/**
 * What one thread holds, in the thread's own memory.
 *
 * The locks of synchronous code are a list, in the order in which they were taken. What asynchronous code holds belongs to the flow
 * of calls that took it: a request, say, that goes on after each `await`. The engine knows flows (`AsyncLocalStorage`): an
 * acquisition begins a state that the rest of its flow sees. Code that starts two flows in one go, as `Promise.all` does,
 * would make the second one see what the first has asked for. So what was asked for in this very stretch of code,
 * between two microtasks, does not count: a flow that has a lock has awaited it.
 *
 * A thread that sleeps in a synchronous call lets none of its flows go on. So such a call waits with all in hand that any of them
 * holds. An asynchronous call lets the others go on: what synchronous code has taken, and holds while it awaits, is in the hands of that
 * code's flow.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { WaitForm } from '../../sched/watch.ts';
import type { Reading } from './layout.ts';

/** One acquisition. */
export interface Hold {
  readonly session: number;
  readonly lock: number;
  readonly class: number;
  readonly form: WaitForm;
  /** Whether no other lock of the spinning kind, or of a reader that may not sleep, lets it be waited for. */
  readonly sleeps: boolean;
  /** Whether nothing that sleeps may be waited for inside. */
  readonly isAtomic: boolean;
  /** The call does not wait. */
  readonly tries: boolean;
  /** Each lock that was held then has a path to it in the graph that is as strong as an order of its own. */
  isOrdered: boolean;
  readonly within: object | undefined;
  /** Where it was made, not read yet: with all functions there and what they were called of, so only `Callbacks` keeps one longer than it is held. */
  trace: { readonly stack?: unknown };
  reading: Reading;
  task: number;
  state: 'wanted' | 'held' | 'over';
  /** Since when it is held: `cpu.now()`, and the stretch of code. */
  since: number;
  stretch: number;
}

/** What a flow has asked for, the last of it in one stretch of code; `before`: what it had before that, or has at once. */
interface Flow {
  readonly holds: readonly Hold[];
  readonly before: readonly Hold[];
  readonly stretch: number;
}

/** Acquisitions of a flow that are under way, or have failed, which nobody tells. */
const MOST_WANTED = 4;

/** It is held no more. Its flow may know it for as long as the flow runs. */
export function end(hold: Hold): void {
  hold.state = 'over';
  hold.trace = {};
}

export class Holds {
  /** Of synchronous code. */
  readonly sync: Hold[] = [];
  /** Of asynchronous code, in whatever flow. */
  readonly async: Hold[] = [];
  readonly #flows = new AsyncLocalStorage<Flow>();
  #stretch = 0;
  #isEnding = false;

  /** The number of the stretch of code, from one microtask to the next, that runs now. */
  get stretch(): number {
    if (!this.#isEnding) {
      this.#isEnding = true;
      void Promise.resolve().then(() => {
        this.#isEnding = false;
        this.#stretch++;
      });
    }
    return this.#stretch;
  }

  /** What asynchronous code of the flow that runs now holds. */
  ofFlow(): readonly Hold[] {
    return this.#before().filter(({ state, form }) => state === 'held' && form.async);
  }

  /** What synchronous code of the flow that runs now holds. */
  syncOfFlow(): readonly Hold[] {
    const { stretch } = this;
    const own = this.#before();
    return this.sync.filter((hold) => hold.stretch === stretch || own.includes(hold));
  }

  /** The flow that runs now asks for it. */
  ask(hold: Hold): void {
    const before = this.#before().filter(({ state }) => state !== 'over');
    const wanted = before.filter(({ state }) => state === 'wanted');
    const dropped = new Set(wanted.slice(0, Math.max(0, wanted.length - MOST_WANTED)));
    const kept = before.filter((other) => !dropped.has(other));
    this.#flows.enterWith({ holds: [...kept, hold], before: kept, stretch: this.stretch });
  }

  #before(): readonly Hold[] {
    const flow = this.#flows.getStore();
    if (flow === undefined) return [];
    return flow.stretch === this.stretch ? flow.before : flow.holds;
  }

  add(hold: Hold): void {
    (hold.form.async ? this.async : this.sync).push(hold);
    // That is in the hands of the flow since it was asked for.
    if (hold.form.async && !hold.tries) return;
    const { holds, before, stretch } = this.#flows.getStore() ?? { holds: [], before: [], stretch: this.stretch };
    const isKept = (other: Hold) => other !== hold && other.state !== 'over';
    const withIt = (others: readonly Hold[]) => [...others.filter(isKept), hold];
    this.#flows.enterWith({ holds: withIt(holds), before: withIt(before), stretch });
  }

  /** The last acquisition of that lock by `task`, and its place in the list. */
  last(lock: number, task: number): { readonly hold: Hold; readonly list: Hold[]; readonly at: number } | undefined {
    for (const list of [this.sync, this.async]) {
      for (let at = list.length - 1; at >= 0; at--) {
        const hold = list[at] as Hold;
        if (hold.lock === lock && hold.task === task) return { hold, list, at };
      }
    }
    return undefined;
  }

  /** Whatever is held is forgotten. */
  clear(): void {
    for (const hold of [...this.sync, ...this.async]) end(hold);
    this.sync.length = 0;
    this.async.length = 0;
  }

  /** Nobody asks any more: each asynchronous operation of the thread carries the flows of all arenas that have some. */
  end(): void {
    this.clear();
    this.#flows.disable();
  }
}
