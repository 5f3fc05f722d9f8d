import { parentPort } from 'node:worker_threads';
import { expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import './mutex-handler.js';

const teller = {
  /**
   * Adds 1 to a word of the arena, `times` times.
   *
   * @param {import('holdfast').Mutex} mutex
   * @param {number} address
   * @param {number} times
   */
  add(mutex, address, times) {
    const { words } = mutex.arena;
    for (let i = 0; i < times; i++) {
      mutex.lock();
      try {
        words[address] = (words[address] ?? 0) + 1;
      } finally {
        mutex.unlock();
      }
    }
    return mutex;
  },

  /**
   * A mistake: this thread does not hold it.
   *
   * @param {import('holdfast').Mutex} mutex
   */
  unlock(mutex) {
    mutex.unlock();
  },
};

/** @typedef {typeof teller} Teller */

if (parentPort) expose(teller, nodeEndpoint(parentPort));
