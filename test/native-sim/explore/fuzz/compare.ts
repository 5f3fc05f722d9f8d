/** Explores a random program, and compares what it can do with what `oracle.ts` says. */
import { Exhaustive } from '../../../../native-sim/explore/exhaustive.ts';
import type { ModelName } from '../../../../native-sim/explore/ppo.ts';
import type { Kill } from '../../../../native-sim/explore/program.ts';
import { latest } from '../../../../native-sim/explore/replay.ts';
import { makeBench } from '../../../../native-sim/explore/session.ts';
import { type Behaviours, behaviours } from './oracle.ts';
import { describe, type Feature, type FuzzProgram, randomProgram, runSteps, WORDS } from './program.ts';

const MOST_GRAPHS = 5000;
/** Deaths are tried before so many operations of the victim. */
const KILL_STEPS = 10;

/** What the explored machine finds; null if there is too much. */
function explored(program: FuzzProgram, model: ModelName, kill: Kill | null): (Behaviours & { visits: number }) | null {
  const logs: number[][] = [];
  const body = (t: number) => (program.threads[t] ?? program.reaper)!;
  const run = (t: number) => (cpu: Parameters<typeof runSteps>[0]) => runSteps(cpu, body(t), (logs[t] = []));
  const { reaper } = program;
  const { machine, memory } = makeBench(
    Exhaustive,
    {
      words: WORDS,
      threads: program.threads.map((_, t) => run(t)),
      reaper: reaper === null ? undefined : run(program.threads.length),
    },
    model,
    kill === null ? [] : [kill],
  );
  const found = { outcomes: new Set<string>(), deadlocks: false, races: false, visits: 0 };
  for (let outcome = machine.start() as string | null; outcome !== null; outcome = machine.next()) {
    if (machine.graphs > MOST_GRAPHS) return null;
    const { failure, g } = machine;
    machine.failure = null;
    if (failure !== null) {
      if (failure.kind === 'deadlock') found.deadlocks = true;
      else if (failure.kind === 'data-race') found.races = true;
      else throw new Error(`${failure.kind}: ${failure.message}\n${describe(program)}`);
    } else if (outcome === 'execution') {
      found.visits++;
      const stop = g.stop.slice();
      machine.frozen = true;
      for (const t of machine.bodies.keys()) machine.run(t);
      machine.frozen = false;
      g.stop.set(stop);
      const final = Array.from({ length: WORDS }, (_, address) => {
        const location = memory.location(address);
        return machine.valueOf(location, latest(g, location));
      });
      found.outcomes.add(JSON.stringify([logs.slice(0, machine.bodies.length), final]));
    }
  }
  return found;
}

/** `too large`: more behaviours than the oracle or the explorer was given time for. */
export type Comparison = { kind: 'equal' | 'too large' } | { kind: 'different'; what: string };

/**
 * Sequential consistency and x86-TSO have an oracle; Armv8 must allow what sequential consistency allows (not all that
 * x86-TSO does: a release, then an acquire).
 */
export function comparison(seed: number, feature: Feature, model: ModelName): Comparison {
  const program = randomProgram(seed, feature);
  const plans: (Kill | null)[] = [null];
  if (feature === 'death') for (let step = 0; step < KILL_STEPS; step++) plans.push({ thread: program.victim, step });
  for (const kill of plans) {
    const expected = behaviours(program, model === 'x86-tso' ? 'x86-tso' : 'sc', kill);
    const found = expected === null ? null : explored(program, model, kill);
    if (expected === null || found === null) return { kind: 'too large' };
    const what = compare(expected, found, model !== 'armv8', feature);
    if (what === null) continue;
    const death = kill === null ? '' : `, thread ${kill.thread} dies before its operation ${kill.step}`;
    return { kind: 'different', what: `seed ${seed} (${feature}) on ${model}${death}: ${what}\n${describe(program)}` };
  }
  return { kind: 'equal' };
}

function compare(expected: Behaviours, found: Behaviours, isExact: boolean, feature: Feature): string | null {
  // What waits for ever for a word that is also plain data is reported as that, and has no event that could race.
  if (feature === 'mixed' && expected.deadlocks && found.deadlocks && !found.races) return null;
  if (expected.races !== found.races && (isExact || expected.races)) {
    return found.races ? 'a race is invented' : 'a race is missed';
  }
  // After a race anything may follow.
  if (expected.races || found.races) return null;
  const missed = [...expected.outcomes].filter((outcome) => !found.outcomes.has(outcome));
  if (missed.length > 0) return `missed: ${missed[0]}`;
  if (expected.deadlocks && !found.deadlocks) return 'a deadlock is missed';
  if (!isExact) return null;
  if (found.deadlocks && !expected.deadlocks) return 'a deadlock is invented';
  const invented = [...found.outcomes].filter((outcome) => !expected.outcomes.has(outcome));
  return invented.length > 0 ? `invented: ${invented[0]}` : null;
}
