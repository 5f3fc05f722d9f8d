import { HoldfastError, shown } from '../errors.ts';
import { hash } from '../memory/kinds.ts';
import { cancelTimer, isTimerActive, startTimer, TIMER_KIND, TimerWords } from '../sched/timer.ts';
import type { Arena } from './arena.ts';
import { type ObjectHandle, SharedObject } from './shared-object.ts';

export interface TimerOptions {
  /** The name of what happens, as `defineTimerAction` declared it in a module that kthreadd has loaded. */
  action: string;
  /** A word for the action, a 32-bit whole number. @default 0 */
  data?: number | undefined;
}

/** The longest time to expiry, ms: some 285 years. */
const LONGEST_MS = 2 ** 53 / 1e3;

/**
 * A deadline of the arena: when it has passed, kthreadd runs an action, on its event loop and on behalf of nobody. It
 * expires at the deadline or up to 1 ms later, later still while another action or system task keeps kthreadd busy; and
 * when the thread that started it is dead as well. When kthreadd dies in the action, the next one runs it again.
 *
 * For deadlines that another thread must see to: delayed work, stall warnings, ticks. A thread that only wants to sleep
 * has timeouts.
 *
 * Source: kernel/time/hrtimer.c.
 */
export class Timer extends SharedObject {
  /** Opens the timer of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which: string | ObjectHandle | undefined, { action, data = 0 }: TimerOptions) {
    if (typeof action !== 'string' || action === '') {
      throw new HoldfastError('EINVAL', `a timer's action is a name, received ${shown(action)}`);
    }
    if ((data | 0) !== data)
      throw new HoldfastError('EINVAL', `data is a 32-bit whole number, received ${shown(data)}`);
    super(TIMER_KIND, arena, which);
    const { cpu } = arena;
    cpu.store(this.address + TimerWords.action, hash(action));
    cpu.store(this.address + TimerWords.data, data);
  }

  /**
   * The timer expires in `ms` milliseconds, and no more when it would have. Throws EINVAL for what is no finite number
   * of at least 0. `hrtimer_start`.
   */
  start(ms: number): void {
    checkExpiry(ms);
    this.startAt(this.arena.cpu.now() + ms * 1e6);
  }

  /** `start` by a deadline, ns on `cpu.now()`. */
  startAt(deadline: number): void {
    this.current();
    const { cpu, thread } = this.arena;
    // A timer that was destroyed must not be in the tree.
    this.beginChange();
    const isFirst = startTimer(cpu, thread.id, this.address, deadline);
    this.endChange();
    if (isFirst) this.arena.requestKthreadd();
  }

  /** The timer does not expire. False when it was not to, or its action has begun. `hrtimer_try_to_cancel`. */
  cancel(): boolean {
    this.current();
    return cancelTimer(this.arena.cpu, this.thread.id, this.address);
  }

  /** Whether it is to expire, or its action runs; out of date as soon as it is read. `hrtimer_active`. */
  get isActive(): boolean {
    return isTimerActive(this.living, this.address);
  }

  protected override get shown(): string {
    return `Timer(${this.name ?? this.address}, ${this.isActive ? 'active' : 'idle'})`;
  }
}

/** Throws EINVAL unless a timer can expire in so many milliseconds. */
export function checkExpiry(ms: number): void {
  if (typeof ms === 'number' && ms >= 0 && ms <= LONGEST_MS) return;
  throw new HoldfastError('EINVAL', `a timer expires in 0 to ${LONGEST_MS} ms, received ${shown(ms)}`);
}
