/**
 * The slow way to everything that a program of `program.ts` can do: an abstract machine with one memory, a FIFO store
 * buffer for each thread (x86-TSO; without it, sequential consistency) and futex queues, whose every interleaving is
 * tried. Shares nothing with the explored machine but the meaning of `Cpu`.
 */
import type { Kill } from '../../../../native-sim/explore/program.ts';
import { type FuzzProgram, type Step, WORDS } from './program.ts';

export interface Behaviours {
  /** The results of all steps, and the memory that is left, of each execution that comes to its end. */
  outcomes: Set<string>;
  deadlocks: boolean;
  races: boolean;
}

interface Thread {
  pc: number;
  /** Turns that a bounded spin has taken. */
  turn: number;
  /** Operations so far, as deaths are counted: a sleep is one of its own. */
  steps: number;
  isAsleep: boolean;
  log: number[];
  /** Stores on their way to memory, oldest first; the address DEATH says that the thread is dead. */
  buffer: [number, number][];
  isDead: boolean;
}

interface State {
  memory: number[];
  queues: number[][];
  threads: Thread[];
  /** The victim's death can be seen. */
  isKnown: boolean;
}

const DEATH = -1;
const MOST_STATES = 40_000;

/** All behaviours of the program, in which `kill`, if anything, dies; null if there are too many. */
export function behaviours(program: FuzzProgram, model: 'sc' | 'x86-tso', kill: Kill | null): Behaviours | null {
  const search = new Search(program, model === 'x86-tso', kill);
  return search.run() ? search : null;
}

class Search implements Behaviours {
  readonly outcomes = new Set<string>();
  deadlocks = false;
  races = false;
  readonly #seen = new Set<string>();
  readonly #programs: readonly (readonly Step[])[];
  readonly #reaper: number;
  readonly #isBuffered: boolean;
  readonly #kill: Kill | null;

  constructor({ threads, reaper }: FuzzProgram, isBuffered: boolean, kill: Kill | null) {
    this.#programs = kill !== null && reaper !== null ? [...threads, reaper] : threads;
    this.#reaper = threads.length;
    this.#isBuffered = isBuffered;
    this.#kill = kill;
  }

  run(): boolean {
    const open: State[] = [this.#start()];
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      const key = JSON.stringify(state);
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      if (this.#seen.size > MOST_STATES) return false;
      const next: State[] = [];
      for (const t of this.#programs.keys()) this.#advance(state, t, next);
      this.#lookForRaces(state);
      if (next.length === 0) this.#end(state);
      open.push(...next);
    }
    return true;
  }

  #start(): State {
    const threads = this.#programs.map(
      (): Thread => ({ pc: 0, turn: 0, steps: 0, isAsleep: false, log: [], buffer: [], isDead: false }),
    );
    const memory = new Array<number>(WORDS).fill(0);
    return { memory, queues: memory.map(() => []), threads, isKnown: false };
  }

  #end(state: State): void {
    // Another plan's: the victim ended before its time.
    if (this.#kill !== null && !state.threads[this.#kill.thread]!.isDead) return;
    const isAtRest = ({ pc, isDead }: Thread, t: number) => isDead || pc >= this.#programs[t]!.length;
    if (state.threads.every(isAtRest)) {
      this.outcomes.add(JSON.stringify([state.threads.map(({ log }) => log), state.memory]));
    } else this.deadlocks = true;
  }

  /** The states that thread `t` can bring about by one step of its own, or of its buffer. */
  #advance(state: State, t: number, next: State[]): void {
    const fork = (): [State, Thread] => {
      const copy = structuredClone(state);
      return [copy, copy.threads[t]!];
    };
    const { buffer, isDead, isAsleep, pc, steps } = state.threads[t]!;
    if (buffer.length > 0) {
      const [copy, thread] = fork();
      const [at, value] = thread.buffer.shift()!;
      if (at === DEATH) copy.isKnown = true;
      else copy.memory[at] = value;
      next.push(copy);
    }
    const step = this.#programs[t]![pc];
    if (isDead || step === undefined || (t === this.#reaper && !state.isKnown)) return;
    if (this.#kill?.thread === t && this.#kill.step === steps) {
      const [copy, thread] = fork();
      thread.isDead = true;
      if (isAsleep && 'at' in step) leave(copy, step.at, t);
      if (this.#isBuffered) thread.buffer.push([DEATH, 0]);
      else copy.isKnown = true;
      next.push(copy);
      return;
    }
    if (isAsleep) this.#wakeUp(state, t, fork, next);
    else this.#perform(state, t, step, fork, next);
  }

  #wakeUp(state: State, t: number, fork: () => [State, Thread], next: State[]): void {
    const step = this.#programs[t]![state.threads[t]!.pc]!;
    if (step.do !== 'wait' && step.do !== 'waitUntil') throw new Error(`asleep in ${step.do}`);
    const isWoken = !state.queues[step.at]!.includes(t);
    if (!isWoken && step.do === 'wait') return;
    const [copy, thread] = fork();
    leave(copy, step.at, t);
    thread.isAsleep = false;
    finish(thread, step, isWoken ? 0 : 2);
    next.push(copy);
  }

  #perform(state: State, t: number, step: Step, fork: () => [State, Thread], next: State[]): void {
    const { buffer } = state.threads[t]!;
    const [copy, thread] = fork();
    const see = (at: number): number => buffer.findLast(([address]) => address === at)?.[1] ?? state.memory[at]!;
    // What only a locked instruction does waits until the buffer is empty.
    const isLocked = buffer.length === 0;
    const put = (at: number, value: number): void => {
      if (this.#isBuffered) thread.buffer.push([at, value]);
      else copy.memory[at] = value;
    };
    switch (step.do) {
      case 'load':
      case 'loadAcquire':
      case 'read':
        finish(thread, step, see(step.at));
        break;
      case 'store':
      case 'storeRelease':
      case 'write':
        put(step.at, step.value);
        finish(thread, step, 0);
        break;
      case 'mb':
        if (!isLocked) return;
        finish(thread, step, 0);
        break;
      case 'await':
        if (see(step.at) !== step.expected) return;
        finish(thread, step, step.expected);
        break;
      case 'spin':
        if (!this.#spin(thread, step, see(step.at))) return;
        break;
      case 'wait':
      case 'waitUntil':
        if (!isLocked) return;
        if (state.memory[step.at] !== step.expected) finish(thread, step, 1);
        else {
          copy.queues[step.at]!.push(t);
          thread.isAsleep = true;
          thread.steps++;
        }
        break;
      case 'wake':
        if (!isLocked) return;
        finish(thread, step, copy.queues[step.at]!.splice(0, step.count).length);
        break;
      default: {
        const old = see(step.at);
        // A compare-and-exchange that fails is only a load.
        const isFailure = 'expected' in step && old !== step.expected;
        if (!isFailure && !isLocked) return;
        if (!isFailure) copy.memory[step.at] = step.do.startsWith('fetchAdd') ? old + step.value : step.value;
        finish(thread, step, old);
      }
    }
    next.push(copy);
  }

  /** One turn of a spin; false if it is a turn without end that changes nothing. */
  #spin(thread: Thread, step: Step & { do: 'spin' }, seen: number): boolean {
    const isEndless = step.turns === Number.POSITIVE_INFINITY;
    if (seen === step.expected) finish(thread, step, isEndless ? 0 : thread.turn);
    else if (isEndless) return false;
    else if (++thread.turn < step.turns) thread.steps++;
    else finish(thread, step, step.turns);
    return true;
  }

  /** Two threads are about to access one word, of which one writes, and one does so plainly; to look in vain is an access. */
  #lookForRaces({ threads, memory }: State): void {
    const next = threads.map((thread, t): Access | undefined => {
      const step = this.#programs[t]![thread.pc];
      if (step === undefined || !('at' in step)) return undefined;
      if (thread.isDead || thread.isAsleep || step.do === 'wake') return undefined;
      const seen = thread.buffer.findLast(([address]) => address === step.at)?.[1] ?? memory[step.at]!;
      return { at: step.at, isWrite: isWrite(step, seen), isPlain: step.do === 'read' || step.do === 'write' };
    });
    for (const [t, a] of next.entries()) {
      for (const b of next.slice(t + 1)) {
        if (a === undefined || b === undefined || a.at !== b.at) continue;
        if ((a.isWrite || b.isWrite) && (a.isPlain || b.isPlain)) this.races = true;
      }
    }
  }
}

interface Access {
  readonly at: number;
  readonly isWrite: boolean;
  readonly isPlain: boolean;
}

/** Whether the step writes, where its word holds `seen`: a compare-and-exchange that fails does not. */
function isWrite(step: Step, seen: number): boolean {
  if (step.do.startsWith('cmpxchg')) return 'expected' in step && step.expected === seen;
  return /^(store|write|fetchAdd|xchg)/.test(step.do);
}

function finish(thread: Thread, step: Step, result: number): void {
  thread.steps++;
  thread.turn = 0;
  thread.log.push(result);
  thread.pc += 1 + (step.skip > 0 && result === step.when ? step.skip : 0);
}

function leave(state: State, at: number, t: number): void {
  state.queues[at] = state.queues[at]!.filter((sleeper) => sleeper !== t);
}
