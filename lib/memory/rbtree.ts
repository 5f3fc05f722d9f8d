/**
 * Red-black tree in shared memory, linked through words of its nodes: kernel lib/rbtree.c, include/linux/rbtree.h. The
 * root is one word, the address of the top node or 0. Guarded by the latch of the structure that owns the root.
 *
 *   left, right   children, or 0
 *   parent        the parent's address, with RED in the lowest bit; node addresses are even
 *
 *   1. the root is black    2. a red node has no red child    3. all paths down pass equally many black nodes
 *
 * So no path is more than twice as long as another. After Cormen et al., "Introduction to Algorithms", chapter 13.
 */
import type { Cpu } from '../machine/cpu.ts';

/** Offsets of a node's three links. */
export interface TreeLinks {
  readonly left: number;
  readonly right: number;
  readonly parent: number;
}

/** Whether node `a` comes before node `b`. */
export type Before = (cpu: Cpu, a: number, b: number) => boolean;

const RED = 1;

export class Tree {
  readonly #left: number;
  readonly #right: number;
  readonly #parent: number;
  readonly #before: Before;

  constructor({ left, right, parent }: TreeLinks, before: Before) {
    this.#left = left;
    this.#right = right;
    this.#parent = parent;
    this.#before = before;
  }

  /** Puts `node` in the tree, behind its equals. */
  insert(cpu: Cpu, root: number, node: number): void {
    let parent = 0;
    let isLeft = false;
    for (let at = cpu.read(root); at !== 0; at = cpu.read(at + (isLeft ? this.#left : this.#right))) {
      parent = at;
      isLeft = this.#before(cpu, node, at);
    }
    cpu.write(node + this.#left, 0);
    cpu.write(node + this.#right, 0);
    cpu.write(node + this.#parent, parent | RED);
    if (parent === 0) cpu.write(root, node);
    else cpu.write(parent + (isLeft ? this.#left : this.#right), node);
    this.#insertFixup(cpu, root, node);
  }

  remove(cpu: Cpu, root: number, node: number): void {
    const left = cpu.read(node + this.#left);
    const right = cpu.read(node + this.#right);
    if (left !== 0 && right !== 0) {
      this.#removeInner(cpu, root, node, right);
      return;
    }
    const child = left === 0 ? right : left;
    const parent = this.#parentOf(cpu, node);
    const isRed = this.#isRed(cpu, node);
    this.#replace(cpu, root, node, child);
    if (!isRed) this.#removeFixup(cpu, root, child, parent);
  }

  /** The node that comes before all others, or 0. */
  first(cpu: Cpu, root: number): number {
    let node = cpu.read(root);
    while (node !== 0 && cpu.read(node + this.#left) !== 0) node = cpu.read(node + this.#left);
    return node;
  }

  /** The node behind `node`, or 0. */
  next(cpu: Cpu, node: number): number {
    let at = cpu.read(node + this.#right);
    if (at !== 0) {
      while (cpu.read(at + this.#left) !== 0) at = cpu.read(at + this.#left);
      return at;
    }
    let child = node;
    at = this.#parentOf(cpu, child);
    while (at !== 0 && cpu.read(at + this.#right) === child) {
      child = at;
      at = this.#parentOf(cpu, child);
    }
    return at;
  }

  /** The nodes in order. */
  nodes(cpu: Cpu, root: number): number[] {
    const nodes: number[] = [];
    for (let node = this.first(cpu, root); node !== 0; node = this.next(cpu, node)) nodes.push(node);
    return nodes;
  }

  /** What does not hold in the tree that should consist of `nodes`. It comes to an end whatever the links are. */
  faults(cpu: Cpu, root: number, nodes: readonly number[]): string[] {
    const unseen = new Set(nodes);
    const problems: string[] = [];
    /** How many black nodes are on each path down from `node`, with the empty end. */
    const descend = (node: number, parent: number): number => {
      if (node === 0) return 1;
      if (!unseen.delete(node)) problems.push(`leads to ${node}, which is none of its nodes, or to it twice`);
      else if (this.#parentOf(cpu, node) !== parent) problems.push(`has ${node} below another node than that says`);
      else if (this.#isRed(cpu, node) && (parent === 0 || this.#isRed(cpu, parent))) {
        problems.push(`has a red node at ${node}, where none may be`);
      } else {
        const [left, right] = [this.#left, this.#right].map((side) => descend(cpu.read(node + side), node));
        if (left !== right) problems.push(`is not balanced at ${node}`);
        return (left as number) + (this.#isRed(cpu, node) ? 0 : 1);
      }
      return 1;
    };
    descend(cpu.read(root), 0);
    if (problems.length > 0) return problems.slice(0, 1);
    for (const node of unseen) problems.push(`does not lead to ${node}`);
    const inOrder = this.nodes(cpu, root);
    const isLate = (node: number, i: number) => i > 0 && this.#before(cpu, node, inOrder[i - 1] as number);
    for (const node of inOrder.filter(isLate)) problems.push(`has ${node} behind one that it comes before`);
    return problems;
  }

  #parentOf(cpu: Cpu, node: number): number {
    return cpu.read(node + this.#parent) & ~RED;
  }

  #isRed(cpu: Cpu, node: number): boolean {
    return node !== 0 && (cpu.read(node + this.#parent) & RED) !== 0;
  }

  #paint(cpu: Cpu, node: number, colour: number): void {
    cpu.write(node + this.#parent, this.#parentOf(cpu, node) | colour);
  }

  /** The node behind `node` in the tree, which has no left child, takes its place. */
  #removeInner(cpu: Cpu, root: number, node: number, right: number): void {
    let heir = right;
    while (cpu.read(heir + this.#left) !== 0) heir = cpu.read(heir + this.#left);
    const wasRed = this.#isRed(cpu, heir);
    const child = cpu.read(heir + this.#right);
    let parent = this.#parentOf(cpu, heir);
    if (parent === node) parent = heir;
    else {
      this.#replace(cpu, root, heir, child);
      this.#link(cpu, heir, this.#right, cpu.read(node + this.#right));
    }
    this.#replace(cpu, root, node, heir);
    this.#link(cpu, heir, this.#left, cpu.read(node + this.#left));
    this.#paint(cpu, heir, this.#isRed(cpu, node) ? RED : 0);
    if (!wasRed) this.#removeFixup(cpu, root, child, parent);
  }

  /** `child` becomes `parent`'s child on that side; its colour stays. */
  #link(cpu: Cpu, parent: number, side: number, child: number): void {
    cpu.write(parent + side, child);
    if (child !== 0) cpu.write(child + this.#parent, parent | (cpu.read(child + this.#parent) & RED));
  }

  /** `heir`, or nothing, hangs where `node` hung. */
  #replace(cpu: Cpu, root: number, node: number, heir: number): void {
    const parent = this.#parentOf(cpu, node);
    if (parent === 0) {
      cpu.write(root, heir);
      if (heir !== 0) cpu.write(heir + this.#parent, cpu.read(heir + this.#parent) & RED);
    } else {
      this.#link(cpu, parent, cpu.read(parent + this.#left) === node ? this.#left : this.#right, heir);
    }
  }

  /** `node` goes down on `side`, and its child on the other side takes its place. */
  #rotate(cpu: Cpu, root: number, node: number, side: number): void {
    const other = side === this.#left ? this.#right : this.#left;
    const child = cpu.read(node + other);
    this.#link(cpu, node, other, cpu.read(child + side));
    this.#replace(cpu, root, node, child);
    this.#link(cpu, child, side, node);
  }

  #insertFixup(cpu: Cpu, root: number, inserted: number): void {
    let node = inserted;
    for (;;) {
      let parent = this.#parentOf(cpu, node);
      if (!this.#isRed(cpu, parent)) break;
      const grand = this.#parentOf(cpu, parent);
      const side = cpu.read(grand + this.#left) === parent ? this.#left : this.#right;
      const other = side === this.#left ? this.#right : this.#left;
      const uncle = cpu.read(grand + other);
      if (this.#isRed(cpu, uncle)) {
        this.#paint(cpu, parent, 0);
        this.#paint(cpu, uncle, 0);
        this.#paint(cpu, grand, RED);
        node = grand;
        continue;
      }
      if (cpu.read(parent + other) === node) {
        this.#rotate(cpu, root, parent, side);
        node = parent;
        parent = this.#parentOf(cpu, node);
      }
      this.#paint(cpu, parent, 0);
      this.#paint(cpu, grand, RED);
      this.#rotate(cpu, root, grand, other);
      break;
    }
    this.#paint(cpu, cpu.read(root), 0);
  }

  /** The paths through `short`, a child of `above` or nothing, lack a black node. */
  #removeFixup(cpu: Cpu, root: number, short: number, above: number): void {
    let node = short;
    let parent = above;
    while (parent !== 0 && !this.#isRed(cpu, node)) {
      const side = cpu.read(parent + this.#left) === node ? this.#left : this.#right;
      const other = side === this.#left ? this.#right : this.#left;
      let sibling = cpu.read(parent + other);
      if (this.#isRed(cpu, sibling)) {
        this.#paint(cpu, sibling, 0);
        this.#paint(cpu, parent, RED);
        this.#rotate(cpu, root, parent, side);
        sibling = cpu.read(parent + other);
      }
      if (!this.#isRed(cpu, cpu.read(sibling + side)) && !this.#isRed(cpu, cpu.read(sibling + other))) {
        this.#paint(cpu, sibling, RED);
        node = parent;
        parent = this.#parentOf(cpu, node);
        continue;
      }
      if (!this.#isRed(cpu, cpu.read(sibling + other))) {
        this.#paint(cpu, cpu.read(sibling + side), 0);
        this.#paint(cpu, sibling, RED);
        this.#rotate(cpu, root, sibling, other);
        sibling = cpu.read(parent + other);
      }
      this.#paint(cpu, sibling, this.#isRed(cpu, parent) ? RED : 0);
      this.#paint(cpu, parent, 0);
      this.#paint(cpu, cpu.read(sibling + other), 0);
      this.#rotate(cpu, root, parent, side);
      node = cpu.read(root);
      break;
    }
    if (node !== 0) this.#paint(cpu, node, 0);
  }
}
