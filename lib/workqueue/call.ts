import { HoldfastError } from '../errors.ts';
import { abortReason } from '../sched/drive.ts';
import type { RunOptions } from './options.ts';
import type { Call, Submitter } from './submitter.ts';
import { detach } from './transfer.ts';

/** What the call comes to; it is given up when the signal aborts or the time is over. */
export async function watchCall(submitter: Submitter, call: Call, options: RunOptions): Promise<unknown> {
  const { signal, timeout, transferList = [] } = options;
  try {
    if (transferList.length > 0) detach(transferList);
  } catch (error) {
    // It is not published yet.
    submitter.abandon(call, error);
  }
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
