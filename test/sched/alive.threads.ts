import { type Arena, Semaphore } from '../../lib/index.ts';

/** Waits for permits twice: for one of its own, and for one that only another thread gives. */
export async function waitTwice(arena: Arena): Promise<string> {
  const semaphore = new Semaphore(arena, 'permits', { permits: 0 });
  const first = semaphore.downAsync();
  semaphore.up();
  await first;
  await semaphore.downAsync();
  return 'had both';
}
