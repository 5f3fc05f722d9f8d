/**
 * The same lock in Piscina tasks: eight tasks on four threads move the hands of one clock.
 *
 *   npm run build && node examples/piscina/main.js
 */
import { Arena, Mutex } from 'holdfast';
import { Piscina } from 'piscina';

const MOVES = 10_000;
const TASKS = 8;

const arena = Arena.create({ bytes: 1 << 20 });
// Named: every thread that opens 'clock' in this arena gets this mutex.
const mutex = new Mutex(arena, 'clock');
// Two words of the arena's memory, to use as we like: minutes and hours.
const clock = arena.alloc(2);

const pool = new Piscina({
  filename: new URL('./move-clock.js', import.meta.url).href,
  minThreads: 4,
  maxThreads: 4,
});
// If one of the pool's threads dies inside the lock, the next owner gets it, and is told.
for (const worker of pool.threads) arena.watch(worker);

const task = { arena: arena.handle, clock, moves: MOVES };
await Promise.all(Array.from({ length: TASKS }, () => pool.run(task)));

// On the main thread, wait without blocking the event loop.
const held = await mutex.acquireAsync();
const minutes = arena.words[clock] ?? 0;
const hours = arena.words[clock + 1] ?? 0;
held.release();
await pool.destroy();

console.log(`${TASKS} tasks moved the clock ${TASKS * MOVES} minutes: it shows ${hours} h ${minutes} min`);
if (hours * 60 + minutes !== TASKS * MOVES) process.exitCode = 1;
