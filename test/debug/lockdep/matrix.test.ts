/**
 * The cells of the kernel's own test (lib/locking-selftest.c) that carry over, by its names for orders and columns: each says
 * what has to be reported.
 */
import { expect, test } from 'vitest';
import {
  Arena,
  type LockdepFinding,
  McsLock,
  Mutex,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  Rcu,
  RtMutex,
  RwLock,
  RwSemaphore,
  SeqLock,
  SpinLock,
  startLockdep,
  TicketLock,
  WwClass,
  type WwContext,
  WwMutex,
} from '../../../lib/index.ts';

/** A column: how its locks are made, and taken. */
interface Column {
  readonly open: (arena: Arena, name: string) => TestLock;
  /** Its readers go in while others wait for them: no order of them is a deadlock. */
  readonly isRecursive?: boolean;
}

interface TestLock {
  lock(): void;
  unlock(): void;
  destroy(): void;
}

function of<Lock extends { destroy(): void }>(
  lock: Lock,
  take: (lock: Lock) => void,
  give: (lock: Lock) => void,
): TestLock {
  return { lock: () => take(lock), unlock: () => give(lock), destroy: () => lock.destroy() };
}

const rlock = (arena: Arena, name: string) =>
  of(
    new PthreadRwlock(arena, name),
    (l) => l.readLock(),
    (l) => l.unlock(),
  );
const wlock = (arena: Arena, name: string) =>
  of(
    new PthreadRwlock(arena, name),
    (l) => l.writeLock(),
    (l) => l.unlock(),
  );
const rsem = (arena: Arena, name: string) =>
  of(
    new RwSemaphore(arena, name),
    (l) => l.downRead(),
    (l) => l.upRead(),
  );
const wsem = (arena: Arena, name: string) =>
  of(
    new RwSemaphore(arena, name),
    (l) => l.downWrite(),
    (l) => l.upWrite(),
  );

const COLUMNS: Record<string, Column> = {
  spin: { open: (arena, name) => new SpinLock(arena, name) },
  wlock: {
    open: (arena, name) =>
      of(
        new RwLock(arena, name),
        (l) => l.writeLock(),
        (l) => l.writeUnlock(),
      ),
  },
  rlock: { open: rlock, isRecursive: true },
  mutex: { open: (arena, name) => new Mutex(arena, name) },
  wsem: { open: wsem },
  rsem: { open: rsem },
  rtmutex: { open: (arena, name) => new RtMutex(arena, name) },
  // Ours.
  'RwLock, read': {
    open: (arena, name) =>
      of(
        new RwLock(arena, name),
        (l) => l.readLock(),
        (l) => l.readUnlock(),
      ),
  },
  'percpu, read': {
    open: (arena, name) =>
      of(
        new PercpuRwSemaphore(arena, name),
        (l) => l.downRead(),
        (l) => l.upRead(),
      ),
  },
  'percpu, write': {
    open: (arena, name) =>
      of(
        new PercpuRwSemaphore(arena, name),
        (l) => l.downWrite(),
        (l) => l.upWrite(),
      ),
  },
  'pthread mutex': { open: (arena, name) => new PthreadMutex(arena, name) },
  'pthread rwlock, write': { open: wlock },
  ticket: { open: (arena, name) => new TicketLock(arena, name) },
  mcs: { open: (arena, name) => new McsLock(arena, name) },
  seqlock: { open: (arena, name) => new SeqLock(arena, name) },
};

/** Pairs that are taken one inside the other, in this order. */
const ORDERS: Record<string, string> = {
  ABBA: 'AB BA',
  ABBCCA: 'AB BC CA',
  ABCABC: 'AB CA BC',
  ABBCCDDA: 'AB BC CD DA',
  ABCDBDDA: 'AB CD BD DA',
  ABCDBCDA: 'AB CD BC DA',
};

function watched(): { arena: Arena; findings: () => LockdepFinding[] } {
  const arena = Arena.create({ bytes: 2 << 20 });
  const lockdep = startLockdep(arena, { quiet: true });
  return { arena, findings: () => lockdep.reports().map(({ finding }) => finding) };
}

const cells = Object.keys(COLUMNS).flatMap((column) => Object.keys(ORDERS).map((order) => ({ column, order })));

test.each(cells)('$order of $column', ({ column, order }) => {
  const { arena, findings } = watched();
  const { open, isRecursive } = COLUMNS[column] as Column;
  for (const [outer, inner] of (ORDERS[order] as string).split(' ')) {
    // Nothing is reported before the order that closes the cycle.
    expect(findings()).toEqual([]);
    const locks = [outer, inner].map((name) => open(arena, name as string));
    for (const lock of locks) lock.lock();
    for (const lock of locks.reverse()) lock.unlock();
  }
  expect(findings()).toEqual(isRecursive ? [] : ['circular']);
});

test.each(Object.keys(COLUMNS))('AA of %s', (column) => {
  const { arena, findings } = watched();
  const { open, isRecursive } = COLUMNS[column] as Column;
  open(arena, 'X 1').lock();
  open(arena, 'X 2').lock();
  expect(findings()).toEqual(isRecursive ? [] : ['recursive']);
});

test.each(Object.keys(COLUMNS))('double unlock of %s', (column) => {
  const { arena, findings } = watched();
  const lock = (COLUMNS[column] as Column).open(arena, 'A');
  lock.lock();
  lock.unlock();
  expect(findings()).toEqual([]);
  expect(() => lock.unlock()).toThrow('EPERM');
  expect(findings()).toEqual(['balance']);
});

test.each(Object.keys(COLUMNS))('a held lock is freed: %s', (column) => {
  const { arena, findings } = watched();
  const lock = (COLUMNS[column] as Column).open(arena, 'A');
  lock.lock();
  // The library refuses what lockdep would have to report.
  expect(() => lock.destroy()).toThrow('EBUSY');
  lock.unlock();
  expect(findings()).toEqual([]);
});

/** A step of a program of readers and writers: `R` and `W` with a lock that can be read, `L` with a mutex. */
type Step = 'R' | 'W' | 'L';
type Sections = readonly (readonly (readonly [Step, string])[])[];

/** `R1 L2, L2 W1`: sections, and in each of them locks that are taken one inside the other. */
function sections(text: string): Sections {
  return text.split(', ').map((section) => section.split(' ').map((step) => [step[0] as Step, step.slice(1)] as const));
}

function run(arena: Arena, program: Sections, readers: 'rlock' | 'rsem'): void {
  const open: Record<Step, (arena: Arena, name: string) => TestLock> = {
    R: readers === 'rlock' ? rlock : rsem,
    W: readers === 'rlock' ? wlock : wsem,
    L: (where, name) => new Mutex(where, name),
  };
  for (const section of program) {
    const taken: TestLock[] = [];
    for (const [step, name] of section) {
      const lock = open[step](arena, `${step === 'L' ? 'mutex' : 'lock'} ${'abcxyz'[Number(name[0])]}${name.slice(1)}`);
      try {
        lock.lock();
        taken.push(lock);
      } catch {
        // One thread that takes a lock twice is refused; what is looked at is what was reported before.
      }
    }
    for (const lock of taken.reverse()) lock.unlock();
  }
}

interface Mixed {
  readonly name: string;
  readonly program: string;
  readonly rlock: LockdepFinding | undefined;
  readonly rsem?: LockdepFinding | undefined;
}

const MIXED: Mixed[] = [
  { name: 'recursive read-lock', program: 'R1 R1', rlock: undefined, rsem: 'recursive' },
  { name: 'recursive read-lock #2', program: 'R1-1 R1-2', rlock: undefined, rsem: 'recursive' },
  { name: 'mixed read-write-lock', program: 'R1-1 W1-2', rlock: 'recursive', rsem: 'recursive' },
  { name: 'mixed write-read-lock', program: 'W1-1 R1-2', rlock: 'recursive', rsem: 'recursive' },
  { name: 'mixed read-lock/lock-write ABBA', program: 'R1 L2, L2 W1', rlock: 'circular', rsem: 'circular' },
  { name: 'mixed read-lock/lock-read ABBA', program: 'R1 L2, L2 R1', rlock: undefined, rsem: 'circular' },
  { name: 'mixed write-lock/lock-write ABBA', program: 'W1 L2, L2 W1', rlock: 'circular', rsem: 'circular' },
  { name: 'chain cached mixed R-L/L-W ABBA', program: 'R1 L2, L2 R1, L2 W1', rlock: 'circular' },
];

const CHAINS: readonly (readonly [string, LockdepFinding | undefined])[] = [
  ['W1R2_W2R3_W3R1', 'circular'],
  ['W1W2_R2R3_W3R1', 'circular'],
  ['W1W2_R2R3_R3W1', undefined],
  ['W1R2_R2R3_W3W1', undefined],
];

/** Each chain with its sections in each of the six orders. */
for (const [name, rlockFinding] of CHAINS) {
  for (const order of ['123', '132', '213', '231', '312', '321']) {
    const parts = name.split('_').map((part) => `${part.slice(0, 2)} ${part.slice(2)}`);
    const program = [...order].map((i) => parts[Number(i) - 1]).join(', ');
    MIXED.push({ name: `rlock ${name} (${order})`, program, rlock: rlockFinding });
  }
}

const mixed = MIXED.flatMap((row) => [
  { name: row.name, readers: 'rlock' as const, program: row.program, finding: row.rlock },
  ...('rsem' in row ? [{ name: row.name, readers: 'rsem' as const, program: row.program, finding: row.rsem }] : []),
]);

test('the cells of readers and writers are 39', () => {
  expect(mixed).toHaveLength(39);
});

test.each(mixed)('$name, $readers', ({ program, readers, finding }) => {
  const { arena, findings } = watched();
  run(arena, sections(program), readers);
  expect(findings()).toEqual(finding === undefined ? [] : [finding]);
});

/** Outer and inner lock of one class of ww-mutexes: with a context, tried, or neither; and a spinlock beside one. */
const WW: readonly (readonly ['context' | 'try' | 'block', 'context' | 'try' | 'block', boolean])[] = [
  ['context', 'block', true],
  ['context', 'try', false],
  ['context', 'context', false],
  ['try', 'block', true],
  ['try', 'try', false],
  ['try', 'context', true],
  ['block', 'block', true],
  ['block', 'try', false],
  ['block', 'context', true],
];

test.each(WW)('ww-mutexes: %s, and inside %s', (outer, inner, isReported) => {
  const { arena, findings } = watched();
  const wwClass = new WwClass(arena, 'class');
  const context = wwClass.begin();
  const take = (mutex: WwMutex, how: 'context' | 'try' | 'block', with_: WwContext) => {
    if (how === 'try') expect(mutex.tryLock()).toBe(true);
    else mutex.lock(how === 'context' ? with_ : undefined);
  };
  take(new WwMutex(wwClass, 'one'), outer, context);
  take(new WwMutex(wwClass, 'other'), inner, context);
  expect(findings()).toEqual(isReported ? ['recursive'] : []);
});

test.each([
  ['try', false],
  ['block', true],
  ['context', true],
] as const)('ww-mutexes: a spinlock, and inside %s', (inner, isReported) => {
  const { arena, findings } = watched();
  const wwClass = new WwClass(arena, 'class');
  const mutex = new WwMutex(wwClass, 'one');
  new SpinLock(arena, 'A').lock();
  if (inner === 'try') mutex.tryLock();
  else mutex.lock(inner === 'context' ? wwClass.begin() : undefined);
  expect(findings()).toEqual(isReported ? ['context'] : []);
});

test('ww-mutexes: contexts take those of one class in any order', () => {
  const { arena, findings } = watched();
  const wwClass = new WwClass(arena, 'class');
  const [one, other] = ['one', 'other'].map((name) => new WwMutex(wwClass, name)) as [WwMutex, WwMutex];
  for (const order of [
    [one, other],
    [other, one],
  ]) {
    const context = wwClass.begin();
    for (const mutex of order) mutex.lock(context);
    context.release();
  }
  expect(findings()).toEqual([]);
});

/** Whether the lock of the column may be waited for inside that of the row. */
const CONTEXTS: Record<string, Record<string, boolean>> = {
  rcu: { rcu: true, spin: true, mutex: false },
  spin: { rcu: true, spin: true, mutex: false },
  'RwLock, read': { rcu: true, spin: true, mutex: false },
  mutex: { rcu: true, spin: true, mutex: true },
};

const contexts = Object.entries(CONTEXTS).flatMap(([outer, row]) =>
  Object.entries(row).map(([inner, isValid]) => ({ outer, inner, isValid })),
);

test.each(contexts)('wait context: $inner inside $outer', ({ outer, inner, isValid }) => {
  const { arena, findings } = watched();
  const open = (kind: string, name: string): TestLock => {
    if (kind !== 'rcu') return (COLUMNS[kind] as Column).open(arena, name);
    return of(
      new Rcu(arena),
      (l) => l.readLock(),
      (l) => l.readUnlock(),
    );
  };
  open(outer, 'outer').lock();
  open(inner, 'inner').lock();
  expect(findings()).toEqual(isValid ? [] : ['context']);
});
