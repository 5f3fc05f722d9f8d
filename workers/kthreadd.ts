/** kthreadd, or a thread that it has started. The whole library is loaded: a system task may be any room's. */
import { workerData } from 'node:worker_threads';
import '../lib/index.ts';
import { runSystemThread } from '../lib/arena/system-thread.ts';

await runSystemThread(workerData);
