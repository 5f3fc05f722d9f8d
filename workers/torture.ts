/** One thread of a torture run. */
import { runTortureThread } from '../lib/cli/torture/thread.ts';

runTortureThread();
