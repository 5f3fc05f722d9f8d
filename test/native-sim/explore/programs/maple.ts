/** A maple tree with four slots a node as a program to explore: readers, and writers that change the tree under them. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { enter, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import type { Stretch } from '../../../../lib/rcu/stretch.ts';
import { mapleKind } from '../../../../lib/structures/maple/maple-tree.ts';
import { keyOf } from '../../../../lib/structures/maple/node.ts';
import { MapleCore } from '../../../../lib/structures/maple/tree.ts';
import { loadWord, Range, seekNext } from '../../../../lib/structures/maple/walk.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

const DOMAIN = defineDomain('explored-maple-qsbr', false);
const KIND = mapleKind('explored-maple');
const ARENA_WORDS = 4096;

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
 * of the first to that of the last; reuse: all but one goes, and nodes are used again once they may be.
 */
export type MapleAct = 'read' | 'store' | 'split' | 'join' | 'span' | 'reuse';

interface Shared extends View {
  tree: number;
  rcu: number;
}

const put = (tree: MapleCore, first: number, last: number, word: number) => tree.put(keyOf(first), keyOf(last), word);

const CHANGES: Record<Exclude<MapleAct, 'read'>, (tree: MapleCore) => void> = {
  store: (tree) => put(tree, 20, 23, AGAIN),
  split: (tree) => put(tree, 21, 22, AGAIN),
  join: (tree) => put(tree, 20, 33, 0),
  span: (tree) => put(tree, 12, 32, AGAIN),
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

function treeOf(arena: Arena, { tree, rcu }: Shared): MapleCore {
  const readers = new Readers(arena.thread, rcu);
  return new MapleCore(arena, tree, { readers, quiescent: () => true } as Stretch, 4);
}

export function maple(acts: readonly MapleAct[]): Program {
  const program: Program<Shared> = {
    words: ARENA_WORDS,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, Number.POSITIVE_INFINITY, ARENA_WORDS);
      const { objects } = view.arenas[0] as Arena;
      const shared = { ...view, rcu: objects.create(DOMAIN), tree: objects.create(KIND(true)) };
      const tree = treeOf(view.arenas[0] as Arena, shared);
      tree.write(() => {
        for (const first of PRESENT) put(tree, first, first + WIDTH - 1, entryOf(first));
      });
      return shared;
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, shared: Shared) => {
      const arena = shared.arenas[me] as Arena;
      const tree = treeOf(arena, shared);
      if (act !== 'read') {
        tree.write(() => CHANGES[act](tree));
        return;
      }
      const readers = new Readers(arena.thread, shared.rcu);
      enter(cpu, readers.sync);
      for (const index of [21, 3, 33]) {
        const word = loadWord(cpu, tree.shape, shared.tree, keyOf(index));
        if (!allowed(index).includes(word)) throw new Error(`index ${index} has ${word}`);
      }
      const found = new Range();
      if (seekNext(cpu, tree.shape, shared.tree, keyOf(14), keyOf(60), found)) {
        const { first, last, word } = found;
        if (first > last) throw new Error(`a range from ${first} to ${last}`);
        if (!PRESENT.some((at) => allowed(at).includes(word))) throw new Error(`a range with ${word}`);
      }
      readers.exit(SYNC);
    }),
    reaper(_cpu, died, shared) {
      reapDead(shared, died, 2);
      // The next writer: all ranges can be stored and found.
      const tree = treeOf(shared.arenas.at(-1) as Arena, shared);
      tree.write(() => {
        for (const first of PRESENT) put(tree, first, first + WIDTH - 1, later(first));
        for (const first of PRESENT) {
          const { word } = tree.at(keyOf(first + 1));
          if (word !== later(first)) throw new Error(`${first} is not there after a store`);
        }
      });
    },
  };
  return program as unknown as Program;
}
