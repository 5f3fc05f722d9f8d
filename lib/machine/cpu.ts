/**
 * What a processor can do to shared memory. Every algorithm in holdfast is written once, against this interface;
 * three machines implement it: the real one (`real.ts`: Atomics on a SharedArrayBuffer), the explored one
 * (`native-sim/explore/`: every interleaving and reordering a model allows) and the timed one (`native-sim/machine/`).
 *
 * Addresses are word indexes into one arena; a word is a signed 32-bit integer. Ordering is part of the name, in the
 * kernel's terms (Documentation/memory-barriers.txt, atomic_t.txt):
 *
 * | suffix    | order |
 * |-----------|-------|
 * | `Relaxed` | atomicity and coherence only |
 * | `Acquire` | later accesses of this thread stay after the load half |
 * | `Release` | earlier accesses of this thread stay before the store half |
 * | (none)    | read-modify-writes: fully ordered, before and after; `load`/`store`: relaxed (READ_ONCE/WRITE_ONCE) |
 *
 * A compare-and-exchange that fails orders nothing but its own load. The real machine maps every atomic to a
 * sequentially consistent Atomics operation; the other machines take the annotation at its word.
 */
export interface Cpu {
  // Plain data: legal only where a happens-before edge protects the location; anything else is a data race.
  read(address: number): number;
  write(address: number, value: number): void;
  /**
   * `read` of a word that another thread may be writing, where something else says whether the value counts: the kernel's
   * `data_race()`. An ordinary load on every real machine; orders nothing.
   */
  readRacy(address: number): number;

  // Marked accesses. `load` and `store` are relaxed, and single-copy atomic.
  load(address: number): number;
  loadAcquire(address: number): number;
  store(address: number, value: number): void;
  storeRelease(address: number, value: number): void;
  /**
   * `store` at the price of `write`, for a word that nobody but the calling thread writes, next to a read-modify-write
   * that orders it: the real machine makes it an ordinary store, which its compiler moves past no atomic.
   */
  storeUnordered(address: number, value: number): void;
  /**
   * `storeRelease` at the price of `write`: where stores stay in order (x86) the real machine makes it an ordinary store.
   * What this thread loads afterwards may come before it.
   */
  storeReleaseLight(address: number, value: number): void;
  /**
   * `load` at the price of `read`, for words that others may be writing, between an acquire and an `rmb` whose next
   * load says whether they were: where loads stay in order (x86) the real machine makes it an ordinary load.
   */
  loadUnordered(address: number): number;

  /**
   * A load of a pointer that orders what is read through it, and nothing else: `rcu_dereference`. Processors keep that
   * order by themselves (all but Alpha), so where loads are not moved by a compiler either (x86) the real machine makes
   * it an ordinary load. The explored machine, which does not see what an address was computed from, orders all that
   * follows: it finds what was published too early, not what was read past the pointer.
   */
  loadDependent(address: number): number;
  /**
   * `loadAcquire` at the price of `read`, for the load that follows a fully ordered read-modify-write of the caller's own (store
   * buffering), at an address that its result is a part of: so no compiler can load before that, or take an earlier load's
   * value instead. x86 loads after a locked instruction and in order, and the real machine makes it an ordinary load there.
   */
  loadAfterAtomic(address: number): number;

  // Read-modify-writes. Each returns the OLD value.
  cmpxchg(address: number, expected: number, value: number): number;
  cmpxchgRelaxed(address: number, expected: number, value: number): number;
  cmpxchgAcquire(address: number, expected: number, value: number): number;
  cmpxchgRelease(address: number, expected: number, value: number): number;
  xchg(address: number, value: number): number;
  xchgRelaxed(address: number, value: number): number;
  xchgAcquire(address: number, value: number): number;
  xchgRelease(address: number, value: number): number;
  fetchAdd(address: number, value: number): number;
  fetchAddRelaxed(address: number, value: number): number;
  fetchAddAcquire(address: number, value: number): number;
  fetchAddRelease(address: number, value: number): number;
  fetchSub(address: number, value: number): number;
  fetchSubRelaxed(address: number, value: number): number;
  fetchSubAcquire(address: number, value: number): number;
  fetchSubRelease(address: number, value: number): number;
  fetchAnd(address: number, value: number): number;
  fetchAndRelaxed(address: number, value: number): number;
  fetchAndAcquire(address: number, value: number): number;
  fetchAndRelease(address: number, value: number): number;
  fetchOr(address: number, value: number): number;
  fetchOrRelaxed(address: number, value: number): number;
  fetchOrAcquire(address: number, value: number): number;
  fetchOrRelease(address: number, value: number): number;

  // Fences: smp_mb, smp_rmb, smp_wmb.
  mb(): void;
  rmb(): void;
  wmb(): void;

  /**
   * Spin until `until(value, arg)` holds for the value at `address`, at most `spins` times (`Infinity`: until it
   * does), and return the last value loaded: the kernel's `smp_cond_load_relaxed`. ONE operation, so that no machine
   * unrolls the loop: when `spins` is finite the caller must look at the value it gets. `until` must be pure. `arg` is
   * handed through so that the predicate can be a module-level function and the call makes no garbage.
   */
  condLoad(address: number, until: (value: number, arg: number) => boolean, arg: number, spins: number): number;
  /** `condLoad` whose last load is an acquire: `smp_cond_load_acquire`. */
  condLoadAcquire(address: number, until: (value: number, arg: number) => boolean, arg: number, spins: number): number;
  /** Tell the processor that this is a spin loop: `cpu_relax`. */
  relax(): void;
  /** Let `ns` nanoseconds pass without touching memory: `ndelay`. No other thread may rely on their having passed. */
  ndelay(ns: number): void;

  /**
   * Sleep while the word at `address` holds `expected`, until woken or until `now() >= deadline` (ns, `Infinity`:
   * none): FUTEX_WAIT. The comparison and the enqueue are one step. May return 'ok' without a wake: callers loop.
   */
  wait(address: number, expected: number, deadline: number): WaitOutcome;
  /** `wait` that never blocks the thread. The promise may settle early, whatever it says: callers re-check. */
  waitAsync(address: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome>;
  /** Wake at most `count` sleepers on `address`, and return how many there were. */
  wake(address: number, count: number): number;

  /**
   * Called while a task waits for long, on its thread: the thread that it waits for may have died. Never throws. Not
   * there on machines that kill threads themselves and say so.
   */
  onStall?: ((isBlocked: boolean) => void) | undefined;

  /** Called when the thread wakes a task that sleeps, while it is traced. Not there on machines that nobody traces. */
  onUnpark?: ((task: number) => void) | undefined;

  /** Nanoseconds on a clock that all threads share and that never goes back. */
  now(): number;
}

export type WaitOutcome = 'ok' | 'not-equal' | 'timed-out';
