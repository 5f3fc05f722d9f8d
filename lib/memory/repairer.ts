import type { Cpu } from '../machine/cpu.ts';

/** What a kind's `repair` needs to know. */
export interface Repairer {
  readonly cpu: Cpu;
  /** The repairing thread's CPU number plus one. */
  readonly owner: number;
  /** Number of slots in the thread table. */
  readonly threads: number;
  /** Whether the thread with this CPU number plus one is dead. */
  readonly isDead: (id: number) => boolean;
  /**
   * Takes a latch that may be held by a dead thread; `rebuild` runs first if it was. Also wakes whoever a dead
   * thread's unlatch had still been going to wake. False when somebody has it who is not known to be dead and does not
   * released it for a moment: that thread may have died since this pass began, and repair gives up for now.
   */
  latch(address: number, rebuild: () => void): boolean;
  /**
   * Waits a moment for a live thread's next few steps to make `until` hold at `address`. False when it does not (the
   * thread is preempted, or dead itself and not known yet): repair gives up for now.
   */
  settle(address: number, until: (value: number, arg: number) => boolean, arg: number): boolean;
}
