import { expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { thrown } from '../support/threads.ts';

const BYTES = 256 << 20;

/** Memory that the process has more of once there is such an arena, in parts of the arena. */
function taken(options: { populate?: boolean }): number {
  const before = process.memoryUsage.rss();
  const arena = Arena.create({ bytes: BYTES, maxThreads: 2, ...options });
  const grown = (process.memoryUsage.rss() - before) / BYTES;
  expect(arena.fsck()).toEqual([]);
  return grown;
}

test('pages that are touched ahead, or although nobody has asked for it', () => {
  expect(taken({})).toBeLessThan(0.5);
  expect(taken({ populate: true })).toBeGreaterThan(0.75);
  expect(thrown(() => Arena.create({ populate: 1 as never })).code).toBe('EINVAL');
});
