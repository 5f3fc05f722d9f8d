/** One thread of a torture run. */
import { runTortureThread } from '../lib/torture/thread.ts';

runTortureThread();
