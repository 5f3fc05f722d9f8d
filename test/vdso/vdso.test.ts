import { describe, expect, test } from 'vitest';
import { makingBy } from '../../lib/arena/kthreadd.ts';
import { CLOCKMODE_NONE, VdsoData } from '../../lib/arena/time-namespace.ts';
import {
  Arena,
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  Vdso,
} from '../../lib/index.ts';
import { counter } from '../../lib/machine/counter.ts';
import { Header } from '../../lib/memory/header.ts';
import { latch } from '../../lib/memory/latch.ts';

import {
  AT_CLKTCK,
  AT_HWCAP,
  AT_PAGESZ,
  AT_SYSINFO_EHDR,
  elfHash,
  formatImage,
  Image,
  SYMBOLS,
  vdsoSymbol,
} from '../../lib/vdso/image.ts';
import { TICKING } from '../../lib/vdso/read.ts';
import { catchWall, clockOffsetsIn, taiOffset, taiOffsetIn } from '../../lib/vdso/sources.ts';
import { MULT, updateVsyscall } from '../../lib/vdso/update.ts';
import { Updater } from '../../lib/vdso/updater.ts';
import { COARSE, openVvar, Vvar, vdsoFault } from '../../lib/vdso/vvar.ts';
import { on, stepper } from '../support/stepper.ts';
import { inThread, thrown } from '../support/threads.ts';
import { rough, USUAL } from './pages.ts';

const THREADS = new URL('./vdso.threads.ts', import.meta.url).href;
const ALL = [
  CLOCK_REALTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_BOOTTIME,
  CLOCK_TAI,
];

function clock() {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 8 });
  const vdso = new Vdso(arena);
  return { arena, vdso, vvar: openVvar(arena.objects) };
}

/** That `read` says what the counter does, give or take what the pages are off; however long that takes. */
function expectNow(read: () => number): void {
  const before = counter();
  const time = read();
  expect(time).toBeGreaterThanOrEqual(before - 10e6);
  expect(time).toBeLessThanOrEqual(counter() + 10e6);
}

describe('the shared clock', () => {
  test('that says another time than the system', () => {
    const { arena, vdso } = clock();
    const before = counter();
    const monotonic = vdso.clockGettime(CLOCK_MONOTONIC);
    expect(monotonic).toBeGreaterThanOrEqual(before - 1000);
    expect(monotonic).toBeLessThanOrEqual(counter() + 1000);
    for (const id of [CLOCK_REALTIME, CLOCK_REALTIME_COARSE] as const) {
      const early = Date.now();
      const { sec, nsec } = vdso.clockGettime(id);
      expect(sec * 1e3 + nsec / 1e6).toBeGreaterThanOrEqual(early - 10);
      expect(sec * 1e3 + nsec / 1e6).toBeLessThanOrEqual(Date.now() + 10);
    }
    expect(vdso.getcpu()).toBe(0);
    for (const id of ALL) {
      expect(Number(vdso.clockGettimeBigint(id))).toBeGreaterThan(0);
      expect(vdso.clockGettimeInto(id, new Float64Array(2))[1]).toBeLessThan(1e9);
    }
    expect(vdso.clockGetres(CLOCK_MONOTONIC)).toBe(1);
    expect(vdso.clockGetres(CLOCK_MONOTONIC_COARSE)).toBe(4e6);
    arena.detach();
  });

  test('MONOTONIC of two threads goes back, or is apart by more than their order allows', async () => {
    const { arena, vdso } = clock();
    const word = arena.alloc(1);
    Atomics.store(arena.words, word, 0);
    const times = new Float64Array(new SharedArrayBuffer(8));
    const { exited } = inThread(arena, THREADS, 'answers', word, times);
    let worst = 0;
    let last = 0;
    for (let i = 0; i < 500; i++) {
      const before = vdso.clockGettime(CLOCK_MONOTONIC);
      expect(before).toBeGreaterThanOrEqual(last);
      Atomics.store(arena.words, word, 1);
      Atomics.notify(arena.words, word);
      while (Atomics.load(arena.words, word) !== 2) Atomics.wait(arena.words, word, 1);
      last = vdso.clockGettime(CLOCK_MONOTONIC);
      worst = Math.max(worst, before - times[0]!, times[0]! - last);
    }
    Atomics.store(arena.words, word, 3);
    Atomics.notify(arena.words, word);
    await exited;
    expect(worst).toBeLessThan(1000);
    arena.detach();
  });

  test('a coarse time that stands still when its updater has died between two ticks', () => {
    const { arenas, real, die, reap } = stepper(2);
    const vvar = openVvar(arenas[0]!.objects);
    const pages = vvar + Vvar.data;
    const times = {
      clockMode: 1,
      cycles: 5,
      mult: MULT,
      monotonic: 5,
      raw: 5,
      wallSec: 0,
      wallNsec: 0,
      boottime: 0,
      tai: 0,
    };
    updateVsyscall(real, pages, () => ({ ...times, upkeep: TICKING }));
    real.store(vvar + Vvar.updater, 1);
    const into = new Float64Array(2);
    expect(rough(real, pages, CLOCK_MONOTONIC_COARSE, into)).toBe(true);
    die(0);
    expect(reap(1)).toBe('done');
    expect(rough(real, pages, CLOCK_MONOTONIC_COARSE, into)).toBe(false);
    updateVsyscall(real, pages, () => ({ ...times, upkeep: TICKING }));
    expect(rough(real, pages, CLOCK_MONOTONIC_COARSE, into)).toBe(true);
    expect(real.load(vvar + Vvar.latch)).toBe(0);
  });

  test('that goes back where an update finds MONOTONIC ahead of the counter', () => {
    const { arena, vdso, vvar } = clock();
    const ahead = counter() + 10e9;
    updateVsyscall(arena.cpu, vvar + Vvar.data, () => ({ ...USUAL, cycles: ahead - 10e9, monotonic: ahead }));
    expect(vdso.clockGettime(CLOCK_MONOTONIC)).toBeGreaterThanOrEqual(ahead);
    new Updater(arena, vvar).update(TICKING);
    // A thread that has seen nothing of that yet.
    expect(new Vdso(arena).clockGettime(CLOCK_MONOTONIC)).toBeGreaterThanOrEqual(ahead);
    arena.detach();
  });

  test('a coarse time that goes back after a fallback, or that nobody keeps because nobody hears of it', () => {
    const { arena, vdso, vvar } = clock();
    const { cpu } = arena;
    // As if kthreadd were being made for good: nobody ticks.
    cpu.store(Header.kthreadd, makingBy(arena.thread.id));
    // The page is not kept: this is the fine clock's.
    const first = vdso.clockGettime(CLOCK_MONOTONIC_COARSE);
    expect(cpu.load(vvar + Vvar.demand) & COARSE).toBe(COARSE);
    updateVsyscall(cpu, vvar + Vvar.data, () => ({ ...USUAL, cycles: first - 2e9, monotonic: first - 2e9 }));
    expect(vdso.clockGettime(CLOCK_MONOTONIC_COARSE)).toBeGreaterThanOrEqual(first);
    arena.detach();
  });

  test('ticks of another rate than the arena has, or that is no rate', () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    // As if kthreadd were being made for good: nobody ticks.
    arena.cpu.store(Header.kthreadd, makingBy(arena.thread.id));
    const first = new Vdso(arena, { hz: 100 });
    const second = new Vdso(arena, { hz: 1000 });
    for (const vdso of [first, second]) {
      expect(vdso.clockGetres(CLOCK_MONOTONIC_COARSE)).toBe(10e6);
      expect(vdso.auxv.get(AT_CLKTCK)).toBe(100);
    }
    second.clockGettime(CLOCK_MONOTONIC_COARSE);
    expect(new Updater(arena, openVvar(arena.objects)).tick()).toBe(10e6);
    for (const hz of [0, 9, 1001, 12.5, '100', null]) {
      expect(thrown(() => new Vdso(arena, { hz: hz as number })).code).toBe('EINVAL');
    }
    arena.detach();
  });

  test('a latch that a dead updater keeps', () => {
    const { arenas, real, killBefore, reap } = stepper(2);
    const vvar = openVvar(arenas[0]!.objects);
    const { cpu } = arenas[0]!;
    const die = () => {
      latch(cpu, vvar + Vvar.latch, 1);
      cpu.load(vvar);
    };
    expect(killBefore(0, on('load', vvar), die)).toBe(true);
    expect(reap(1)).toBe('done');
    expect(real.load(vvar + Vvar.latch)).toBe(0);
  });

  test('times that are not there without a clock, or without a symbol', () => {
    const { arena, vdso, vvar } = clock();
    vdso.clockGettime(CLOCK_MONOTONIC);
    arena.words[vvar + Vvar.data + VdsoData.clockMode] = CLOCKMODE_NONE;
    expectNow(() => vdso.clockGettime(CLOCK_MONOTONIC));
    expect(vdso.clockGetres(CLOCK_REALTIME)).toBe(1e6);
    // The name of another version of the library.
    arena.words[vvar + Vvar.image + Image.buckets] = 0;
    arena.words[vvar + Vvar.image + Image.buckets + 1] = 0;
    arena.words[vvar + Vvar.image + Image.buckets + 2] = 0;
    const other = new Vdso(arena);
    expectNow(() => other.clockGettime(CLOCK_MONOTONIC));
    expect(Math.abs(other.time() * 1e3 - Date.now())).toBeLessThan(60_000);
    expect(Math.abs(other.gettimeofday().sec * 1e3 - Date.now())).toBeLessThan(60_000);
    arena.detach();
  });

  test('bad clocks, options, pages and images', () => {
    const { arena, vdso, vvar } = clock();
    for (const id of [-1, 2, 3, 12, 1.5, Number.NaN, '1', undefined, 2 ** 32 + 1]) {
      expect(thrown(() => vdso.clockGettime(id as number)).code).toBe('EINVAL');
      expect(thrown(() => vdso.clockGetres(id as number)).code).toBe('EINVAL');
    }
    expect(thrown(() => new Vdso({} as never)).code).toBe('EINVAL');
    expect(thrown(() => new Vdso(arena, { taiOffset: 0.5 })).code).toBe('EINVAL');
    expect(thrown(() => vdso.mremap(3)).code).toBe('EINVAL');
    const { cpu } = arena;
    for (const offset of [1, 2, -1]) expect(thrown(() => vdsoFault(cpu, vvar, offset, 0)).code).toBe('EFAULT');
    arena.words[vvar + Vvar.data + VdsoData.version] = 9;
    expect(thrown(() => vdsoFault(cpu, vvar, 0, 0)).code).toBe('EINVAL');
    arena.words[vvar + Vvar.image + Image.version] = 9;
    expect(thrown(() => new Vdso(arena)).code).toBe('EINVAL');
    arena.detach();
  });
});

describe('the image', () => {
  test('symbols that are not found, or found by another version', () => {
    const { real: cpu, arenas } = stepper(1);
    const image = arenas[0]!.alloc(Image.words);
    for (let word = 0; word < Image.words; word++) cpu.write(image + word, 0);
    formatImage(cpu, image);
    expect(SYMBOLS.map((name) => vdsoSymbol(cpu, image, name))).toEqual([1, 2, 3, 4, 5]);
    expect(vdsoSymbol(cpu, image, '__vdso_none')).toBe(0);
    expect(vdsoSymbol(cpu, image, '__vdso_time', 'HOLDFAST_2')).toBe(0);
    // System V ABI: its hash of printf.
    expect(elfHash('printf')).toBe(0x077905a6);
  });

  test('a moved image that the auxiliary vector does not lead to', () => {
    const { arena, vdso } = clock();
    expect(vdso.auxv.get(AT_CLKTCK)).toBe(250);
    expect(vdso.auxv.get(AT_PAGESZ)).toBe(VdsoData.words * 4);
    expect(vdso.auxv.get(AT_HWCAP)).toBeGreaterThan(0);
    const to = arena.alloc(Vdso.imageWords);
    const from = vdso.auxv.get(AT_SYSINFO_EHDR) as number;
    vdso.mremap(to);
    arena.words[from] = 0;
    expect(vdso.auxv.get(AT_SYSINFO_EHDR)).toBe(to);
    expect(new Vdso(arena).time()).toBeGreaterThan(0);
    arena.detach();
  });
});

describe('a time namespace', () => {
  test('whose offsets are not added, or for other threads too', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 8 });
    const plain = arena.handle;
    arena.timeNamespace({ monotonic: 3_600_000, boottime: 7_200_000 });
    const vdso = new Vdso(arena);
    for (const id of [CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE]) {
      expectNow(() => vdso.clockGettime(id) - 3_600e9);
    }
    const begun = counter();
    expect(vdso.clockGettime(CLOCK_BOOTTIME) - begun).toBeGreaterThan(7_190e9);
    expect(Math.abs(vdso.clockGettime(CLOCK_REALTIME).sec - Date.now() / 1e3)).toBeLessThan(10);
    // A worker of this thread's is in it, one that attaches by another thread's handle is not.
    const inherited = inThread<number>(arena, THREADS, 'reads', CLOCK_MONOTONIC);
    expect((await inherited.result) - begun).toBeGreaterThan(3_590e9);
    await inherited.exited;
    expect(plain.timeNamespace).toBeUndefined();
    arena.detach();
  });

  test('bad offsets, or one that comes too late', () => {
    const { arena, vdso } = clock();
    for (const offsets of [
      { monotonic: -1e15 },
      { boottime: Number.NaN },
      { monotonic: '1' },
      null,
      { boottime: -1e15 },
    ]) {
      expect(thrown(() => arena.timeNamespace(offsets as never)).code).toBe('EINVAL');
    }
    vdso.clockGettime(CLOCK_MONOTONIC);
    expect(thrown(() => arena.timeNamespace({ monotonic: 1 })).code).toBe('EBUSY');
    const { type, buffer } = arena.handle;
    arena.detach();
    expect(thrown(() => Arena.attach({ type, buffer, timeNamespace: 77 })).code).toBe('EINVAL');
    const other = Arena.create({ bytes: 1 << 20 });
    other.timeNamespace({ monotonic: 1 });
    expect(thrown(() => other.timeNamespace({ monotonic: 1 })).code).toBe('EBUSY');
    other.detach();
  });
});

test('a wall clock that is off by as long as the thread that looked at it was preempted', () => {
  const AHEAD = 1000;
  let [now, preemptions] = [0, 10];
  const cycles = () => (now += 50);
  const date = () => {
    if (preemptions-- > 0) now += 60e6;
    return Math.floor(cycles() / 1e6) + AHEAD;
  };
  const { sec, nsec, error } = catchWall(cycles, date);
  expect(error).toBeLessThan(1000);
  expect(Math.abs(sec * 1e9 + nsec - AHEAD * 1e6)).toBeLessThan(1000);
});

test('leap seconds of another time', () => {
  const list = '# a comment\n3550089600 35 # 1 Jul 2012\n3644697600 36 # 1 Jul 2015\n3692217600 37 # 1 Jan 2017\n';
  expect(taiOffsetIn(list, Date.UTC(2016, 0, 1) / 1e3)).toBe(36);
  expect(taiOffsetIn(list, Date.UTC(2020, 0, 1) / 1e3)).toBe(37);
  expect(taiOffsetIn('', 0)).toBe(0);
});

test('clocks of the kernel that are told apart wrongly', () => {
  const base = (index: number, offset: bigint) =>
    ` clock ${index}:\n  .base:       00000000bc1b9547\n  .index:      ${index}\n  .resolution: 1 nsecs\n  .get_time:   f\n` +
    `  .offset:     ${offset} nsecs\nactive timers:\n #0: <0>, tick, S:01\n # expires at 4-4 nsecs [in 3 to 3 nsecs]\n`;
  const real = 1_795_599_681_660_604_981n;
  const cpu = base(0, 0n) + base(1, real) + base(2, 86_400_000_000_017n) + base(3, real + 37_000_000_000n);
  const list = `Timer List Version: v0.10\nnow at 5 nsecs\n\ncpu: 0\n${cpu}cpu: 1\n${base(2, 5n)}`;
  expect(clockOffsetsIn(list)).toEqual({ boottime: 86_400_000_000_017, tai: 37e9 });
  // A kernel whose configuration leaves the offsets out, and no list at all.
  expect(clockOffsetsIn(list.replaceAll(/ +\.offset.*\n/g, ''))).toEqual({ boottime: undefined, tai: undefined });
  expect(clockOffsetsIn('')).toEqual({ boottime: undefined, tai: undefined });
  expect(taiOffset(0, list)).toBe(37);
});
