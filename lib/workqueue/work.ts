/**
 * What a work item runs: a function that a module has declared with `work`, under the module's URL and a name. A thread
 * that comes across one which it does not know imports the module, whose call of `work` makes it known there.
 *
 * In the arena a function is an object with those two texts, found by their hash, so that an item needs one word for it.
 */
import { createHash } from 'node:crypto';
import nodeModule from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { readText, textWords, utf8, writeBytes } from '../memory/text.ts';
import { FunctionWords } from './layout.ts';

/** A function that can be work: its arguments and its result, or what a promise of it brings, can be cloned. */
// biome-ignore lint/suspicious/noExplicitAny: any function is one, whatever its parameters are.
export type WorkFunction = (...args: any[]) => unknown;

interface Identity {
  readonly module: string;
  readonly name: string;
}

const KIND: Kind = defineKind<Repairer>({
  name: 'work function',
  words: FunctionWords.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair: () => true,
}) as Kind;

/** Of all copies of the package in this thread. */
const KEY = Symbol.for('holdfast.work');
const host = globalThis as {
  [KEY]?: { functions: Map<string, WorkFunction>; identities: WeakMap<WorkFunction, Identity> };
};
host[KEY] ??= { functions: new Map(), identities: new WeakMap() };
const { functions, identities } = host[KEY];

/**
 * Declares functions that workqueues can run, in the module that has them, and returns them as they are:
 *
 *   export const { resize, rotate } = work(import.meta.url, { resize, rotate });
 *
 * Workers import that module, so it should have nothing in it that is not to happen there. Throws EINVAL for what is no
 * URL, or no object of functions.
 */
export function work<const Functions extends Record<string, WorkFunction>>(
  module: string,
  declared: Functions,
): Functions {
  if (typeof module !== 'string' || !URL.canParse(module)) {
    throw new HoldfastError(
      'EINVAL',
      `work() takes import.meta.url of the module it is called in, received ${shown(module)}`,
    );
  }
  if (typeof declared !== 'object' || declared === null) {
    throw new HoldfastError('EINVAL', `work() takes functions, as in { resize }; received ${shown(declared)}`);
  }
  for (const [name, run] of Object.entries(declared)) {
    if (typeof run !== 'function') throw new HoldfastError('EINVAL', `${name} is no function but ${shown(run)}`);
  }
  for (const [name, run] of Object.entries(declared)) {
    functions.set(keyOf(module, name), run);
    identities.set(run, { module, name });
  }
  return declared;
}

/** Under which name it was declared; '' for what was not. */
export function nameOf(run: WorkFunction): string {
  return (typeof run === 'function' && identities.get(run)?.name) || '';
}

/** The address of the function's object in the arena. Throws EINVAL for a function that `work` has not declared. */
export function addressOf(arena: Arena, run: WorkFunction): number {
  const identity = typeof run === 'function' ? identities.get(run) : undefined;
  if (identity === undefined) {
    throw new HoldfastError(
      'EINVAL',
      `${shown(run)} is no work: its module declares it, export const { name } = work(import.meta.url, { name })`,
    );
  }
  const [module, name] = [utf8(identity.module), utf8(identity.name)];
  const kind = {
    ...KIND,
    words: FunctionWords.words + textWords(module.length) + textWords(name.length),
    format(cpu, at) {
      cpu.write(at + FunctionWords.moduleLength, module.length);
      cpu.write(at + FunctionWords.nameLength, name.length);
      writeBytes(cpu, at + FunctionWords.texts, module);
      writeBytes(cpu, at + FunctionWords.texts + textWords(module.length), name);
    },
  } as Kind;
  const digest = createHash('sha256').update(keyOf(identity.module, identity.name)).digest('hex');
  return arena.objects.open(kind, `workqueue/function/${digest}`);
}

/** The texts of a function's object. */
export function identityAt({ cpu }: Arena, address: number): Identity {
  const moduleLength = cpu.read(address + FunctionWords.moduleLength);
  const nameAt = address + FunctionWords.texts + textWords(moduleLength);
  return {
    module: readText(cpu, address + FunctionWords.texts, moduleLength),
    name: readText(cpu, nameAt, cpu.read(address + FunctionWords.nameLength)),
  };
}

/** The function, if its module has been loaded here. */
export function knownFunction({ module, name }: Identity): WorkFunction | undefined {
  return functions.get(keyOf(module, name));
}

/** The function, from its module. Rejects with EINVAL when the module declares none of that name, or with its own error. */
export async function loadFunction(identity: Identity): Promise<WorkFunction> {
  await importModule(identity.module);
  const run = knownFunction(identity);
  if (run !== undefined) return run;
  throw new HoldfastError('EINVAL', `${identity.module} declares no work of the name ${shown(identity.name)}`);
}

/**
 * Loads the modules of all functions that have been queued in the arena, one after the other while `isIdle`: a worker that has
 * nothing to do yet does that, so that no item has to wait for it. What fails here fails again for the item whose function it
 * is, which says so.
 */
export async function loadAll(arena: Arena, isIdle: () => boolean): Promise<void> {
  const { cpu, heap } = arena;
  const isFunction = (object: number) => cpu.read(object + ObjectHeader.kind) === KIND.id;
  for (const address of heap.objects().filter(isFunction)) {
    if (!isIdle()) return;
    const identity = identityAt(arena, address);
    if (knownFunction(identity) === undefined) await loadFunction(identity).catch(() => {});
  }
}

/**
 * TypeScript that this version of Node does not load is loaded by the application's own tsx, if it has one. That is decided
 * before the import: Node remembers one that has failed.
 */
async function importModule(module: string): Promise<void> {
  if (needsTsx(module)) {
    const tsx = tsxBeside(module);
    if (tsx !== undefined) (await import(/* webpackIgnore: true */ /* @vite-ignore */ tsx)).register();
  }
  await import(/* webpackIgnore: true */ /* @vite-ignore */ module);
}

function needsTsx(module: string): boolean {
  // From the sources the thread has tsx already. A CommonJS module that a bundler made does not know its own address.
  const isSource = (import.meta.url as string | undefined)?.endsWith('.ts') === true;
  if (isSource || !/\.[mc]?tsx?$/.test(new URL(module).pathname)) return false;
  return !(process.features as { typescript?: unknown }).typescript;
}

function tsxBeside(module: string): string | undefined {
  try {
    // Its ES module: the CommonJS one, which a require would find, looks for its hooks in the wrong place when it is imported.
    const folder = nodeModule.createRequire(module).resolve('tsx/package.json');
    return new URL('dist/esm/api/index.mjs', pathToFileURL(folder)).href;
  } catch {
    return undefined;
  }
}

function keyOf(module: string, name: string): string {
  return `${module}#${name}`;
}
