// A worker that attaches to an arena and calls one exported function of a test's module.
import { parentPort, workerData } from 'node:worker_threads';
import { Arena } from '../../lib/index.ts';

const { arena, module, name, args } = workerData;
const exports = await import(module);
const result = await exports[name](Arena.attach(arena), ...args);
parentPort?.postMessage({ result });
