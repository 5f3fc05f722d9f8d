import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'node-html-parser';
import { beforeAll, describe, expect, test } from 'vitest';
import { directTorture } from '../../lib/torture/direct.ts';
import { LOCK_TYPES } from '../../lib/torture/lock-types.ts';
import type { Outcome, Settings } from '../../lib/torture/outcome.ts';
import { prepareWorkers } from '../../lib/torture/worker-source.ts';
import { holdfast } from './cli.ts';

const SETTINGS: Settings = { threads: 4, seconds: 1.5, kill: false, seed: 7 };
const sound = LOCK_TYPES.filter(({ isBusted }) => !isBusted);
const typeOf = (name: string) => LOCK_TYPES.find((type) => type.name === name) ?? expect.fail(`no type ${name}`);

let source: string;
beforeAll(async () => {
  source = await prepareWorkers();
});

function torture(name: string, settings: Partial<Settings>): Promise<Outcome> {
  return directTorture(typeOf(name), { ...SETTINGS, ...settings }, source, () => {});
}

describe('two inside, a stranded waiter, a torn record, a leak', () => {
  test.each(sound.map(({ name }) => name))('%s, workers killed', async (name) => {
    const outcome = await torture(name, { kill: true, seconds: 1 });
    expect(outcome.violations).toEqual([]);
    expect(outcome.kills).toBeGreaterThan(0);
    expect(outcome.threads.map(({ acquisitions }) => acquisitions > 0)).toEqual([true, true, true, true]);
    const sum = outcome.threads.reduce((total, { acquisitions }) => total + acquisitions, 0);
    expect(outcome.acquisitions).toBe(sum);
  });

  test('mutex, one thread alone: its own asynchronous code against its synchronous code', async () => {
    const outcome = await torture('mutex', { threads: 1 });
    expect(outcome.violations).toEqual([]);
    const [thread] = outcome.threads;
    expect(thread?.deadlocks).toBeGreaterThan(0);
    expect(thread?.aborts).toBeGreaterThan(0);
  });
});

describe('a broken lock that goes unnoticed', () => {
  test.each(sound.map(({ name }) => `${name}-busted`))('%s', async (name) => {
    // Whom the wait queue's twin forgets, the others' end leaves asleep.
    const outcome = await torture(name, { seconds: name === 'wait-queue-busted' ? 1 : 5 });
    expect(outcome.verdict).toBe('violation');
    expect(outcome.violations.join()).toMatch(
      /inside|not alone|torn|counter|standstill|stranded|written by another|written while|EBUSY|EINVAL|before what another|ran behind/,
    );
  });

  test('mutex-amnesiac: an owner that died goes unmentioned', async () => {
    const outcome = await torture('mutex-amnesiac', { kill: true, seconds: 5 });
    expect(outcome.violations.join()).toMatch(/did not say so|torn|ENOTRECOVERABLE/);
  });
});

describe('a director that nobody misses', () => {
  test('it is stuck, with all that it reaps', async () => {
    const mute = 'data:text/javascript,setInterval(() => {}, 1000)';
    const outcome = await directTorture(typeOf('mutex'), SETTINGS, mute, () => {}, 500);
    expect(outcome.violations.join()).toMatch(/stuck for 0.5 s/);
  });

  test('it crashes', async () => {
    const crashing = 'data:text/javascript,throw new Error("no such luck")';
    await expect(directTorture(typeOf('mutex'), SETTINGS, crashing, () => {})).rejects.toThrow('no such luck');
  });
});

test('another run with the same seed decides otherwise', async () => {
  const decisions = async (seed: number) =>
    (await torture('spin-lock', { seed, seconds: 0.5 })).threads.map((thread) => thread.decisions);
  const first = await decisions(1);
  expect(new Set(first).size).toBe(4);
  expect(first).not.toContain('00000000');
  expect(await decisions(1)).toEqual(first);
  expect(await decisions(2)).not.toEqual(first);
});

describe('the command', () => {
  test('a violation that ends with 0', async () => {
    const { code, stdout } = await holdfast('torture', 'mutex-busted', '--seconds', '5');
    expect(stdout).toMatch(/mutex-busted.*VIOLATION/);
    expect(code).toBe(1);
  });

  test('--json with something else on stdout, and a report that needs the network', async () => {
    const report = join(await mkdtemp(join(tmpdir(), 'holdfast-')), 'report.html');
    const { code, stdout } = await holdfast(
      ...[
        'torture',
        'mutex',
        'spin-lock',
        '--seconds',
        '2',
        '--threads',
        '2',
        '--seed',
        '3',
        '--json',
        '--report',
        report,
      ],
    );
    expect(code).toBe(0);
    const { settings, outcomes } = JSON.parse(stdout);
    expect(settings).toEqual({ threads: 2, seconds: 1, kill: false, seed: 3 });
    expect(outcomes.map((outcome: Outcome) => [outcome.type, outcome.verdict])).toEqual([
      ['mutex', 'ok'],
      ['spin-lock', 'ok'],
    ]);

    const page = parse(await readFile(report, 'utf8'), { blockTextElements: { script: true, style: true } });
    expect(page.querySelectorAll('[src], link, [href^="http"]')).toHaveLength(0);
    expect(page.querySelectorAll('tbody tr')).toHaveLength(2);
    for (const type of ['mutex', 'spin-lock']) {
      expect(page.querySelectorAll(`[id="${type}"] .plot`)).toHaveLength(3);
      expect(page.querySelector(`[id="${type}"] .badge`)?.text).toBe('ok');
    }
    expect(page.querySelector('.settings')?.text).toMatch(/2 threads.*seed 3/);
    expect(JSON.parse(page.querySelector('#outcomes')?.rawText ?? '')).toEqual(outcomes);
  });
});
