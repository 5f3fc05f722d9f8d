/** RCU lists as programs to explore: readers that walk while a writer adds, takes out and replaces entries. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { RcuHlist } from '../../../../lib/rcu/hlist.ts';
import { RcuList } from '../../../../lib/rcu/list.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, type View } from './holdfast.ts';

const ARENA_WORDS = 4096;
const AT = 1;

interface Shared extends View {
  head: number;
  entries: number[];
}

const CLASSES = { list: RcuList, hlist: RcuHlist };

/** A reader, and a writer that makes three changes. Each entry that is found has its value; 1 stays, and is always found. */
export function listChanges(kind: 'list' | 'hlist'): Program {
  const open = (arena: Arena, head: number) => new CLASSES[kind](arena, head, { at: AT });
  const program: Program<Shared> = {
    words: ARENA_WORDS + 1,
    setup(cpu) {
      const view = makeArenas(cpu, 2, Number.POSITIVE_INFINITY, ARENA_WORDS);
      const [arena] = view.arenas as [Arena];
      const head = arena.alloc(2);
      const list = open(arena, head);
      list.init();
      const entries = [1, 2, 3].map(() => arena.alloc(3));
      for (const [i, entry] of entries.slice(0, 2).entries()) {
        cpu.write(entry, i + 1);
        list.addTail(entry);
      }
      return { ...view, head, entries };
    },
    threads: [
      (cpu: Cpu, me: number, { arenas, head }: Shared) => {
        const list = open(arenas[me] as Arena, head);
        const seen: number[] = [];
        for (let entry = list.first(); entry !== 0; entry = list.next(entry)) seen.push(cpu.read(entry));
        if (!seen.includes(1) || seen.includes(0)) throw new Error(`a reader has seen ${seen}`);
      },
      (cpu: Cpu, me: number, { arenas, head, entries }: Shared) => {
        const list = open(arenas[me] as Arena, head);
        const [, second, third] = entries as [number, number, number];
        cpu.write(third, 3);
        list.replace(second, third);
        list.delete(third);
      },
    ],
  };
  return program as unknown as Program;
}
