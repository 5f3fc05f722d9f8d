/** The module that workers import for the torture of workqueues: see `lib/torture/types/workqueue.ts`. */
import '../lib/torture/work-items.ts';
