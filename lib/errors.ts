const CODES = [
  'EAGAIN',
  'EALREADY',
  'EBUSY',
  'EDEADLK',
  'EFAULT',
  'EINVAL',
  'ENOMEM',
  'ENOSYS',
  'ENOTRECOVERABLE',
  'EOWNERDEAD',
  'EOVERFLOW',
  'EPERM',
  'ESRCH',
  'ETIMEDOUT',
] as const;

/** The kernel's error codes, as far as the library reports them. */
export type ErrorCode = (typeof CODES)[number];

/** One who waits. */
export interface WaitsFor {
  /** CPU number of the thread that waits. */
  readonly thread: number;
  /** Whether one of its asynchronous acquisitions waits, rather than the thread itself. */
  readonly async: boolean;
  /** What for: its kind, and its name or address. */
  readonly object: string;
  /** CPU numbers of the threads that hold the object; none where that is not known. */
  readonly holders: readonly number[];
  /** The object's name as it was given; undefined for an anonymous object. */
  readonly name?: string | undefined;
  /** The object's handle, for the `from` of its class; undefined for a word of the program's own, such as a futex. */
  readonly handle?: WaitedHandle | undefined;
  /** What a lock that many can read is waited for. */
  readonly mode?: 'read' | 'write' | undefined;
}

/** An `ObjectHandle`. */
export interface WaitedHandle {
  readonly type: string;
  readonly arena: number;
  readonly address: number;
  readonly serial: number;
}

/**
 * Every error the library throws of its own. `code` is the kernel's; the message names the object, what was received
 * and what was expected. When one is thrown for misuse, nothing in shared memory has changed.
 */
export class HoldfastError extends Error {
  readonly code: ErrorCode;
  readonly #waitsFor: readonly WaitsFor[];

  constructor(code: ErrorCode, message: string, waitsFor: readonly WaitsFor[] = []) {
    super(`${code}: ${message}`);
    this.code = code;
    this.#waitsFor = waitsFor;
  }

  /**
   * What `error` was where it was thrown: a HoldfastError with its code, or undefined for any other error. Messages between
   * threads (`postMessage`, a worker's `error` event, Piscina, Comlink) keep an error's text and stack, and lose its class.
   * `waitsFor` is lost with it.
   */
  static from(error: unknown): HoldfastError | undefined {
    if (error instanceof HoldfastError) return error;
    const { name, message, stack } = (error ?? {}) as Partial<Error>;
    if (typeof message !== 'string') return undefined;
    if (name !== 'HoldfastError' && !(typeof stack === 'string' && stack.startsWith('HoldfastError: ')))
      return undefined;
    const end = message.indexOf(': ');
    const code = CODES.find((code) => code === message.slice(0, end));
    if (code === undefined) return undefined;
    const copy = new HoldfastError(code, message.slice(end + 2));
    if (typeof stack === 'string') copy.stack = stack;
    return copy;
  }

  /** Of ETIMEDOUT: what those wait for who kept the caller waiting. Of EDEADLK: the cycle, if it was looked for. */
  get waitsFor(): readonly WaitsFor[] {
    return this.#waitsFor;
  }

  override get name(): string {
    return 'HoldfastError';
  }
}

/** A received value, as an error message shows it: short, and on one line. */
export function shown(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 40
      ? `${JSON.stringify(value.slice(0, 40))}… (${value.length} characters)`
      : JSON.stringify(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object' && value !== null) {
    const { name } = value.constructor ?? {};
    return name && name !== 'Object' ? `a${/^[AEIO]/.test(name) ? 'n' : ''} ${name}` : 'an object';
  }
  return String(value);
}

/** Throws EINVAL for what is no options object, and for an option with a value that is none of the `known` ones. */
export function checkOptionNames(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new HoldfastError('EINVAL', `expected options, an object; received ${shown(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name) || (options as Record<string, unknown>)[name] === undefined) continue;
    throw new HoldfastError('EINVAL', `no option of this call is named ${shown(name)}; there are ${known.join(', ')}`);
  }
}

/** Throws EINVAL for what a function has returned that should have come to its end by then, if that is a promise. */
export function refusePromise(what: string, returned: unknown): void {
  if (typeof (returned as PromiseLike<unknown> | undefined)?.then !== 'function') return;
  throw new HoldfastError('EINVAL', `${what} is synchronous, and this one returned a promise`);
}
