/**
 * `holdfast litmus FILE|DIR...`: verdicts on litmus files, one after another, in herd's form or as JSON.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatMachine, runOnMachine } from '../machine/litmus.ts';
import { type Profile, SimError } from '../machine/profile.ts';
import { checkLitmus } from './check.ts';
import type { ModelName } from './dialect.ts';
import { LitmusLimitExceeded, LitmusSyntaxError, NoExecution, UnsupportedConstruct } from './errors.ts';
import { formatHardware, type HardwareResult, runOnHardware } from './hardware.ts';
import { readLitmus } from './read.ts';
import { formatVerdict, verdictToJson } from './report.ts';
import type { LitmusTest } from './test-file.ts';

export interface LitmusCommandOptions {
  readonly model?: ModelName | undefined;
  readonly rmw?: 'lse' | 'llsc' | undefined;
  readonly json?: boolean | undefined;
  readonly hardware?: boolean | undefined;
  /** A machine of `holdfast sim` to run the tests on. */
  readonly machine?: Profile | undefined;
  /** Of `hardware` and `machine`. */
  readonly iterations?: number | undefined;
}

export interface Output {
  out(text: string): void;
  error(text: string): void;
  /** What a person sees while one test takes long; it overwrites itself. */
  progress?(text: string): void;
}

/** Files without a verdict: malformed, unsupported, too large, unreadable. */
export interface LitmusSummary {
  readonly verdicts: number;
  readonly withheld: number;
}

export async function runLitmusCommand(
  paths: readonly string[],
  options: LitmusCommandOptions,
  output: Output,
): Promise<LitmusSummary> {
  const results: object[] = [];
  let verdicts = 0;
  let withheld = 0;
  for (const path of paths) {
    for (const file of filesOrSelf(path)) {
      try {
        const test = readLitmus(readFile(file));
        const result = await resultOf(test, options, file, output);
        verdicts++;
        if (options.json) results.push({ file, ...result.json });
        else output.out(`${result.text}\n`);
      } catch (thrown) {
        if (!isWithheld(thrown)) throw thrown;
        withheld++;
        if (options.json) results.push({ file, error: errorToJson(thrown) });
        else output.error(`${file}:${/^\d/.test(thrown.message) ? '' : ' '}${thrown.message}\n`);
      }
    }
  }
  if (options.json) output.out(`${JSON.stringify(results, null, 2)}\n`);
  return { verdicts, withheld };
}

/** The file cannot be read at all: it is not there, say. */
class Unreadable extends Error {}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    throw new Unreadable((thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 'no such file' : String(thrown));
  }
}

function readFile(file: string): string {
  return reading(() => readFileSync(file, 'utf8'));
}

/** A path that cannot be walked is reported when it is read. */
function filesOrSelf(path: string): string[] {
  try {
    return litmusFiles(path);
  } catch {
    return [path];
  }
}

/** `path` itself, or the `.litmus` files under it, in order. */
export function litmusFiles(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  const entries = readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) return litmusFiles(inner);
    return entry.name.endsWith('.litmus') ? [inner] : [];
  });
}

interface Result {
  readonly text: string;
  readonly json: object;
}

function resultOf(
  test: LitmusTest,
  options: LitmusCommandOptions,
  file: string,
  output: Output,
): Result | Promise<Result> {
  if (options.machine !== undefined) return onMachine(test, options.machine, options.iterations);
  return options.hardware ? onHardware(test, options) : underModel(test, options, file, output);
}

function onMachine(test: LitmusTest, profile: Profile, runs = 2000): Result {
  const result = runOnMachine(test, { profile, runs });
  return {
    text: formatMachine(test, profile, result),
    json: { test: test.name, machine: profile.name, runs, ...result },
  };
}

function underModel(test: LitmusTest, options: LitmusCommandOptions, file: string, output: Output): Result {
  let shown = false;
  const progress = (steps: number, candidates: number): void => {
    shown = true;
    output.progress?.(
      `${test.name}: ${candidates.toLocaleString('en')} candidates, ${steps.toLocaleString('en')} steps`,
    );
  };
  try {
    const verdict = checkLitmus(test, { model: options.model, rmw: options.rmw ?? 'lse', progress });
    return { text: formatVerdict(verdict), json: verdictToJson(verdict, file) };
  } finally {
    if (shown) output.progress?.('');
  }
}

async function onHardware(test: LitmusTest, options: LitmusCommandOptions): Promise<Result> {
  const iterations = options.iterations ?? 100_000;
  const plain = await runOnHardware(test, { accesses: 'plain', iterations });
  const atomic = await runOnHardware(test, { accesses: 'atomic', iterations });
  const json = (result: HardwareResult): object => ({
    positive: result.positive,
    negative: result.negative,
    states: result.states,
  });
  return {
    text: `${formatHardware(test, plain)}\n${formatHardware(test, atomic)}`,
    json: { test: test.name, plain: json(plain), atomic: json(atomic) },
  };
}

type Withheld = LitmusSyntaxError | UnsupportedConstruct | LitmusLimitExceeded | NoExecution | SimError | Unreadable;

function isWithheld(thrown: unknown): thrown is Withheld {
  return (
    thrown instanceof LitmusSyntaxError ||
    thrown instanceof UnsupportedConstruct ||
    thrown instanceof LitmusLimitExceeded ||
    thrown instanceof NoExecution ||
    thrown instanceof SimError ||
    thrown instanceof Unreadable
  );
}

function errorToJson(error: Withheld): object {
  if (error instanceof LitmusSyntaxError) {
    const { line, column, expected, message } = error;
    return { kind: 'malformed', line, column, expected, message };
  }
  if (error instanceof UnsupportedConstruct) {
    return { kind: 'unsupported', construct: error.construct, message: error.message };
  }
  const { message } = error;
  if (error instanceof Unreadable) return { kind: 'unreadable', message };
  if (error instanceof SimError) return { kind: 'no-machine', message };
  return { kind: error instanceof NoExecution ? 'no-execution' : 'too-large', message };
}
