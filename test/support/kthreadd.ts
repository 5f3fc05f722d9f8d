import { isRunning } from '../../lib/arena/kthreadd.ts';
import type { Arena } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { Slot, slotAddress } from '../../lib/sched/slot.ts';

/** The threadId of the thread that is kthreadd, plus one; 0 when there is none. */
export function kthreaddLife({ cpu }: Arena): number {
  const kthreadd = cpu.load(Header.kthreadd);
  return isRunning(kthreadd) ? cpu.load(slotAddress(cpu, (kthreadd >> 1) - 1) + Slot.life) : 0;
}
