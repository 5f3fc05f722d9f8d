/** `node --import holdfast/profile app.js`: profiles each arena that the program makes; see `auto.ts`. */
import * as formats from '../reports/formats.ts';
import { ASKED, useFormats } from './auto.ts';

const host = globalThis as { [ASKED]?: string };
host[ASKED] ??= process.env.HOLDFAST_PROFILE || 'holdfast-profile.html';
useFormats(formats);
