/**
 * The textbook mutex on a futex: "mutex 3" of Ulrich Drepper's "Futexes Are Tricky" (2004), which is what a careful
 * user writes by hand.
 *
 *   0  free    1  locked    2  locked, and somebody may sleep
 */
export class TextbookMutex {
  readonly #word: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#word = new Int32Array(buffer, 0, 1);
  }

  lock(): void {
    let seen = Atomics.compareExchange(this.#word, 0, 0, 1);
    if (seen === 0) return;
    if (seen !== 2) seen = Atomics.exchange(this.#word, 0, 2);
    while (seen !== 0) {
      Atomics.wait(this.#word, 0, 2);
      seen = Atomics.exchange(this.#word, 0, 2);
    }
  }

  unlock(): void {
    if (Atomics.sub(this.#word, 0, 1) === 1) return;
    Atomics.store(this.#word, 0, 0);
    Atomics.notify(this.#word, 0, 1);
  }
}
