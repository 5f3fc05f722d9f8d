/**
 * `holdfast litmus`: what a memory model allows a litmus test to do, or what this machine does with it.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Profile } from '../../native-sim/machine/profile.ts';

const BAD_USAGE = 2;

interface Options {
  model?: 'sc' | 'x86-tso' | 'armv8' | 'rvwmo' | 'power' | 'lkmm' | 'javascript';
  rmw?: 'lse' | 'llsc';
  json?: boolean;
  hardware?: boolean;
  machine?: string;
  without?: string[];
  iterations?: number;
}

export function registerLitmus(program: Command): void {
  program
    .command('litmus')
    .description(
      'what a memory model allows a .litmus test (C, AArch64, X86, X86_64, RISCV, PPC) to do, in the form of herd',
    )
    .argument('<path...>', 'litmus files, and directories of them')
    .addOption(
      new Option(
        '-m, --model <model>',
        'memory model; default: lkmm for C, armv8 for AArch64, x86-tso for X86 and X86_64, rvwmo for RISCV, power for PPC',
      ).choices(['sc', 'x86-tso', 'armv8', 'rvwmo', 'power', 'lkmm', 'javascript']),
    )
    .addOption(
      new Option('--rmw <form>', 'with armv8: how the kernel makes read-modify-writes').choices(['lse', 'llsc']),
    )
    .option('--json', 'machine-readable output')
    .option('--hardware', 'run the test on worker threads of this machine, with plain and with atomic accesses')
    .option(
      '--machine <profile>',
      'run the test on a simulated machine (holdfast sim --list), by name or as a .json file',
    )
    .option(
      '--without <causes>',
      'with --machine: without some of write-back, lazy-coherence, store-buffer, out-of-order',
      (text: string) => text.split(','),
    )
    .option('--iterations <count>', 'with --hardware or --machine: how often', parseCount)
    .action(async (paths: string[], options: Options) => {
      const { runLitmusCommand } = await import('../../native-sim/litmus/command.ts');
      const { machine, without, ...others } = options;
      const profile = machine === undefined ? undefined : await findMachine(machine, without ?? []);
      if (machine !== undefined && profile === undefined) return;
      const { withheld } = await runLitmusCommand(
        paths,
        { ...others, machine: profile },
        {
          out: (text) => process.stdout.write(text),
          error: (text) => process.stderr.write(text),
          ...(process.stderr.isTTY ? { progress: (text: string) => process.stderr.write(`\r\x1b[K${text}`) } : {}),
        },
      );
      if (withheld > 0) process.exitCode = 1;
    });
}

/** Undefined, and an exit code, for a machine that there is not. */
async function findMachine(name: string, without: readonly string[]): Promise<Profile | undefined> {
  const { findProfile } = await import('../../native-sim/machine/find-profile.ts');
  const { SimError } = await import('../../native-sim/machine/profile.ts');
  const { parseCauses, withoutCauses } = await import('../../native-sim/machine/without.ts');
  try {
    return withoutCauses(findProfile(name), parseCauses(without));
  } catch (error) {
    if (!(error instanceof SimError)) throw error;
    process.stderr.write(`holdfast litmus: ${error.message}\n`);
    process.exitCode = BAD_USAGE;
    return undefined;
  }
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('expected a whole number, 1 or more.');
  return count;
}
