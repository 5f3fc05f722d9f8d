/**
 * One suite, in a process of its own, so that no suite runs on what V8 learned from another: node suite.ts NAME EFFORT.
 * The figures go to the parent as messages, one each time something has been measured, then what the suite took; the
 * parent then ends this process.
 */
import { asynchronous } from './asynchronous.ts';
import { contended } from './contended.ts';
import type { Effort } from './effort.ts';
import { Figures } from './figure.ts';
import { garbage } from './garbage.ts';
import { single } from './single.ts';
import { Usage } from './usage.ts';

export const suites = { single, garbage, asynchronous, contended };

const [name, effort] = process.argv.slice(2) as [keyof typeof suites, string];
const figures = new Figures((measured) => process.send?.(measured));
const usage = new Usage();
await suites[name](figures, JSON.parse(effort) as Effort);
process.send?.({ others: usage.others() });
