/** The barriers and cache maintenance of Armv8, for programs that are about them. */
import { type BarrierOption, barrierOf } from './barrier.ts';
import { Code } from './codes.ts';
import { TimedCpu } from './timed-cpu.ts';

export class ArmCpu extends TimedCpu {
  dmb(option: BarrierOption): void {
    const { domain, orders } = barrierOf(option);
    this.executor.instruction(Code.dmb, 0, domain, orders);
  }
  dsb(option: BarrierOption): void {
    const { domain, orders } = barrierOf(option);
    this.executor.instruction(Code.dsb, 0, domain, orders);
  }
  isb(): void {
    this.executor.instruction(Code.isb, 0, 0, 0);
  }
  /** DC CVAC: the line of `address` is written back to memory, and kept. A DSB waits until it is there. */
  clean(address: number): void {
    this.executor.instruction(Code.clean, address, 0, 0);
  }
  /** DC CIVAC: the same, and no cache keeps it. */
  cleanInvalidate(address: number): void {
    this.executor.instruction(Code.cleanInvalidate, address, 0, 0);
  }
}
