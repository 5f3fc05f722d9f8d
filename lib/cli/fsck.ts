/** `holdfast fsck`: looks at the memory of an arena, as `arena.dump()` gave it to a file. */
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';

export function registerFsck(program: Command): void {
  program
    .command('fsck')
    .description("look for what does not hold in an arena's memory, from a file with what arena.dump() gave")
    .argument('<file>', 'the dump')
    .action(fsck);
}

async function fsck(file: string, _options: object, command: Command): Promise<void> {
  const fail = (error: Error) => command.error(`error: ${file}: ${error.message}`);
  const dump = await readFile(file).catch(fail);
  await import('./kinds.ts');
  const { inspectDump } = await import('../arena/dump.ts');
  let problems: readonly string[] = [];
  try {
    problems = inspectDump(dump);
  } catch (error) {
    fail(error as Error);
  }
  process.stdout.write(problems.map((problem) => `${problem}\n`).join('') || `nothing found in ${dump.length} bytes\n`);
  if (problems.length > 0) process.exitCode = 1;
}
