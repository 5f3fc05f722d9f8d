/** An empty application with this package installed in it, as npm would install what `npm run build` makes. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { bundle } from '../../scripts/build.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Application {
  readonly folder: string;
  /** The file of the `holdfast` command. */
  readonly command: string;
  remove(): void;
}

/**
 * The package's `dist`, made once for all test files of a run: that takes five seconds of processor time. Test files that come
 * while another one makes it wait for that one.
 */
async function builtPackage(): Promise<string> {
  const dist = join(inject('shared'), 'dist');
  const unfinished = `${dist}.unfinished`;
  while (!existsSync(dist)) {
    if (!tryToMake(unfinished)) {
      await delay(100);
      continue;
    }
    try {
      await bundle(unfinished);
      renameSync(unfinished, dist);
    } catch (error) {
      rmSync(unfinished, { recursive: true });
      throw error;
    }
  }
  return dist;
}

/** False: another test file has made the folder. */
function tryToMake(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** `packages`: others of this project's packages that the application uses. */
export async function application(packages: readonly string[] = []): Promise<Application> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-application-'));
  const installed = join(folder, 'node_modules/holdfast');
  mkdirSync(installed, { recursive: true });
  cpSync(await builtPackage(), join(installed, 'dist'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
  for (const name of packages) {
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), 'junction');
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const command = join(installed, 'dist/holdfast.js');
  return { folder, command, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
