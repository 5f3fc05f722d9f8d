import { workerData } from 'node:worker_threads';
import { Arena, Completion, Mutex, RwSemaphore } from 'holdfast';

const arena = Arena.attach(workerData.arena);
const { number, requests, workers } = workerData;

/** Of this worker alone, so nobody ever waits for it. */
const session = new Mutex(arena, `session ${number}`);
/** The hot one: each request of each worker takes it. */
const audit = new Mutex(arena, 'audit log');
/** Read by each request, and rebuilt by one now and then. */
const catalogue = new RwSemaphore(arena, 'catalogue');
/** Taken in two orders. */
const accounts = new Mutex(arena, 'accounts');
const ledger = new Mutex(arena, 'ledger');
/** The catalogue is out of date: so that this example shows the same on each machine, all get there before they go on. */
const outOfDate = new Completion(arena, 'catalogue out of date');

for (let request = 0; request < requests; request++) answer(request);

/** @param {number} request */
function answer(request) {
  session.runExclusive(() => work(20));
  if (request === requests / 2) {
    if (number === 0) rebuildCatalogue();
    else outOfDate.wait();
  }
  if (number === 1 && request === 10) transfer();
  if (number === 1 && request === 20) closeBooks();
  lookUp();
  appendToAudit();
}

function transfer() {
  accounts.runExclusive(() => ledger.runExclusive(() => work(5)));
}

/** The other way round: two threads that come here and to `transfer` at once would wait for each other for ever. In this run none do. */
function closeBooks() {
  ledger.runExclusive(() => accounts.runExclusive(() => work(5)));
}

/** The long hold: it does in the lock what it could have done before. */
function rebuildCatalogue() {
  catalogue.runExclusive(() => {
    outOfDate.completeAll();
    // Until all others wait for it, and then some.
    while (arena.waits().filter(({ object }) => object.includes('catalogue')).length < workers - 1) work(100);
    work(50_000);
  });
}

function lookUp() {
  catalogue.runShared(() => work(5));
}

function appendToAudit() {
  audit.runExclusive(() => work(50));
}

/**
 * Keeps the thread busy.
 *
 * @param {number} microseconds
 */
function work(microseconds) {
  const end = performance.now() + microseconds / 1000;
  while (performance.now() < end);
}
