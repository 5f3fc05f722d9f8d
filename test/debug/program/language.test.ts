/** The language of trace programs: what each construct does, and what a bad program is told. */
import { expect, test } from 'vitest';
import { prepare } from '../../../lib/debug/trace/program/prepare.ts';
import { Mutex, RwSemaphore } from '../../../lib/index.ts';
import { thrown } from '../../support/threads.ts';
import { stage, valuesOf } from './stage.ts';

/** What `expression` is, in an event that waited for 7 ns in mode 2. */
function computed(expression: string): unknown {
  const { program, emit } = stage(`*:contention_end { @ = ${expression} }`);
  emit('contention_end', { wait: 7, mode: 2, time: 1e12 });
  return valuesOf(program.stop(), '@')[''];
}

test.each<[string, number | string]>([
  ['1 + 2 * 3', 7],
  ['(1 + 2) * 3', 9],
  ['20 - 5 - 3', 12],
  ['7 / 2', 3],
  ['-7 / 2', -3],
  ['-7 % 4', -3],
  ['wait / 0', 0],
  ['wait % 0', 7],
  ['1 << 4 | 1', 17],
  ['0xff & 0x0f0', 0xf0],
  ['6 ^ 3', 5],
  ['256 >> 4', 16],
  ['2 > 1', 1],
  ['2 < 1', 0],
  ['1 == 1 && 2 != 2', 0],
  ['0 || wait == 7', 1],
  ['!(wait > 5) || mode >= 3', 0],
  ['!wait', 0],
  ['!0', 1],
  ['wait <= 7 && mode <= 2 ? 10 : 20', 10],
  ['wait < 7 ? 10 : mode == 2 ? 30 : 20', 30],
  ['-wait - -mode', -5],
  ['1ms + 2us + 3ns', 1_002_003],
  ['1e3 * 1_000', 1e6],
  ['2h / 1m', 120],
  ['nsecs', 1e12],
  ['cpu', 0],
  ['"text"', 'text'],
  ['probe', '*:contention_end'],
  [
    '((((((wait+1)*(wait+2))-((wait+3)*(wait+4)))+((wait*wait)-(mode*mode)))*2)+(wait*(mode+(wait*(mode+(wait*(mode+wait)))))))',
    3213,
  ],
  ['9007199254740991 + wait', 9007199254740991],
])('%s is something else than %s', (expression, value) => {
  expect(computed(expression)).toBe(value);
});

test('predicates, kinds of locks, names', () => {
  const { arena, program, emit } = stage(`
    mutex:contention_end /wait > 1ms/ { @waits[name] = count(); @[kind] = count() }
    rw_semaphore:contention_end, mutex:contention_end /name == "books" && (wait / 2) < 5/ { @books[probe] = count() }
    *:contention_end /kind != "mutex" || (wait / 1us) == 1000/ { @others[name] = sum(wait) }
  `);
  const accounts = new Mutex(arena, 'accounts');
  const books = new RwSemaphore(arena, 'books');
  emit('contention_end', { lock: accounts, wait: 2e6 });
  emit('contention_end', { lock: accounts, wait: 1e6 });
  emit('contention_end', { lock: books, wait: 2e6 });
  emit('contention_end', { lock: books, wait: 3 });
  emit('contention_end', { lock: new Mutex(arena), wait: 3e6 });
  const result = program.stop();
  expect(valuesOf(result, '@waits')).toEqual({ accounts: 1, '(mutex without a name)': 1 });
  expect(valuesOf(result, '@')).toEqual({ mutex: 2 });
  expect(valuesOf(result, '@books')).toEqual({ 'rw_semaphore:contention_end': 1 });
  expect(valuesOf(result, '@others')).toEqual({ accounts: 1e6, books: 2e6 + 3 });
});

test('what maps keep', () => {
  const { arena, program, emit } = stage(`
    let @array = array(8);
    *:release {
      @count[mode] = count();
      @sum[mode] = sum(hold); @avg[mode] = avg(hold); @min[mode] = min(hold); @max[mode] = max(hold); @stats = stats(hold);
      @hist = hist(hold - 4); @lhist[mode] = lhist(hold, -10, 10, 5);
      @last[lock, mode] = hold; @plus += hold; @minus -= 2; @ups[mode]++; @downs[mode]--;
      if (mode < 8) { @array[mode] = hold; }
      @copy = @last[lock, mode] + @array[1] * 1000;
    }
  `);
  const lock = new Mutex(arena, 'm');
  for (const [mode, hold] of [
    [0, 4],
    [1, 3],
    [1, -20],
    [0, 10],
    [0, 9],
  ] as const)
    emit('release', { lock, mode, hold });
  const result = program.stop();
  const values = (name: string) => valuesOf(result, name);
  expect(values('@count')).toEqual({ 0: 3, 1: 2 });
  expect(values('@sum')).toEqual({ 0: 23, 1: -17 });
  expect(values('@avg')).toEqual({ 0: 7, 1: -8 });
  expect(values('@min')).toEqual({ 0: 4, 1: -20 });
  expect(values('@max')).toEqual({ 0: 10, 1: 3 });
  expect(values('@last')).toEqual({ 'mutex "m",0': 9, 'mutex "m",1': -20 });
  expect(values('@plus')).toEqual({ '': 6 });
  expect(values('@minus')).toEqual({ '': -10 });
  expect(values('@ups')).toEqual({ 0: 3, 1: 2 });
  expect(values('@downs')).toEqual({ 0: -3, 1: -2 });
  expect(values('@array')).toEqual({ 0: 9, 1: -20 });
  expect(values('@copy')).toEqual({ '': -19_991 });
  const entries = (name: string) => result.maps.find((map) => map.name === name)!.entries;
  expect(entries('@stats')).toEqual([{ key: [], value: 1, count: 5, total: 6 }]);
  expect(entries('@hist')[0]!.buckets).toEqual([
    { from: Number.NEGATIVE_INFINITY, to: 0, count: 2 },
    { from: 0, to: 1, count: 1 },
    { from: 4, to: 8, count: 2 },
  ]);
  const linear = Object.fromEntries(entries('@lhist').map(({ key, buckets }) => [key[0], buckets]));
  expect(linear[0]).toEqual([
    { from: 0, to: 5, count: 1 },
    { from: 5, to: 10, count: 1 },
    { from: 10, to: Number.POSITIVE_INFINITY, count: 1 },
  ]);
  expect(linear[1]).toEqual([
    { from: Number.NEGATIVE_INFINITY, to: -10, count: 1 },
    { from: 0, to: 5, count: 1 },
  ]);
});

test('statements', () => {
  const { program, emit } = stage(`
    *:release {
      $odd = 0;
      for ($i : 0..10) { if ($i % 2 == 1) { $odd += $i; } else if ($i == 4) { $odd++ } else { $odd--; } }
      $n = 0; while ($n < 5) { $n++ }
      @odd = $odd; @n = $n;
      @gone[hold] = 1; delete(@gone[1]);
      if (hold == 2) { return; }
      @after[hold] = count();
    }
  `);
  for (const hold of [1, 2, 3]) emit('release', { hold });
  const result = program.stop();
  expect(valuesOf(result, '@odd')).toEqual({ '': 22 });
  expect(valuesOf(result, '@n')).toEqual({ '': 5 });
  expect(valuesOf(result, '@gone')).toEqual({ 2: 1, 3: 1 });
  expect(valuesOf(result, '@after')).toEqual({ 1: 1, 3: 1 });
});

test('lines of output', () => {
  const { arena, program, emit } = stage(String.raw`
    BEGIN { printf("begin\n") }
    mutex:release { printf("%s|%-6d|%6d|%x|%s|100%%\t\"\n", name, hold, hold, hold, lock); }
    END { printf("end %u\n", @n); print(@n) }
    mutex:release { @n++; }
  `);
  emit('release', { lock: new Mutex(arena, 'm'), hold: 255 });
  expect(program.stop().output).toBe('begin\nm|255   |   255|ff|mutex "m"|100%\t"\nend 1\n@n: 1\n');
});

const bad: [source: string, place: string, reason: RegExp][] = [
  ['', '1, column 1', /expected a probe, such as .*found the end of the program/],
  ['mutex:contention_end', '1, column 21', /expected "\{", found the end/],
  ['mutex;', '1, column 6', /expected ":", found ";"/],
  [
    'mutex:contention_ended { }',
    '1, column 1',
    /no trace point "contention_ended"; expected one of contention_begin, contention_end,/,
  ],
  ['mutes:contention_end { }', '1, column 1', /no kind "mutes" .*expected \* for all, or one of .*mutex/],
  ['mutex:thread_death { }', '1, column 1', /is about no lock: \*:thread_death/],
  ['interval:h:1 { }', '1, column 10', /expected s or ms, found "h"/],
  ['interval:s:0 { }', '1, column 12', /from 1 to/],
  ['*:release {\n  @ = count()\n  @x = 1 }', '3, column 3', /expected ";", found "@x"/],
  ['*:release { @ = 1 + }', '1, column 21', /expected an expression, found "\}"/],
  ['*:release { @ = (1 + 2 }', '1, column 24', /expected "\)", found "\}"/],
  ['*:release { @ = 5kg }', '1, column 17', /ends in ns, us, ms/],
  ['*:release { @ = 1e20 }', '1, column 17', /below 2\^53/],
  ['*:release { printf("open) }', '1, column 20', /has no end on its line/],
  ['*:release { @ = 1 ` }', '1, column 19', /nothing begins with "`"/],
  ['*:release { $ = 1 }', '1, column 13', /name of a variable/],
  ['*:release { count() }', '1, column 13', /count\(\) is stored in a map/],
  ['*:release { explode() }', '1, column 13', /no statement explode; statements are/],
  ['*:release { @ = mode() }', '1, column 17', /expected one of count, sum,.*found "mode"/],
  ['*:release { @ = wait }', '1, column 17', /\*:release has no wait; it has lock, mode, task, hold, nsecs/],
  ['*:unpark { @ = name }', '1, column 16', /has no name/],
  ['interval:s:1 { @ = stack }', '1, column 20', /has no stack/],
  ['*:release { @ = $x }', '1, column 17', /\$x has no value here/],
  ['*:release { @ = @x }', '1, column 13', /type of @ can't be told/],
  ['*:release { print(@x) }', '1, column 13', /nothing is stored in @x/],
  ['*:release { @ = count(); @ = 1 }', '1, column 26', /@ is a count, and here what is stored/],
  ['*:release { @ = count(); @y = @ }', '1, column 31', /@ is a count, which each thread keeps/],
  ['*:release { @[hold] = 1; @[name] = 2 }', '1, column 26', /keys of @ are \[number\], and here \[text\]/],
  ['*:release { @ = 1; @ = name }', '1, column 20', /values of @ are of type number, and this is a text/],
  ['*:release { @ = sum(name) }', '1, column 21', /expected a number, found a text/],
  ['*:release { @ = name + 1 }', '1, column 17', /expected a number, found a text/],
  ['*:release { @ = name == lock }', '1, column 25', /expected a text, found a lock/],
  ['*:release { @ = name < "m" }', '1, column 22', /compared with == and != only/],
  ['*:release { $x = 1; $x = name }', '1, column 21', /\$x is a number, and this is a text/],
  ['*:release /name/ { }', '1, column 12', /expected a number, found a text/],
  ['*:release { @[1,2,3,4,5] = 1 }', '1, column 13', /at most 4 keys/],
  ['*:release { @ = lhist(hold, 5, 5, 1) }', '1, column 13', /a max above its min/],
  ['*:release { @ = lhist(hold, 0, 5000, 1) }', '1, column 13', /at most 256 buckets, these are 5002/],
  ['*:release { printf("%d\\n") }', '1, column 13', /has 1 values, and 0 are given/],
  ['*:release { printf("%d\\n", name) }', '1, column 13', /value 1 is a text: its place in the format is %s/],
  ['*:release { printf("%s\\n", hold) }', '1, column 13', /value 1 is a number: its place/],
  ['*:release { printf("%z\\n") }', '1, column 13', /a % is followed by/],
  ['*:release { printf("%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6) }', '1, column 13', /at most 5 values/],
  ['let @a = array(1); *:release { @a[1] = 1 }', '1, column 5', /from 2 to/],
  ['let @a = list(5); *:release { @a[1] = 1 }', '1, column 10', /expected hash or array, found "list"/],
  ['let @b = hash(5); *:release { @a[1] = 1 }', '1, column 5', /nothing is stored in @b/],
  ['let @a = array(5); *:release { @a[name] = 1 }', '1, column 32', /its key is one number/],
  // The verifier's.
  [
    'let @a = array(5); *:release {\n  @a[mode] = 1 }',
    '2, column 3',
    /the verifier rejects instruction \d+ \(call 4, 0\) of \*:release: the index in r1 is from 0 to 4294967295/,
  ],
  ['*:release { if (mode == 1) { $x = 1; } @ = $x }', '1, column 40', /slot 0 of the stack was not written/],
  ['*:release { while (mode < 5) { @ = 1; } }', '1, column', /the verifier rejects/],
  ['*:release { $i = hold; while ($i > 0) { $i--; } }', '1, column', /can't be shown that the program ends/],
  [`*:release { @ = ${'('.repeat(99)}1${')'.repeat(99)} }`, '1, column', /not nested so deeply/],
  [`*:release { @ = ${'!'.repeat(999)}1 }`, '1, column', /not nested so deeply/],
];

test.each(bad)('%s', (source, place, reason) => {
  const { code, message } = thrown(() => prepare(source));
  expect(message).toMatch(reason);
  expect(message).toContain(`trace program, line ${place}`);
  expect(code).toBe('EINVAL');
});

test('a program that is no text, or too long', () => {
  for (const source of [undefined, 5, { text: '' }, ' '.repeat(1e5)]) {
    expect(thrown(() => prepare(source as string)).message).toContain('a trace program is a text of at most');
  }
});
