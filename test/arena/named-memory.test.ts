import { once } from 'node:events';
import { expect, test } from 'vitest';
import { Arena, Mutex } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';

test('threads that ask for memory of one name and have different words, or what others left in them', () => {
  const arena = Arena.create();
  const litter = arena.alloc(64);
  arena.words.fill(-1, litter, litter + 64);
  arena.free(litter);
  const counters = arena.alloc(40, 'counters');
  expect(counters % 16).toBe(0);
  expect([...arena.words.subarray(counters, counters + 40)]).toEqual(Array(40).fill(0));
  arena.words[counters + 39] = 7;
  expect(arena.alloc(40, 'counters')).toBe(counters);
  expect(arena.words[counters + 39]).toBe(7);
  expect(arena.alloc(40, 'others')).not.toBe(counters);
  expect(arena.list().map(({ kind, name }) => [kind, name])).toContainEqual(['memory', 'counters']);
  expect(arena.fsck()).toEqual([]);
});

test('memory of a name that is given back under those who use it, or is of another length or a lock', () => {
  const arena = Arena.create();
  const counters = arena.alloc(2, 'counters');
  new Mutex(arena, 'lock');
  for (const address of [counters, counters - 16]) expect(() => arena.free(address)).toThrow('EINVAL');
  expect(() => arena.alloc(3, 'counters')).toThrow('the memory "counters" has 2 words, not 3');
  expect(() => arena.alloc(2, 'lock')).toThrow('"lock" is a mutex, not a memory');
  expect(() => new Mutex(arena, 'counters')).toThrow('EINVAL');
  expect(() => arena.alloc(2 ** 24, 'large')).toThrow('at most');
  expect(() => arena.alloc(2 ** 22, 'larger than the arena')).toThrow('ENOMEM');
  expect(arena.alloc(2, 'counters')).toBe(counters);
  expect(arena.fsck()).toEqual([]);
});

test('an arena that is nearly full and says nothing, or says so each time', async () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const warnings: Error[] = [];
  const hear = (warning: Error) => void warnings.push(warning);
  process.on('warning', hear);
  const { free, bytes } = arena.use();
  const line = 16;
  const first = arena.alloc(Math.floor((free - 0.25 * bytes) / 4 / line) * line);
  await new Promise(setImmediate);
  expect(warnings).toEqual([]);
  const heard = once(process, 'warning');
  const second = arena.alloc(Math.floor((0.1 * bytes) / 4));
  await heard;
  expect(warnings.map((warning) => (warning as NodeJS.ErrnoException).code)).toEqual(['HOLDFAST_ARENA_FULL']);
  expect(warnings[0]!.message).toContain(`an arena of ${arena.words.byteLength} bytes is 80 % full`);
  arena.free(second);
  arena.free(arena.alloc(Math.floor((0.1 * bytes) / 4)));
  await new Promise(setImmediate);
  expect(warnings.length).toBe(1);
  arena.free(first);
  process.off('warning', hear);
});

test('free lines that are counted wrong', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const blocks = [5, 100, 3000].map((words) => arena.alloc(words));
  for (const block of blocks) arena.free(block);
  expect(arena.cpu.read(Header.freeLines) * 64).toBe(arena.use().free);
  arena.words[Header.freeLines]! += 1;
  expect(arena.fsck().join()).toContain('lines of the heap are counted as free');
});
