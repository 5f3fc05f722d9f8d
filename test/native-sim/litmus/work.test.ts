/** When a search is given up before it has done all the work that it may. */
import { describe, expect, it } from 'vitest';
import { forEachExecution } from '../../../native-sim/litmus/candidates.ts';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { dialectOf } from '../../../native-sim/litmus/dialect.ts';
import { LitmusLimitExceeded } from '../../../native-sim/litmus/errors.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { Work } from '../../../native-sim/litmus/work.ts';
import { javascript } from '../../../native-sim/models/javascript.ts';
import { lkmm } from '../../../native-sim/models/lkmm.ts';

const limit = 20_000_000;

/** How many steps are done, in tens of thousands, before `work` throws; the whole search would take `whole` steps. */
function stepsDone(work: Work, whole: number): number {
  work.beginSearch();
  for (let done = 0; done < whole; done += 10_000) {
    try {
      work.step(10_000);
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(LitmusLimitExceeded);
      return done;
    }
    work.searched(10_000 / whole);
  }
  return whole;
}

describe('a search', () => {
  it('that would take many times the steps is given up at a tenth of them', () => {
    const work = new Work(undefined, limit, true);
    const done = stepsDone(work, 100 * limit);
    expect(done).toBeGreaterThanOrEqual(0.09 * limit);
    expect(done).toBeLessThan(0.12 * limit);
    expect(work.gaveUp).toBe(true);
  });

  it('that would take some times the steps needs more evidence', () => {
    expect(stepsDone(new Work(undefined, limit, true), 4 * limit) / limit).toBeCloseTo(0.2, 1);
    expect(stepsDone(new Work(undefined, limit, true), 2 * limit) / limit).toBeCloseTo(0.4, 1);
  });

  it('that may come to its end after all goes on to the limit', () => {
    const work = new Work(undefined, limit, true);
    expect(stepsDone(work, 1.4 * limit)).toBe(limit);
    expect(work.gaveUp).toBe(false);
    expect(stepsDone(new Work(undefined, limit, true), 0.9 * limit)).toBe(0.9 * limit);
  });

  it('goes on to the limit where nobody asked for more', () => {
    expect(stepsDone(new Work(undefined, limit), 100 * limit)).toBe(limit);
  });
});

/** One thread for each of `numbers`: it reads x, writes its number there, and does what `more` says. */
function all(numbers: readonly number[], more = '') {
  const threads = numbers.map((number, at) => {
    return `P${at}(int *x, int *y) { int r0; r0 = READ_ONCE(*x); WRITE_ONCE(*x, ${number}); ${more} }`;
  });
  return readLitmus(`C all\n{}\n${threads.join('\n')}\nexists (x=1 /\\ 0:r0=2)`);
}

const exchanges = readLitmus(`C exchanges
{}
P0(int *x) { int r0; r0 = xchg(x, 1); }
P1(int *x) { int r0; r0 = xchg(x, 2); }
P2(int *x) { int r0; r0 = READ_ONCE(*x); }
exists (0:r0=2 /\\ 1:r0=0)`);

describe('the shares of what is searched', () => {
  it.each([
    ['reads and writes', all([1, 2, 3], 'WRITE_ONCE(*y, r0);'), lkmm],
    ['reads and writes', all([1, 2, 3], 'WRITE_ONCE(*y, r0);'), javascript],
    ['exchanges, two of which cannot take one value', exchanges, lkmm],
  ])('come to the whole: %s', (_, test, model) => {
    const work = new Work();
    let sum = 0;
    work.searched = (share) => {
      sum += share;
    };
    forEachExecution(test, model, dialectOf('lkmm'), () => {}, work);
    expect(sum).toBeCloseTo(1, 9);
  });
});

it('seven threads on one location are known early to be too many to list', () => {
  const reported: number[] = [];
  const progress = (steps: number): void => {
    reported.push(steps);
  };
  const verdict = checkLitmus(all([1, 2, 3, 4, 5, 6, 7]), { progress, steps: 5_000_000 });
  expect(verdict).toMatchObject({ observation: 'Sometimes', sampled: true });
  expect(Math.max(...reported)).toBeLessThan(1_500_000);
});
