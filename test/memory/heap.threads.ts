import type { Arena } from '../../lib/index.ts';

/** Allocates to exhaustion and back, checking that nobody else writes to its blocks. */
export function churn(arena: Arena, rounds: number): number {
  const { words } = arena;
  const mark = arena.thread.id;
  let torn = 0;
  for (let round = 0; round < rounds; round++) {
    const blocks: { address: number; length: number }[] = [];
    for (let i = 0; ; i++) {
      const length = 1 + ((i * 37 + round * 101 + mark * 13) % 500);
      try {
        const address = arena.alloc(length);
        words.fill(mark, address, address + length);
        blocks.push({ address, length });
      } catch {
        break;
      }
    }
    for (const { address, length } of blocks) {
      for (let i = 0; i < length; i++) if (words[address + i] !== mark) torn++;
      arena.free(address);
    }
  }
  return torn;
}
