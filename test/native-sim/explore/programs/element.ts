/** An element that readers of RCU reach by a pointer, and that writers replace, and spoil once no reader can have it. */

import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Domain, Pace } from '../../../../lib/rcu/layout.ts';
import { synchronize } from '../../../../lib/rcu/wait.ts';
import type { Thread } from '../../../../lib/sched/thread.ts';

const SOUND = 7;
const SPOILT = -1;

/** Where they are: the first element is the word behind the pointer, thread `i`'s is the word `2 + i` behind it. */
export interface Pointed {
  readonly domain: Domain;
  readonly pointer: number;
}

/** A pointer to a sound element. */
export function pointTo(cpu: Cpu, pointer: number): void {
  cpu.store(pointer, pointer + 1);
  cpu.store(pointer + 1, SOUND);
}

/** A reader's use of what the pointer leads to. */
export function use(cpu: Cpu, pointer: number): void {
  check(cpu, cpu.loadDependent(pointer));
}

export function check(cpu: Cpu, element: number): void {
  if (cpu.read(element) !== SOUND) throw new Error(`the element at ${element} was reclaimed under its reader`);
}

/** Thread `me` puts its own element there. Returns the one that was there. */
export function publish(cpu: Cpu, me: number, pointer: number): number {
  const mine = pointer + 2 + me;
  cpu.write(mine, SOUND);
  return cpu.xchgRelease(pointer, mine);
}

export function spoil(cpu: Cpu, element: number): void {
  cpu.write(element, SPOILT);
}

/** Thread `me` replaces the element, waits for its readers, and spoils it. */
export function replace(cpu: Cpu, thread: Thread, me: number, { domain, pointer }: Pointed, pace: Pace): void {
  const old = publish(cpu, me, pointer);
  synchronize(thread, domain, pace);
  spoil(cpu, old);
}
