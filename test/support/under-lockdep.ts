/**
 * `HOLDFAST_LOCKDEP=1 npx vitest run`: each arena of the tests has room for lockdep's tables beside what the test asks for, and what is
 * reported goes to the file that HOLDFAST_LOCKDEP_LOG names, a line of JSON for each report, with the test that was running.
 */
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';
import { Arena } from '../../lib/arena/arena.ts';

const TABLES = 1 << 20;
const log = process.env.HOLDFAST_LOCKDEP_LOG;
const { create } = Arena;

Arena.create = (options = {}) => {
  const { bytes = 16 << 20 } = options;
  // What a test gives in place of a size is its business.
  return create.call(
    Arena,
    Number.isInteger(bytes) && bytes > 65_536 ? { ...options, bytes: bytes + TABLES } : options,
  );
};

subscribe('holdfast:lockdep', (message) => {
  if (log === undefined) return;
  const { testPath, currentTestName } = expect.getState();
  appendFileSync(log, `${JSON.stringify({ testPath, currentTestName, ...(message as object) })}\n`);
});
