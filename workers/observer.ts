/** A thread that answers requests about an arena. The whole library is loaded: a lock may be any room's. */
import { workerData } from 'node:worker_threads';
import '../lib/index.ts';
import { serve } from '../lib/debug/live/serve.ts';

serve(workerData);
