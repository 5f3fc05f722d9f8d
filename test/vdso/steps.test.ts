/** Updaters, readers, namespaces and detaching threads of one clock, in the middle of each other's steps. */
import { describe, expect, test } from 'vitest';
import { makingBy } from '../../lib/arena/kthreadd.ts';
import { VdsoData } from '../../lib/arena/time-namespace.ts';
import {
  Arena,
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_REALTIME,
  Vdso,
  type WallTime,
} from '../../lib/index.ts';
import { counter } from '../../lib/machine/counter.ts';
import { Header } from '../../lib/memory/header.ts';
import { TICKING, WATCHED } from '../../lib/vdso/read.ts';
import { Updater } from '../../lib/vdso/updater.ts';
import { openVvar, Vvar } from '../../lib/vdso/vvar.ts';
import { Hang, stepper, type When } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** As if that thread were making kthreadd for good: nobody ticks but the test. */
function withoutKthreadd({ cpu, thread }: Arena): void {
  cpu.store(Header.kthreadd, makingBy(thread.id));
}

/** Two threads that may update, and one that reads, in a namespace that is `ahead` ns. */
function stage(ahead = 0) {
  const all = stepper(3, { words: 1 << 15 });
  const { arenas, real } = all;
  const [one, other, third] = arenas as [Arena, Arena, Arena];
  withoutKthreadd(third);
  if (ahead > 0) third.timeNamespace({ monotonic: ahead / 1e6, boottime: ahead / 1e6 });
  const vvar = openVvar(one.objects);
  const updaters = [one, other].map((arena) => new Updater(arena, vvar)) as [Updater, Updater];
  const vdso = new Vdso(third);
  // The pages are not kept yet: it has its timer from here on.
  vdso.clockGettime(CLOCK_MONOTONIC_COARSE);
  updaters[0].update(TICKING | WATCHED);
  const last = { coarse: 0, fine: 0, boot: 0 };

  /** Reads the clocks: MONOTONIC is between what the counter says before and after, and none goes back. */
  const reads = (): void => {
    const early = counter();
    const coarse = vdso.clockGettime(CLOCK_MONOTONIC_COARSE);
    const fine = vdso.clockGettime(CLOCK_MONOTONIC);
    const boot = vdso.clockGettime(CLOCK_BOOTTIME);
    const late = counter();
    expect(fine - ahead).toBeGreaterThanOrEqual(early);
    expect(fine - ahead).toBeLessThanOrEqual(late);
    expect(coarse).toBeLessThanOrEqual(fine);
    expect(coarse - ahead).toBeGreaterThan(0);
    expect([coarse >= last.coarse, fine >= last.fine, boot >= last.boot]).toEqual([true, true, true]);
    Object.assign(last, { coarse, fine, boot });
  };
  const isWhole = () =>
    [0, VdsoData.words].every((page) => (real.load(vvar + Vvar.data + page + VdsoData.seq) & 1) === 0);
  /** The `n`th step that touches the clock. */
  const atStep = (n: number): When => {
    let seen = 0;
    return ({ address }) => address >= vvar && address < vvar + Vvar.words && ++seen === n;
  };
  return { ...all, updaters, vdso, reads, isWhole, atStep };
}

/** An hour and some, ns: with nanoseconds that carry. */
const AHEAD = 3_600_600_000_001;

const msOf = ({ sec, nsec }: WallTime) => sec * 1e3 + nsec / 1e6;

/** Runs `act`, unless it has to wait for what a thread has that does not run. */
function unlessStopped(act: () => void): boolean {
  try {
    act();
    return true;
  } catch (error) {
    if (!(error instanceof Hang)) throw error;
    return false;
  }
}

test('two updaters at once: pages that are left odd, or a time that neither has written', () => {
  const { updaters, before, cancel, reads, isWhole, atStep } = stage();
  let both = 0;
  for (let n = 1, isOver = false; !isOver; n++) {
    before(0, atStep(n), () => {
      reads();
      // Not while the first has the latch.
      if (unlessStopped(() => updaters[1].update(WATCHED))) both++;
      reads();
    });
    updaters[0].update(TICKING | WATCHED);
    isOver = cancel(0);
    reads();
    expect(isWhole(), `step ${n}`).toBe(true);
  }
  expect(both).toBeGreaterThan(0);
});

test.each([0, AHEAD])('a reader %i ns ahead, at each step of an update: a time torn, or off', (ahead) => {
  const { updaters, before, cancel, reads, atStep } = stage(ahead);
  for (let n = 1, isOver = false; !isOver; n++) {
    // One that has copied the page before, and one that copies it then.
    if (n % 2 === 0) reads();
    before(0, atStep(n), reads);
    updaters[0].update(TICKING | WATCHED);
    isOver = cancel(0);
  }
  reads();
});

test('a reader in a namespace, when the updater dies at any step and another takes over: a time torn, or off', () => {
  for (let n = 1, isOver = false; !isOver; n++) {
    const { updaters, killBefore, reap, reads, isWhole, atStep } = stage(AHEAD);
    reads();
    isOver = !killBefore(0, atStep(n), () => updaters[0].update(TICKING | WATCHED));
    reads();
    if (isOver) continue;
    expect(reap(1)).toBe('done');
    reads();
    updaters[1].update(TICKING | WATCHED);
    reads();
    expect(isWhole(), `step ${n}`).toBe(true);
  }
});

describe('a thread that detaches', () => {
  test('and has kept the pages: coarse times that stand still, at whichever step others read', () => {
    for (let n = 1, isOver = false; !isOver; n++) {
      const { leave, before, cancel, reads, vdso, atStep } = stage();
      reads();
      before(0, atStep(n), reads);
      expect(leave(0)).toBe('done');
      isOver = cancel(0);
      reads();
      const now = counter();
      expect(vdso.clockGettime(CLOCK_MONOTONIC_COARSE)).toBeGreaterThanOrEqual(now);
    }
  });

  test('and reads: times that stand still, or are not there', () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
    withoutKthreadd(arena);
    const [vdso, fine, unread] = [new Vdso(arena), new Vdso(arena), new Vdso(arena)];
    vdso.clockGettime(CLOCK_MONOTONIC_COARSE);
    // It has the pages, and no timer.
    fine.clockGettime(CLOCK_MONOTONIC);
    new Updater(arena, openVvar(arena.objects)).update(TICKING | WATCHED);
    expect(vdso.clockGettime(CLOCK_MONOTONIC_COARSE)).toBeGreaterThan(0);
    arena.detach();
    for (const view of [vdso, fine]) {
      for (const clock of [CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE]) {
        const now = counter();
        expect(view.clockGettime(clock)).toBeGreaterThanOrEqual(now);
      }
    }
    const before = Date.now();
    expect(msOf(vdso.clockGettime(CLOCK_REALTIME))).toBeGreaterThanOrEqual(before - 2);
    expect(thrown(() => unread.clockGettime(CLOCK_MONOTONIC)).code).toBe('EINVAL');
    expect(thrown(() => new Vdso(arena)).code).toBe('EINVAL');
  });
});
