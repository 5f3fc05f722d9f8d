/** `node --import holdfast/trace app.js`: traces each arena that the program makes; see `auto.ts`. */
import { ASKED } from './auto.ts';

const host = globalThis as { [ASKED]?: string };
host[ASKED] ??= process.env.HOLDFAST_TRACE || 'holdfast.pftrace';
