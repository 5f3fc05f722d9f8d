/** Before the first test file and after the last one: a folder for the files that test threads are started from. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    threads: string;
  }
}

export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-threads-'));
  project.provide('threads', folder);
  return () => rmSync(folder, { recursive: true });
}
