import { HoldfastError } from '../errors.ts';
import { abortReason } from '../sched/drive.ts';
import type { RunOptions } from './options.ts';
import type { Call, Submitter } from './submitter.ts';

/** What the call comes to; it is given up when the signal aborts or the time is over. */
export async function watchCall(submitter: Submitter, call: Call, { signal, timeout }: RunOptions): Promise<unknown> {
  const abort = () => submitter.abandon(call, abortReason(signal));
  const late = () =>
    submitter.abandon(call, new HoldfastError('ETIMEDOUT', `the call has not ended within ${timeout} ms`));
  signal?.addEventListener('abort', abort, { once: true });
  const timer = timeout === undefined ? undefined : setTimeout(late, timeout);
  try {
    return await call.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}
