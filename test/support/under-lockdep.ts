/**
 * `npm run test:lockdep`: each arena of the tests has room for lockdep's tables beside what the test asks for, and what is
 * reported goes to the file that HOLDFAST_LOCKDEP_LOG names, a line of JSON for each report, with the test that was running.
 */
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';
import { expect, vi } from 'vitest';

const log = process.env.HOLDFAST_LOCKDEP_LOG;

// Not by an import: what a test puts in the place of a module of Node's has to be there before the library is loaded.
vi.mock('../../lib/arena/arena.ts', async (original) => {
  const module = await original<typeof import('../../lib/arena/arena.ts')>();
  const { Arena } = module;
  const { create } = Arena;
  const [TABLES, MOST] = [1 << 20, 2 ** 31];
  Arena.create = (options) => {
    const bytes = options === undefined ? 16 << 20 : options?.bytes === undefined ? 16 << 20 : options.bytes;
    // What a test gives in place of a size, or of options, is its business.
    const hasRoom = options !== null && Number.isInteger(bytes) && bytes > 65_536 && bytes + TABLES <= MOST;
    return create.call(Arena, hasRoom ? { ...options, bytes: bytes + TABLES } : options);
  };
  return module;
});

subscribe('holdfast:lockdep', (message) => {
  if (log === undefined) return;
  const { testPath, currentTestName } = expect.getState();
  appendFileSync(log, `${JSON.stringify({ testPath, currentTestName, ...(message as object) })}\n`);
});
