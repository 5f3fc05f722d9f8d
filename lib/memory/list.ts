/**
 * An intrusive doubly linked list in shared memory (the kernel's `list_head`), for queues of tasks. The head is one
 * word, the address of the first node or 0; nodes form a ring through two words of their own, so the last node is the
 * first one's `prev`. Guarded by the latch of the structure that owns the head, but the head may be looked at without.
 */
import type { Cpu } from '../machine/cpu.ts';

/** Offsets of a node's two links. */
export interface Links {
  readonly next: number;
  readonly prev: number;
}

/** Puts `node` in front of `before`, or at the end when `before` is 0. */
export function listInsert(cpu: Cpu, head: number, node: number, before: number, links: Links): void {
  const first = cpu.load(head);
  if (first === 0) {
    cpu.write(node + links.next, node);
    cpu.write(node + links.prev, node);
    cpu.store(head, node);
    return;
  }
  const next = before === 0 ? first : before;
  const prev = cpu.read(next + links.prev);
  cpu.write(node + links.next, next);
  cpu.write(node + links.prev, prev);
  cpu.write(prev + links.next, node);
  cpu.write(next + links.prev, node);
  if (before === first) cpu.store(head, node);
}

export function listRemove(cpu: Cpu, head: number, node: number, links: Links): void {
  const next = cpu.read(node + links.next);
  if (next === node) {
    cpu.store(head, 0);
    return;
  }
  const prev = cpu.read(node + links.prev);
  cpu.write(prev + links.next, next);
  cpu.write(next + links.prev, prev);
  if (cpu.load(head) === node) cpu.store(head, next);
}

/** The nodes, first to last. */
export function listNodes(cpu: Cpu, head: number, links: Links): number[] {
  const nodes: number[] = [];
  const first = cpu.load(head);
  for (let node = first; node !== 0; ) {
    nodes.push(node);
    node = cpu.read(node + links.next);
    if (node === first) break;
  }
  return nodes;
}
