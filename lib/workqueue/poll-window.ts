/** Once in so many waits in vain a thread looks for the full length again. */
const PROBE_EVERY = 32;
/** Shorter than this it need not look at all, ns. */
const SHORTEST = 2e3;

/**
 * How long a thread looks for what it waits for before it sleeps. Where the other side runs on another core, an answer comes
 * sooner than sleeping and being woken would take, and looking is all there is to do. Where both share a core, the other side runs
 * only once this one sleeps. Nobody can tell which it is but by what became of the last wait: one that was answered in time
 * makes the next window the longest, one in vain halves it. The kernel's is `halt_poll_ns`, virt/kvm/kvm_main.c.
 */
export class PollWindow {
  readonly #longest: number;
  #length: number;
  #misses = 0;

  /** `longest`: ns, about what it costs to be woken. */
  constructor(longest: number) {
    this.#longest = longest;
    this.#length = longest;
  }

  /** Of the wait that begins now, ns. */
  get length(): number {
    return this.#misses % PROBE_EVERY === PROBE_EVERY - 1 ? this.#longest : this.#length;
  }

  /** What the thread waited for came while it looked. */
  hit(): void {
    this.#length = this.#longest;
    this.#misses = 0;
  }

  /** The thread goes to sleep. */
  miss(): void {
    this.#length = this.#length < 2 * SHORTEST ? 0 : this.#length / 2;
    this.#misses++;
  }
}
