/** A worker of the scaling laboratory: runs what it is handed, one run after the other. */
import { parentPort } from 'node:worker_threads';
import { answer, type Job } from '../native-sim/scale/jobs.ts';

parentPort!.on('message', (job: Job) => parentPort!.postMessage(answer(job)));
