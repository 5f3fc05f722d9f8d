/** Before the first test file and after the last one: a folder for what test files share, and in it what their threads run. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { buildSources } from './built-sources.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The folder. */
    shared: string;
    /** What threads start from, by the name under which `workerEntry` and `inThread` look for it in the environment data. */
    entries: Record<string, string>;
    /** Arguments of Node that run the `holdfast` command. */
    command: string[];
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-threads-'));
  project.provide('shared', folder);
  const { entries, command } = await buildSources(join(folder, 'built'));
  project.provide('entries', entries);
  project.provide('command', command);
  return () => rmSync(folder, { recursive: true });
}
