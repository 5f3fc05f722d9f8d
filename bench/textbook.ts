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

/**
 * The textbook reader-writer lock: a count of readers, which a writer sets to WRITER when it is 0. Readers come in
 * whenever nobody writes, also past writers that wait.
 */
export class TextbookRwLock {
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer, 0, 2);
  }

  readLock(): void {
    for (;;) {
      const seen = Atomics.load(this.#words, READERS);
      if (seen === WRITER) this.#sleep(seen);
      else if (Atomics.compareExchange(this.#words, READERS, seen, seen + 1) === seen) return;
    }
  }

  readUnlock(): void {
    if (Atomics.sub(this.#words, READERS, 1) === 1) this.#wake(1);
  }

  writeLock(): void {
    for (;;) {
      const seen = Atomics.compareExchange(this.#words, READERS, 0, WRITER);
      if (seen === 0) return;
      this.#sleep(seen);
    }
  }

  writeUnlock(): void {
    Atomics.store(this.#words, READERS, 0);
    this.#wake(Number.POSITIVE_INFINITY);
  }

  #sleep(seen: number): void {
    Atomics.add(this.#words, SLEEPERS, 1);
    Atomics.wait(this.#words, READERS, seen);
    Atomics.sub(this.#words, SLEEPERS, 1);
  }

  #wake(count: number): void {
    if (Atomics.load(this.#words, SLEEPERS) > 0) Atomics.notify(this.#words, READERS, count);
  }
}

const READERS = 0;
const SLEEPERS = 1;
const WRITER = -1;
