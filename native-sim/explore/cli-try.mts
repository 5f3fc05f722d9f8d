import { Command } from 'commander';
import { registerExplore } from '../../lib/cli/explore.ts';

const p = new Command();
registerExplore(p);
await p.parseAsync();
