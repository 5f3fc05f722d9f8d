/** A worker of a parallel exploration: loads the program that it is told, and explores the parts that it is given. */
import { parentPort, workerData } from 'node:worker_threads';
import {
  loadProgram,
  type PlainOptions,
  type ProgramSource,
  runTask,
  type Task,
} from '../native-sim/explore/parallel.ts';

const { source, options } = workerData as { source: ProgramSource; options: PlainOptions };
const program = await loadProgram(source);
parentPort!.on('message', async (task: Task) => {
  parentPort!.postMessage(await runTask(program, options, task));
});
parentPort!.postMessage('ready');
