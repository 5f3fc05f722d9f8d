#!/usr/bin/env node
/**
 * The `holdfast` command. It exits with 0 when all is well, 1 when a run found a violation, 2 when it could not make
 * sense of its command line. It ends quietly when nobody reads on (`holdfast torture --list | head -1`).
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { registerExplore } from './explore.ts';
import { registerFsck } from './fsck.ts';
import { registerLitmus } from './litmus.ts';
import { registerProfile } from './profile.ts';
import { registerRcuTorture } from './rcutorture.ts';
import { registerSim } from './sim.ts';
import { registerTop } from './top.ts';
import { registerTorture } from './torture.ts';
import { registerTrace } from './trace.ts';
import { registerWq } from './wq.ts';

const BAD_USAGE = 2;
/** The package by its own name: it is in another place once it is built. */
const { description, version } = createRequire(import.meta.url)('holdfast/package.json');

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

const program = new Command('holdfast')
  .description(description)
  .version(version)
  .exitOverride()
  .showHelpAfterError('(--help lists what there is)');
registerTorture(program);
registerRcuTorture(program);
registerLitmus(program);
registerExplore(program);
registerSim(program);
registerProfile(program);
registerTop(program);
registerFsck(program);
registerTrace(program);
registerWq(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : BAD_USAGE;
}
