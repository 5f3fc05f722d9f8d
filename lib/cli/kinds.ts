/** All kinds of objects that there can be in an arena, declared: for what looks into one and meets them all. */
import '../debug/lockdep/layout.ts';
import '../debug/profile/holds-layout.ts';
import '../debug/profile/layout.ts';
import '../debug/trace/layout.ts';
import '../debug/trace/program/layout.ts';
import '../locking/atomic-big-int.ts';
import '../locking/atomic-int.ts';
import '../locking/per-cpu.ts';
import '../locking/percpu-counter.ts';
import '../locking/refcount.ts';
import '../rcu/slab/kmem-cache.ts';
import '../structures/xarray/ida.ts';
import '../torture/lock-types.ts';
import '../torture/stage.ts';
