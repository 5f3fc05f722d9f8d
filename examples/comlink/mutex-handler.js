import { transferHandlers } from 'comlink';
import { Arena, Mutex } from 'holdfast';

/**
 * With this module imported on both sides, a Mutex can be an argument or a result of any Comlink call. What travels is
 * the handle of its arena and its own: the memory itself is shared, and the other side opens the same lock.
 *
 * @type {import('comlink').TransferHandler<Mutex, { arena: import('holdfast').ArenaHandle, mutex: import('holdfast').ObjectHandle }>}
 */
const mutexHandler = {
  /** @returns {value is Mutex} */
  canHandle: (value) => value instanceof Mutex,
  serialize: (mutex) => [{ arena: mutex.arena.handle, mutex: mutex.handle }, []],
  deserialize: ({ arena, mutex }) => Mutex.from(Arena.attach(arena), mutex),
};

transferHandlers.set('holdfast.Mutex', mutexHandler);
