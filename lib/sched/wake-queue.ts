/**
 * Wake queue: what a thread finds out to be done while it holds latches, and does once it holds none (the kernel's
 * `wake_q_head`): tasks to wake, and tasks whose place in a wait list follows a new priority, under that list's latch.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { Heap } from '../memory/heap.ts';
import { kindById } from '../memory/kinds.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { unparkAll } from './task.ts';
import { reorder } from './wait-list.ts';

export interface WakeQueue {
  readonly wake: number[];
  readonly reorder: number[];
}

export const wakeQueue = (): WakeQueue => ({ wake: [], reorder: [] });

/** What this file needs of a `Thread`, which stands above it. */
export interface CurrentThread {
  readonly cpu: Cpu;
  readonly id: number;
  readonly slot: number;
}

/** `wake_up_q`. The caller holds no latch at all. */
export function wakeQueued(thread: CurrentThread, { wake, reorder }: WakeQueue): void {
  unparkAll(thread.cpu, wake);
  if (reorder.length === 0) return;
  latch(thread.cpu, Header.namesLatch, thread.id);
  putInOrder(thread, reorder);
}

/** Moves tasks whose priority has changed to their places. The caller holds namesLatch, which is free afterwards. */
export function putInOrder({ cpu, id: owner }: CurrentThread, tasks: readonly number[]): void {
  for (const task of tasks) {
    const list = reorder(cpu, task, owner);
    const address = list === 0 ? 0 : new Heap(cpu, owner).objectAt(list);
    if (address !== 0) kindById(cpu.read(address + ObjectHeader.kind))?.reordered?.(cpu, address, owner);
  }
  unlatch(cpu, Header.namesLatch);
}
