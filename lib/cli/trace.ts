/** `holdfast trace`: runs a program, and records what its threads do with locks, event by event. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import { POINTS } from '../debug/trace/points.ts';
import { programEnvironment, traceProgram } from './trace-program.ts';

interface Options {
  execute?: string;
  perfetto?: string;
  json?: string;
  html?: string;
  points?: string;
  events?: number;
  threads?: number;
  stacks?: boolean;
}

export function registerTrace(program: Command): void {
  program
    .command('trace')
    .description('run a program and record, event by event, what its threads do with locks')
    .argument('<command...>', 'after --: the program and its arguments, such as -- node app.js')
    .option(
      '-e, --execute <program>',
      "run a trace program, such as 'mutex:contention_end { @[name] = hist(wait) }'",
      traceProgram,
    )
    .option('--perfetto <file>', 'for https://ui.perfetto.dev; its name ends in .pftrace', endsIn('.pftrace'))
    .option('--html <file>', 'a page with a timeline; its name ends in .html', endsIn('.html'))
    .option('--json <file>', 'the events as one JSON document; its name ends in .json', endsIn('.json'))
    .option('--points <names>', `which trace points, with commas between: ${POINTS.map(({ name }) => name).join(', ')}`)
    .option('--events <count>', 'events that are kept of each thread, the latest: a power of two', Number)
    .option('--threads <count>', 'threads that there is room for', Number)
    .option('--stacks', 'note where each wait for a lock begins')
    .action(trace);
}

function endsIn(end: string): (file: string) => string {
  return (file) => {
    if (file.endsWith(end) && !file.includes(',')) return file;
    throw new InvalidArgumentError(`The name ends in ${end}, and has no comma.`);
  };
}

async function trace([program, ...args]: [string, ...string[]], options: Options, command: Command): Promise<void> {
  const files = [options.perfetto, options.html, options.json].filter((file) => file !== undefined);
  const { events, threads, stacks } = options;
  const points = options.points?.split(',');
  const env = {
    ...process.env,
    HOLDFAST_TRACE: files.length === 0 ? '-' : files.join(','),
    HOLDFAST_TRACE_OPTIONS: JSON.stringify({ points, events, threads, stacks }),
  };
  // A trace program alone records no events.
  if (options.execute !== undefined) Object.assign(env, programEnvironment(options.execute, files.length === 0));
  const child = spawn(program, args, { env, stdio: 'inherit' });
  // The terminal sends both an interrupt: the program ends by it in its own way, and has a trace to write.
  const wait = () => {};
  process.on('SIGINT', wait);
  const [code, signal] = (await once(child, 'exit').catch((error: Error) => {
    command.error(`error: ${error.message}`);
  })) as [number | null, NodeJS.Signals | null];
  process.removeListener('SIGINT', wait);
  process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}
