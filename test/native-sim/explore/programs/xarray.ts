/** An XArray with four slots a node as a program to explore: readers, and writers that change the tree under them. */
import { XArrayTree } from '../../../../lib/structures/xarray/tree.ts';
import { loadWord } from '../../../../lib/structures/xarray/walk.ts';
import { xarrayKind } from '../../../../lib/structures/xarray/xarray.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { onStructure } from './on-structure.ts';

const KIND = xarrayKind('explored-xarray');
const BITS = 2;

/** Entries are value entries; each index has its own at first, and another when it is stored again. */
const first = (index: number) => index * 4 + 1;
const second = (index: number) => index * 4 + 3;
const PRESENT = [1, 5, 6];

/**
 * read: looks at four indices. store: an entry in a new node; grow: an entry beyond the tree; erase: the last two of a node,
 * which goes; fill: one entry at four indices, in place of a node; join: one entry at two indices, by a changed node; reuse:
 * a node goes, and is used again for other indices once it may be.
 */
export type XArrayAct = 'read' | 'store' | 'grow' | 'erase' | 'fill' | 'join' | 'reuse';

const CHANGES: Record<Exclude<XArrayAct, 'read'>, (tree: XArrayTree) => void> = {
  store: (tree) => tree.put(9, second(9)),
  grow: (tree) => tree.put(20, second(20)),
  erase(tree) {
    tree.erase(5);
    tree.erase(6);
  },
  fill: (tree) => tree.putOrder(4, 2, second(4)),
  join: (tree) => tree.putOrder(4, 1, second(4)),
  reuse(tree) {
    tree.putOrder(4, 2, 0);
    tree.pool.collect();
    tree.put(13, second(13));
  },
};

/** What a reader may find at an index. */
function allowed(index: number): number[] {
  const now = PRESENT.includes(index) ? first(index) : 0;
  return index === 1 ? [now] : [now, 0, second(index), second(4)];
}

export function xarray(acts: readonly XArrayAct[], deaths = 1): Program {
  return onStructure<XArrayTree>({
    kind: KIND(0),
    deaths,
    words: 4096,
    open: (arena, xa, stretch) => new XArrayTree(arena, xa, stretch, BITS),
    fill(tree) {
      for (const index of PRESENT) tree.put(index, first(index));
    },
    threads: acts.map((act) => (cpu, tree, _arena, read) => {
      if (act !== 'read') return tree.write(() => CHANGES[act](tree));
      read(() => {
        for (const index of [5, 1, 13]) {
          const word = loadWord(cpu, tree.address, BITS, index);
          if (!allowed(index).includes(word)) throw new Error(`index ${index} has ${word}`);
        }
      });
    }),
    // All indices can be stored and found. A reader may run after this: the entry at 1 stays what it was.
    next(tree) {
      tree.write(() => {
        for (const index of [1, 4, 5, 9, 20]) {
          const entry = index === 1 ? first(index) : second(index);
          tree.put(index, entry);
          if (tree.get(index) !== entry) throw new Error(`${index} is not there after a store`);
        }
      });
    },
  });
}
