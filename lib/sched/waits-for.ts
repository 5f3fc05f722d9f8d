/**
 * The waits-for graph, read from the words that locks and tasks keep anyway. A task says in
 * `blockedOn` what it waits for, an object's kind says who holds it.
 *
 *   thread 0  --waits for-->  mutex "b"  --held by-->  thread 1  --waits for-->  mutex "a"  --held by-->  thread 0
 *
 * A thread that sleeps in a synchronous call releases nothing meanwhile, neither what its synchronous code holds nor
 * what its asynchronous tasks do: so a chain of such threads that leads back to its start is a deadlock. What waits
 * asynchronously may depend on anything its event loop does, so it is shown, and no conclusion drawn from it.
 *
 * Each link is read at a time of its own. The caller holds the last lock of the cycle, so the last thread is stuck. If a
 * second walk finds the same links, each thread before it was stuck throughout as well, by induction. A thread that has
 * been woken and has not looked yet is not stuck: a ww-mutex's context may be about to back off. A wait with a timeout
 * counts like any other, as in the kernel's rt-mutex. namesLatch keeps the objects in being.
 *
 * Source: the idea is that of the rt-mutex's chain walk and of lockdep's reports; Holt 1972 for the graph.
 */
import type { WaitsFor } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { Heap } from '../memory/heap.ts';
import { type Kind, kindById } from '../memory/kinds.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { Objects } from '../memory/object-store.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { eachTask, maxThreads, Slot, slotAddress } from './slot.ts';
import { ASYNC, SLEEPING, Task } from './task.ts';
import type { Thread } from './thread.ts';
import { nodesOf, Vector } from './vector.ts';

export interface Link {
  readonly wait: WaitsFor;
  /** Of the object. */
  readonly address: number;
  /**
   * Whether the wait ends when any one of the holders releases, or need not end with them, because they may not have taken what they
   * were given, or have left what the task still sleeps for: nothing follows from where a single one waits.
   */
  readonly isAnyOf: boolean;
  /** False for a task that has been woken, and looks again: it may take the object, or back off. */
  readonly isAsleep: boolean;
}

/** Links that a report shows. */
const MOST_SHOWN = 8;
/** Tasks of one thread that a report looks at: when thousands give up together, each of them makes a report. */
const MOST_LOOKED_AT = 256;

/**
 * What the calling thread's main task, which is about to sleep, waits for, and what the holder of that waits for, and so
 * on, if that leads back to this thread; else undefined.
 */
export function findDeadlock(thread: Thread): readonly WaitsFor[] | undefined {
  const walk = new Walk(thread);
  const cycle = walk.cycle();
  const again = cycle && walk.cycle();
  walk.end();
  if (cycle === undefined || again === undefined || !areEqual(cycle, again)) return undefined;
  return cycle.map(({ wait }) => wait);
}

/** What is waited for by those who hold the object at `address`, and by those who hold that, and so on. */
export function waitsOfHolders(thread: Thread, address: number): WaitsFor[] {
  const walk = new Walk(thread);
  const links = walk.behind(address);
  walk.end();
  return links.map(({ wait }) => wait);
}

/** Everything that anybody attached to the arena waits for. */
export function allWaits(thread: Thread): WaitsFor[] {
  const walk = new Walk(thread);
  const links = Array.from({ length: maxThreads(thread.cpu) }, (_, number) => walk.waitsOf(number)).flat();
  walk.end();
  return links.map(({ wait }) => wait);
}

/**
 * Each cycle of threads that sleep in synchronous calls, each waiting for what the next one holds, that is there at two looks;
 * for a thread that need not be in one. A cycle whose threads all released, and came to wait for each other again between the
 * looks, would be reported: microseconds lie between them.
 */
export function allDeadlocks(thread: Thread): WaitsFor[][] {
  const walk = new Walk(thread);
  const [cycles, again] = [walk.cycles(), walk.cycles()];
  walk.end();
  const isThere = (cycle: Link[]) => again.some((other) => areEqual(cycle, other));
  return cycles.filter(isThere).map((cycle) => cycle.map(({ wait }) => wait));
}

/** Links in words: `thread 1 waits for the mutex "a", held by thread 0`. */
export function waitsShown(links: readonly WaitsFor[]): string {
  const lines: string[] = links.slice(0, MOST_SHOWN).map(({ thread, async, object, holders }) => {
    const threads = `${holders.length === 1 ? 'thread' : 'threads'} ${holders.join(', ')}`;
    const held = holders.length === 0 ? '' : `, held by ${threads}`;
    return `thread ${thread}${async ? ', async,' : ''} waits for the ${object}${held}`;
  });
  if (links.length > MOST_SHOWN) lines.push(`and ${links.length - MOST_SHOWN} more`);
  return lines.join('; ');
}

function areEqual(some: readonly Link[], others: readonly Link[]): boolean {
  return some.length === others.length && some.every((link, i) => isEqual(link, others[i] as Link));
}

function isEqual(a: Link, b: Link): boolean {
  return a.wait.thread === b.wait.thread && a.address === b.address;
}

/** One look at objects and tasks. Holds namesLatch until `end`. */
export class Walk {
  readonly #thread: Thread;
  readonly #cpu: Cpu;
  readonly #heap: Heap;
  readonly #objects: Objects;

  constructor(thread: Thread) {
    this.#thread = thread;
    this.#cpu = thread.cpu;
    this.#heap = new Heap(thread.cpu, thread.id);
    this.#objects = new Objects(thread.cpu, this.#heap, thread.id, thread.nascent);
    latch(this.#cpu, Header.namesLatch, thread.id);
  }

  end(): void {
    unlatch(this.#cpu, Header.namesLatch);
  }

  /** Each once, from the thread with the lowest number that is in it and in none before. */
  cycles(): Link[][] {
    const cycles: Link[][] = [];
    const inOne = new Set<number>();
    for (let number = 0; number < maxThreads(this.#cpu); number++) {
      const cycle = inOne.has(number) ? undefined : this.cycle(number);
      if (cycle === undefined) continue;
      cycles.push(cycle);
      for (const { wait } of cycle) inOne.add(wait.thread);
    }
    return cycles;
  }

  /** Depth first, from a thread to itself by way of threads that sleep. */
  cycle(from = this.#thread.number): Link[] | undefined {
    const seen = new Set<number>();
    const search = (number: number): Link[] | undefined => {
      seen.add(number);
      const link = this.#waitOf(slotAddress(this.#cpu, number) + Slot.mainTask);
      if (link === undefined || link.isAnyOf || !link.isAsleep) return undefined;
      for (const holder of link.wait.holders) {
        if (holder === from) return [link];
        const rest = seen.has(holder) ? undefined : search(holder);
        if (rest !== undefined) return [link, ...rest];
      }
      return undefined;
    };
    return search(from);
  }

  /** Breadth first, by way of the tasks of each thread; without those that wait for the object itself. */
  behind(address: number): Link[] {
    const links: Link[] = [];
    const seen = new Set<number>();
    let threads = this.holders(address);
    while (threads.length > 0) {
      const fresh = [...new Set(threads)].filter((number) => !seen.has(number));
      for (const number of fresh) seen.add(number);
      const found = fresh.flatMap((number) => this.waitsOf(number, MOST_LOOKED_AT, address));
      links.push(...found);
      threads = found.flatMap(({ wait }) => wait.holders);
    }
    return links;
  }

  /** What the tasks of a thread wait for, at most `most` of them looked at; but for the object at `except`. */
  waitsOf(number: number, most = Number.POSITIVE_INFINITY, except = 0): Link[] {
    const links: Link[] = [];
    let looked = 0;
    for (const task of eachTask(this.#cpu, slotAddress(this.#cpu, number))) {
      if (looked++ === most) break;
      for (const node of [task, ...nodesOf(this.#cpu, task)]) {
        const link = this.#waitOf(node, except);
        if (link !== undefined) links.push(link);
      }
    }
    return links;
  }

  /** `task`: one that waits, or a node or task that stands in for it. */
  #waitOf(task: number, except = 0): Link | undefined {
    const cpu = this.#cpu;
    const word = cpu.load(task + Task.blockedOn);
    if (word === 0 || word === except) return undefined;
    const block = this.#heap.objectAt(word);
    const address = this.#kindOf(block)?.partOf?.(cpu, block) ?? block;
    if (address !== 0 && address === except) return undefined;
    const kind = this.#kindOf(address);
    const waiter = cpu.load(task + Task.thread);
    const wait = {
      thread: waiter - 1,
      async: cpu.load((cpu.load(task + Vector.sleeper) || task) + Task.mode) === ASYNC,
      object: kind === undefined ? `word ${word}` : this.#objects.labelOf(address, kind),
      holders: address === block ? this.holders(address, waiter) : numbersOf(kind?.holderOfWord?.(cpu, word)),
      ...(kind && this.#identity(address, kind, task)),
    };
    return {
      wait,
      address,
      isAnyOf: address !== block || kind?.isAnyOf === true || kind?.isOnOffer?.(cpu, address) === true,
      isAsleep: cpu.load(task + Task.state) === SLEEPING,
    };
  }

  #kindOf(address: number): Kind<never> | undefined {
    return address === 0 ? undefined : kindById(this.#cpu.read(address + ObjectHeader.kind));
  }

  #identity(address: number, kind: Kind<never>, task: number): Pick<WaitsFor, 'name' | 'handle' | 'mode'> {
    const cpu = this.#cpu;
    const serial = cpu.read(address + ObjectHeader.serial);
    const handle = { type: `holdfast.${kind.name}`, arena: cpu.read(Header.id), address, serial };
    return { name: this.#objects.nameOf(address), handle, mode: kind.mode?.(cpu, task) };
  }

  /**
   * The threads that hold the object, or are about to. `waiter`: the thread that waits. One that waits for an object in its own name
   * waits for the others to leave it.
   */
  holders(address: number, waiter = 0): number[] {
    const cpu = this.#cpu;
    const kind = this.#kindOf(address);
    const holder = kind?.holder(cpu, address) ?? 0;
    if (holder !== 0 && holder !== waiter) return [holder - 1];
    const all = Array.from({ length: maxThreads(cpu) }, (_, number) => number);
    const holders = all.filter((number) => kind?.isHeldBy?.(cpu, address, number + 1));
    if (holders.length > 0) return holders;
    return numbersOf(holder || kind?.successor?.(cpu, address, this.#thread.id));
  }
}

/** The number of the thread with that CPU number plus one, if there is one. */
function numbersOf(id: number | undefined): number[] {
  return id ? [id - 1] : [];
}
