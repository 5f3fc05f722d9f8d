import { Worker } from 'node:worker_threads';

/** A fixed number of worker threads; one that dies is replaced. */
export class Workers {
  /** @type {{ worker: Worker, jobs: Map<number, (error: string | undefined) => void> }[]} */
  #places = [];
  #lastId = 0;
  #closed = false;

  /**
   * @param {number} count
   * @param {import('holdfast').Arena} arena
   * @param {import('./branch.js').BranchHandle[]} branches
   */
  constructor(count, arena, branches) {
    this.arena = arena;
    this.branches = branches;
    for (let place = 0; place < count; place++) this.#start(place);
  }

  /** @param {number} place */
  #start(place) {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: { arena: this.arena.handle, branches: this.branches },
    });
    // When this worker ends, however it does, the locks that it held pass to whoever waits for them.
    this.arena.watch(worker);
    const jobs = new Map();
    this.#places[place] = { worker, jobs };
    worker.on('message', ({ id, error, stalled }) => {
      if (stalled) this.onStalled(worker);
      jobs.get(id)?.(error);
      jobs.delete(id);
    });
    worker.on('error', (error) => console.error('a worker crashed:', error));
    worker.once('exit', () => {
      for (const answer of jobs.values()) answer('the worker died before it answered');
      if (!this.#closed) this.#start(place);
    });
  }

  /** @param {Worker} _worker one that stands still half-way through a transfer */
  onStalled(_worker) {}

  /**
   * Resolves with undefined, or with what went wrong.
   *
   * @param {Omit<import('./worker.js').Job, 'id'>} job
   * @returns {Promise<string | undefined>}
   */
  run(job) {
    const id = ++this.#lastId;
    const place = this.#places[id % this.#places.length];
    return new Promise((resolve) => {
      place?.jobs.set(id, resolve);
      place?.worker.postMessage({ id, ...job });
    });
  }

  async close() {
    this.#closed = true;
    await Promise.all(this.#places.map(({ worker }) => worker.terminate()));
  }
}
