import { expect, test } from 'vitest';
import { RealCpu } from '../../lib/machine/real.ts';
import { Tree } from '../../lib/memory/rbtree.ts';
import { struct } from '../../lib/memory/struct.ts';

const Node = struct({ left: 1, right: 1, parent: 1, key: 1 });
const ROOT = 1;
const COUNT = 200;

/** Black nodes on each path down; throws where a rule of red-black trees is broken. */
function blackHeight(words: Int32Array, node: number, parent: number): number {
  if (node === 0) return 1;
  const at = (offset: number) => words[node + offset] as number;
  const isRed = (at(Node.parent) & 1) !== 0;
  if ((at(Node.parent) & ~1) !== parent) throw new Error(`node ${node} does not know its parent`);
  const redAbove = parent !== 0 && ((words[parent + Node.parent] as number) & 1) !== 0;
  if (isRed && (parent === 0 || redAbove)) throw new Error(`node ${node} may not be red`);
  const heights = [blackHeight(words, at(Node.left), node), blackHeight(words, at(Node.right), node)];
  if (heights[0] !== heights[1]) throw new Error(`node ${node} has paths of ${heights.join(' and ')} black nodes`);
  return (heights[0] as number) + (isRed ? 0 : 1);
}

test('a tree that loses its order, its balance or its nodes', () => {
  const words = new Int32Array(new SharedArrayBuffer(4 * (8 + COUNT * Node.words)));
  const cpu = new RealCpu(words);
  const tree = new Tree(Node, (c, a, b) => c.read(a + Node.key) < c.read(b + Node.key));
  const nodes = Array.from({ length: COUNT }, (_, i) => 8 + i * Node.words);
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return (seed >> 8) % below;
  };
  // Behind its equals: the model is a list that is kept in order the plain way.
  const model: number[] = [];
  for (let round = 0; round < 4000; round++) {
    const node = nodes[random(COUNT)] as number;
    const at = model.indexOf(node);
    if (at < 0) {
      const key = random(30);
      words[node + Node.key] = key;
      tree.insert(cpu, ROOT, node);
      const behind = model.findIndex((other) => (words[other + Node.key] as number) > key);
      model.splice(behind < 0 ? model.length : behind, 0, node);
    } else {
      tree.remove(cpu, ROOT, node);
      model.splice(at, 1);
    }
    blackHeight(words, words[ROOT] as number, 0);
    expect(tree.first(cpu, ROOT)).toBe(model[0] ?? 0);
    if (round % 50 === 0) expect(tree.nodes(cpu, ROOT)).toEqual(model);
  }
});
