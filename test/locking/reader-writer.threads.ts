import { type Arena, PercpuRwSemaphore, RwSemaphore, RwSemaphoreGuard } from '../../lib/index.ts';
import { arrive, type Ending, end, holdUntilTold, say, stay } from '../support/stage.ts';

type Mode = 'read' | 'write';
type Lock = RwSemaphore | PercpuRwSemaphore;

/** The lock is named after its class. */
function open(arena: Arena, name: string): Lock {
  return name === 'RwSemaphore' ? new RwSemaphore(arena, name) : new PercpuRwSemaphore(arena, name);
}

const take = (lock: Lock, mode: Mode) => (mode === 'read' ? lock.acquireRead() : lock.acquireWrite());

/** Says 1 at `stage` when it holds the lock, and keeps it until `stage` is 2. */
export function hold(arena: Arena, name: string, mode: Mode, stage: number): void {
  using _held = take(open(arena, name), mode);
  holdUntilTold(arena, stage);
}

/** Takes the lock and ends, or waits to be ended. With `times`, it reads that often. */
export async function holdAndEnd(
  arena: Arena,
  name: string,
  mode: Mode,
  how: Ending | 'wait' | 'async',
  stage: number,
  times = 1,
): Promise<void> {
  const lock = open(arena, name);
  for (let i = 0; i < times; i++) {
    if (how !== 'async') take(lock, mode);
    else if (mode === 'read') await lock.acquireReadAsync();
    else await lock.acquireWriteAsync();
  }
  arrive(arena, stage);
  if (how !== 'wait' && how !== 'async') return end(how);
  await stay();
}

/** Waits for the lock; adds 1 to `stage` just before, and to `stage + 1` when it has it. */
export function waitFor(arena: Arena, name: string, mode: Mode, stage: number): void {
  const lock = open(arena, name);
  arrive(arena, stage);
  using _held = take(lock, mode);
  arrive(arena, stage + 1);
}

/** Reads and writes two words that must stay equal, in all ways there are. Returns how often they were not. */
export async function churn(arena: Arena, name: string, record: number, times: number, me: number): Promise<number> {
  const lock = open(arena, name);
  const { words } = arena;
  let torn = 0;
  const look = () => {
    if (words[record] !== words[record + 1]) torn++;
  };
  const change = () => {
    look();
    words[record] = (words[record] as number) + 1;
    words[record + 1] = (words[record + 1] as number) + 1;
  };
  for (let i = 0; i < times; i++) {
    switch ((i + me) % 8) {
      case 0: {
        const held = await lock.acquireWriteAsync();
        change();
        held.release();
        break;
      }
      case 1: {
        using held = lock.acquireWrite();
        change();
        if (held instanceof RwSemaphoreGuard) {
          held.downgrade();
          look();
        }
        break;
      }
      case 2: {
        const held = await lock.acquireReadAsync();
        look();
        // Reads again inside.
        lock.downRead();
        look();
        held.release();
        look();
        lock.upRead();
        break;
      }
      case 3:
        if (lock.tryDownWrite()) {
          change();
          lock.upWrite();
        }
        break;
      case 4:
        if (lock.tryDownRead()) {
          look();
          lock.upRead();
        }
        break;
      case 5:
        try {
          lock.downWrite({ timeout: 0.05 });
        } catch {
          break;
        }
        change();
        lock.upWrite();
        break;
      default:
        lock.downRead();
        look();
        lock.upRead();
    }
  }
  return torn;
}

/** Reads, or writes now and then, until it is killed. */
export function churnForEver(arena: Arena, name: string, stage: number, writes: number): void {
  const lock = open(arena, name);
  say(arena, stage, 1);
  for (let i = 0; ; i++) {
    if (i % 10 < writes) {
      lock.downWrite();
      if (lock.ownerDied) lock.makeConsistent();
      lock.upWrite();
    } else {
      lock.downRead();
      lock.downRead();
      lock.upRead();
      lock.upRead();
    }
  }
}

/** Reads without a pause, so that there is always a reader, until `stage` is 2. */
export function readOn(arena: Arena, name: string, stage: number, overlap: number): void {
  const lock = open(arena, name);
  while (Atomics.load(arena.words, stage) < 2) {
    using _held = lock.acquireRead();
    Atomics.add(arena.words, overlap, 1);
    for (let i = 0; i < 2000; i++) Atomics.load(arena.words, overlap);
  }
}

/** Writes without a pause until `stage` is 2. */
export function writeOn(arena: Arena, name: string, stage: number): void {
  const lock = open(arena, name);
  while (Atomics.load(arena.words, stage) < 2) {
    using _held = lock.acquireWrite();
    for (let i = 0; i < 2000; i++) Atomics.load(arena.words, stage);
  }
}

/** The code of the error that letting go throws here. */
export function leaveElsewhere(arena: Arena, name: string, mode: Mode): string {
  const lock = open(arena, name);
  try {
    if (mode === 'read') lock.upRead();
    else lock.upWrite();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'none';
}
