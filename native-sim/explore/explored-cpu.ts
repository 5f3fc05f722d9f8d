/** `Cpu` of the explored machine, which also hears of memory that is given out and back. */
import { Op } from '../replay/operations.ts';
import { type Executor as Executing, ReplayedCpu } from '../replay/replayed-cpu.ts';

/** Flat memory during `setup`, a search while threads run. */
export interface Executor extends Executing {
  poison(op: number, address: number, words: number): void;
}

export class ExploredCpu extends ReplayedCpu<Executor> {
  /** Memory that has been handed out and not initialised: reading it before it is written is reported. */
  allocate(address: number, words: number): void {
    this.executor.poison(Op.allocate, address, words);
  }
  /** Memory that was given back: whoever reads it, or races with this, is reported. */
  free(address: number, words: number): void {
    this.executor.poison(Op.free, address, words);
  }
}
