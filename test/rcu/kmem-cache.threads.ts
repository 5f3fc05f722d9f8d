import { type Arena, KmemCache, Mutex, Rcu } from '../../lib/index.ts';

/**
 * Takes objects, marks them, and frees those that are marked as they should be. Returns how many were not. Without an end
 * it goes on until it is killed, and says in the shared counter when it has begun.
 */
export function takeAndFree(arena: Arena, mark: number, ends: boolean): Promise<number> | number {
  const cache = new KmemCache(arena, 'things', { words: 5 });
  const { words } = arena;
  const mutex = new Mutex(arena, 'start');
  mutex.lock();
  mutex.unlock();
  const taken: number[] = [];
  let wrong = 0;
  const round = (i: number) => {
    const address = cache.alloc();
    words.fill(mark, address, address + 5);
    taken.push(address);
    if (taken.length < 1 + (i % 300)) return;
    for (const each of taken.splice(0)) {
      if (words.subarray(each, each + 5).some((word) => word !== mark)) wrong++;
      cache.free(each);
    }
  };
  for (let i = 0; i < 100_000; i++) round(i);
  if (ends) {
    for (const each of taken.splice(0)) cache.free(each);
    return wrong;
  }
  // In pieces, so that it can be told to end.
  let i = 0;
  const again = () => {
    for (const end = i + 1000; i < end; i++) round(i);
    setImmediate(again);
  };
  again();
  return wrong;
}

/** Gives to `kfree` as fast as it can, without ever returning to its event loop. Returns how many objects it has given. */
export function flood(arena: Arena, rounds: number): number {
  const rcu = new Rcu(arena);
  const cache = new KmemCache(arena, 'flooded', { words: 8, rcu });
  for (let i = 0; i < rounds; i++) {
    rcu.readLock();
    const object = cache.alloc();
    const block = i % 8 === 0 ? arena.alloc(8) : 0;
    rcu.readUnlock();
    rcu.kfree(object);
    if (block !== 0) rcu.kfree(block);
  }
  return rounds;
}

/** Has given an object and a block to `kfree` when it says so, and does not get to its event loop any more. */
export function kfreeAndHang(arena: Arena, object: number, block: number, word: number): void {
  const rcu = new Rcu(arena);
  rcu.kfree(object);
  rcu.kfree(block);
  arena.cpu.store(word, 1);
  arena.cpu.wake(word, 1);
  for (;;) arena.cpu.relax();
}
