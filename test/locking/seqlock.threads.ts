import { type Arena, SeqCount, SeqCountLatch, SeqLock } from '../../lib/index.ts';
import { arrive, say, sayAndStay } from '../support/stage.ts';

const WORDS = 4;
export const STOP = 100;

/** Writes records of equal words until `stage` is STOP; all writers come in there with their first. */
export function writeLock(arena: Arena, name: string, record: number, stage: number): number {
  const lock = new SeqLock(arena, name);
  return writeUntilStopped(arena, stage, (values) => lock.write(record, values));
}

export function writeCount(arena: Arena, name: string, record: number, stage: number): number {
  const count = new SeqCount(arena, name);
  return writeUntilStopped(arena, stage, (values) => count.write(record, values));
}

export function writeLatch(arena: Arena, name: string, record: number, stage: number): number {
  const latch = new SeqCountLatch(arena, name);
  return writeUntilStopped(arena, stage, (values) => latch.write(record, values));
}

function writeUntilStopped(arena: Arena, stage: number, write: (values: number[]) => void): number {
  let written = 0;
  do {
    write(new Array(WORDS).fill(++written));
    if (written === 1) arrive(arena, stage);
  } while (Atomics.load(arena.words, stage) !== STOP);
  return written;
}

/** Writes half of a record under the lock, and stays there. */
export function halfWrite(arena: Arena, name: string, record: number, stage: number): Promise<never> {
  new SeqLock(arena, name).lock();
  Atomics.store(arena.words, record, 77);
  return sayAndStay(arena, stage);
}

export function halfCount(arena: Arena, name: string, record: number, stage: number): Promise<never> {
  new SeqCount(arena, name).writeBegin();
  Atomics.store(arena.words, record, 77);
  return sayAndStay(arena, stage);
}

export function halfLatch(arena: Arena, name: string, record: number, stage: number): Promise<never> {
  new SeqCountLatch(arena, name).update((copy) => {
    Atomics.store(arena.words, record + copy * WORDS, 77);
    say(arena, stage, 1);
    Atomics.wait(arena.words, stage, 1);
  });
  return sayAndStay(arena, stage);
}

/** The code of the error that a read throws, or what it read. */
export function readOnce(arena: Arena, name: string, record: number, stage: number): string {
  const lock = new SeqLock(arena, name);
  say(arena, stage, 1);
  try {
    return lock.read(record, new Int32Array(WORDS)).join();
  } catch (error) {
    return (error as { code: string }).code;
  }
}
