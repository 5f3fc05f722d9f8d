/** What a word of an arena is, by struct and field, for those who look at lines of memory. */
import type { Cpu } from '../../lib/machine/cpu.ts';
import { Header, NAME_BUCKETS } from '../../lib/memory/header.ts';
import { Heap } from '../../lib/memory/heap.ts';
import { kindById, sizeOf } from '../../lib/memory/kinds.ts';
import { LINE_WORDS, wordName } from '../../lib/memory/struct.ts';
import { slotWordName } from '../../lib/sched/slot.ts';

/** The name of the word at an address. */
export type WordNames = (address: number) => string;

interface Block {
  readonly start: number;
  readonly end: number;
  readonly name: (offset: number) => string;
}

/** Names for the arena behind `cpu`, with the objects that it holds now; `thread 3: spinQueue.waiter.next`, `mutex.owner`. */
export function arenaWordNames(cpu: Cpu): WordNames {
  const threads = cpu.read(Header.threads);
  const threadWords = cpu.read(Header.threadWords);
  const names = cpu.read(Header.names);
  const map = cpu.read(Header.map);
  const heap = cpu.read(Header.heap);
  const objects = objectsOf(cpu);
  return (address) => {
    if (address < threads) return `header.${wordName(Header, address)}`;
    if (address < names) {
      const slot = Math.floor((address - threads) / threadWords);
      return `thread ${slot}: ${slotWordName((address - threads) % threadWords)}`;
    }
    if (address < names + NAME_BUCKETS) return `names[${address - names}]`;
    if (address < heap) return `heap map[${address - map}]`;
    const object = objects.find(({ start, end }) => start <= address && address < end);
    return object?.name(address - object.start) ?? `heap[${address - heap}]`;
  };
}

/** The objects of the heap. Two of one kind are told apart by their addresses. */
function objectsOf(cpu: Cpu): Block[] {
  const found = new Heap(cpu, 1).objects().flatMap((start) => {
    const kind = kindById(cpu.read(start));
    return kind === undefined ? [] : [{ start, kind }];
  });
  return found.map(({ start, kind }) => {
    const isOnly = found.filter((other) => other.kind === kind).length === 1;
    const label = isOnly ? kind.name : `${kind.name} at ${start}`;
    const name = (offset: number) => {
      if (offset < kind.words)
        return kind.layout === null ? `${label}[${offset}]` : `${label}.${wordName(kind.layout, offset)}`;
      const behind = offset - kind.words;
      return `${label}.line[${Math.floor(behind / LINE_WORDS)}][${behind % LINE_WORDS}]`;
    };
    return { start, end: start + sizeOf(cpu, kind), name };
  });
}
