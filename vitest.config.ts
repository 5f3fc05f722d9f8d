import { defineConfig } from 'vitest/config';
import { localImports } from './test/support/local-imports.ts';

const imported = ['lib/', 'native-sim/', 'test/native-sim/explore/programs/'];
const folders = imported.map((folder) => new URL(folder, import.meta.url).pathname);

const underLockdep = process.env.HOLDFAST_LOCKDEP === undefined ? [] : ['./test/support/under-lockdep.ts'];

export default defineConfig({
  plugins: [localImports(folders)],
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './test/support/closing-line.ts'],
    globalSetup: './test/support/global-setup.ts',
    setupFiles: ['./test/support/thread-entries.ts', ...underLockdep],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Many tests start threads of their own, more than the cores of a small machine.
    maxWorkers: 2,
  },
});
