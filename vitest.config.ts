import { defineConfig } from 'vitest/config';
import { localImports } from './test/support/local-imports.ts';

const EXPLORED = 'test/native-sim/explore/**/*.test.ts';

const imported = ['lib/', 'native-sim/', 'test/native-sim/explore/programs/'];
const folders = imported.map((folder) => new URL(folder, import.meta.url).pathname);

export default defineConfig({
  plugins: [localImports(folders)],
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    setupFiles: process.env.HOLDFAST_LOCKDEP === undefined ? [] : ['./test/support/under-lockdep.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Many tests start threads of their own, more than the cores of a small machine.
    maxWorkers: 2,
    globalSetup: './test/support/global-setup.ts',
    projects: [
      {
        extends: true,
        test: { name: 'library', include: ['test/**/*.test.ts'], exclude: ['**/node_modules/**', EXPLORED] },
      },
      // They keep no state outside their programs, so they share what they load: a third of their time is saved.
      { extends: true, test: { name: 'explored', include: [EXPLORED], isolate: false } },
    ],
  },
});
