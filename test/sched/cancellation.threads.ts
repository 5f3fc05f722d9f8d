import { type Arena, Completion, Mutex, PthreadSem, Semaphore } from '../../lib/index.ts';

/** How another thread lets a waiter have what it waits for. */
export const GIVERS: Record<string, (arena: Arena, name: string) => () => void> = {
  Mutex(arena, name) {
    const lock = new Mutex(arena, name);
    lock.lock();
    return () => lock.unlock();
  },
  Semaphore(arena, name) {
    const semaphore = new Semaphore(arena, name, { permits: 0 });
    return () => semaphore.up();
  },
  Completion(arena, name) {
    const completion = new Completion(arena, name);
    return () => completion.complete();
  },
  PthreadSem(arena, name) {
    const semaphore = new PthreadSem(arena, name);
    return () => semaphore.post();
  },
};

/** The steps of `stage`: the giver has it ready; it is to give it; it has. */
export const READY = 1;
export const GIVE = 2;
export const GIVEN = 3;

export function give(arena: Arena, kind: string, stage: number): void {
  const go = GIVERS[kind]!(arena, kind);
  say(arena, stage, READY);
  Atomics.wait(arena.words, stage, READY);
  go();
  say(arena, stage, GIVEN);
}

export function say(arena: Arena, stage: number, value: number): void {
  Atomics.store(arena.words, stage, value);
  Atomics.notify(arena.words, stage);
}
