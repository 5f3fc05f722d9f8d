/** The structured clone as bytes, of values and of errors: those keep their type, message, own properties and stack. */
import { serialize } from 'node:v8';
import { HoldfastError } from '../errors.ts';

/** The structured clone, as bytes. Throws EINVAL for what has none. */
export function clone(value: unknown): Uint8Array {
  try {
    return serialize(value);
  } catch (error) {
    throw new HoldfastError('EINVAL', `a value can't be cloned: ${(error as Error)?.message ?? error}`);
  }
}

interface ClonedError {
  readonly error: unknown;
  readonly own?: Readonly<Record<string, unknown>>;
  readonly name?: string;
}

export function cloneError(error: unknown): Uint8Array {
  if (!(error instanceof Error)) return tryClone({ error }) ?? serialize({ error: new Error(String(error)) });
  const { name, message, stack, cause } = error;
  // Without own properties: one that can't be cloned would take the error with it.
  const bare = Object.assign(new Error(message, { cause }), { stack });
  const own = { ...error } as Record<string, unknown>;
  return (
    tryClone({ error, own, name }) ??
    tryClone({ error: bare, name }) ??
    serialize({ error: Object.assign(new Error(message), { stack }), name })
  );
}

/** What an error says of itself when a getter of it throws, or it is a proxy that was revoked. */
export const UNREADABLE = 'an error that throws when it is looked at';

export function cloneIn(form: (error: unknown) => Uint8Array, error: unknown): Uint8Array {
  for (const attempt of [form, cloneBriefly]) {
    try {
      return attempt(error);
    } catch {
      // The next one looks at less of it.
    }
  }
  return serialize({ error: new Error(UNREADABLE) });
}

/** The longest message, and line of a stack, of an error for which there is little room; and how many lines. */
const BRIEF_LENGTH = 300;
const BRIEF_LINES = 10;

export function cloneBriefly(error: unknown): Uint8Array {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const brief = new Error(message.slice(0, BRIEF_LENGTH));
  const lines = stack?.split('\n', BRIEF_LINES).map((line) => line.slice(0, BRIEF_LENGTH));
  return serialize({ error: Object.assign(brief, { stack: lines?.join('\n') }), name });
}

function tryClone(value: ClonedError): Uint8Array | undefined {
  try {
    return serialize(value);
  } catch {
    return undefined;
  }
}

export function errorFrom({ error, own, name }: ClonedError): unknown {
  if (!(error instanceof Error)) return error;
  Object.assign(error, own);
  if (name !== undefined && error.name !== name)
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  return error;
}
