/** The threads of `inversion.ts`: all meet before any of them wants a second lock. */
import { Arena, type ArenaHandle, Mutex, type ObjectHandle, RtMutex } from '../lib/index.ts';

export interface Inversion {
  readonly arena: ArenaHandle;
  readonly kind: 'RtMutex' | 'Mutex';
  /** The locks of the chain, the one that the urgent thread wants first. */
  readonly chain: readonly ObjectHandle[];
  /** The Mutex at the end of the chain. */
  readonly queue: ObjectHandle;
  /** Two words: how many threads have come, and whether the urgent one has its lock. */
  readonly stage: number;
  readonly threads: number;
}

export interface Role extends Inversion {
  readonly role: keyof typeof ROLES;
  /** Of a low thread: its lock's place in the chain. */
  readonly place: number;
}

/** How long a low thread keeps its lock before it wants the next one, and again when it has that, ms. */
const LOW_MS = 10;
/** One section of a middling thread, ms, and how many it has to do. */
const MIDDLING_MS = 1;
const MIDDLING_SECTIONS = 40;

const ROLES = { low, middling, urgent };

/** Milliseconds: what the roles below return. */
export default function play(task: Role): number {
  return ROLES[task.role](task);
}

/** Holds the lock at `place` of the chain while it wants the next. How long it held that, less its wait, ms. */
function low(inversion: Role): number {
  const { kind, chain, queue, place } = inversion;
  const arena = attach(inversion, 10 + place);
  const own = open(arena, kind, chain[place] as ObjectHandle);
  const next = place + 1 < chain.length ? open(arena, kind, chain[place + 1] as ObjectHandle) : new Mutex(arena, queue);
  own.lock();
  meet(arena, inversion);
  const started = performance.now();
  sleep(LOW_MS);
  const asked = performance.now();
  next.lock();
  const got = performance.now();
  sleep(LOW_MS);
  next.unlock();
  own.unlock();
  return asked - started + (performance.now() - got);
}

/** Comes to the queue over and over. How long it waited there. */
function middling(inversion: Inversion): number {
  const arena = attach(inversion, 5);
  const queue = new Mutex(arena, inversion.queue);
  meet(arena, inversion);
  let waited = 0;
  for (let i = 0; i < MIDDLING_SECTIONS && Atomics.load(arena.words, inversion.stage + 1) === 0; i++) {
    const called = performance.now();
    queue.lock();
    waited += performance.now() - called;
    sleep(MIDDLING_MS);
    queue.unlock();
  }
  return waited;
}

/** Comes when the low one has just begun. How long it waits, ms. */
function urgent(inversion: Inversion): number {
  const arena = attach(inversion, 1);
  const wanted = open(arena, inversion.kind, inversion.chain[0] as ObjectHandle);
  meet(arena, inversion);
  sleep(LOW_MS / 2);
  const called = performance.now();
  wanted.lock();
  const waited = performance.now() - called;
  Atomics.store(arena.words, inversion.stage + 1, 1);
  wanted.unlock();
  return waited;
}

function attach(inversion: Inversion, priority: number): Arena {
  const arena = Arena.attach(inversion.arena);
  arena.thread.setPriority(priority);
  return arena;
}

function open(arena: Arena, kind: Inversion['kind'], lock: ObjectHandle): RtMutex | Mutex {
  return kind === 'RtMutex' ? new RtMutex(arena, lock) : new Mutex(arena, lock);
}

function meet({ words }: Arena, { stage, threads }: Inversion): void {
  if (Atomics.add(words, stage, 1) === threads - 1) Atomics.notify(words, stage);
  for (let come = 0; (come = Atomics.load(words, stage)) < threads; ) Atomics.wait(words, stage, come);
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
