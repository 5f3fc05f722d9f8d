import { type Arena, Refcount } from '../../lib/index.ts';

/** Takes and gives back references; returns how often it let go of the last. */
export function churn(arena: Arena, name: string, times: number): number {
  const references = new Refcount(arena, name);
  let last = 0;
  for (let i = 0; i < times; i++) {
    if (i % 2 === 0) references.inc();
    else if (!references.tryInc()) throw new Error('the last reference is gone');
    if (references.dec()) last++;
  }
  return last;
}
