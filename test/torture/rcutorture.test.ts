import { beforeAll, describe, expect, test } from 'vitest';
import { type RcuOutcome, type RcuTortureSettings, rcuTorture } from '../../lib/torture/rcu/run.ts';
import { statLines, violationsIn } from '../../lib/torture/rcu/totals.ts';
import { RCU_TORTURE_TYPES } from '../../lib/torture/rcu/types.ts';
import { prepareWorkers } from '../../lib/torture/worker-source.ts';
import { holdfast } from './cli.ts';

const SETTINGS: RcuTortureSettings = {
  readers: 2,
  fakewriters: 1,
  callbacks: 2,
  seconds: 1,
  kill: false,
  onoff: false,
  stutter: 200,
  interval: 60,
  delays: { preinit: 0, init: 0, cleanup: 0 },
  seed: 7,
};
const names = RCU_TORTURE_TYPES.filter(({ isBusted }) => !isBusted).map(({ name }) => name);

let source: string;
beforeAll(async () => {
  source = await prepareWorkers('rcutorture');
});

function torture(name: string, settings: Partial<RcuTortureSettings>, print?: (line: string) => void) {
  const type = RCU_TORTURE_TYPES.find((each) => each.name === name) ?? expect.fail(`no type ${name}`);
  return rcuTorture(type, { ...SETTINGS, ...settings }, source, print);
}

/** Reads in the buckets from 2 on. */
const early = (histogram: readonly number[]) => histogram.slice(2).reduce((sum, reads) => sum + reads, 0);

describe('an element reclaimed under a reader, a lost callback, a hang', () => {
  test.each(names)('%s, threads killed, leaving and joining, periods slow', async (name) => {
    const delays = { preinit: 1, init: 1, cleanup: 1 };
    const lines: string[] = [];
    const outcome = await torture(name, { kill: true, onoff: true, delays }, (line) => lines.push(line));
    expect(outcome.violations).toEqual([]);
    expect([early(outcome.pipe), early(outcome.batch), outcome.torn, outcome.failed]).toEqual([0, 0, 0, 0]);
    expect(outcome.pipe[0]).toBeGreaterThan(0);
    for (const count of [outcome.given, outcome.barriers, outcome.floods, outcome.kills, outcome.joins]) {
      expect(count).toBeGreaterThan(0);
    }
    expect(lines[0]).toContain('--- Start of test: nreaders=2 nfakewriters=1');
    expect(lines.at(-1)).toContain(`${name}-torture:--- End of test: SUCCESS`);
    expect(lines.join('\n')).toMatch(/rcu_torture_fwd_prog_cr Duration \d+ barrier: \d+ pending 0 n_launders: \d+/);
  });
});

describe('an update that does not wait goes unnoticed', () => {
  test.each(names.map((name) => `${name}-busted`))('%s', async (name) => {
    const outcome: RcuOutcome = await torture(name, { seconds: 600, stutter: 0 });
    expect(outcome.violations.join()).toMatch(/that a grace period had ended for|that was free/);
    expect(outcome.verdict).toBe('violation');
  });
});

describe('the counts', () => {
  const sound = { version: 9, taken: 9, missing: 0, given: 2, torn: 0, barriers: 2, failed: 0, floods: 1 };
  const histogram = (...head: number[]) => [...head, ...Array.from({ length: 11 - head.length }, () => 0)];
  const circulation = histogram(9, 8, 7);

  test('are printed as rcutorture prints them', () => {
    const totals = { ...sound, pipe: histogram(70, 3), batch: histogram(20, 1), circulation };
    expect(violationsIn(totals)).toEqual([]);
    expect(statLines('rcu', totals, { deaths: 1, joins: 2 })).toEqual([
      'rcu-torture: ver: 9 rta: 9 rtaf: 0 rtf: 2 rtmbe: 0 rtbf: 0 barrier: 2/2:0 fwd: 1 onoff: 2 kills: 1',
      'rcu-torture: Reader Pipe:  70 3 0 0 0 0 0 0 0 0 0',
      'rcu-torture: Reader Batch:  20 1 0 0 0 0 0 0 0 0 0',
      'rcu-torture: Free-Block Circulation:  9 8 7 0 0 0 0 0 0 0 0',
    ]);
  });

  test.each([
    ['pipe', histogram(1, 1, 3), '3 reads of an element that a grace period had ended for'],
    ['batch', histogram(1, 1, 0, 2), '2 reads during which two grace periods went by'],
    ['torn', 4, '4 reads of an element that was free'],
    ['failed', 1, '1 barriers that ended before callbacks had run'],
  ])('of %s that may not be are a violation', (name, value, violation) => {
    const totals = { ...sound, pipe: histogram(1), batch: histogram(1), circulation, [name]: value };
    expect(violationsIn(totals)).toEqual([violation]);
    expect(statLines('rcu', totals, { deaths: 0, joins: 0 })[1]).toMatch(/^rcu-torture: !!! Reader Pipe: {2}1/);
  });
});

describe('the command', () => {
  test('a violation that ends with 0', async () => {
    const { code, stdout } = await holdfast('rcutorture', 'srcu-busted', '--seconds', '600', '--stutter', '0');
    expect(stdout).toMatch(/srcu-busted-torture:--- End of test: FAILURE: nreaders=/);
    expect(code).toBe(1);
  });

  test('a flavour that there is not, and a number that makes no sense', async () => {
    const unknown = await holdfast('rcutorture', 'rcu-bh');
    expect(unknown.stderr).toContain("unknown flavour 'rcu-bh'. There are: rcu, rcu-qsbr, srcu, tasks");
    expect(unknown.code).toBe(2);
    expect((await holdfast('rcutorture', '--readers', '0')).code).toBe(2);
  });

  test('--json with something else on stdout', async () => {
    const { stdout } = await holdfast('rcutorture', 'rcu-busted', '--json', '--seconds', '600');
    const { settings, outcomes } = JSON.parse(stdout) as { settings: RcuTortureSettings; outcomes: RcuOutcome[] };
    expect(settings.callbacks).toBe(2);
    expect(outcomes.map(({ type, verdict }) => `${type} ${verdict}`)).toEqual(['rcu-busted violation']);
  });
});
