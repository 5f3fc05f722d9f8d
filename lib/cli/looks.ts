/** What `holdfast top` and `holdfast wq` have in common: they look, now and then, at a program that serves what goes on in it. */
import { setTimeout } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';

interface Options {
  interval: number;
  once?: boolean;
  json?: boolean;
}

const CLEAR = '\u001b[2J\u001b[H';
/** A program that does not answer within this time, ms. */
const PATIENCE = 5000;

/**
 * A command that shows what is served at `path`, again and again. `text`: a look, for people at a terminal of that width; `before`
 * is the look before.
 */
export function registerLooks<State>(
  program: Command,
  name: string,
  description: string,
  path: string,
  text: (state: State, before: State | undefined, columns: number) => string,
): void {
  program
    .command(name)
    .description(description)
    .argument('<url>', 'where it is served: by observe(arena), or holdfastHandler(arena)', parseUrl)
    .option('-i, --interval <seconds>', 'between two looks', parseInterval, 1)
    .option('--once', 'look once, and end')
    .option('--json', 'print each look as one line of JSON')
    .action(async (url: URL, { interval, once = false, json = false }: Options, command: Command) => {
      let before: State | undefined;
      for (;;) {
        const state = await look<State>(new URL(path, url)).catch((error: Error) => {
          const { message } = (error.cause as Error | undefined) ?? error;
          command.error(`error: ${url.href} does not answer: ${message}`);
        });
        if (json) process.stdout.write(`${JSON.stringify(state)}\n`);
        else {
          const { isTTY, columns = 80 } = process.stdout;
          process.stdout.write(`${isTTY && !once ? CLEAR : ''}${text(state, before, columns)}\n`);
        }
        if (once) return;
        before = state;
        await setTimeout(interval * 1000);
      }
    });
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

async function look<State>(url: URL): Promise<State> {
  const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}: ${await response.text()}`);
  return (await response.json()) as State;
}
