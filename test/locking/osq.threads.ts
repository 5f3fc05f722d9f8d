import { type Arena, OsqLock } from '../../lib/index.ts';
import { bump, sayAndStay } from '../support/stage.ts';

/** Takes the lock as often as it can be had; returns how often the record was torn. */
export function count(arena: Arena, record: number, times: number): { torn: number; taken: number } {
  const lock = new OsqLock(arena, 'osq');
  let torn = 0;
  let taken = 0;
  for (let i = 0; i < times; i++) {
    if (!lock.lock()) continue;
    taken++;
    torn += bump(arena, record);
    lock.unlock();
  }
  return { torn, taken };
}

export function holdForEver(arena: Arena, stage: number): Promise<never> {
  new OsqLock(arena, 'osq').lock();
  return sayAndStay(arena, stage);
}
