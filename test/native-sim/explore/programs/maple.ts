/** A maple tree with four slots a node as a program to explore: readers, and writers that change the tree under them. */
import { mapleKind } from '../../../../lib/structures/maple/maple-tree.ts';
import { keyOf } from '../../../../lib/structures/maple/node.ts';
import { MapleCore } from '../../../../lib/structures/maple/tree.ts';
import { Range, seek, seekNext } from '../../../../lib/structures/maple/walk.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { onStructure } from './on-structure.ts';

const KIND = mapleKind('explored-maple');

/** Ranges of four indices each; an entry is a value entry, of its first index at first, and another when it is stored again. */
const PRESENT = [0, 10, 20, 30];
const WIDTH = 4;
const entryOf = (index: number) => index * 2 + 1;
const AGAIN = 201;
/** What the writer after a death puts in place of an entry. */
const later = (index: number) => entryOf(index) + 400;

/**
 * read: looks at three indices, and for the range behind one. store: an entry in place of a range's; split: a range where
 * a leaf and the root are full; join: two ranges go, and leaves become one; span: one range in place of several, from the middle
 * of the first to that of the last; append: ranges behind all others, of which one is added to a leaf, and one comes with a leaf;  reuse: all but one goes, and nodes are used again once they may be.
 */
export type MapleAct = 'read' | 'store' | 'split' | 'join' | 'span' | 'append' | 'reuse';

/** Where ranges are appended: the second right behind the first, so that the leaf of that has room. */
const APPENDED = [50, 54, 64, 74];

const put = (tree: MapleCore, first: number, last: number, word: number) => tree.put(keyOf(first), keyOf(last), word);

const CHANGES: Record<Exclude<MapleAct, 'read'>, (tree: MapleCore) => void> = {
  store: (tree) => put(tree, 20, 23, AGAIN),
  split: (tree) => put(tree, 21, 22, AGAIN),
  join: (tree) => put(tree, 20, 33, 0),
  span: (tree) => put(tree, 12, 32, AGAIN),
  append(tree) {
    for (const first of APPENDED) put(tree, first, first + WIDTH - 1, entryOf(first));
  },
  reuse(tree) {
    put(tree, 10, 100, 0);
    tree.pool.collect();
    put(tree, 25, 26, AGAIN);
  },
};

/** What a reader may find at an index of a range that is there at first. The range at 0 is left alone. */
function allowed(index: number): number[] {
  const first = index - (index % 10);
  const here = [entryOf(first), later(first)];
  return first === 0 ? here : [...here, 0, AGAIN];
}

export function maple(acts: readonly MapleAct[], deaths = 1): Program {
  return onStructure<MapleCore>({
    kind: KIND(true),
    deaths,
    words: 4096,
    open: (arena, tree, stretch) => new MapleCore(arena, tree, stretch, 4),
    fill(tree) {
      for (const first of PRESENT) put(tree, first, first + WIDTH - 1, entryOf(first));
    },
    threads: acts.map((act) => (cpu, tree, _arena, read) => {
      if (act !== 'read') return tree.write(() => CHANGES[act](tree));
      read(() => {
        const load = (index: number) => tree.load(keyOf(index));
        if (acts.includes('append')) {
          // From the last to the first: what is behind is there later.
          let isThere = false;
          for (const index of APPENDED.toReversed()) {
            const word = load(index + 1);
            if (word !== entryOf(index) && (word !== 0 || isThere)) throw new Error(`index ${index} has ${word}`);
            isThere ||= word !== 0;
          }
          for (const index of [45, 60, 2 ** 31]) if (load(index) !== 0) throw new Error(`something is at ${index}`);
        }
        for (const index of [21, 3, 33]) {
          const word = load(index);
          if (!allowed(index).includes(word)) throw new Error(`index ${index} has ${word}`);
        }
        const found = new Range();
        // Nothing becomes again what it was. The second load may be of the leaf that the first one has found.
        const before = load(21);
        seek(cpu, tree.shape, tree.address, keyOf(21), found);
        if (found.word !== before && load(21) === before) throw new Error(`${before} is back at 21`);
        if (seekNext(cpu, tree.shape, tree.address, keyOf(14), keyOf(44), found)) {
          const { first, last, word } = found;
          if (first > last) throw new Error(`a range from ${first} to ${last}`);
          if (!PRESENT.some((at) => allowed(at).includes(word))) throw new Error(`a range with ${word}`);
        }
      });
    }),
    // All ranges can be stored and found.
    next(tree) {
      tree.write(() => {
        for (const first of PRESENT) put(tree, first, first + WIDTH - 1, later(first));
        for (const first of PRESENT) {
          const { word } = tree.at(keyOf(first + 1));
          if (word !== later(first)) throw new Error(`${first} is not there after a store`);
        }
      });
    },
  });
}
