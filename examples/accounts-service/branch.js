import { Mutex } from 'holdfast';

// The first words of a branch in the arena's memory are its undo note; the balances of its accounts follow.
const BUSY = 0;
const FROM = 1;
const FROM_BALANCE = 2;
const TO = 3;
const TO_BALANCE = 4;
const BALANCES = 5;

/** Accounts in shared memory, and the mutex that guards them. Any thread of the service can open any branch. */
export class Branch {
  /**
   * @param {import('holdfast').Arena} arena
   * @param {BranchHandle} handle
   */
  constructor(arena, handle) {
    this.handle = handle;
    /** Named, so every thread that opens the branch gets the same mutex. */
    this.mutex = new Mutex(arena, `branch ${handle.name}`);
    this.words = arena.words.subarray(handle.address, handle.address + BALANCES + handle.accounts);
  }

  /**
   * @param {import('holdfast').Arena} arena
   * @param {string} name
   * @param {number} accounts
   * @param {number} balance of each account at first
   */
  static create(arena, name, accounts, balance) {
    const branch = new Branch(arena, { name, accounts, address: arena.alloc(BALANCES + accounts) });
    branch.words.fill(0);
    branch.balances.fill(balance);
    return branch;
  }

  /** One word per account. Only for who holds the mutex, like all that follows. */
  get balances() {
    return this.words.subarray(BALANCES);
  }

  total() {
    return this.balances.reduce((sum, balance) => sum + balance, 0);
  }

  /**
   * @param {Transfer} transfer
   * @param {() => void} [halfway] called when the money has left one account and not reached the other
   */
  transfer({ from, to, amount }, halfway) {
    const { words, balances } = this;
    if (balances[from] === undefined || balances[to] === undefined) throw new RangeError('no such account');
    if (!(amount > 0) || balances[from] < amount) throw new RangeError('not enough money');
    words[FROM] = from;
    words[FROM_BALANCE] = balances[from];
    words[TO] = to;
    words[TO_BALANCE] = balances[to];
    // Atomics, so that nothing is reordered: a thread can be killed between any two lines.
    Atomics.store(words, BUSY, 1);
    balances[from] -= amount;
    halfway?.();
    balances[to] += amount;
    Atomics.store(words, BUSY, 0);
  }

  /**
   * To be called after each acquisition. If the last owner was killed inside, undoes what it had begun.
   *
   * @param {import('holdfast').LockGuard} held
   */
  repair(held) {
    if (!held.ownerDied) return;
    const { words, balances } = this;
    if (words[BUSY] === 1) {
      balances[words[FROM] ?? 0] = words[FROM_BALANCE] ?? 0;
      balances[words[TO] ?? 0] = words[TO_BALANCE] ?? 0;
      Atomics.store(words, BUSY, 0);
      console.log(`branch ${this.handle.name}: undid the transfer of a worker that was killed half-way`);
    }
    // Without this, the mutex would be of no use to anybody any more.
    held.makeConsistent();
  }
}

/** @typedef {{ name: string, accounts: number, address: number }} BranchHandle */
/** @typedef {{ from: number, to: number, amount: number }} Transfer */
