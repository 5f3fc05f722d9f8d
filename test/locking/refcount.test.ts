import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Arena, Refcount } from '../../lib/index.ts';
import { inThread, thrown } from '../support/threads.ts';

const THREADS = new URL('./refcount.threads.ts', import.meta.url).href;
const MAX = 2 ** 31 - 1;

test('references lost or made up between threads', async () => {
  const arena = Arena.create({ maxThreads: 4 });
  const references = new Refcount(arena, 'r');
  const threads = [1, 2].map(() => inThread<number>(arena, THREADS, 'churn', 'r', 50_000));
  for (const { result } of threads) expect(await result).toBe(0);
  expect(references.count).toBe(1);
  expect(references.dec()).toBe(true);
  expect(references.tryInc()).toBe(false);
});

test('an object that comes back to life after its last reference', () => {
  const references = new Refcount(Arena.create(), 'r');
  references.inc();
  expect(references.dec()).toBe(false);
  expect(references.dec()).toBe(true);
  expect(thrown(() => references.inc())).toMatchObject({ code: 'EINVAL', message: expect.stringContaining('inc') });
  expect(references.isSaturated).toBe(true);
  expect(references.dec()).toBe(false);
  expect(references.tryInc()).toBe(true);
  references.inc();
  expect(references.count).toBe(Number.POSITIVE_INFINITY);
  expect(inspect(references)).toBe('Refcount(r, saturated)');
});

test('one decrement too many', () => {
  const references = new Refcount(Arena.create());
  expect(references.dec()).toBe(true);
  expect(thrown(() => references.dec()).code).toBe('EINVAL');
  expect(references.dec()).toBe(false);
});

test.each(['inc', 'tryInc'] as const)('%s: a count that wraps round to nothing', (call) => {
  const references = new Refcount(Arena.create());
  references.set(MAX);
  references[call]();
  expect(references.isSaturated).toBe(true);
  for (let i = 0; i < 10; i++) expect(references.dec()).toBe(false);
  expect(references.isSaturated).toBe(true);
});

test('counts that are none', () => {
  const references = new Refcount(Arena.create());
  for (const count of [0, -1, 1.5, MAX + 1, '2' as never]) {
    expect(thrown(() => references.set(count)).code).toBe('EINVAL');
  }
  expect(references.count).toBe(1);
});
