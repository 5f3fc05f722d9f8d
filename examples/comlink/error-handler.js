import { transferHandlers } from 'comlink';
import { HoldfastError } from 'holdfast';

/**
 * With this module imported by the side that calls, an error of the library comes back from a Comlink call as what it was, a
 * HoldfastError with its code. Comlink's own handler of what a call throws keeps the text and the stack.
 */
const handler = transferHandlers.get('throw');
if (handler === undefined) throw new Error('this Comlink has no handler of what a call throws');
transferHandlers.set('throw', {
  ...handler,
  deserialize(thrown) {
    try {
      return handler.deserialize(thrown);
    } catch (error) {
      throw HoldfastError.from(error) ?? error;
    }
  },
});
