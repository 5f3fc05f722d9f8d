/** The profile that handlers and metrics show, and the looks at the arena that both take. */
import type { ServerResponse } from 'node:http';
import type { Arena } from '../../arena/arena.ts';
import { HoldfastError, shown } from '../../errors.ts';
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../../machine/host.ts';
import { DETACHED } from '../../sched/thread.ts';
import type { ContentionProfile } from '../profile/read.ts';
import { type ProfileSession, startProfile } from '../profile/session.ts';
import { difference } from './difference.ts';
import { type LiveOptions, wantsProfile } from './options.ts';
import { type ArenaState, arenaState } from './state.ts';

/** How often the averages of pressure are brought up to date: as the kernel's. */
const PRESSURE_MS = 2000;

/** Of `?seconds=`. */
const LONGEST = 60;

/** An arena has one profile at a time. What is served of it in this thread shares that, until the last user leaves. */
class SharedProfile {
  static readonly #running = new WeakMap<Arena, SharedProfile>();
  readonly #arena: Arena;
  #users = 0;
  readonly #meter: NodeJS.Timeout;
  /** Undefined once it has ended. */
  session: ProfileSession | undefined;

  /** Undefined while another profile of the arena is made. */
  static join(arena: Arena): SharedProfile | undefined {
    try {
      const shared = SharedProfile.#running.get(arena) ?? new SharedProfile(arena);
      shared.#users++;
      return shared;
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'EBUSY') return undefined;
      throw error;
    }
  }

  private constructor(arena: Arena) {
    this.#arena = arena;
    this.session = startProfile(arena);
    this.#meter = setInterval(() => this.#measure(), PRESSURE_MS).unref();
    SharedProfile.#running.set(arena, this);
  }

  #measure(): void {
    if (this.#arena.thread.self === DETACHED) this.#end();
    else this.session?.pressure();
  }

  leave(): void {
    if (--this.#users === 0) this.#end();
  }

  #end(): void {
    const { session } = this;
    if (session === undefined) return;
    this.session = undefined;
    SharedProfile.#running.delete(this.#arena);
    clearInterval(this.#meter);
    // Or else that has ended it, and another thread may have begun a profile.
    if (this.#arena.thread.self !== DETACHED) session.stop();
  }
}

export class Live {
  readonly arena: Arena;
  #profile: SharedProfile | undefined;
  /** Requests that wait for the end of their seconds: what ends that now. */
  readonly #pauses = new Set<() => void>();

  constructor(arena: Arena, options: LiveOptions, caller: string) {
    if (typeof arena?.thread?.current !== 'function') {
      throw new HoldfastError('EINVAL', `${caller}() expects an Arena, received ${shown(arena)}`);
    }
    this.arena = arena;
    if (wantsProfile(options)) this.#profile = SharedProfile.join(arena);
  }

  state(): ArenaState {
    const session = this.#profile?.session;
    return arenaState(this.arena, session?.read(), session);
  }

  /** What was waited for until now, or in the next seconds; or until `response` is closed, when nobody is to hear of it. */
  async profileOf(seconds: string | null, response: ServerResponse): Promise<ContentionProfile> {
    const before = this.#read();
    if (seconds === null) return before;
    const time = Number(seconds);
    if (seconds === '' || !(time > 0 && time <= LONGEST)) {
      throw new HoldfastError('EINVAL', `seconds is a number above 0, at most ${LONGEST}; received ${shown(seconds)}`);
    }
    await this.#pause(time * 1000, response);
    return difference(this.#read(), before);
  }

  #pause(ms: number, response: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        response.off('close', end);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      response.once('close', end);
      this.#pauses.add(end);
    });
  }

  #read(): ContentionProfile {
    const session = this.#profile?.session;
    if (session !== undefined) return session.read();
    throw new HoldfastError('EBUSY', 'this handler keeps no profile: it was told so, or another thread makes one');
  }

  close(): void {
    const profile = this.#profile;
    this.#profile = undefined;
    for (const end of this.#pauses) end();
    profile?.leave();
  }
}
