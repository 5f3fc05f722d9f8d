import { type Arena, Rcu, RcuQsbr, TasksRcu } from '../../lib/index.ts';

/** Is inside a reader from when it has said so in `word`, and has a callback that never comes. */
export function readForEver(arena: Arena, word: number): Promise<void> {
  const rcu = new Rcu(arena);
  rcu.readLock();
  rcu.call(() => {});
  arena.cpu.store(word, 1);
  arena.cpu.wake(word, 1);
  return new Promise((resolve) => setTimeout(resolve, 1e6));
}

/** Is inside a reader until `word` says so. */
export function readUntilTold(arena: Arena, word: number): boolean {
  const rcu = new Rcu(arena);
  rcu.readLock();
  arena.cpu.store(word, 1);
  arena.cpu.wake(word, 1);
  while (arena.cpu.load(word) !== 2) arena.cpu.relax();
  rcu.readUnlock();
  return !rcu.readLockHeld;
}

/** Takes part in `TasksRcu`, and computes until `word` says so. */
export function computeUntilTold(arena: Arena, word: number): boolean {
  const tasks = new TasksRcu(arena);
  arena.cpu.store(word, 1);
  arena.cpu.wake(word, 1);
  while (arena.cpu.load(word) !== 2) arena.cpu.relax();
  return !tasks.readLockHeld;
}

/** Has read in both flavours, and in a later turn of its loop computes until `word` says so, without a reader. */
export function loopAfterReading(arena: Arena, word: number): Promise<boolean> {
  for (const rcu of [new Rcu(arena), new RcuQsbr(arena)]) {
    rcu.readLock();
    rcu.readUnlock();
  }
  return new Promise((resolve) => {
    setImmediate(() => {
      arena.cpu.store(word, 1);
      arena.cpu.wake(word, 1);
      while (arena.cpu.load(word) !== 2) arena.cpu.relax();
      resolve(true);
    });
  });
}
