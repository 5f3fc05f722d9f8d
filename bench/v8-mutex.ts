/**
 * V8's own mutex, from the shared-structs proposal: there with `node --harmony-struct`, on Node 20 to 26. It is passed
 * to workers as it is, by postMessage.
 */
export type V8Mutex = object;

interface V8MutexClass {
  new (): V8Mutex;
  /** Calls `section` with the mutex held. */
  lock<T>(mutex: V8Mutex, section: () => T): T;
}

export const V8Mutex = (Atomics as { Mutex?: V8MutexClass }).Mutex;
