import { describe, expect, test } from 'vitest';
import { basetimeAt, CLOCKMODE_NONE, VdsoData } from '../../lib/arena/time-namespace.ts';
import {
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_REALTIME,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
} from '../../lib/index.ts';
import {
  CHANGED,
  ClockCopy,
  READ,
  readCoarse,
  readHres,
  STALE,
  TICKING,
  tryCoarse,
  tryHres,
} from '../../lib/vdso/read.ts';
import { MAX_CYCLES, MULT, updateVsyscall } from '../../lib/vdso/update.ts';
import { slewed } from '../../lib/vdso/updater.ts';

import { fine, page, rough, USUAL } from './pages.ts';

const YEARS = 365.25 * 86_400e9;

describe('a read', () => {
  test('that is wrong beyond 2^32, or a hundred years on', () => {
    const into = new Float64Array(2);
    for (const cycles of [0, 2 ** 31, 2 ** 32 + 5, 2 ** 52 + 1, 100 * YEARS]) {
      const { cpu, pages } = page({ cycles, wallSec: 100 * 365.25 * 86_400 });
      for (const delta of [0, 1, 999_999_999, 2 ** 41]) {
        expect(fine(cpu, pages, CLOCK_MONOTONIC, () => cycles + delta, into)).toBe(true);
        expect(into[0]! * 1e9 + into[1]!).toBe(cycles + delta);
        expect(into[1]).toBeLessThan(1e9);
      }
      expect(rough(cpu, pages, CLOCK_REALTIME_COARSE, into)).toBe(true);
      expect(into[0]).toBe(Math.floor(cycles / 1e9) + 100 * 365.25 * 86_400);
    }
  });

  test('of a counter that is behind the page, or of a page that is too old', () => {
    const into = new Float64Array(2);
    const { cpu, pages } = page({ cycles: 5e9 });
    const copy = new ClockCopy(CLOCK_MONOTONIC, pages, 0);
    expect(readHres(cpu, copy, pages, () => 5e9 - 40, into)).toBe(true);
    expect([...into]).toEqual([5, 0]);
    expect(tryHres(cpu, copy, () => 5e9 + MAX_CYCLES + 1, into)).toBe(STALE);
    expect(readHres(cpu, copy, pages, () => 5e9 + MAX_CYCLES + 1, into)).toBe(false);
  });

  test('by a copy of a page that has changed since, or changes beneath the counter', () => {
    const into = new Float64Array(2);
    const { cpu, pages } = page({ cycles: 5e9 });
    const update = () => updateVsyscall(cpu, pages, () => ({ ...USUAL, cycles: 6e9, monotonic: 6e9 }));
    const fineCopy = new ClockCopy(CLOCK_MONOTONIC, pages, 0);
    const roughCopy = new ClockCopy(CLOCK_MONOTONIC_COARSE, pages, TICKING);
    expect(readHres(cpu, fineCopy, pages, () => 5e9, into)).toBe(true);
    expect(readCoarse(cpu, roughCopy, pages, into)).toBe(true);
    expect(tryHres(cpu, fineCopy, () => 5e9 + 1, into)).toBe(READ);
    expect([...into]).toEqual([5, 1]);
    const beneath = () => {
      update();
      return 5e9 + 2;
    };
    expect(tryHres(cpu, fineCopy, beneath, into)).toBe(CHANGED);
    expect(tryHres(cpu, fineCopy, () => 5e9 + 2, into)).toBe(CHANGED);
    expect(tryCoarse(cpu, roughCopy, into)).toBe(CHANGED);
  });

  test('of a page whose counter was read while readers could still see the old one', () => {
    const { cpu, pages } = page({});
    updateVsyscall(cpu, pages, () => {
      expect(cpu.load(pages + VdsoData.seq) & 1).toBe(1);
      expect(cpu.load(pages + VdsoData.words + VdsoData.seq) & 1).toBe(1);
      return { ...USUAL, cycles: 1, monotonic: 1 };
    });
    expect(cpu.load(pages + VdsoData.seq) & 1).toBe(0);
  });

  test('of a page that has lost its clock', () => {
    const into = new Float64Array(2);
    const { cpu, pages } = page({ cycles: 5e9 });
    updateVsyscall(cpu, pages, () => ({ ...USUAL, clockMode: CLOCKMODE_NONE, cycles: 6e9, monotonic: 6e9 }));
    expect(fine(cpu, pages, CLOCK_MONOTONIC, () => 6e9, into)).toBe(false);
    expect(rough(cpu, pages, CLOCK_MONOTONIC_COARSE, into)).toBe(true);
    expect([...into]).toEqual([6, 0]);
  });

  test('in a namespace, whose nanoseconds carry', () => {
    const into = new Float64Array(2);
    const { arena, cpu, pages } = page({ cycles: 3_700_000_000 });
    arena.timeNamespace({ monotonic: 600 });
    const namespace = arena.mapTimeNamespace();
    expect(readCoarse(cpu, new ClockCopy(CLOCK_MONOTONIC_COARSE, pages, TICKING), namespace, into)).toBe(true);
    expect([...into]).toEqual([4, 300_000_000]);
    const copy = new ClockCopy(CLOCK_MONOTONIC, pages, 0);
    expect(readHres(cpu, copy, namespace, () => 3_700_000_000, into)).toBe(true);
    expect([...into]).toEqual([4, 300_000_000]);
    expect([copy.sec, copy.nsec * copy.scale]).toEqual([4, 300_000_000]);
  });

  test('of a wall clock whose nanoseconds carry', () => {
    const into = new Float64Array(2);
    const { cpu, pages } = page({ cycles: 1_900_000_000, wallSec: 7, wallNsec: 200_000_000, tai: 37 });
    fine(cpu, pages, CLOCK_REALTIME, () => 1_900_000_000, into);
    expect([...into]).toEqual([9, 100_000_000]);
    fine(cpu, pages, CLOCK_TAI, () => 1_900_000_000, into);
    expect([...into]).toEqual([46, 100_000_000]);
    expect(rough(cpu, pages, CLOCK_REALTIME_COARSE, into)).toBe(true);
    expect([...into]).toEqual([9, 100_000_000]);
  });

  test('that is stepped, where it is to be slewed', () => {
    expect(slewed(0)).toBe(MULT);
    expect(slewed(900)).toBe(MULT);
    expect(slewed(100_000)).toBe(Math.round(MULT * 1.0001));
    expect(slewed(-1e12)).toBe(Math.round(MULT * 0.9995));
    // An update at any moment goes on where readers were, whatever the counter says.
    const { cpu, pages } = page({ cycles: 1e9, monotonic: 900e6, mult: slewed(100e6) });
    updateVsyscall(cpu, pages, (before) => {
      expect(before?.at(2e9)).toBeCloseTo(900e6 + 1e9 * 1.0005, -3);
      return {
        clockMode: 1,
        cycles: 2e9,
        mult: MULT,
        monotonic: 0,
        raw: 0,
        wallSec: 0,
        wallNsec: 0,
        boottime: 0,
        tai: 0,
        upkeep: 0,
      };
    });
  });
});

test('a page whose words another clock has', () => {
  expect(basetimeAt(0, CLOCK_TAI) + 4).toBeLessThanOrEqual(VdsoData.words);
});
