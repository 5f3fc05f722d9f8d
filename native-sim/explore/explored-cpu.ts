/** `Cpu` of the explored machine, which also hears of memory that is given out and back. */
import type { WaitOutcome } from '../../lib/machine/cpu.ts';
import { Op } from '../replay/operations.ts';
import { type Executor as Executing, ReplayedCpu } from '../replay/replayed-cpu.ts';

/** Flat memory during `setup`, a search while threads run. */
export interface Executor extends Executing {
  waitAsync(address: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome>;
  poison(op: number, address: number, words: number): void;
}

export class ExploredCpu extends ReplayedCpu<Executor> {
  /** As `wait` for a thread that has no event loop, and so nothing else to do. */
  override waitAsync(a: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome> {
    return this.executor.waitAsync(a, expected, deadline);
  }

  /** Memory that has been handed out and not initialised: reading it before it is written is reported. */
  allocate(address: number, words: number): void {
    this.executor.poison(Op.allocate, address, words);
  }
  /** Memory that was given back: whoever reads it, or races with this, is reported. */
  free(address: number, words: number): void {
    this.executor.poison(Op.free, address, words);
  }
}
