/** One thread of a litmus test on real hardware. */
import { workerData } from 'node:worker_threads';
import { runHardwareThread } from '../native-sim/litmus/hardware-thread.ts';

runHardwareThread(workerData);
