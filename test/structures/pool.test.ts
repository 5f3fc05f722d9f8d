import { expect, test } from 'vitest';
import { Arena, RcuQsbr } from '../../lib/index.ts';
import { isPresent } from '../../lib/memory/objects.ts';
import { classOf, LONGEST_BLOCK, PoolWords, wordsOf } from '../../lib/structures/chunks.ts';
import { Core, CoreWords, defineStructure } from '../../lib/structures/core.ts';
import { stretchIn } from '../../lib/structures/readers.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { exhaust, thrown } from '../support/threads.ts';

const KIND = defineStructure('blocks', CoreWords.words);

/** A structure of nothing but blocks. */
class Blocks extends Core {
  take(words: number, count = 1): number[] {
    return this.write(() => {
      this.pool.reserve(words, count);
      this.pool.begin();
      this.journal.begin();
      const blocks = Array.from({ length: count }, () => this.pool.take(words));
      this.commit();
      return blocks;
    });
  }

  /** Blocks of two classes, in one step. */
  takeBoth(words: number, count: number, otherWords: number, others: number): number[] {
    return this.write(() => {
      this.pool.reserve(words, count, otherWords, others);
      this.pool.begin();
      this.journal.begin();
      const blocks = Array.from({ length: count + others }, (_, i) => this.pool.take(i < count ? words : otherWords));
      this.commit();
      return blocks;
    });
  }

  retire(...blocks: number[]): void {
    this.write(() => {
      this.pool.begin();
      this.journal.begin();
      for (const block of blocks) this.pool.retire(block);
      this.commit();
      this.pool.collect();
    });
  }

  /** All blocks that can be taken without another chunk. */
  takeRest(words: number): void {
    expect(
      thrown(() => {
        for (;;) this.take(words);
      }).code,
    ).toBe('ENOMEM');
  }

  use(): { bytes: number; free: number } {
    return this.write(() => this.pool.use());
  }
}

const make = (arena: Arena, address = arena.objects.create(KIND)) =>
  new Blocks(arena, { address, checkThere: () => {} }, stretchIn(arena));
const destroy = (arena: Arena, { address }: Blocks) => arena.objects.destroy(KIND, address, () => false);

test('a class whose blocks are too short', () => {
  for (let words = 2; words < 5000; words++) expect(wordsOf(classOf(words))).toBeGreaterThanOrEqual(words);
  expect(wordsOf(classOf(LONGEST_BLOCK))).toBe(LONGEST_BLOCK);
  expect(thrown(() => classOf(LONGEST_BLOCK + 1)).code).toBe('ENOMEM');
});

test('blocks that overlap, or are not used again', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const blocks = make(arena);
  const lengths = [3, 80, 16, 400, 9, 250, 1000, 8];
  const taken = lengths.flatMap((words) => blocks.take(words, 3).map((at) => ({ at, end: at + words })));
  taken.sort((a, b) => a.at - b.at);
  for (const [i, { end }] of taken.entries()) expect(end).toBeLessThanOrEqual(taken[i + 1]?.at ?? Infinity);
  const { bytes } = blocks.use();
  blocks.retire(...taken.map(({ at }) => at));
  for (const words of lengths) blocks.take(words, 3);
  expect(blocks.use().bytes).toBe(bytes);
  const { used } = arena.use();
  destroy(arena, blocks);
  expect(arena.use().used).toBeLessThanOrEqual(used - bytes);
  expect(arena.fsck()).toEqual([]);
});

test('a step that takes blocks of two classes takes the rest of a chunk twice', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const blocks = make(arena);
  const taken: { at: number; end: number }[] = [];
  for (let i = 0; i < 40; i++) {
    const both = blocks.takeBoth(32, 2, 96, 1 + (i % 3));
    taken.push(...both.map((at, j) => ({ at, end: at + (j < 2 ? 32 : 96) })));
  }
  // What is free of one class is of no use for the other.
  blocks.retire(...taken.slice(0, 30).map(({ at }) => at));
  const again = blocks.takeBoth(32, 12, 96, 12);
  taken.push(...again.slice(0, 12).map((at) => ({ at, end: at + 32 })));
  taken.push(...again.slice(12).map((at) => ({ at, end: at + 96 })));
  const inUse = taken.slice(30).sort((a, b) => a.at - b.at);
  for (const [i, { end }] of inUse.entries()) expect(end).toBeLessThanOrEqual(inUse[i + 1]?.at ?? Infinity);
  expect(thrown(() => blocks.take(8, 1 << 20)).code).toBe('ENOMEM');
  destroy(arena, blocks);
  expect(arena.fsck()).toEqual([]);
});

test('a step that takes blocks of two classes waits for readers of one of them only', () => {
  const { arenas, before } = stepper(2, { words: 1 << 14 });
  const first = make(arenas[0]!);
  const [short, long] = [first.take(8, 2), first.take(40, 2)] as [number[], number[]];
  const reader = new RcuQsbr(arenas[1]!);
  exhaust(arenas[0]!);
  first.takeRest(40);
  first.takeRest(8);
  reader.readLock();
  first.retire(...short, long[0] as number);
  // There will never be two of the longer ones.
  expect(thrown(() => first.takeBoth(8, 1, 40, 2)).code).toBe('ENOMEM');
  let isOver = false;
  before(0, on('wait'), () => {
    isOver = true;
    reader.readUnlock();
    reader.quiescent();
  });
  expect(first.takeBoth(8, 2, 40, 1).toSorted()).toEqual([...short, long[0]].toSorted());
  expect(isOver).toBe(true);
});

test('what is left of a chunk, when the next is begun, is lost', () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const blocks = make(arena);
  blocks.take(80, 3);
  const { bytes, free } = blocks.use();
  expect(free).toBeGreaterThan(0);
  blocks.take(1000);
  const after = blocks.use();
  expect(after.free).toBeGreaterThanOrEqual(free - 32);
  expect(after.bytes).toBeGreaterThan(bytes);
});

test('what is retired while a period goes on is used when that is over', () => {
  const { arenas, before } = stepper(3, { words: 1 << 14 });
  const first = make(arenas[0]!);
  const [early, late] = [first.take(8), first.take(40)] as [number[], number[]];
  const readers = [1, 2].map((number) => new RcuQsbr(arenas[number]!)) as [RcuQsbr, RcuQsbr];
  const leave = (rcu: RcuQsbr) => {
    rcu.readUnlock();
    rcu.quiescent();
  };
  readers[0].readLock();
  first.retire(...early);
  // This one may have found the other block, and no period waits for it yet.
  readers[1].readLock();
  first.retire(...late);
  exhaust(arenas[0]!);
  first.takeRest(40);
  let isOver = false;
  before(0, on('wait'), () => {
    leave(readers[0]);
    before(0, on('wait'), () => {
      isOver = true;
      leave(readers[1]);
    });
  });
  expect(first.take(40)).toEqual(late);
  expect(isOver).toBe(true);
  expect(first.take(8)).toEqual(early);
});

/** The structure may lie before its chunks in the heap, or behind them: the reaper comes to one of them first. */
test.each(['before', 'behind'])(
  'a thread that dies while it takes a chunk, or destroys a structure: %s them',
  (where) => {
    const places = new Set<string>();
    for (let n = 1; ; n++) {
      const { arenas, killBefore, reap } = stepper(2, { words: 1 << 14 });
      // The QSBR domain stays.
      destroy(arenas[1]!, make(arenas[1]!));
      const { used } = arenas[1]!.use();
      const other = make(arenas[1]!);
      const hole = where === 'behind' ? arenas[0]!.alloc(1000) : 0;
      const first = make(arenas[0]!);
      const second = make(arenas[1]!, first.address);
      if (hole !== 0) arenas[0]!.free(hole);
      destroy(arenas[1]!, other);
      const ended = killBefore(0, step(n), () => {
        first.take(40, 2);
        first.retire(...first.take(40));
        first.take(100, 2);
        destroy(arenas[0]!, first);
      });
      if (!ended) break;
      expect(reap(1)).toBe('done');
      const chunk = arenas[1]!.cpu.load(first.address + CoreWords.pool + PoolWords.chunks);
      places.add(chunk === 0 ? 'none' : chunk < first.address ? 'behind' : 'before');
      if (arenas[1]!.heap.isObject(first.address) && isPresent(arenas[1]!.cpu, first.address)) {
        // Nothing leads to memory that was given back.
        for (const words of [40, 8, 40, 100, 300]) {
          const [block] = second.take(words) as [number];
          expect(arenas[1]!.heap.objectAt(block), `killed before step ${n}, ${words} words`).not.toBe(0);
        }
        destroy(arenas[1]!, second);
      }
      arenas[1]!.objects.makeRoom();
      expect(arenas[1]!.use().used, `killed before step ${n}`).toBe(used);
      expect(arenas[1]!.fsck()).toEqual([]);
    }
    expect([...places]).toEqual(['none', where]);
  },
);
