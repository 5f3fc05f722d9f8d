/**
 * Final states of a program on an abstract machine that takes one small step after the other: sequentially consistent, or
 * with a first-in first-out store buffer for each thread, as x86 has. No candidate executions, and no axioms.
 */
import { hasResult, LOCATIONS, type Program, type Step } from './program.ts';

export type AbstractMachine = 'sc' | 'x86-tso';

interface Thread {
  readonly at: number;
  readonly results: readonly (number | undefined)[];
  /** Oldest first. */
  readonly buffer: readonly (readonly [location: number, value: number])[];
}

interface Machine {
  readonly threads: readonly Thread[];
  readonly memory: readonly number[];
}

/** Does a fence of that kind wait for the store buffer? */
export type IsFull = (kind: number) => boolean;

/** Each final state: the results of all steps that have one, thread by thread (0 where it was left out), then memory. */
export function operationalStates(program: Program, machine: AbstractMachine, isFull: IsFull): Set<string> {
  const finals = new Set<string>();
  const seen = new Set<string>();
  const open: Machine[] = [
    {
      threads: program.threads.map(() => ({ at: 0, results: [], buffer: [] })),
      memory: LOCATIONS.map((_, at) => program.initial[at]!),
    },
  ];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const key = JSON.stringify(state);
    if (seen.has(key)) continue;
    seen.add(key);
    const next = successors(program, machine, isFull, state);
    if (next.length === 0) finals.add(finalState(program, state));
    open.push(...next);
  }
  return finals;
}

function successors(program: Program, machine: AbstractMachine, isFull: IsFull, state: Machine): Machine[] {
  return state.threads.flatMap((thread, number) => {
    const found: Machine[] = [];
    const become = (changed: Thread, memory = state.memory): void => {
      found.push({ threads: state.threads.map((other, at) => (at === number ? changed : other)), memory });
    };
    const [oldest, ...younger] = thread.buffer;
    if (oldest !== undefined) become({ ...thread, buffer: younger }, written(state.memory, ...oldest));
    const step = program.threads[number]![thread.at];
    if (step !== undefined) take(step, thread, state.memory, machine, isFull, become);
    return found;
  });
}

function written(memory: readonly number[], location: number, value: number): number[] {
  return memory.map((before, at) => (at === location ? value : before));
}

function take(
  step: Step,
  thread: Thread,
  memory: readonly number[],
  machine: AbstractMachine,
  isFull: IsFull,
  become: (changed: Thread, memory?: readonly number[]) => void,
): void {
  const { at, results, buffer } = thread;
  const after = (result?: number): Thread => ({
    at: at + 1,
    results: Object.assign([...results], { [at]: result }),
    buffer,
  });
  const seen = (location: number): number => buffer.findLast(([of]) => of === location)?.[1] ?? memory[location]!;
  switch (step.do) {
    case 'read':
      become(after(seen(step.at)));
      break;
    case 'write': {
      const value = step.value + (step.from === undefined || step.masked ? 0 : (results[step.from] ?? 0));
      if (machine === 'sc') become(after(), written(memory, step.at, value));
      else become({ ...after(), buffer: [...buffer, [step.at, value]] });
      break;
    }
    case 'xchg':
      if (buffer.length === 0) become(after(memory[step.at]!), written(memory, step.at, step.value));
      break;
    case 'cmpxchg':
      // One that fails is a mere load: that is all that the kernel promises.
      if (seen(step.at) !== step.expected) become(after(seen(step.at)));
      if (buffer.length === 0 && memory[step.at] === step.expected)
        become(after(step.expected), written(memory, step.at, step.value));
      break;
    case 'fence':
      if (machine === 'sc' || !isFull(step.kind) || buffer.length === 0) become(after());
      break;
    case 'if':
      become({ ...after(), at: at + ((results[step.of] ?? 0) === step.value ? 1 : 2) });
  }
}

function finalState(program: Program, { threads, memory }: Machine): string {
  const results = program.threads.flatMap((steps, thread) => {
    return steps.flatMap((step, at) => (hasResult(step) ? [threads[thread]!.results[at] ?? 0] : []));
  });
  return [...results, ...memory].join();
}
