/**
 * One profile of an arena's contention, for all of its threads: from `startProfile` to `stop`.
 *
 *   free      owner = 0, Header.profile = 0
 *   prepared  owner = me, Header.profile = 0         the tables are cleared
 *   running   owner = me, Header.profile = session   threads record
 *   stopped   owner = me, Header.profile = 0         until nobody records any more, and the tables are read
 *
 * A thread that dies as the owner is the reaper's business, which makes it free (`PROFILE_KIND`). Sessions are numbered: a wait
 * that has begun in one is not recorded in another.
 */
import type { Arena } from '../../arena/arena.ts';
import { HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { watching } from '../../sched/contention.ts';
import { maxThreads, Slot, slotAddress } from '../../sched/slot.ts';
import { DETACHED } from '../../sched/thread.ts';
import { readReports } from '../lockdep/reporter.ts';
import { HOLDS_KIND, LockHolds } from './holds-layout.ts';
import { PROFILE_KIND, Profile, Recording } from './layout.ts';
import { type ProfileOptions, profileSettings, writeSettings } from './options.ts';
import { type Pressure, PressureMeter, waitedFor } from './pressure.ts';
import { type ContentionProfile, readProfile, stackOfSleeper } from './read.ts';
import type { Frame } from './stacks.ts';
import './recorder.ts';

/** The name of the one object of an arena that profiles are written to. */
const NAME = 'holdfast.contention-profile';
/** And of what it counts of locks that are free. */
const HOLDS_NAME = 'holdfast.lock-holds';

/** Loads that a profile which ends waits for a thread that is recording: some 80 ms. */
const PATIENCE = 1 << 22;

const differs = (session: number, from: number) => session !== from;

/** A profile that is being made. */
export class ProfileSession implements Disposable {
  readonly #arena: Arena;
  readonly #profile: number;
  readonly #session: number;
  readonly #startedAt = new Date();
  readonly #start: number;
  readonly #meter: PressureMeter;
  #result: ContentionProfile | undefined;

  /** @internal Of a thread that sleeps for a lock. */
  stackOf(thread: number): readonly Frame[] | undefined {
    return stackOfSleeper(this.#arena.cpu, this.#profile, thread);
  }

  /** @internal */
  constructor(arena: Arena, profile: number, session: number) {
    this.#arena = arena;
    this.#profile = profile;
    this.#session = session;
    this.#start = arena.cpu.now();
    this.#meter = new PressureMeter(this.#start);
  }

  /**
   * What share of their time threads wait for locks, over the last 10, 60 and 300 s: right if it is asked for every few seconds. Throws
   * EINVAL as `stop` does.
   */
  pressure(): Pressure {
    const { cpu } = this.#arena;
    const { total, threads } = waitedFor(cpu, this.#profile, this.#session);
    this.#checkOwn();
    return this.#meter.update(cpu.now(), total, threads);
  }

  /** What there is until now; waits that are under way do not count yet. Throws EINVAL as `stop` does. */
  read(): ContentionProfile {
    return this.#result ?? this.#read(0);
  }

  /**
   * Ends the profile, for all threads: a wait that is under way does not count. Returns the same when it is called again. Where
   * the thread has detached, that has ended it; throws EINVAL then if another one has begun since.
   */
  stop(): ContentionProfile {
    if (this.#result !== undefined) return this.#result;
    const { cpu, thread } = this.#arena;
    const unfinished = stopSession(cpu, this.#session);
    const result = this.#read(unfinished);
    this.#result = result;
    // Pairs with the exchange in `startProfile`: the thread that begins the next one clears what was read.
    if (thread.self !== DETACHED) {
      cpu.storeRelease(this.#profile + Profile.owner, 0);
      watching(thread);
    }
    return result;
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #read(unfinished: number): ContentionProfile {
    const { cpu } = this.#arena;
    const read = readProfile(cpu, this.#profile, {
      startedAt: this.#startedAt.toISOString(),
      duration: cpu.now() - this.#start,
      unfinished,
    });
    this.#checkOwn();
    return cpu.load(Header.lockdep) === 0
      ? read
      : { ...read, reports: readReports(cpu, cpu.load(Header.lockdepTables)) };
  }

  #checkOwn(): void {
    const { cpu, thread } = this.#arena;
    // Pairs with the barrier in `startProfile`: what was cleared meanwhile is another session's.
    cpu.rmb();
    if (thread.self === DETACHED && cpu.load(this.#profile + Profile.sessions) !== this.#session) {
      throw new HoldfastError('EINVAL', 'this thread has detached from the arena, and another profile of it was made');
    }
  }
}

/**
 * Begins to profile which locks the arena's threads wait for, and where, and for whom. All threads of the arena add to the
 * profile, those that attach later included; each learns of it in its next call that has to wait. The tables take 330 KB of the
 * arena, and stay there for the next profile.
 *
 * What it costs: nothing for a lock that is free; contended locks of the benchmark `profile` have about nine tenths of their
 * throughput. A stack is taken once in 100 us of a thread's waiting, and for each call that waits asynchronously. With `holds` a free lock
 * costs some 2.5 times as much, and 300 KB more are taken of an arena for 64 threads.
 *
 * Throws EBUSY while another profile of this arena is made, EINVAL for bad options, ENOMEM when the arena has no room for the tables.
 */
export function startProfile(arena: Arena, options: ProfileOptions = {}): ProfileSession {
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `startProfile() expects an Arena, received ${shown(arena)}`);
  }
  const settings = profileSettings(options);
  const { cpu, thread, objects } = arena;
  thread.current();
  const profile = objects.open(PROFILE_KIND, NAME);
  const holds = settings.holds ? objects.open(HOLDS_KIND, HOLDS_NAME) : 0;
  const owner = cpu.cmpxchg(profile + Profile.owner, 0, thread.id);
  if (owner !== 0) {
    throw new HoldfastError('EBUSY', `thread ${owner - 1} profiles this arena already`);
  }
  // The last session's owner may have died before it could wait for them.
  const last = cpu.load(profile + Profile.sessions);
  stopSession(cpu, last);
  const session = (last + 1) | 0 || 1;
  cpu.store(profile + Profile.sessions, session);
  // Pairs with the one in `ProfileSession.#checkOwn`: a thread that has detached learns that its profile is gone before it is.
  cpu.wmb();
  // As it was made, before the first.
  for (let word = Profile.sessions + 1; last !== 0 && word < Profile.words; word++) cpu.store(profile + word, 0);
  // The counts of threads are theirs to clear.
  for (let word = LockHolds.rows; holds !== 0 && word < LockHolds.words; word++) cpu.store(holds + word, 0);
  cpu.store(profile + Profile.holds, holds);
  writeSettings(cpu, profile, settings);
  cpu.store(Header.profileTables, profile);
  const started = new ProfileSession(arena, profile, session);
  // A release: pairs with the acquire in `watching`.
  cpu.xchg(Header.profile, session);
  if (holds !== 0) cpu.xchg(Header.profileLocks, session);
  watching(thread);
  return started;
}

/** Ends a session. Returns how many threads are recording a wait all the same, and are preempted in the middle of it. */
function stopSession(cpu: Cpu, session: number): number {
  if (session === 0) return 0;
  cpu.cmpxchg(Header.profileLocks, session, 0);
  // Fully ordered: pairs with the exchange in `recording`.
  cpu.cmpxchg(Header.profile, session, 0);
  let unfinished = 0;
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    const recording = slot + Recording.session;
    if (cpu.loadAcquire(recording) !== session || cpu.load(slot + Slot.life) < 0) continue;
    if (cpu.condLoadAcquire(recording, differs, session, PATIENCE) === session) unfinished++;
  }
  return unfinished;
}
