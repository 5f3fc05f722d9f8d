/** What a trace program costs for each event, beside what the trace point costs: one thread, in turns. */
import { LockFinder } from '../lib/debug/trace/locks.ts';
import { interpret } from '../lib/debug/trace/program/interpreter.ts';
import { codeOf, type Probe } from '../lib/debug/trace/program/program.ts';
import type { Run } from '../lib/debug/trace/program/runtime.ts';
import { traceProgram } from '../lib/debug/trace/program/session.ts';
import { readProgram, takeArea } from '../lib/debug/trace/program/stored.ts';
import { ThreadProgram } from '../lib/debug/trace/program/thread.ts';
import { Arena, Mutex } from '../lib/index.ts';
import { Header } from '../lib/memory/header.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { Loop } from './pairs.ts';
import { takeTurns } from './single.ts';

const TIMES = 1000;
const LOCKS = 4;

const HISTOGRAM = '*:contention_end /wait > 1us/ { @ = hist(wait) }';
const BY_NAME = 'mutex:contention_end /wait > 1us/ { @[name] = hist(wait) }';

/** Waits that the programs count, and that they leave out, ns. */
const [LONG, SHORT] = [2000, 200];

export function programs(figures: Figures, effort: Effort): void {
  const loops = {
    'a call': loop(() => {}, [0], LONG),
    'histogram, compiled': eventLoop(HISTOGRAM, true, LONG),
    'histogram, interpreted': eventLoop(HISTOGRAM, false, LONG),
    'histogram by name, compiled': eventLoop(BY_NAME, true, LONG),
    'histogram by name, interpreted': eventLoop(BY_NAME, false, LONG),
    'filtered out, compiled': eventLoop(BY_NAME, true, SHORT),
    'filtered out, interpreted': eventLoop(BY_NAME, false, SHORT),
  };
  takeTurns(figures, effort, 'a trace program, an event', loops, TIMES);
}

function eventLoop(source: string, isCompiled: boolean, wait: number): Loop {
  const arena = Arena.create();
  const { cpu, thread } = arena;
  traceProgram(arena, source);
  const tables = cpu.load(Header.traceTables);
  const finder = new LockFinder(thread, tables);
  const locks = Array.from({ length: LOCKS }, (_, i) => finder.find(new Mutex(arena, `lock ${i}`).address));
  const address = cpu.load(Header.programs);
  const named = (number: number) => ({ kind: 'mutex', name: `lock ${number}` });
  const area = takeArea(cpu, address, 1, thread.id);
  const program = new ThreadProgram(thread, address, area, { thread, lockOf: named, stackHere: () => 0 });
  const stored = readProgram(cpu, address);
  const compiled = program.probes[0] as { probe: Probe; run: Run };
  return loop(isCompiled ? compiled.run : interpret(codeOf(stored, compiled.probe), program), locks, wait);
}

let made = 0;

/** Made from text, so that each loop is a function of its own. */
function loop(run: Run, locks: readonly number[], wait: number): Loop {
  const body = `for (let i = 0; i < ${TIMES}; i++) run(1e12 + i, locks[i % locks.length], 0, 4096, 0, ${wait} + i % 256);`;
  return new Function('run', 'locks', `return function events${made++}() { ${body} }`)(run, locks) as Loop;
}
