import type { Mutant } from '../mutant.ts';

const PATH = 'lib/structures/maple/path.ts';
const TREE = 'lib/structures/maple/tree.ts';
const WALK = 'lib/structures/maple/walk.ts';
const AREA = 'lib/structures/maple/area.ts';
const CLASS = 'lib/structures/maple/maple-tree.ts';
const STATE = 'lib/structures/maple/maple-state.ts';
const STATES = 'test/structures/maple-state.test.ts';
const MODEL = 'test/structures/maple-tree.test.ts';
const DEATHS = 'test/structures/maple-tree-deaths.test.ts';
const EXPLORED = 'test/native-sim/explore/maple.test.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'a gap is not joined with the one before it',
    file: TREE,
    from: 'if (found.first === first && first > MIN_KEY && this.at(first - 1).word === 0) from = found.first;',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a gap is not joined with the one behind it',
    file: TREE,
    from: '    else if (found.last === last && last < MAX_KEY && this.at(last + 1).word === 0) to = found.last;\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a leaf ends with a gap',
    file: TREE,
    from: 'const end = word === 0 && last < MAX_KEY ? last + 1 : last;',
    to: 'const end = last;',
    tests: [MODEL],
  },
  {
    name: 'a split leaves a leaf that ends with a gap',
    file: TREE,
    from: '      if (isLeafLevel && left > 1 && slots.words[to - 1] === 0) to++;\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'leaves that are split have no room for one slot more',
    file: TREE,
    from: 'nodesFor(slots.count, isLeafLevel ? most - 1 : most)',
    to: 'nodesFor(slots.count, most)',
    tests: [MODEL],
  },
  {
    name: 'a node that was replaced is not retired',
    file: TREE,
    from: '    this.pool.retire(old);\n',
    to: '',
    tests: [MODEL, DEATHS],
  },
  {
    name: 'what a range has replaced is not retired',
    file: TREE,
    from: '    if (!isOneLeaf) this.#retireBetween();\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'the node at the end of a range is not retired',
    file: TREE,
    from: '        if (right.nodes[level] !== left.nodes[level]) pool.retire(right.nodes[level] as number);\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'the neighbour that was joined is not retired',
    file: TREE,
    from: '      right.slots[above] = next;\n      pool.retire(node);\n',
    to: '      right.slots[above] = next;\n',
    tests: [MODEL],
  },
  {
    name: 'the neighbour before stays where it was',
    file: TREE,
    from: '    left.slots[above] = previous;\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'no node is joined with a neighbour',
    file: TREE,
    from: 'if (hasLess && slots.count < least) this.#borrow(level, isLeafLevel);',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a tree with one branch stays as tall',
    file: TREE,
    from: 'if (!isLeafLevel && slots.count === 1 && slots.low === MIN_KEY && slots.pivots[0] === MAX_KEY) {',
    to: 'if (slots.count < 0) {',
    tests: [MODEL],
  },
  {
    name: 'a tree that grows at its end leaves nodes half empty',
    file: TREE,
    from: '    if (this.#side > 0) return Math.min(isLeafLevel ? most - 1 : most, count - 2);\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a tree that grows at its beginning leaves nodes half empty',
    file: TREE,
    from: '    if (this.#side < 0) return Math.max(2, count - most);\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'too few nodes are reserved for a split',
    file: TREE,
    from: 'return count > 1 ? needed + 1 : needed;',
    to: 'return needed;',
    tests: [MODEL],
  },
  {
    name: 'a gap that closes is still the longest',
    file: TREE,
    from: '      this.#stageGap(level - 1, longest);\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a gap above a copied leaf is the old one',
    file: TREE,
    from: '      this.#stageGap(above, longestGap(cpu, shape, node, low, high));\n',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a gap that an entry shortens is still the longest',
    file: TREE,
    from: '+ 1 >= longest) return true;',
    to: '+ 1 > longest) return true;',
    tests: [MODEL],
  },
  {
    name: 'the slot in which a range ends is none that it shortens',
    file: TREE,
    from: 'for (let slot = from; slot <= to && slot < this.#count(node); slot++) {',
    to: 'for (let slot = from; slot < to; slot++) {',
    tests: [MODEL],
  },
  {
    name: 'the gap at the end of the tree may be longer than what is said of it',
    file: TREE,
    from: '(isEnd && known > longest)',
    to: 'isEnd',
    tests: [MODEL],
  },
  {
    name: 'the way to the last key of a slot goes to the next',
    file: PATH,
    from: 'cpu.read(node + Node.words + end - 1) < key',
    to: 'cpu.read(node + Node.words + end - 1) <= key',
    tests: [MODEL],
  },
  {
    name: 'a gap above forgets the other children',
    file: TREE,
    from: 'if (i !== slot) longest = Math.max(longest, cpu.read(at + i) >>> 0);',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'gaps are signed',
    file: AREA,
    from: 'cpu.read(node + shape.gapsAt + slot) >>> 0 < bounds.size',
    to: 'cpu.read(node + shape.gapsAt + slot) < bounds.size',
    tests: [MODEL],
  },
  {
    name: 'the highest place is that of the lowest gap',
    file: AREA,
    from: 'const slot = isHighest ? count - 1 - i : i;',
    to: 'const slot = i;',
    tests: [MODEL],
  },
  {
    name: 'a gap outside the bounds counts',
    file: AREA,
    from: '  const from = Math.max(first, min);',
    to: '  const from = first;',
    tests: [MODEL],
  },
  {
    name: 'a reader stops at the end of a leaf',
    file: WALK,
    from: '    if (found.last === found.high) seek(cpu, shape, tree, found.high + 1, found);\n    else take',
    to: '    if (found.last === found.high) return false;\n    else take',
    tests: [MODEL],
  },
  {
    name: 'a walk back stops at the beginning of a leaf',
    file: WALK,
    from: '    if (found.slot === 0 || found.leaf === 0) seek(cpu, shape, tree, found.low - 1, found);',
    to: '    if (found.slot === 0 || found.leaf === 0) return false;',
    tests: [MODEL],
  },
  {
    name: 'an insertion looks at its first index only',
    file: CLASS,
    from: 'if (found.word !== 0 || indexOf(found.last) < last) {',
    to: 'if (found.word !== 0) {',
    tests: [MODEL],
  },
  {
    name: 'a cyclic allocation begins at the beginning',
    file: CLASS,
    from: 'if (next > first && next <= last) at = this.#area(next, last, size, false);',
    to: '',
    tests: [MODEL],
  },
  {
    name: 'a slot is overwritten outside a step',
    file: TREE,
    from: '    this.begin();\n    this.journal.stage(at, word);',
    to: '    this.begin();\n    cpu.write(at, word);',
    tests: [DEATHS, EXPLORED],
  },
  {
    name: 'a state turns round one range too late',
    file: STATE,
    from: "if (this.#status === 'underflow') {",
    to: 'if (this.#last < 0) {',
    tests: [STATES],
  },
  {
    name: 'a state that has found nothing forgets where it is',
    file: STATE,
    from: '    this.#status = status;\n    return undefined;',
    to: '    this.set(0);\n    this.#status = status;\n    return undefined;',
    tests: [STATES],
  },
];
