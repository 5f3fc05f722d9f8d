import { describe, expect, test } from 'vitest';
import { LOCK_TYPES } from '../../lib/torture/lock-types.ts';
import { holdfast, holdfastUnread } from './cli.ts';

describe('a command line that makes no sense ends with 2, and says why', () => {
  test.each([
    ['an unknown lock type', ['torture', 'mutexx'], /unknown lock type 'mutexx'.*mutex, spin-lock/],
    ['an unknown option', ['torture', '--thread', '4'], /unknown option '--thread'/],
    ['an unknown command', ['tortur'], /unknown command 'tortur'/],
    ['no threads', ['torture', '--threads', '0'], /--threads takes a whole number from 1 to 64/],
    ['too many threads', ['torture', '--threads', '65'], /--threads takes a whole number from 1 to 64/],
    ['half a thread', ['torture', '--threads', '1.5'], /--threads takes a whole number/],
    ['seconds that are no number', ['torture', '--seconds', 'ten'], /--seconds takes a number above 0/],
    ['negative seconds', ['torture', '--seconds', '-1'], /--seconds takes a number above 0/],
    ['endless seconds', ['torture', '--seconds', 'Infinity'], /--seconds takes a number above 0/],
    ['a seed beyond 32 bits', ['torture', '--seed', '4294967296'], /--seed takes a whole number from 0 to 4294967295/],
    ['a report nobody can write', ['torture', '--report', '/no/such/directory/x.html'], /--report: ENOENT/],
  ])('%s', async (_, args, message) => {
    const { code, stdout, stderr } = await holdfast(...args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });
});

test('--list names every type with its broken twin, and runs none', async () => {
  const { code, stdout } = await holdfast('torture', '--list');
  for (const { name, isBusted } of LOCK_TYPES) {
    expect(stdout).toMatch(new RegExp(`^${name} +\\S`, 'm'));
    if (!isBusted) expect(stdout).toMatch(new RegExp(`^${name}-busted +\\S`, 'm'));
  }
  expect(code).toBe(0);
});

test('a stack trace where nobody reads on', async () => {
  expect(await holdfastUnread('torture', '--list')).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('--help is no error', async () => {
  const { code, stdout } = await holdfast('torture', '--help');
  expect(stdout).toMatch(/--seconds/);
  expect(code).toBe(0);
});
