/** What an RwSemaphore's first reader, which has no record, meets while the reaper counts the readers: it reads still. */
import { expect, test } from 'vitest';
import { RwSemaphore } from '../../lib/index.ts';
import { latchOf, wordOf } from '../../lib/locking/rw-semaphore/words.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Thread 0 reads, thread 1 died as a reader, thread 2 waits to write. Thread 0 makes `call` while a reaper has the word frozen. */
function whileFrozen(call: (reader: RwSemaphore) => void): void {
  const { arenas, before, stopBefore, die, reap } = stepper(5);
  const [reader, other, writer] = arenas.map((arena) => new RwSemaphore(arena, 'rw', { fifo: true })) as [
    RwSemaphore,
    RwSemaphore,
    RwSemaphore,
  ];
  const word = wordOf(reader.address);
  reader.downRead();
  other.downRead();
  expect(stopBefore(2, on('wait'), () => writer.downWrite())).toBe(true);
  die(1);
  before(0, on('', word), () => {
    expect(stopBefore(3, on('storeRelease', word), () => reap(3))).toBe(true);
    // That reaper dies, and another one goes on, once the reader waits for the latch.
    before(0, on('wait', latchOf(reader.address)), () => {
      die(3);
      expect(reap(4)).toBe('done');
    });
  });
  call(reader);
}

test('it lined up behind a writer that waits for it', () => {
  whileFrozen((reader) => {
    reader.downRead();
    expect(reader.readers).toBe(2);
  });
});

test('it waited for itself to write', () => {
  whileFrozen((reader) => expect(thrown(() => reader.downWrite()).code).toBe('EDEADLK'));
});
