/**
 * Told of what happens on a machine, by those who show it: which words share a line (`scale/sharing.ts`), and the steps of
 * a run (`scale/microscope.ts`). A method that is not overridden does nothing; none may change the machine.
 */
import type { BufferedStore, Core, QueuedInvalidation, Request } from './core.ts';
import type { SimThread } from './thread.ts';

/** Where a load was answered: from the caches, from the core's store buffer, from a line whose invalidation waits. */
export type Source = 'cache' | 'buffer' | 'queue';

export class Observer {
  /** The thread has read its word, result in `thread.result`. A spin loop's turns that change nothing are one load. */
  loaded(_core: Core, _thread: SimThread, _source: Source): void {}

  /** The thread has written its word, as far as itself can see; other cores see it when it has been committed. */
  stored(_core: Core, _thread: SimThread): void {}

  /** The thread's operation can't be done yet: `thread.waits` says for what. */
  waits(_core: Core, _thread: SimThread): void {}

  /** The thread's operation is done, with `thread.result`. */
  done(_core: Core, _thread: SimThread): void {}

  /** An operation that began at `time`, or an event then, is over: nothing is half done. Where no core runs ahead, times never fall. */
  stepped(_time: number): void {}

  /** The core has sent a request for a line. */
  requested(_request: Request): void {}

  /** The home has taken up a request: the line comes from core `supplier`, which has it in `state`; -1: from memory. */
  served(_request: Request, _supplier: number, _state: number): void {}

  /** An arc of the protocol. */
  changed(_core: Core, _line: number, _from: number, _to: number, _arc: number): void {}

  /** The core has put an invalidation into its queue, and may read the line as it was until it carries it out. */
  queued(_core: Core, _invalidation: QueuedInvalidation): void {}

  buffered(_core: Core, _store: BufferedStore): void {}

  /** A word has a new value, for all cores. */
  committed(_core: Core, _address: number, _value: number): void {}
}
