import { checkOptionNames, HoldfastError, shown } from '../errors.ts';

export interface WorkqueueOptions {
  /**
   * Items that run, or are awaited, at once: of an unbound queue all in all, of a bound one in each slot. 1 to 2048; what
   * is out of range is clamped, with a warning. @default 1024
   */
  maxActive?: number | undefined;
  /** Whether any worker runs the items, instead of those of the slot that they were queued in. @default true */
  unbound?: boolean | undefined;
  /** Whether the items go to workers of their own, with a nice of -20 where the system allows it. @default false */
  highpri?: boolean | undefined;
  /** Whether the items run one after the other, in the order in which they were queued: unbound, maxActive 1. @default false */
  ordered?: boolean | undefined;
  /**
   * Whether its items run even where no worker is left for them: with all threads of the pool blocked, or no memory for
   * another. A rescuer runs them then, one thread for all such queues of the arena, after 10 ms and one after the other. So an
   * item of such a queue must not block for one of another. @default false
   */
  memReclaim?: boolean | undefined;
  /**
   * Whether its items compute for long: they do not count as running, so that the slot's next item does not wait for them. Of a
   * bound queue; to an unbound one it means nothing. @default false
   */
  cpuIntensive?: boolean | undefined;
  /** Whether `freezeWorkqueues` stops it: what runs then goes on, and nothing further begins until `thawWorkqueues`. @default false */
  freezable?: boolean | undefined;
  /**
   * Whether it is bound, but unbound in an arena that was configured with `powerEfficient`: there its items go to a worker that runs
   * anyway, instead of waking one of their slot. It is not to be said together with `unbound`. @default false
   */
  powerEfficient?: boolean | undefined;
}

/** Options of a single call. */
export interface RunOptions {
  /** The call rejects with its reason when it aborts. It does not run, if it has not begun; else its function is told. */
  signal?: AbortSignal | undefined;
  /** Reject with ETIMEDOUT after so many milliseconds, as an abort does. */
  timeout?: number | undefined;
  /**
   * Buffers that the call takes away: as with `postMessage` they are detached here, once their bytes have been copied. A call that
   * can't be queued takes none. @default none
   */
  transferList?: readonly ArrayBuffer[] | undefined;
  /** The slot whose workers run it, of a bound queue: `queue_work_on`. @default the calling thread's */
  slot?: number | undefined;
}

/** The kernel's WQ_MAX_ACTIVE and WQ_DFL_ACTIVE, since 6.13. */
const MAX_ACTIVE = 2048;
const DEFAULT_ACTIVE = 1024;

export const UNBOUND = 1 << 1;
export const FREEZABLE = 1 << 2;
export const MEM_RECLAIM = 1 << 3;
export const HIGHPRI = 1 << 4;
export const CPU_INTENSIVE = 1 << 5;
export const POWER_EFFICIENT = 1 << 7;
export const ORDERED = 1 << 17;

const FLAGS = {
  highpri: HIGHPRI,
  memReclaim: MEM_RECLAIM,
  cpuIntensive: CPU_INTENSIVE,
  freezable: FREEZABLE,
  powerEfficient: POWER_EFFICIENT,
} as const;

/** Whether a power-efficient queue is unbound, its arena says: `flags` does not. */
export function checkWorkqueueOptions(options: WorkqueueOptions): { flags: number; maxActive: number } {
  checkOptionNames(options, ['maxActive', 'unbound', 'ordered', ...Object.keys(FLAGS)]);
  for (const name of ['unbound', 'ordered', ...Object.keys(FLAGS)] as (keyof typeof FLAGS)[]) {
    if (options[name] !== undefined) checkFlag(name, options[name]);
  }
  const { maxActive, ordered = false, powerEfficient = false } = options;
  if (powerEfficient && (options.unbound !== undefined || ordered)) {
    throw new HoldfastError('EINVAL', 'whether a power-efficient workqueue is unbound, its arena says');
  }
  const unbound = options.unbound ?? !powerEfficient;
  if (ordered && (!unbound || (maxActive ?? 1) !== 1)) {
    throw new HoldfastError('EINVAL', 'an ordered workqueue is unbound, and its maxActive is 1');
  }
  // As in the kernel up to 6.5: an unbound queue with maxActive 1 is ordered.
  const isOrdered = ordered || (unbound && maxActive === 1);
  let flags = (unbound ? UNBOUND : 0) | (isOrdered ? ORDERED : 0);
  for (const [name, flag] of Object.entries(FLAGS)) if (options[name as keyof typeof FLAGS]) flags |= flag;
  return { flags, maxActive: isOrdered ? 1 : clampActive(maxActive ?? DEFAULT_ACTIVE) };
}

export function clampActive(maxActive: number): number {
  if (!Number.isInteger(maxActive)) {
    throw new HoldfastError(
      'EINVAL',
      `maxActive is a whole number from 1 to ${MAX_ACTIVE}, received ${shown(maxActive)}`,
    );
  }
  const clamped = Math.min(Math.max(maxActive, 1), MAX_ACTIVE);
  if (clamped !== maxActive) {
    process.emitWarning(
      `maxActive is from 1 to ${MAX_ACTIVE}: ${maxActive} is taken for ${clamped}`,
      'HoldfastWarning',
    );
  }
  return clamped;
}

export function checkCount(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new HoldfastError('EINVAL', `${name} is a whole number from 1 to ${most}, received ${shown(value)}`);
}

export function checkFlag(name: string, value: unknown): void {
  if (typeof value === 'boolean') return;
  throw new HoldfastError('EINVAL', `${name} is true or false, received ${shown(value)}`);
}

/** Of a workqueue's flags. */
export function flagNames(flags: number): string[] {
  return [
    flags & UNBOUND ? 'unbound' : 'bound',
    ...(flags & HIGHPRI ? ['highpri'] : []),
    ...(flags & ORDERED ? ['ordered'] : []),
    ...(flags & MEM_RECLAIM ? ['memReclaim'] : []),
    ...(flags & CPU_INTENSIVE ? ['cpuIntensive'] : []),
    ...(flags & FREEZABLE ? ['freezable'] : []),
    ...(flags & POWER_EFFICIENT ? ['powerEfficient'] : []),
  ];
}
