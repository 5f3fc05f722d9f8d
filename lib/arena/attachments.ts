/**
 * The arenas that this thread is attached to: it has one place in each, however often it attaches. They stand on the
 * global object, so that several copies of the package in one thread know of each other: a second place would be a
 * second owner. Copies with another layout of shared memory do not find them, and are refused by the arena's header.
 *
 * The view of an arena, the `Arena`, is held weakly. A lock's view holds its arena, and an acquisition under way holds
 * its lock. So when the `Arena` is collected, this thread's program can release nothing there any more but by attaching
 * again. Its place is given up then, and with it the memory, unless the thread still holds something or a worker that it
 * watches is attached: those places are looked at again whenever the thread attaches somewhere or another is collected.
 */
import { isMainThread, type Worker } from 'node:worker_threads';
import { setTimeout } from '../machine/host.ts';
import { LAYOUT_VERSION } from '../memory/header.ts';
import { cpuOf, LINGER_MS, markEnded, Place } from './place.ts';

interface Attachment {
  readonly view: WeakRef<object>;
  readonly place: Place;
}

class Attachments {
  /** By the arena's id. */
  readonly #all = new Map<number, Attachment>();
  /** The workers that are watched, and for which arenas: one listener each, however many arenas there are. */
  readonly #watched = new Map<Worker, Map<number, SharedArrayBuffer>>();
  readonly #collected = new FinalizationRegistry<undefined>(() => this.#leaveOrphans());

  /** The view that this thread has of the arena, if it is attached and can still reach one. */
  view(id: number): object | undefined {
    return this.#all.get(id)?.view.deref();
  }

  /** This thread's place in the arena, whether or not a view of it is left. */
  place(id: number): Place | undefined {
    return this.#all.get(id)?.place;
  }

  /** `attach` makes another view, once this one is gone. */
  add(view: object, place: Place, attach: () => object): void {
    this.#leaveOrphans();
    // The main thread's end is the end of all threads.
    if (this.#all.size === 0 && !isMainThread) process.on('exit', this.#exit);
    place.company = { watch: (worker) => this.watch(worker, place), view: attach };
    this.#all.set(place.id, { view: new WeakRef(view), place });
    this.#collected.register(view, undefined);
  }

  /** The thread gives its place in the arena up, and passes on what it holds. */
  leave(place: Place): void {
    place.leave();
    if (this.#all.get(place.id)?.place !== place) return;
    this.#all.delete(place.id);
    if (this.#all.size === 0) process.removeListener('exit', this.#exit);
  }

  /** When `worker` exits, what it leaves in the arena is repaired. */
  watch(worker: Worker, { id, buffer }: Place): void {
    if (buffer === undefined) return;
    const arenas = this.#watched.get(worker);
    if (arenas !== undefined) {
      arenas.set(id, buffer);
      return;
    }
    const tid = worker.threadId;
    this.#watched.set(worker, new Map([[id, buffer]]));
    worker.once('exit', () => {
      const ended = this.#watched.get(worker) ?? new Map<number, SharedArrayBuffer>();
      this.#watched.delete(worker);
      for (const each of ended.values()) markEnded(cpuOf(each), tid);
      this.lookForDead(ended);
    });
  }

  /** A thread has ended, and perhaps others with it. The calling thread may have left those arenas since. */
  lookForDead(arenas: ReadonlyMap<number, SharedArrayBuffer>): void {
    const look = () => {
      for (const [id, buffer] of arenas) {
        const place = this.place(id);
        if (place !== undefined) place.sweep();
        else Place.visit(buffer);
      }
    };
    look();
    // The system tells that a thread has ended a moment before its entry in /proc goes.
    setTimeout(look, LINGER_MS).unref();
  }

  readonly #exit = () => {
    for (const { place } of [...this.#all.values()]) this.leave(place);
  };

  #leaveOrphans(): void {
    for (const { view, place } of [...this.#all.values()]) {
      if (view.deref() !== undefined || place.isInUse) continue;
      const workers = [...this.#watched].filter(([, arenas]) => arenas.has(place.id)).map(([worker]) => worker);
      if (workers.some((worker) => place.hasAttached(worker))) continue;
      for (const worker of workers) this.#watched.get(worker)?.delete(place.id);
      this.leave(place);
    }
  }
}

const KEY = Symbol.for(`holdfast.arenas.${LAYOUT_VERSION}`);

const host = globalThis as { [KEY]?: Attachments };
host[KEY] ??= new Attachments();

export const attachments: Attachments = host[KEY];
