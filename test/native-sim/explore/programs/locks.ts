/** Small locks, written against `Cpu` for the tests of the explored machine; two plain words are what they guard. */
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';

const SHARED = 0;
const LOCK = 1;

const equals = (value: number, arg: number) => value === arg;
const isZero = (value: number) => value === 0;
const isNotZero = (value: number) => value !== 0;

/** A critical section: exclusion is lost exactly if these plain accesses race, or an increment is lost. */
function inside(cpu: Cpu): void {
  cpu.write(SHARED, cpu.read(SHARED) + 1);
}

function counted(threads: number, words: number, body: (cpu: Cpu, me: number) => void): Program {
  return {
    words,
    threads: Array.from({ length: threads }, () => body),
    alike: [Array.from({ length: threads }, (_, t) => t)],
    check(memory) {
      if (memory.read(SHARED) !== threads) throw new Error(`${memory.read(SHARED)} of ${threads} increments`);
    },
  };
}

export function ticket(threads: number): Program {
  const [next, owner] = [LOCK, LOCK + 1];
  return counted(threads, 3, (cpu) => {
    const mine = cpu.fetchAddRelaxed(next, 1);
    cpu.condLoadAcquire(owner, equals, mine, Number.POSITIVE_INFINITY);
    inside(cpu);
    cpu.storeRelease(owner, mine + 1);
  });
}

export function ttas(threads: number): Program {
  return counted(threads, 2, (cpu) => {
    while (cpu.cmpxchgAcquire(LOCK, 0, 1) !== 0) cpu.condLoad(LOCK, isZero, 0, Number.POSITIVE_INFINITY);
    inside(cpu);
    cpu.storeRelease(LOCK, 0);
  });
}

/**
 * Nodes of two words: next, locked. The tail holds a node's address. The exchange on the tail is C11's acq_rel and no
 * more: a release, and an acquire fence.
 */
export function mcs(threads: number): Program {
  return counted(threads, 2 + 2 * threads, (cpu, me) => {
    const node = 2 + 2 * me;
    cpu.store(node, 0);
    cpu.store(node + 1, 1);
    const prev = cpu.xchgRelease(LOCK, node);
    cpu.rmb();
    if (prev !== 0) {
      cpu.storeRelease(prev, node);
      cpu.condLoadAcquire(node + 1, isZero, 0, Number.POSITIVE_INFINITY);
    }
    inside(cpu);
    let next = cpu.loadAcquire(node);
    if (next === 0) {
      if (cpu.cmpxchgRelease(LOCK, node, 0) === node) return;
      next = cpu.condLoadAcquire(node, isNotZero, 0, Number.POSITIVE_INFINITY);
    }
    cpu.storeRelease(next + 1, 0);
  });
}

const LOCKED = 1;
const PENDING = 1 << 8;
const TAIL = ~0xffff;
const TAIL_SHIFT = 16;
const isUnlocked = (word: number) => (word & LOCKED) === 0;
const isHeadsTurn = (word: number) => (word & (LOCKED | PENDING)) === 0;
const isNotHandover = (word: number) => word !== PENDING;

/** kernel/locking/qspinlock.c for up to 2^14 CPUs, its byte and halfword stores as read-modify-writes of the word. */
export function qspinlock(threads: number): Program {
  return counted(threads, 2 + 2 * threads, (cpu, me) => {
    const seen = cpu.cmpxchgAcquire(LOCK, 0, LOCKED);
    if (seen !== 0) qspinSlow(cpu, me, seen);
    inside(cpu);
    cpu.fetchAndRelease(LOCK, ~LOCKED);
  });
}

function qspinSlow(cpu: Cpu, me: number, seen: number): void {
  let word = seen;
  if (word === PENDING) word = cpu.condLoad(LOCK, isNotHandover, 0, 1);
  if ((word & ~LOCKED) === 0) {
    word = cpu.fetchOrAcquire(LOCK, PENDING);
    if ((word & ~LOCKED) === 0) {
      if (word & LOCKED) cpu.condLoadAcquire(LOCK, isUnlocked, 0, Number.POSITIVE_INFINITY);
      cpu.fetchAddRelaxed(LOCK, LOCKED - PENDING);
      return;
    }
    if ((word & PENDING) === 0) cpu.fetchAndRelaxed(LOCK, ~PENDING);
  }
  const node = 2 + 2 * me;
  const tail = (me + 1) << TAIL_SHIFT;
  cpu.store(node, 0);
  cpu.store(node + 1, 0);
  cpu.wmb();
  let old = cpu.load(LOCK);
  for (;;) {
    const found = cpu.cmpxchgRelaxed(LOCK, old, (old & ~TAIL) | tail);
    if (found === old) break;
    old = found;
  }
  if (old & TAIL) {
    cpu.store(2 + 2 * ((old >>> TAIL_SHIFT) - 1), node);
    cpu.condLoadAcquire(node + 1, isNotZero, 0, Number.POSITIVE_INFINITY);
  }
  word = cpu.condLoadAcquire(LOCK, isHeadsTurn, 0, Number.POSITIVE_INFINITY);
  if ((word & TAIL) === tail && cpu.cmpxchgRelaxed(LOCK, word, LOCKED) === word) return;
  cpu.fetchOrRelaxed(LOCK, LOCKED);
  const next = cpu.condLoad(node, isNotZero, 0, Number.POSITIVE_INFINITY);
  cpu.storeRelease(next + 1, 1);
}

/** Drepper's third mutex: 0 free, 1 held, 2 held and perhaps waited for. */
export function futexMutex(threads: number): Program {
  return counted(threads, 2, (cpu) => {
    if (cpu.cmpxchgAcquire(LOCK, 0, 1) !== 0) {
      while (cpu.xchgAcquire(LOCK, 2) !== 0) cpu.wait(LOCK, 2, Number.POSITIVE_INFINITY);
    }
    inside(cpu);
    if (cpu.xchgRelease(LOCK, 0) === 2) cpu.wake(LOCK, 1);
  });
}

/** `ttas` whose unlock forgets to release. */
export function racyTtas(threads: number): Program {
  return counted(threads, 2, (cpu) => {
    while (cpu.cmpxchgAcquire(LOCK, 0, 1) !== 0) cpu.condLoad(LOCK, isZero, 0, Number.POSITIVE_INFINITY);
    inside(cpu);
    cpu.store(LOCK, 0);
  });
}

/** A thread whose long way is rare: it dies between its last two stores only where the other was quick. */
export function rareDeath(): Program {
  const [flag, way, counter] = [0, 1, 2];
  const busy = (cpu: Cpu) => {
    for (let i = 0; i < 3; i++) cpu.fetchAddRelaxed(counter, 1);
  };
  return {
    words: 3,
    threads: [
      (cpu) => {
        if (cpu.load(flag) !== 1) return;
        cpu.store(way, 1);
        cpu.store(way, 2);
      },
      (cpu) => {
        cpu.store(flag, 1);
        busy(cpu);
      },
      busy,
      busy,
    ],
    check(memory) {
      if (memory.died.includes(0) && memory.read(way) === 1) throw new Error('died between the two stores');
    },
  };
}

/** Each thread reads what the others have written, and writes: any of them may die. */
export function racers(threads: number, turns: number): Program {
  return {
    words: 1,
    threads: Array.from({ length: threads }, () => (cpu: Cpu) => {
      for (let turn = 0; turn < turns; turn++) cpu.store(0, cpu.load(0) + 1);
    }),
  };
}
