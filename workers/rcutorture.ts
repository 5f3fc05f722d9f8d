/** One thread of an RCU torture. */
import { runRcuTortureThread } from '../lib/torture/rcu/thread.ts';

await runRcuTortureThread();
