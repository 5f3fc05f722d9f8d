import { Worker } from 'node:worker_threads';

/**
 * A fixed number of worker threads; one that dies is replaced. Each has one job at a time, the others wait here, so a
 * worker that dies takes no more than the one job with it.
 */
export class Workers {
  /** @type {Set<Place>} */
  #places = new Set();
  /** @type {Waiting[]} */
  #queue = [];
  #closed = false;

  /**
   * @param {number} count
   * @param {import('holdfast').Arena} arena
   * @param {import('./branch.js').BranchHandle[]} branches
   */
  constructor(count, arena, branches) {
    this.arena = arena;
    this.branches = branches;
    for (let i = 0; i < count; i++) this.#start();
  }

  #start() {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: { arena: this.arena.handle, branches: this.branches },
    });
    // When this worker ends, however it does, the locks that it held pass to whoever waits for them.
    this.arena.watch(worker);
    /** @type {Place} */
    const place = { worker, current: undefined };
    this.#places.add(place);
    const finish = (/** @type {string | undefined} */ error) => {
      place.current?.answer(error);
      place.current = undefined;
    };
    worker.on('message', ({ error, stalled }) => {
      if (stalled) {
        this.onStalled(worker);
      } else {
        finish(error);
        this.#next();
      }
    });
    worker.on('error', (error) => console.error('a worker crashed:', error));
    worker.once('exit', () => {
      this.#places.delete(place);
      finish('the worker died before it answered');
      if (!this.#closed) this.#start();
    });
    this.#next();
  }

  /** @param {Worker} _worker one that stands still half-way through a transfer */
  onStalled(_worker) {}

  /**
   * Resolves with undefined, or with what went wrong.
   *
   * @param {import('./worker.js').Job} job
   * @returns {Promise<string | undefined>}
   */
  run(job) {
    return new Promise((resolve) => {
      this.#queue.push({ job, answer: resolve });
      this.#next();
    });
  }

  /** Gives waiting jobs to workers that have none. */
  #next() {
    for (const place of this.#places) {
      if (place.current !== undefined) continue;
      place.current = this.#queue.shift();
      if (place.current === undefined) return;
      place.worker.postMessage(place.current.job);
    }
  }

  async close() {
    this.#closed = true;
    await Promise.all([...this.#places].map(({ worker }) => worker.terminate()));
  }
}

/** @typedef {{ job: import('./worker.js').Job, answer: (error: string | undefined) => void }} Waiting */
/** @typedef {{ worker: Worker, current: Waiting | undefined }} Place */
