/** Deaths of torture workers before an operation of their own. */
import { expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { aimAt, ERRANDS, errandOf } from '../../lib/torture/aim.ts';
import { Seat, seatAddress, stageWords } from '../../lib/torture/words.ts';
import { inThread, until } from '../support/threads.ts';

const THREADS = new URL('./aim.threads.ts', import.meta.url).href;

function stage(errand: 'lock' | 'heap', draw: number) {
  const arena = Arena.create({ bytes: 1 << 18, maxThreads: 4 });
  const address = arena.alloc(stageWords(1));
  arena.words.fill(0, address, address + stageWords(1));
  const word = seatAddress(address, 0) + Seat.aim;
  const aim = aimAt(errand, draw);
  arena.words[word] = aim;
  return { arena, address, word, aim };
}

test('an aim that says another errand than it was made for, or none', () => {
  for (const errand of ERRANDS) {
    for (const draw of [0, 1, 77, 0xffffffff]) {
      expect(aimAt(errand, draw)).not.toBe(0);
      expect(errandOf(aimAt(errand, draw) | 0)).toBe(errand);
    }
  }
});

test('a worker that makes more operations than it was to, or ends in order', async () => {
  const { arena, address, word, aim } = stage('lock', 17);
  const counted = arena.alloc(1);
  arena.words[counted] = 0;
  await inThread(arena, THREADS, 'countUntilDeath', address, counted, aim).exited;
  expect([arena.words[counted], arena.words[word]]).toEqual([17, 0]);
});

test('a worker that dies in the heap while the thread that is to bury it waits for that', async () => {
  // Within alloc, behind the latch.
  const { arena, address, word, aim } = stage('heap', 9);
  const { reaped, exited } = inThread(arena, THREADS, 'borrowUntilDeath', address, aim);
  await until(arena, word, 0);
  arena.free(arena.alloc(8));
  await exited;
  await reaped();
  expect(arena.fsck()).toEqual([]);
  arena.free(address);
  expect(arena.use().blocks).toBe(0);
});
