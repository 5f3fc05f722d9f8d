import type { Arena } from '../../arena/arena.ts';
import type { LockType } from '../lock-type.ts';

/** Words for one entry a thread: more than there can be threads. */
export const RING = 128;
const WORDS = 16 + RING;

/** How long a thread sleeps between two steps that should be one, ns: so two meet there, also on one core. */
export const GAP = 20_000;

/** A broken lock of a few words of the arena, all zero at first. */
export function bustedType(
  name: string,
  summary: string,
  open: (arena: Arena, address: number) => { lock(): boolean; unlock(): void },
): LockType {
  return {
    name,
    summary,
    isBusted: true,
    modes: ['write'],
    isRobust: false,
    isAsync: false,
    hasTry: false,
    hasTimeouts: false,
    longHold: 500,
    create: (arena) => {
      const address = arena.alloc(WORDS);
      for (let i = 0; i < WORDS; i++) arena.cpu.write(address + i, 0);
      return address;
    },
    open: (arena, handle) => ({
      ...open(arena, handle as number),
      ownerDied: false,
      makeConsistent: () => {},
      destroy: () => arena.free(handle as number),
    }),
  };
}
