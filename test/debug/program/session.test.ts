/** Trace programs that run: on several threads, with threads that die, and what is refused. */
import { expect, test } from 'vitest';
import { pointNamed } from '../../../lib/debug/trace/points.ts';
import { Cell, repairCell } from '../../../lib/debug/trace/program/cells.ts';
import { isClaimed, ProgramWords } from '../../../lib/debug/trace/program/layout.ts';
import { type TraceProgram, traceProgram, traceProgramText } from '../../../lib/debug/trace/program/session.ts';
import { openSinks } from '../../../lib/debug/trace/sink.ts';
import { Arena, Mutex, startTrace } from '../../../lib/index.ts';
import { Header } from '../../../lib/memory/header.ts';
import { step, stepper } from '../../support/stepper.ts';
import { inThread, thrown } from '../../support/threads.ts';
import { stage, valuesOf } from './stage.ts';

const MODULE = new URL('./session.threads.ts', import.meta.url).href;

test('what a program can not be started with', () => {
  const arena = Arena.create();
  const message = (call: () => unknown) => thrown(call).message;
  expect(message(() => traceProgram({} as Arena, 'BEGIN {}'))).toContain('expects an Arena');
  expect(message(() => traceProgram(arena, 5 as unknown as string))).toContain('a trace program is a text');
  expect(message(() => traceProgram(arena, 'BEGIN {}', { loud: true } as object))).toContain(
    'no option of this call is named "loud"',
  );
  expect(message(() => traceProgram(arena, 'BEGIN {}', { output: 'no' } as object))).toContain('output is a function');
  expect(message(() => traceProgram(arena, 'let @ = hash(9000); *:acquire { @[wait] = hist(wait) }'))).toMatch(
    /^ENOMEM.*make them smaller/,
  );
  expect(message(() => traceProgram(Arena.create({ bytes: 1 << 19 }), 'BEGIN {}'))).toMatch(/^ENOMEM/);
  expect(arena.cpu.load(Header.trace)).toBe(0);
});

test('four programs at a time, and their places are used again, empty', () => {
  const arena = Arena.create();
  const source = '*:release { @ = count(); @stored[hold] = 1; printf("r\\n") }';
  const start = () => stage(source, { arena });
  const [first, ...others] = [start(), start(), start(), start()];
  expect(thrown(start)).toMatchObject({ code: 'EBUSY', message: expect.stringContaining('4 trace programs run') });
  first!.emit('release', { hold: 1 });
  const result = first!.program.stop();
  expect(valuesOf(result, '@')).toEqual({ '': 1 });
  expect(first!.program.stop()).toBe(result);
  expect(first!.program.read()).toBe(result);
  const again = start();
  again.emit('release', { hold: 2 });
  expect(valuesOf(again.program.read(), '@stored')).toEqual({ 2: 1 });
  const all = [again, ...others].map(({ program }) => program.stop());
  expect(all.map((one) => valuesOf(one, '@')[''])).toEqual([1, 2, 2, 2]);
  expect(all.map(({ output }) => output)).toEqual(['r\n', 'r\nr\n', 'r\nr\n', 'r\nr\n']);
  expect(arena.cpu.load(Header.trace)).toBe(0);
});

test('a program beside a trace hears of each lock, and so does the trace', () => {
  const arena = Arena.create();
  const mutex = new Mutex(arena, 'm');
  const trace = startTrace(arena);
  const pairs = (times: number) => {
    for (let i = 0; i < times; i++) mutex.runExclusive(() => {});
  };
  pairs(2);
  const program = traceProgram(arena, 'mutex:acquire { @taken++ } mutex:release { @given++ }');
  pairs(3);
  const result = program.stop();
  expect([valuesOf(result, '@taken'), valuesOf(result, '@given')]).toEqual([{ '': 3 }, { '': 3 }]);
  pairs(4);
  const { events } = trace.stop();
  for (const name of ['acquire', 'release']) expect(events.filter(({ point }) => point === name).length).toBe(9);
});

test('a program that ends itself, and what it prints at intervals', async () => {
  const arena = Arena.create();
  const lines: string[] = [];
  const output = (text: string) => void lines.push(text);
  const program = traceProgram(
    arena,
    'interval:ms:1 { @n++; printf("%d\\n", @n); if (@n == 3) { exit(); } } END { printf("end\\n") }',
    { output },
  );
  const result = await program.finished;
  expect(valuesOf(result, '@n')['']).toBeGreaterThanOrEqual(3);
  expect(lines.join('')).toMatch(/^1\n2\n3\n(\d+\n)*end\n$/);
  expect(result.output).toBe('');
  expect(program.stop()).toBe(result);
});

test('maps that are printed and cleared', () => {
  const { program, emit } = stage(`
    *:release { @[hold] = count(); @hist = hist(hold); @stored[hold] = hold; @one = hold; }
    *:unpark { print(@); clear(@); clear(@hist); clear(@stored); clear(@one) }
  `);
  emit('release', { hold: 1 });
  emit('release', { hold: 1 });
  emit('release', { hold: 2 });
  emit('unpark');
  program.read();
  emit('release', { hold: 5 });
  const result = program.stop();
  expect(result.output).toBe('@[2]: 1\n@[1]: 2\n');
  expect(traceProgramText(result)).toMatch(/^@\[5\]: 1\n@hist: \n\[4, 8\) +1 \|@+\|\n@stored\[5\]: 5\n@one: 5\n$/);
});

test('a map that is full', () => {
  const { program, emit } = stage(
    'let @ = hash(3); let @s = hash(3); *:release { @[hold] = count(); @s[hold] = hold }',
  );
  for (let hold = 0; hold < 5; hold++) emit('release', { hold });
  emit('release', { hold: 0 });
  const { maps } = program.stop();
  expect(maps.map(({ entries, dropped }) => [entries.length, dropped])).toEqual([
    [3, 2],
    [3, 2],
  ]);
  expect(traceProgramText({ maps })).toContain('@: 2 events found no room: let @ = hash(...) makes more');
});

test('more output than there is room for', () => {
  const { program, emit } = stage('*:release { printf("%d\\n", hold) }');
  for (let hold = 0; hold < 1000; hold++) emit('release', { hold });
  const { output, lostOutput } = program.stop();
  const lines = output.trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(100);
  expect(lines.length + lostOutput).toBe(1000);
  expect(lines).toEqual(lines.map((_, i) => `${i}`));
});

test('a thread that detaches with a program that runs', async () => {
  const arena = Arena.create();
  await inThread(arena, MODULE, 'startAndLeave', 'BEGIN { @ = 1 }').reaped();
  const programs = [1, 2, 3, 4].map(() => traceProgram(arena, '*:release { @ = count() }'));
  for (const program of programs) program.stop();
  const own = Arena.create();
  const program = traceProgram(own, 'BEGIN { @ = 1 }');
  own.detach();
  expect(thrown(() => program.stop())).toMatchObject({
    code: 'EINVAL',
    message: expect.stringContaining('has detached'),
  });
});

const total = (program: TraceProgram, name: string) =>
  Object.values(valuesOf(program.read(), name)).reduce<number>((sum, value) => sum + Number(value), 0);

test('each acquisition of each thread is counted, and each addition is made', async () => {
  const arena = Arena.create();
  const program = traceProgram(
    arena,
    'mutex:acquire { @[name] = count(); @threads[cpu] = count(); @all++; @stats = stats(wait) }',
  );
  const threads = [1, 2, 3].map(() => inThread(arena, MODULE, 'lockOften', 'shared', 300));
  await Promise.all(threads.map(({ result }) => result));
  expect(total(program, '@')).toBe(900);
  expect(total(program, '@threads')).toBe(900);
  const result = program.stop();
  const all = result.maps.find(({ name }) => name === '@all')!;
  expect(Number(all.entries[0]!.value) + all.lost).toBe(900);
  expect(result.maps.find(({ name }) => name === '@stats')!.entries[0]!.count).toBe(900);
  expect(result).toMatchObject({ droppedThreads: 0, droppedTexts: 0, unfinished: 0 });
});

test('threads that are killed while they run a program', async () => {
  const arena = Arena.create();
  const program = traceProgram(
    arena,
    'mutex:acquire { @[name] = count(); @last[cpu] = nsecs; @hist[cpu] = hist(nsecs); printf("%s\\n", name) }',
  );
  const threads = [1, 2, 3].map((seed) => inThread(arena, MODULE, 'lockForEver', `m${seed}`));
  while (total(program, '@') < 200) await new Promise((resolve) => setTimeout(resolve, 1));
  await Promise.all(threads.map(({ worker }) => worker.terminate()));
  await Promise.all(threads.map(({ reaped }) => reaped()));
  const mutex = new Mutex(arena, 'mine');
  mutex.runExclusive(() => {});
  const result = program.stop();
  expect(valuesOf(result, '@')).toMatchObject({ mine: 1 });
  for (const line of result.output.trimEnd().split('\n')) expect(['m1', 'm2', 'm3', 'mine']).toContain(line);
  expect(arena.fsck()).toEqual([]);
  const others = [1, 2, 3, 4].map(() => traceProgram(arena, '*:release { @ = count() }'));
  for (const other of others) other.stop();
});

/** The program hears of a release by thread `number`, after which it was held so long. */
function released(arenas: readonly Arena[], number: number, hold: number): void {
  const traced = { thread: arenas[number]!.thread, lockOf: () => undefined, stackHere: () => 0 };
  for (const sink of openSinks(traced)) sink.emit(pointNamed('release') as number, 1, 0, 0, 0, hold, 0);
}

test('what several threads have counted is one', () => {
  const { arenas } = stepper(3, { words: 1 << 19 });
  const source = `*:release {
    @count = count(); @sum = sum(hold); @avg = avg(hold); @min = min(hold); @max = max(hold); @[hold % 2] = count(); @hist = hist(hold);
  }`;
  const program = traceProgram(arenas[0]!, source);
  for (const [number, hold] of [
    [1, 3],
    [2, 9],
    [1, 4],
    [2, -1],
  ] as const)
    released(arenas, number, hold);
  const result = program.stop();
  const values = ['@count', '@sum', '@avg', '@min', '@max', '@hist'].map((name) => valuesOf(result, name)['']);
  expect(values).toEqual([4, 15, 3, -1, 9, 4]);
  expect(valuesOf(result, '@')).toEqual({ 0: 1, 1: 2, '-1': 1 });
});

test('the claim of another thread is taken back with that of a dead one', () => {
  const { real, arenas } = stepper(1);
  const cell = arenas[0]!.alloc(Cell.words);
  real.store(cell, (5 << 10) | 2);
  repairCell(real, cell, 1);
  expect(real.load(cell)).toBe((5 << 10) | 2);
  repairCell(real, cell, 2);
  expect(real.load(cell)).toBe(5 << 10);
});

const STEPS = 90;

test('a thread dies at each step of what it keeps: only its last event can be lost', () => {
  const { arenas, killBefore, reap, real } = stepper(STEPS + 2, { words: 1 << 19 });
  const owner = arenas[STEPS]!;
  const source =
    'let @hist = hash(2); *:release { @sum += hold; @hist[hold] = hist(hold); @count = count(); printf("%d\\n", hold) }';
  const program = traceProgram(owner, source);
  const release = pointNamed('release') as number;
  let died = 0;
  for (let thread = 0; thread < STEPS; thread++) {
    const traced = { thread: arenas[thread]!.thread, lockOf: () => undefined, stackHere: () => 0 };
    const [sink] = openSinks(traced);
    const emit = () => sink!.emit(release, 1, 0, 0, 0, 10, 0);
    emit();
    if (!killBefore(thread, step(thread + 1), emit)) continue;
    died++;
    expect(reap(STEPS + 1)).toBe('done');
  }
  // All steps of the event were among them.
  expect(died).toBeGreaterThan(25);
  expect(died).toBeLessThan(STEPS);
  const address = real.load(Header.programs);
  expect(isClaimed(real, address)).toBe(false);
  const areas = Array.from({ length: STEPS + 1 }, (_, i) => real.load(address + ProgramWords.areaOwners + i));
  expect(new Set(areas).size).toBe(areas.length);
  const result = program.stop();
  const sum = Number(valuesOf(result, '@sum')['']);
  expect(sum % 10).toBe(0);
  for (const name of ['@count', '@hist']) {
    const count = Number(Object.values(valuesOf(result, name))[0]);
    expect(count).toBeGreaterThanOrEqual(2 * STEPS - died);
    expect(count).toBeLessThanOrEqual(2 * STEPS);
  }
  for (const map of result.maps) expect(map.lost).toBe(0);
  expect(result.output).toMatch(/^(10\n)+$/);
});
