/** A program made ready to run on a search: memory as `setup` left it, and each thread as a function of nothing. */
import { type Executor, ExploredCpu } from './explored-cpu.ts';
import { FlatMemory } from './flat.ts';
import { MAX_THREADS } from './futex.ts';
import type { Graph } from './graph.ts';
import { Memory } from './memory.ts';
import { Ordering } from './order.ts';
import type { ModelName } from './ppo.ts';
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

type MachineClass<M> = new (memory: Memory, ordering: Ordering, bodies: (() => void)[], maxEvents: number) => M;

export function makeBench<M extends Replay & Executor & { awaitDeath(thread: number): void }>(
  Machine: MachineClass<M>,
  program: Program,
  model: ModelName,
  kills: readonly Kill[],
  maxEvents = MAX_EVENTS,
): Bench<M> {
  const { threads, reaper } = program;
  const count = threads.length + kills.length;
  if (threads.length === 0) throw new ExploreError('explore: no threads');
  if (count > MAX_THREADS)
    throw new ExploreError(`explore: ${count} threads (with reapers); the limit is ${MAX_THREADS}`);
  const memory = new Memory(program.words, count);
  const cpu = new ExploredCpu(new FlatMemory(memory));
  const context = program.setup?.(cpu);

  const bodies = threads.map((body, t) => () => body(cpu, t, context));
  let machine: M;
  for (const { thread } of reaper === undefined ? [] : kills) {
    bodies.push(() => {
      machine.awaitDeath(thread);
      reaper!(cpu, thread, context);
    });
  }
  machine = new Machine(memory, new Ordering(model), bodies, maxEvents);
  for (const { thread, step } of kills) machine.killAt[thread] = step;
  cpu.executor = machine;

  const check = () => program.check?.(finalMemory(machine, memory, kills), context);
  const labels = new Map(Object.entries(program.labels ?? {}).map(([name, address]) => [address, name]));
  return { machine, memory, labels, check };
}

function finalMemory(machine: Replay, memory: Memory, kills: readonly Kill[]): FinalMemory {
  const g: Graph = machine.g;
  return {
    read(address: number): number {
      if (!memory.inRange(address))
        throw new ExploreError(`check: address ${address}; there are ${memory.words} words`);
      const location = memory.location(address);
      return machine.valueOf(location, latest(g, location));
    },
    died: kills.map((k) => k.thread),
  };
}
