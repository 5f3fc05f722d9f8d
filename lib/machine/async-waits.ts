/**
 * The waits of one thread's event loop, at words of the shared memory. The engine's `Atomics.waitAsync` has two habits
 * that a lock cannot live with: what ends a wait is told in a later turn of the loop, even to the thread that ended it
 * itself, so a loop of acquisitions that finds its lock free each time starves the others of its thread; and it keeps some
 * 300 bytes for each wait until that turn, so such a loop grows. So each wait is a promise of our own. This thread ends it
 * at once, `wake` and deadlines do; and the engine, which tells of the other threads, hears only of waits that outlive the
 * turn they began in:
 *
 *   young  only this thread can end it, which looks at the word once more when the turn is over
 *   known  to the engine, whose notification ends it
 *
 * A wake-up that comes while a wait is young is not lost: the waker has changed the word before.
 */
import type { WaitOutcome } from './cpu.ts';
import { type Deadline, Deadlines } from './deadlines.ts';
import { setImmediate } from './host.ts';
import { IntMap } from './int-map.ts';
import { type Member, Roster } from './roster.ts';

/** In the roster of young ones until the engine knows of it. */
interface Wait extends Member {
  readonly word: number;
  readonly expected: number;
  readonly resolve: (outcome: WaitOutcome) => void;
  deadline: Deadline | undefined;
  isOver: boolean;
}

export class AsyncWaits {
  readonly #words: Int32Array;
  readonly #now: () => number;
  readonly #deadlines: Deadlines;
  /** The waits that go on, by their words: nearly always one at each. */
  readonly #waits = new IntMap<Wait[]>();
  readonly #young = new Roster<Wait>();
  #isArmed = false;

  /** `now`: ns, on the clock of the deadlines. */
  constructor(words: Int32Array, now: () => number) {
    this.#words = words;
    this.#now = now;
    this.#deadlines = new Deadlines(now);
  }

  /** How many go on and have a deadline. */
  get timed(): number {
    return this.#deadlines.size;
  }

  /** Until the word is woken, or until the deadline, if it holds `expected` now. */
  begin(word: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome> {
    if (Atomics.load(this.#words, word) !== expected) return 'not-equal';
    if (deadline <= this.#now()) return 'timed-out';
    return new Promise((resolve) => {
      const wait: Wait = { word, expected, resolve, deadline: undefined, place: undefined, isOver: false };
      if (deadline !== Number.POSITIVE_INFINITY) wait.deadline = this.#deadlines.add(deadline, () => this.#miss(wait));
      const others = this.#waits.get(word);
      if (others === undefined) this.#waits.set(word, [wait]);
      else others.push(wait);
      this.#young.add(wait);
      this.#arm();
    });
  }

  /**
   * This thread has woken the word: its own waits there end in this turn. Returns how many of them the engine did not know,
   * and so did not count.
   */
  end(word: number): number {
    const waits = this.#waits.size > 0 ? this.#waits.get(word) : undefined;
    if (waits === undefined) return 0;
    this.#waits.delete(word);
    let young = 0;
    for (const wait of waits) {
      if (wait.place !== undefined) young++;
      this.#settle(wait, 'ok');
    }
    return young;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(this.#tellEngine);
  }

  readonly #tellEngine = () => {
    this.#isArmed = false;
    for (const wait of this.#young.takeAll()) {
      const { value } = Atomics.waitAsync(this.#words, wait.word, wait.expected);
      if (typeof value === 'string') this.#finish(wait, value);
      else void value.then((outcome) => this.#finish(wait, outcome));
    }
  };

  #miss(wait: Wait): void {
    this.#finish(wait, 'timed-out');
    // The engine forgets a wait once it is notified; all at the word, because which one it picks is not known. The others
    // look again.
    if (wait.place === undefined) Atomics.notify(this.#words, wait.word);
  }

  #finish(wait: Wait, outcome: WaitOutcome): void {
    if (wait.isOver) return;
    const waits = this.#waits.get(wait.word) as Wait[];
    if (waits.length === 1) this.#waits.delete(wait.word);
    else waits.splice(waits.indexOf(wait), 1);
    this.#settle(wait, outcome);
  }

  #settle(wait: Wait, outcome: WaitOutcome): void {
    wait.isOver = true;
    this.#young.remove(wait);
    if (wait.deadline !== undefined) this.#deadlines.remove(wait.deadline);
    wait.resolve(outcome);
  }
}
