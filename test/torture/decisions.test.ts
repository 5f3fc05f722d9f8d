import { expect, test } from 'vitest';
import { Decider, type Decision } from '../../lib/torture/decisions.ts';
import { LOCK_TYPES } from '../../lib/torture/lock-types.ts';

const [mutex, spinLock] = LOCK_TYPES;

function decisions(seed: number, seat: number, incarnation: number, actor: number): Decision[] {
  if (mutex === undefined) throw new Error('no mutex');
  const decider = new Decider(seed, mutex, seat, incarnation, actor);
  return Array.from({ length: 2000 }, () => decider.next());
}

test('the same seed, other decisions', () => {
  expect(decisions(1, 0, 1, 0)).toEqual(decisions(1, 0, 1, 0));
});

test('acquirers that move in step', () => {
  const first = decisions(1, 0, 1, 0);
  for (const other of [decisions(2, 0, 1, 0), decisions(1, 1, 1, 0), decisions(1, 0, 2, 0), decisions(1, 0, 1, 1)]) {
    expect(other.slice(0, 20)).not.toEqual(first.slice(0, 20));
  }
});

test('a kind of acquisition that never happens', () => {
  const sync = decisions(1, 0, 1, 0);
  const async = decisions(1, 0, 1, 1);
  expect(sync.some(({ tries }) => tries)).toBe(true);
  expect(sync.some(({ timeout }) => timeout === 0)).toBe(true);
  expect(sync.some(({ timeout }) => timeout === undefined)).toBe(true);
  expect(async.some(({ abort }) => abort === 0)).toBe(true);
  expect(async.some(({ abort = 0 }) => abort > 0)).toBe(true);
  expect(async.some(({ awaits }) => awaits)).toBe(true);
  expect(Math.max(...sync.map(({ hold }) => hold))).toBe(5e6);
});

test('a timeout for a lock that knows none', () => {
  if (spinLock === undefined) throw new Error('no spin-lock');
  const decider = new Decider(1, spinLock, 0, 1, 0);
  const timeouts = new Set(Array.from({ length: 500 }, () => decider.next().timeout));
  expect(timeouts).toEqual(new Set([undefined]));
});
