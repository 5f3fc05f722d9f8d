/** `holdfast sim`: the JSON that others read, the list, the page, and what it says to bad input. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { runSimCommand, type SimCommandOptions } from '../../../native-sim/scale/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'sim-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function run(options: SimCommandOptions): Promise<string> {
  let text = '';
  await runSimCommand(options, { out: (more) => (text += more) });
  return text;
}

const short = { cores: [1, 2], lock: ['ticket', 'mutex'], simulated: 20_000 };

it('--json is an array with one object a run, in the order of locks and cores', async () => {
  const results = JSON.parse(await run({ ...short, json: true }));
  expect(results.map(({ lock, cores }: { lock: string; cores: number }) => `${lock} ${cores}`)).toEqual([
    'ticket 1',
    'ticket 2',
    'mutex 1',
    'mutex 2',
  ]);
  for (const result of results) {
    for (const field of ['threads', 'operations', 'acquisitions', 'simulatedNs', 'throughput', 'jain', 'messages']) {
      expect(typeof result[field], field).toBe('number');
    }
    expect(result.simulatedNs).toBe(20_000);
    expect(result.acquisitions).toBeGreaterThan(10);
  }
  expect(results[0].handoverNs).toBeNull();
  expect(results[1].handoverNs).toBeGreaterThan(0);
});

it('worker threads give what one thread gives', { timeout: 60_000 }, async () => {
  expect(await run({ ...short, json: true, workers: 2 })).toBe(await run({ ...short, json: true }));
});

it("--preempt-off-in-section shows the kernel's case beside that of user space", async () => {
  const given = { cores: [2], lock: ['ttas'], threads: 4, simulated: 50_000, preemptOffInSection: true };
  const results = JSON.parse(await run({ ...given, json: true }));
  expect(results.map((result: { preemptOffInSection: boolean }) => result.preemptOffInSection)).toEqual([false, true]);
  expect(await run(given)).toMatch(/\nttas +2 [^\n]*\nttas, not preempted +2 /);
});

it('--compare puts the locks that could do the work in order, for each count of cores', async () => {
  const given = { compare: true, cores: [2, 8], simulated: 50_000, json: true };
  const [few, many] = JSON.parse(await run(given));
  expect([few.cores, many.cores]).toEqual([2, 8]);
  for (const { places } of [few, many]) {
    const throughputs = places.map(({ throughput }: { throughput: number }) => throughput);
    expect(throughputs).toEqual([...throughputs].sort((a, b) => b - a));
    expect(places[0].relative).toBe(1);
    expect(places.map(({ lock }: { lock: string }) => lock)).not.toContain('rwlock');
  }
  const readers = JSON.parse(await run({ ...given, cores: [8], reads: 1, outside: 0 }));
  expect(['seqlock', 'rcu']).toContain(readers[0].places[0].lock);
  const text = await run({ ...given, json: false, cores: [2], lock: ['tas', 'mcs'] });
  expect(text).toMatch(/^intel-48, 2 cores\nlock +per us[\s\S]*100 %/);
});

it('--list has profiles, locks and experiments', async () => {
  const list = JSON.parse(await run({ list: true, json: true }));
  expect(list.profiles.map(({ name }: { name: string }) => name)).toEqual([...profiles.keys()]);
  expect(list.locks.map(({ name }: { name: string }) => name)).toContain('qspinlock');
  expect(list.experiments.map(({ name }: { name: string }) => name)).toContain('litl-opteron');
  expect(await run({ list: true })).toMatch(/^profiles:\n {2}vm-2 [\s\S]*locks:[\s\S]*experiments:/);
});

it('a machine from a file, and a page that needs nothing else', async () => {
  const file = join(folder, 'mine.json');
  const report = join(folder, 'page.html');
  writeFileSync(file, JSON.stringify({ ...profiles.get('sc-8')!, name: 'mine' }));
  expect(await run({ ...short, profile: file, report })).toMatch(/^lock +cores/);
  const page = readFileSync(report, 'utf8');
  expect(page).toContain('<svg');
  expect(page).toContain('mine');
  expect(page).not.toMatch(/https?:/);
});

it('published measurements as a page: each figure beside what the machine says', async () => {
  const report = join(folder, 'published.html');
  const text = await run({ experiment: 'll-sc', report });
  const page = readFileSync(report, 'utf8');
  const ratio = /cas-increment +64 .* x ([\d.]+)/.exec(text)![1];
  expect(page).toContain(`>cas-increment, 64</text>`);
  expect(page).toContain(`>x ${ratio}</text>`);
  expect(page.match(/class="published"/g)).toHaveLength(2);
  // The reference agrees with itself, and the other is farther off than 30 %.
  expect(page.match(/class="simulated"/g)).toHaveLength(1);
  expect(page.match(/class="simulated far"/g)).toHaveLength(1);
});

it.each<[string, SimCommandOptions, string]>([
  ['an unknown machine', { profile: 'vax' }, 'profile must be one of vm-2, xeon-8,'],
  ['a file that is not there', { profile: join(folder, 'no.json') }, 'no such file'],
  ['an unknown lock', { lock: ['spin'] }, 'lock must be one of increment, cas-increment,'],
  ['more cores than the machine', { profile: 'vm-2', cores: [4] }, 'cores must be whole numbers from 1 to 2'],
  ['an unknown lock to compare', { compare: true, lock: ['spin'] }, 'lock must be one of increment, cas-increment,'],
  ['an unknown experiment', { experiment: 'x' }, 'experiment must be all or one of litl-opteron,'],
  ['more threads than an arena has', { threads: 1001, workers: 2 }, 'threads must be a whole number from 1 to 1000'],
  ['a negative section', { section: -1, workers: 2 }, 'section must be a number from 0 to'],
  ['more than all read', { compare: true, reads: 2, workers: 2 }, 'reads must be a number from 0 to 1; received 2'],
  ['no workers', { workers: 0 }, 'workers must be a whole number from 1 to 1024; received 0'],
])('%s', async (_, options, message) => {
  // The command line prints a SimError as bad input; any other error is a mistake of its own.
  await expect(run(options)).rejects.toThrow(
    expect.objectContaining({ name: 'SimError', message: expect.stringContaining(message) }),
  );
});
