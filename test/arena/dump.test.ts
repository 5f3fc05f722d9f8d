/** `holdfast fsck`, and what it looks at: an arena's memory in a file. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { inspectDump } from '../../lib/arena/dump.ts';
import { Arena, Mutex } from '../../lib/index.ts';
import { MutexWords } from '../../lib/locking/mutex-core.ts';
import { Header } from '../../lib/memory/header.ts';
import { kindNames } from '../../lib/memory/kinds.ts';
import { latch, unlatch } from '../../lib/memory/latch.ts';
import { holdfast } from '../torture/cli.ts';

async function fileOf(dump: Uint8Array): Promise<string> {
  const file = join(await mkdtemp(join(tmpdir(), 'holdfast-')), 'arena.bin');
  await writeFile(file, dump);
  return file;
}

test('a dump of an arena in which somebody is in the middle of something, and one that is broken', async () => {
  const arena = Arena.create({ bytes: 256 << 10, maxThreads: 2 });
  const mutex = new Mutex(arena, 'accounts');
  // A look at the arena itself would wait for these.
  for (const word of [Header.namesLatch, Header.heapLatch]) latch(arena.cpu, word, arena.thread.id);
  const dump = arena.dump();
  for (const word of [Header.namesLatch, Header.heapLatch]) unlatch(arena.cpu, word);
  expect(inspectDump(dump)).toEqual([]);
  new Int32Array(dump.buffer)[mutex.address + MutexWords.waiters] = 8;
  const { code, stdout } = await holdfast('fsck', await fileOf(dump));
  expect([code, stdout]).toEqual([1, `the mutex at ${mutex.address} has 8 in its wait list, which is no task\n`]);
});

test('a file that is no dump', async () => {
  const { code, stderr } = await holdfast('fsck', await fileOf(new Uint8Array(4096)));
  expect([code, stderr]).toEqual([2, expect.stringContaining('is no holdfast arena')]);
});

test('a kind of object that the command does not know', async () => {
  const all = kindNames().toSorted();
  vi.resetModules();
  const { kindNames: known } = await import('../../lib/memory/kinds.ts');
  expect(known()).toEqual([]);
  await import('../../lib/cli/kinds.ts');
  expect(
    known()
      .filter((name) => all.includes(name))
      .toSorted(),
  ).toEqual(all);
});
