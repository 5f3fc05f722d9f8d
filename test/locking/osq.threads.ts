import { type Arena, OsqLock } from '../../lib/index.ts';

/** Takes the lock as often as it can be had; returns how often the record was torn. */
export function count(arena: Arena, record: number, times: number): { torn: number; taken: number } {
  const lock = new OsqLock(arena, 'osq');
  const { words } = arena;
  let torn = 0;
  let taken = 0;
  for (let i = 0; i < times; i++) {
    if (!lock.lock()) continue;
    taken++;
    const value = words[record] as number;
    words[record] = value + 1;
    if (words[record + 1] !== value) torn++;
    words[record + 1] = value + 1;
    lock.unlock();
  }
  return { torn, taken };
}

export function holdForEver(arena: Arena, stage: number): Promise<never> {
  new OsqLock(arena, 'osq').lock();
  Atomics.store(arena.words, stage, 1);
  Atomics.notify(arena.words, stage);
  setInterval(() => {}, 1000);
  return new Promise(() => {});
}
