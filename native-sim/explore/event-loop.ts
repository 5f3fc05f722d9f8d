/**
 * The event loop of an explored thread. A thread that is an async function runs as the real ones do: in turns, each of
 * which goes on until nothing is left to do but to wait in `waitAsync`; then one of these waits ends, whichever has been
 * woken, or is past its deadline. Which one is a choice of the search, so tasks of one thread meet in every order.
 *
 * The shipped asynchronous code runs unchanged, promises and all, for the engine runs a thread's microtasks on demand
 * (`runMicrotasks`). As in `lib/machine/async-waits.ts` a wait is young in the turn it began in: only its own thread can
 * end it. When the turn is over it looks at the word once more, and lines up in the word's queue.
 */
import { setFlagsFromString } from 'node:v8';
import type { WaitOutcome } from '../../lib/machine/cpu.ts';
import { ExploreError } from './program.ts';

/** A wait that ends when it is woken, or by itself. */
export interface Sleep {
  /** Infinity where it may not time out, or not any more: then it was `isTimed`. */
  readonly deadline: number;
  readonly isTimed: boolean;
  /** It ends by itself only once this thread is dead. */
  readonly victim?: number;
  /** The location of the word's queue, and the name under which the wait stands there; -1 while it is young. */
  queue: number;
  sleeper: number;
}

/** A `waitAsync` under way. */
export interface LoopWait extends Sleep {
  readonly address: number;
  readonly expected: number;
  settle(outcome: WaitOutcome): void;
  abandon(reason: unknown): void;
}

/**
 * Waits of one thread that time out in one execution; later ones only wait. Else code that looks again now and then, as a
 * wait for a latch does, would have executions without end.
 */
const MOST_TIMEOUTS = 3;

let checkpoint: (() => void) | undefined;

/** Runs what promises have to do. It must not be called by what a promise does: the engine does nothing then. */
function runMicrotasks(): void {
  if (checkpoint === undefined) {
    setFlagsFromString('--allow-natives-syntax');
    checkpoint = new Function('%PerformMicrotaskCheckpoint()') as () => void;
    setFlagsFromString('--no-allow-natives-syntax');
  }
  let hasRun = false;
  void DONE.then(() => {
    hasRun = true;
  });
  checkpoint();
  if (!hasRun) throw new ExploreError('explore: threads that are async functions run in explore() alone');
}

const DONE = Promise.resolve();

/** Calls `slice` where `runMicrotasks` works: from the event loop itself. */
export function fromEventLoop<Result>(slice: () => Result): Promise<Result> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(slice());
      } catch (error) {
        reject(error);
      }
    });
  });
}

export function isAsyncFunction(body: unknown): boolean {
  return Object.prototype.toString.call(body) === '[object AsyncFunction]';
}

/** What the machine does for a loop. */
export interface LoopMachine {
  /** The thread has been stopped, and is to be unwound. */
  readonly isStopped: boolean;
  /** Lines the wait up in its queue; false: the word holds something else by now. */
  lineUp(wait: LoopWait): boolean;
  /** Which of them ends; throws to stop the thread where none can yet. */
  pickWait(waits: readonly LoopWait[]): number;
  /** Lets the wait end. */
  finishWait(wait: LoopWait): WaitOutcome;
  /** Nothing will ever happen in the thread again. */
  failIdle(): never;
}

export class EventLoop {
  readonly #young: LoopWait[] = [];
  readonly known: LoopWait[] = [];
  /** In a queue still, though their thread has ended them. */
  readonly ghosts: LoopWait[] = [];
  #timeouts = 0;

  begin(address: number, expected: number, deadline: number): Promise<WaitOutcome> {
    return new Promise((settle, abandon) => {
      const isTimed = deadline !== Number.POSITIVE_INFINITY;
      const limit = this.#timeouts < MOST_TIMEOUTS ? deadline : Number.POSITIVE_INFINITY;
      this.#young.push({ address, expected, deadline: limit, isTimed, queue: -1, sleeper: -1, settle, abandon });
    });
  }

  /** The thread has woken `address`: all of its own waits there end. Returns how many of them stood in no queue. */
  end(address: number): number {
    const young = takeAt(this.#young, address);
    const known = takeAt(this.known, address);
    this.ghosts.push(...known);
    for (const wait of [...young, ...known]) wait.settle('ok');
    return young.length;
  }

  /** Runs the thread whose function has returned `result`, until that is settled. Throws what it rejects with. */
  run(machine: LoopMachine, result: Promise<void>): void {
    let end: { readonly error?: unknown } | undefined;
    result.then(
      () => (end = {}),
      (error) => (end = { error }),
    );
    for (;;) {
      runMicrotasks();
      if (end !== undefined || machine.isStopped) break;
      this.#turn(machine);
    }
    if (end !== undefined && 'error' in end) throw end.error;
  }

  #turn(machine: LoopMachine): void {
    const young = this.#young.splice(0);
    const over = young.filter((wait) => {
      if (!machine.lineUp(wait)) return true;
      this.known.push(wait);
      return false;
    });
    for (const wait of over) wait.settle('not-equal');
    if (over.length > 0) return;
    if (this.known.length === 0) machine.failIdle();
    const wait = this.known[machine.pickWait(this.known)]!;
    const outcome = machine.finishWait(wait);
    if (outcome === 'timed-out') this.#timeouts++;
    this.known.splice(this.known.indexOf(wait), 1);
    wait.settle(outcome);
  }

  /** The thread has been stopped: what its tasks do in the end, as `finally` says, is done here and now. */
  abandon(reason: unknown): void {
    const all = [...this.#young.splice(0), ...this.known];
    for (const wait of all) wait.abandon(reason);
    runMicrotasks();
  }
}

function takeAt(waits: LoopWait[], address: number): LoopWait[] {
  const taken = waits.filter((wait) => wait.address === address);
  for (const wait of taken) waits.splice(waits.indexOf(wait), 1);
  return taken;
}
