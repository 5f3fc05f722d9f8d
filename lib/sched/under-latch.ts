/** For `fsck`: what a look under a latch finds. */
import type { Cpu } from '../machine/cpu.ts';
import { latchOwner, lookUnderLatch } from '../memory/latch.ts';
import { strayHolder } from './slot.ts';

/** `look` with the latch at `address` held by `owner`, a CPU number plus one; or that it is held by a thread that there is not. */
export function underLatch(cpu: Cpu, address: number, owner: number, look: () => readonly string[]): readonly string[] {
  const id = strayHolder(cpu, () => latchOwner(cpu, address));
  // Not even the reaper could release it.
  if (id !== 0) return [`has a latch that thread ${id - 1} holds, and there is none`];
  return lookUnderLatch(cpu, address, owner, look);
}
