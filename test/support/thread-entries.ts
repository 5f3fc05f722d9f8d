/**
 * Before each test file: the threads that it starts, or the library for it, and those that these start begin from what
 * `global-setup.ts` has built.
 */
import { setEnvironmentData } from 'node:worker_threads';
import { inject } from 'vitest';

for (const [name, url] of Object.entries(inject('entries'))) setEnvironmentData(name, url);
