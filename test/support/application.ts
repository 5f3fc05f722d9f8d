/** An empty application with this package installed in it, as npm would install what `npm run build` makes. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundle } from '../../scripts/build.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Application {
  readonly folder: string;
  remove(): void;
}

/** `packages`: others of this project's packages that the application uses. */
export async function application(packages: readonly string[] = []): Promise<Application> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-application-'));
  const installed = join(folder, 'node_modules/holdfast');
  mkdirSync(installed, { recursive: true });
  await bundle(join(installed, 'dist'));
  cpSync(join(ROOT, 'package.json'), join(installed, 'package.json'));
  for (const name of packages) {
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), 'junction');
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
