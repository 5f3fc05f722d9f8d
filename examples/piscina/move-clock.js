import { Arena, Mutex } from 'holdfast';

/**
 * @param {{ arena: import('holdfast').ArenaHandle, clock: number, moves: number }} task
 */
export default function moveClock(task) {
  // Attaching again on the same thread gives the same Arena, so a task may do this every time.
  const arena = Arena.attach(task.arena);
  const mutex = new Mutex(arena, 'clock');
  const { words } = arena;
  const minutes = task.clock;
  const hours = task.clock + 1;

  for (let i = 0; i < task.moves; i++) {
    // Blocks this thread until the lock is free. On Node 24 and later: `using held = mutex.acquire();`
    const held = mutex.acquire();
    try {
      words[minutes] = (words[minutes] ?? 0) + 1;
      if (words[minutes] === 60) {
        words[minutes] = 0;
        words[hours] = (words[hours] ?? 0) + 1;
      }
    } finally {
      held.release();
    }
  }
}
