/** RwSemaphore's word: what it says of those that hold the lock, and which readers it lets in. */
import { expect, test } from 'vitest';
import {
  FIRST,
  FROZEN,
  HANDOFF,
  isFree,
  isUnrecoverable,
  mayRead,
  ONE_READER,
  OWNER_DIED,
  READER,
  readersOf,
  taskOf,
  UNRECOVERABLE,
  WAITERS,
  WRITER,
} from '../../lib/locking/rw-semaphore/words.ts';

const TASK = 1 << 10;
const FREE = 0;
const WRITES = WRITER | TASK;
const READS = ONE_READER | TASK;
const TWO_READ = (2 * READER) | FIRST;

test.each([
  ['free', FREE, { isFree: true, readers: 0, task: 0 }],
  ['free, and waited for', WAITERS | HANDOFF, { isFree: true, readers: 0, task: 0 }],
  ['free, after a death', OWNER_DIED, { isFree: true, readers: 0, task: 0 }],
  ['written', WRITES | WAITERS, { isFree: false, readers: 0, task: TASK }],
  ['read by one', READS | HANDOFF, { isFree: false, readers: 1, task: TASK }],
  ['read by two', TWO_READ | OWNER_DIED, { isFree: false, readers: 2, task: 0 }],
  ['frozen', FROZEN | TWO_READ, { isFree: false, readers: 2, task: 0 }],
  ['not recoverable', UNRECOVERABLE | WAITERS, { isFree: false, readers: 0, task: 0 }],
])('%s', (name, word, said) => {
  expect({ isFree: isFree(word), readers: readersOf(word), task: taskOf(word) }).toEqual(said);
  expect(isUnrecoverable(word)).toBe(name === 'not recoverable');
});

// Which readers get in: one that lines up behind all, one that passes a waiter which sleeps, one whose thread reads already.
test.each([
  ['free', FREE, [true, true, true]],
  ['free, for a waiter that was woken', WAITERS, [true, true, true]],
  ['free, kept for the first waiter', WAITERS | HANDOFF, [false, false, false]],
  ['read', READS, [true, true, true]],
  ['read, and waited for', TWO_READ | WAITERS, [false, true, true]],
  ['read, and waited for too long', TWO_READ | WAITERS | HANDOFF, [false, false, true]],
  ['read, after a death', TWO_READ | OWNER_DIED, [true, true, true]],
  ['written', WRITES, [false, false, false]],
  ['not recoverable', UNRECOVERABLE, [false, false, false]],
])('%s: mayRead', (_name, word, [queued, passes, recursive]) => {
  expect([mayRead(word, 0), mayRead(word, WAITERS), mayRead(word, WAITERS | HANDOFF)]).toEqual([
    queued,
    passes,
    recursive,
  ]);
});
