// A thread that says that it has started. TypeScript on purpose.
import { workerData } from 'node:worker_threads';

const { words } = workerData as { words: Int32Array };
Atomics.store(words, 0, 1);
Atomics.notify(words, 0);
