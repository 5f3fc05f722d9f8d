/**
 * Lockdep for programs that know nothing of it: `HOLDFAST_LOCKDEP=1 node app.js`. It runs in each arena that the process makes, for all
 * threads that attach; `HOLDFAST_LOCKDEP=callbacks` for its option of that name. `HOLDFAST_LOCKDEP_SUPPRESS` names a file of suppressions.
 */
import { readFileSync } from 'node:fs';
import { Arena } from '../../arena/arena.ts';
import { startLockdep } from './session.ts';

function begin(arena: Arena): void {
  const { HOLDFAST_LOCKDEP: asked = '', HOLDFAST_LOCKDEP_SUPPRESS: file } = process.env;
  if (asked === '' || asked === '0') return;
  try {
    startLockdep(arena, {
      callbacks: asked === 'callbacks',
      suppress: file === undefined ? '' : readFileSync(file, 'utf8'),
    });
  } catch (error) {
    process.emitWarning(`lockdep does not run in an arena: ${(error as Error).message}`, { type: 'HoldfastWarning' });
  }
}

Arena.onCreate.push(begin);
