/** Which pool_workqueues a workqueue has. */
import type { Cpu } from '../machine/cpu.ts';
import { AddedPwq, pwqAt, Wq } from './layout.ts';

/** Those that it was made with, and those that attributes have added. */
export function pwqsOf(cpu: Cpu, wq: number): number[] {
  const pwqs = Array.from({ length: cpu.read(wq + Wq.nrPwqs) }, (_, i) => pwqAt(wq, i));
  // Acquire: pairs with the exchange in `link`, behind the words of what it adds.
  for (let added = cpu.loadAcquire(wq + Wq.added); added !== 0; added = cpu.read(added + AddedPwq.next)) {
    pwqs.push(added + AddedPwq.pwq);
  }
  return pwqs;
}

/** The one in which items of an unbound queue are queued. */
export function currentPwq(cpu: Cpu, wq: number): number {
  // Acquire: pairs with the exchange in `applyAttributes`, behind the link.
  return cpu.loadAcquire(wq + Wq.current);
}
