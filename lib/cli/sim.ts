/**
 * `holdfast sim`: how locks scale on machines that are not here. The work is done by `native-sim/scale/`.
 */
import { availableParallelism } from 'node:os';
import { type Command, InvalidArgumentError } from 'commander';
import type { SimCommandOptions } from '../../native-sim/scale/command.ts';

const BAD_USAGE = 2;

export function registerSim(program: Command): void {
  program
    .command('sim')
    .description('run locks on a simulated machine: throughput, hand-over, fairness and messages by cores')
    .option('-p, --profile <name>', 'machine, by name (--list) or as a .json file')
    .option('-c, --cores <counts>', 'how many cores, as 1,2,4; default: powers of two, up to all', parseCounts)
    .option('-l, --lock <names>', 'which locks, as ticket,mcs', (text: string) => text.split(','))
    .option('--threads <count>', 'threads; default: one a core', parseNumber)
    .option('--section <ns>', 'what a thread does inside', parseNumber)
    .option('--outside <ns>', 'what a thread does between two acquisitions, on average', parseNumber)
    .option('--shared <lines>', 'cache lines that a section reads and writes', parseNumber)
    .option('--reads <share>', 'share of acquisitions that read, for locks that have readers', parseNumber)
    .option('--spins <count>', "loads that a waiter of the library's locks spends before it sleeps", parseNumber)
    .option('--simulated <ns>', 'how long a run is, on the clock of the machine', parseNumber)
    .option('--seed <number>', 'another run of the same', parseNumber)
    .option('--preempt-off-in-section', 'no core is taken from a thread inside a section, as in a kernel')
    .option(
      '--without <causes>',
      'a machine without some of write-back, lazy-coherence, store-buffer, out-of-order',
      (text: string) => text.split(','),
    )
    .option('--experiment <name>', 'repeat a published measurement, or all')
    .option('--compare', 'which lock suits the work best; with --reads, those with readers too')
    .option('--explain <name>', 'write a page that steps through a scenario (--list), a lock changing hands, or all')
    .option('--barriers', 'what is said of DMB and DSB, and of compiler barriers, beside what the machine does')
    .option('--false-sharing', 'which words of a line different cores use, and which transfers that costs, as perf c2c')
    .option('--list', 'profiles, locks and experiments')
    .option('--workers <count>', 'worker threads', parseNumber, availableParallelism())
    .option('--report <file>', 'write a page with plots; with --explain, where to')
    .option('--json', 'machine-readable output')
    .action(async (options: SimCommandOptions) => {
      const { runSimCommand } = await import('../../native-sim/scale/command.ts');
      const { SimError } = await import('../../native-sim/machine/profile.ts');
      try {
        await runSimCommand(options, {
          out: (text) => process.stdout.write(text),
          ...(process.stderr.isTTY ? { progress: (text: string) => process.stderr.write(`\r\x1b[K${text}`) } : {}),
        });
      } catch (error) {
        if (!(error instanceof SimError)) throw error;
        process.stderr.write(`holdfast sim: ${error.message}\n`);
        process.exitCode = BAD_USAGE;
      }
    });
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number.');
  return value;
}

function parseCounts(text: string): number[] {
  return text.split(',').map(parseNumber);
}
