/** `holdfast profile`: runs a program, and says which of its locks are waited for. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { ProfileFilter } from '../debug/profile/filter.ts';
import type { ProfileOptions } from '../debug/profile/options.ts';
import { FORMATS, formatFor } from '../debug/reports/formats.ts';

interface Options {
  output: string[];
  json?: boolean;
  holds?: boolean;
  delay: string[];
  lockdep?: boolean;
  lock?: string;
  thread?: number;
  caller?: string;
}

export function registerProfile(program: Command): void {
  program
    .command('profile')
    .description('run a program and profile its locks: which are waited for, where, for how long, and behind whom')
    .argument('<command...>', 'after --: the program and its arguments, such as -- node app.js')
    .option(
      '-o, --output <file>',
      `also write the profile to a file; its name says in which form: ${Object.keys(FORMATS).join(' ')}`,
      collectFile,
      [],
    )
    .option('--holds', 'count locks that are free, too, and for how long they are held')
    .option(
      '--delay <time@lock>',
      'hold a lock longer, such as 100us@accounts, to see what it costs the whole program',
      collectDelay,
      [],
    )
    .option('--lockdep', 'also look for orders of locks that could deadlock; some microseconds each time one is taken')
    .option('--lock <name>', 'say only what has to do with locks of that name or class; * for any text')
    .option('--thread <number>', 'say only what that thread has to do with', wholeNumber)
    .option(
      '--caller <text>',
      'say only what was waited for, or given back, in a function or file with that in its name',
    )
    .option('--json', 'print the profile as one JSON document on the standard output')
    .action(profile);
}

function wholeNumber(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It is a whole number.');
}

/** What the library checks again, in the program: a module that both share would be a file of its own in the package. */
function collectDelay(delay: string, before: string[]): string[] {
  if (/^\d+(\.\d+)?(ns|us|ms|s)@./.test(delay)) return [...before, delay];
  throw new InvalidArgumentError("It is a time of up to 1s and a lock's name, such as 100us@accounts.");
}

function collectFile(file: string, before: string[]): string[] {
  if (formatFor(file) !== undefined && !file.includes(',')) return [...before, file];
  throw new InvalidArgumentError(`The name ends in one of ${Object.keys(FORMATS).join(' ')}, and has no comma.`);
}

async function profile([program, ...args]: [string, ...string[]], options: Options, command: Command) {
  const { output, json = false, holds, delay, lockdep, lock, thread, caller } = options;
  const asked: ProfileOptions & { filter: ProfileFilter } = { holds, delays: delay, filter: { lock, thread, caller } };
  const folder = json ? await mkdtemp(join(tmpdir(), 'holdfast-profile-')) : undefined;
  const document = folder && join(folder, 'profile.json');
  const files = [...output, ...(document === undefined ? [] : [document])];
  const env = {
    ...process.env,
    HOLDFAST_PROFILE: files.length === 0 ? '-' : files.join(','),
    HOLDFAST_PROFILE_OPTIONS: JSON.stringify(asked),
    ...(lockdep ? { HOLDFAST_LOCKDEP: '1' } : {}),
  };
  const child = spawn(program, args, { env, stdio: 'inherit' });
  // The terminal sends both an interrupt: the program ends by it in its own way, and has a profile to write.
  const wait = () => {};
  process.on('SIGINT', wait);
  const [code, signal] = (await once(child, 'exit').catch((error: Error) => {
    command.error(`error: ${error.message}`);
  })) as [number | null, NodeJS.Signals | null];
  process.removeListener('SIGINT', wait);
  if (document !== undefined && folder !== undefined) {
    const text = await readFile(document, 'utf8').catch(() => undefined);
    await rm(folder, { recursive: true });
    if (text === undefined)
      process.stderr.write('holdfast: no profile: the program has made no arena, or was killed\n');
    else process.stdout.write(text);
  }
  process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
}
