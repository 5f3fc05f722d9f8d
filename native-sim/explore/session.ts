/** A program made ready to run on a search: memory as `setup` left it, and each thread as a function of nothing. */
import { isAsyncFunction } from './event-loop.ts';
import { ExploredCpu } from './explored-cpu.ts';
import { FlatMemory } from './flat.ts';
import { MAX_THREADS } from './futex.ts';
import type { Graph } from './graph.ts';
import type { Machine } from './machine.ts';
import { Memory } from './memory.ts';
import { Ordering } from './order.ts';
import { type ModelName, PPO } from './ppo.ts';
import { ExploreError, type FinalMemory, type Kill, type Program } from './program.ts';
import { latest, type Replay } from './replay.ts';

export const MAX_EVENTS = 512;

export interface Bench<M extends Replay> {
  machine: M;
  memory: Memory;
  labels: ReadonlyMap<number, string>;
  /** Runs the program's own check on the memory that the current graph leaves. Throws what it throws. */
  check(): void;
}

type MachineClass<M> = new (memory: Memory, ordering: Ordering, bodies: (() => unknown)[], maxEvents: number) => M;

/** `deaths`: how many there may be, if `kills` are not all that will be planned. */
export function makeBench<M extends Machine>(
  Machine: MachineClass<M>,
  program: Program,
  model: ModelName,
  kills: readonly Kill[],
  maxEvents = MAX_EVENTS,
  deaths = kills.length,
): Bench<M> {
  const { threads, reaper } = program;
  const count = threads.length + deaths;
  if (threads.length === 0) throw new ExploreError('explore: no threads');
  if (count > MAX_THREADS)
    throw new ExploreError(`explore: ${count} threads (with reapers); the limit is ${MAX_THREADS}`);
  if (!(model in PPO)) {
    throw new ExploreError(`explore: model ${model}; expected one of ${Object.keys(PPO).join(', ')}`);
  }
  const memory = new Memory(program.words, count);
  const cpu = new ExploredCpu(new FlatMemory(memory));
  const context = program.setup?.(cpu);

  const bodies: (() => unknown)[] = threads.map((body, t) => () => body(cpu, t, context));
  let machine: M;
  for (let i = 0; i < (reaper === undefined ? 0 : deaths); i++) {
    bodies.push(() => {
      const died = machine.victims[i];
      if (died === undefined) return;
      machine.awaitDeath(died);
      const inherited: number[] = [];
      for (let last = died; last >= threads.length; inherited.push(last)) {
        last = machine.victims[last - threads.length]!;
        // The reaper may have died before it knew.
        machine.awaitDeath(last);
      }
      reaper!(cpu, died, context, threads.length + i, inherited);
    });
  }
  machine = new Machine(memory, new Ordering(model), bodies, maxEvents);
  machine.hasLoop = threads.map(isAsyncFunction);
  machine.clock = program.clock ?? [];
  const { stalled } = program;
  if (stalled !== undefined) machine.stalled = (thread, died) => stalled(cpu, died, context, thread);
  machine.plan(kills);
  cpu.executor = machine;

  const check = () => program.check?.(finalMemory(machine, memory), context);
  const labels = new Map(Object.entries(program.labels ?? {}).map(([name, address]) => [address, name]));
  return { machine, memory, labels, check };
}

function finalMemory(machine: Replay, memory: Memory): FinalMemory {
  const g: Graph = machine.g;
  return {
    read(address: number): number {
      if (!memory.inRange(address))
        throw new ExploreError(`check: address ${address}; there are ${memory.words} words`);
      // A number for every word that is looked at would make all graphs from then on as large as the memory.
      const location = memory.known(address);
      return location < 0 ? memory.initial[address]! : machine.valueOf(location, latest(g, location));
    },
    died: machine.victims,
  };
}
