/**
 * A table of feature flags in shared memory: for each flag the percentage of users that have it. A version of the table is a
 * block that nobody changes once it is published; one word of the arena points to the current version.
 */

export const FLAGS = ['new-checkout', 'dark-mode', 'fast-search'];
/** Of a version: its number, a percentage for each flag, and a sum over all of them, to show that no read is torn. */
const WORDS = FLAGS.length + 2;

export class Flags {
  /**
   * @param {import('holdfast').Arena} arena
   * @param {import('holdfast').RcuQsbr} rcu
   * @param {number} current address of the word that points to the current version
   */
  constructor(arena, rcu, current) {
    this.arena = arena;
    this.rcu = rcu;
    this.current = current;
  }

  /**
   * A new version; the old one is freed when no reader can see it any more. Whoever publishes keeps other writers out.
   *
   * @param {number} version
   * @param {number[]} percentages
   */
  publish(version, percentages) {
    const { arena, rcu, current } = this;
    const old = rcu.dereference(current);
    const next = arena.alloc(WORDS);
    const sum = percentages.reduce((total, percentage) => total + percentage, version);
    arena.words.set([version, ...percentages, sum], next);
    rcu.assignPointer(current, next);
    if (old !== 0) rcu.kfree(old);
  }

  /**
   * What a request asks: no lock, no shared write, no copy. Not async: a reader of RcuQsbr does not await.
   *
   * @param {number} user
   */
  forUser(user) {
    const { rcu, current } = this;
    const { words } = this.arena;
    rcu.readLock();
    const at = rcu.dereference(current);
    const version = words[at] ?? 0;
    let sum = version;
    let enabled = 0;
    for (let flag = 0; flag < FLAGS.length; flag++) {
      const percentage = words[at + 1 + flag] ?? 0;
      sum += percentage;
      if (user % 100 < percentage) enabled |= 1 << flag;
    }
    const isTorn = sum !== words[at + 1 + FLAGS.length];
    rcu.readUnlock();
    return { version, enabled, isTorn };
  }
}
