import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { spawnWorker } from '../../lib/arena/spawn.ts';

const SPAWN = new URL('../../lib/arena/spawn.ts', import.meta.url);
const ENTRY = new URL('./spawn.entry.ts', import.meta.url);

/** What a process prints, to both of its streams, that runs `program` from the sources. */
function printedBy(program: string): string {
  const code = `import { spawnWorker } from ${JSON.stringify(SPAWN.href)};\n${program}`;
  const args = ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', code];
  return execFileSync('sh', ['-c', 'exec "$0" "$@" 2>&1', process.execPath, ...args], { encoding: 'utf8' });
}

test('a worker that does not start while its parent blocks', () => {
  const printed = printedBy(`
    const words = new Int32Array(new SharedArrayBuffer(4));
    spawnWorker(new URL(${JSON.stringify(ENTRY.href)}), { name: 'child', workerData: { words } });
    console.log(Atomics.wait(words, 0, 0));
  `);
  expect(printed).toBe('ok\n');
});

test('a crash of a worker that ends its parent', () => {
  const printed = printedBy(`
    spawnWorker(new URL('data:text/javascript,throw new Error("on purpose")'), { name: 'child' });
    process.on('exit', (code) => console.log('the parent ended with ' + code));
  `);
  expect(printed).toContain('holdfast: child failed: Error: on purpose');
  expect(printed).toContain('the parent ended with 0');
});

test("a crash that only the library's listener sees", async () => {
  const worker = spawnWorker(new URL('data:text/javascript,throw new Error("on purpose")'), { name: 'child' });
  const [error] = await once(worker, 'error');
  expect(error.message).toBe('on purpose');
});
