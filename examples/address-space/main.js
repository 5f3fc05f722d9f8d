/**
 * An address space that threads share: this one maps, protects and unmaps pages while others take page faults in it.
 *
 *   npm run build && node examples/address-space/main.js
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Arena } from 'holdfast';
import { AddressSpace, EXEC, READ, WRITE } from './address-space.js';

const THREADS = 2;
const ROUNDS = 2_000;

const arena = Arena.create();
const space = new AddressSpace(arena, 'init');

const text = space.mmap(16, READ | EXEC, 0x400);
const data = space.mmap(8, READ | WRITE, 0x410);
// A stack grows down to a page that nobody may use.
const stack = space.mmap(64, READ | WRITE);
space.mprotect(stack, 1, 0);
console.log(space.maps().join('\n'));

const workers = Array.from({ length: THREADS }, () => {
  const workerData = { arena: arena.handle, text, data };
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData });
  arena.watch(worker);
  return worker;
});
const answers = workers.map((worker) => once(worker, 'message'));

// The heap of a program that asks for memory and gives it back, not in the order in which it asked.
const heap = [];
for (let round = 0; round < ROUNDS; round++) {
  const pages = 1 + (round % 7);
  const first = space.mmap(pages, READ | WRITE);
  if (round % 3 === 0) space.mprotect(first, 1, READ);
  heap.push({ first, pages });
  if (heap.length > 20) for (const old of heap.splice(round % heap.length, 1)) space.munmap(old.first, old.pages);
}
for (const { first, pages } of heap) space.munmap(first, pages);

for (const [{ served, refused }] of await Promise.all(answers)) {
  console.log(`${served} faults served, ${refused} refused`);
}
try {
  space.mprotect(text, 32, READ);
} catch (error) {
  console.log(/** @type {Error} */ (error).message);
}
space.munmap(0x408, 12);
console.log(space.maps().join('\n'));
