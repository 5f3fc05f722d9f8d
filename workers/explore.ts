/** A worker of a parallel exploration: loads the program that it is told, and explores the parts that it is given. */
import { parentPort, workerData } from 'node:worker_threads';
import type { Subtree } from '../native-sim/explore/alternative.ts';
import {
  type FromWorker,
  loadProgram,
  type PlainOptions,
  type ProgramSource,
  runTask,
  type ToWorker,
} from '../native-sim/explore/parallel.ts';

const { source, options } = workerData as { source: ProgramSource; options: PlainOptions };
const program = await loadProgram(source);
const post = (message: FromWorker) => parentPort!.postMessage(message);
let isAsked = false;

parentPort!.on('message', async (message: ToWorker) => {
  if (message === 'share') {
    isAsked = true;
    return;
  }
  isAsked = false;
  const give = (open: Subtree[]) => {
    if (open.length === 0) return;
    isAsked = false;
    post({ open });
  };
  post({ result: await runTask(program, options, message, () => isAsked, give) });
});
post('ready');
