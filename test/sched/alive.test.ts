import { setTimeout as pass } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Arena, Semaphore } from '../../lib/index.ts';
import { inThread } from '../support/threads.ts';

test('a thread that ends while it waits, because it has waited before', async () => {
  const arena = Arena.create();
  const semaphore = new Semaphore(arena, 'permits', { permits: 0 });
  const { result, exited } = inThread<string>(arena, new URL('./alive.threads.ts', import.meta.url).href, 'waitTwice');
  while (!semaphore.isContended) await pass(1);
  // Time to end, if nothing keeps it.
  await Promise.race([exited, pass(300)]);
  semaphore.up();
  expect(await result).toBe('had both');
}, 30_000);
