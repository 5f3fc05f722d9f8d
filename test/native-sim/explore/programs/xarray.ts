/** An XArray with four slots a node as a program to explore: readers, and writers that change the tree under them. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { defineDomain } from '../../../../lib/rcu/domain.ts';
import { enter, Readers, SYNC } from '../../../../lib/rcu/reader.ts';
import type { Stretch } from '../../../../lib/rcu/stretch.ts';
import { XArrayTree } from '../../../../lib/structures/xarray/tree.ts';
import { loadWord } from '../../../../lib/structures/xarray/walk.ts';
import { xarrayKind } from '../../../../lib/structures/xarray/xarray.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapDead, type View } from './holdfast.ts';

const DOMAIN = defineDomain('explored-qsbr', false);
const KIND = xarrayKind('explored-xarray');
const ARENA_WORDS = 4096;
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

interface Shared extends View {
  xa: number;
  rcu: number;
}

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

function treeOf(arena: Arena, { xa, rcu }: Shared): XArrayTree {
  const readers = new Readers(arena.thread, rcu);
  return new XArrayTree(arena, xa, { readers, quiescent: () => true } as Stretch, BITS);
}

export function xarray(acts: readonly XArrayAct[]): Program {
  const program: Program<Shared> = {
    words: ARENA_WORDS,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, Number.POSITIVE_INFINITY, ARENA_WORDS);
      const { objects } = view.arenas[0] as Arena;
      const shared = { ...view, rcu: objects.create(DOMAIN), xa: objects.create(KIND(0)) };
      const tree = treeOf(view.arenas[0] as Arena, shared);
      tree.write(() => {
        for (const index of PRESENT) tree.put(index, first(index));
      });
      return shared;
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, shared: Shared) => {
      const arena = shared.arenas[me] as Arena;
      if (act !== 'read') {
        const tree = treeOf(arena, shared);
        tree.write(() => CHANGES[act](tree));
        return;
      }
      const readers = new Readers(arena.thread, shared.rcu);
      enter(cpu, readers.sync);
      for (const index of [5, 1, 13]) {
        const word = loadWord(cpu, shared.xa, BITS, index);
        if (!allowed(index).includes(word)) throw new Error(`index ${index} has ${word}`);
      }
      readers.exit(SYNC);
    }),
    reaper(_cpu, died, shared) {
      reapDead(shared, died, 2);
      // The next writer: all indices can be stored and found.
      const tree = treeOf(shared.arenas.at(-1) as Arena, shared);
      tree.write(() => {
        for (const index of [1, 4, 5, 9, 20]) {
          tree.put(index, second(index));
          if (tree.get(index) !== second(index)) throw new Error(`${index} is not there after a store`);
        }
      });
    },
  };
  return program as unknown as Program;
}
