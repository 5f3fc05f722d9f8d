/** `holdfast top`: what goes on in an arena, of a program that has an observer or has mounted the handler. */
import { setTimeout } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { ArenaState } from '../debug/live/state.ts';
import { topText } from '../debug/reports/top.ts';

interface Options {
  interval: number;
  once?: boolean;
  json?: boolean;
}

const CLEAR = '\u001b[2J\u001b[H';
/** A program that does not answer within this time, ms. */
const PATIENCE = 5000;

export function registerTop(program: Command): void {
  program
    .command('top')
    .description('show the locks of a running program: the hottest, who waits for whom, deadlocks')
    .argument('<url>', 'where it is served: by observe(arena), or holdfastHandler(arena)', parseUrl)
    .option('-i, --interval <seconds>', 'between two looks', parseInterval, 1)
    .option('--once', 'look once, and end')
    .option('--json', 'print each look as one line of JSON')
    .action(top);
}

function parseUrl(text: string): URL {
  const address = /^https?:/.test(text) ? text : `http://${text}`;
  if (!URL.canParse(address)) throw new InvalidArgumentError('It is an address such as http://127.0.0.1:9230/.');
  const url = new URL(address);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

function parseInterval(text: string): number {
  const seconds = Number(text);
  if (text !== '' && seconds >= 0.1 && seconds <= 3600) return seconds;
  throw new InvalidArgumentError('It is a number of seconds, 0.1 to 3600.');
}

async function top(url: URL, { interval, once = false, json = false }: Options, command: Command): Promise<void> {
  let before: ArenaState | undefined;
  for (;;) {
    const state = await look(url).catch((error: Error) => {
      const { message } = (error.cause as Error | undefined) ?? error;
      command.error(`error: ${url.href} does not answer: ${message}`);
    });
    if (json) process.stdout.write(`${JSON.stringify(state)}\n`);
    else {
      const { isTTY, columns = 80 } = process.stdout;
      process.stdout.write(`${isTTY && !once ? CLEAR : ''}${topText(state, before, columns)}\n`);
    }
    if (once) return;
    before = state;
    await setTimeout(interval * 1000);
  }
}

async function look(url: URL): Promise<ArenaState> {
  const response = await fetch(new URL('state', url), { signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}: ${await response.text()}`);
  return (await response.json()) as ArenaState;
}
