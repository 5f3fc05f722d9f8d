/**
 * RCU and SRCU in the Linux kernel memory model ("Frightening small children...", section 4; explanation.txt, "RCU
 * relations"). The rule: a chain of grace periods and read-side critical sections that has at least as many grace
 * periods as critical sections acts as one strong fence. `rcu-order` builds those chains, link by link:
 *
 *     rcu-order = gp | gp ; link ; rscs^-1 | rscs^-1 ; link ; gp | gp ; link ; rcu-order ; link ; rscs^-1
 *               | rscs^-1 ; link ; rcu-order ; link ; gp | rcu-order ; link ; rcu-order
 *
 * where a critical section and a grace period count against one another only within one domain: RCU's, or that of one
 * `srcu_struct`.
 */
import { type Execution, Fence } from './execution.ts';
import type { Relation } from './relation.ts';

/** From each outermost-to-innermost `rcu_read_lock` to the `rcu_read_unlock` that ends it. */
export function matchCriticalSections(x: Execution): Relation {
  const matched = x.universe.relation();
  const open = new Map<number, number[]>();
  for (let a = 0; a < x.count; a++) {
    const thread = x.thread[a]!;
    if (x.fence[a] === Fence.rcuLock) {
      const nest = open.get(thread);
      if (nest === undefined) open.set(thread, [a]);
      else nest.push(a);
    } else if (x.fence[a] === Fence.rcuUnlock) {
      const lock = open.get(thread)?.pop();
      if (lock !== undefined) matched.add(lock, a);
    }
  }
  return matched;
}

/** From each `srcu_read_lock` to the `srcu_read_unlock` of the same domain that was handed its index. */
export function matchSrcuSections(x: Execution): Relation {
  const SrcuLock = x.fences(Fence.srcuLock);
  const SrcuUnlock = x.fences(Fence.srcuUnlock);
  const passCookie = x.data.seq(x.rf).star().seq(x.data);
  return passCookie.between(SrcuLock, SrcuUnlock).and(x.loc);
}

export function rcuOrder(x: Execution, link: Relation): Relation {
  const u = x.universe;
  const rcuGp = x.fences(Fence.syncRcu).identity();
  const srcuGp = x.fences(Fence.syncSrcu).identity();
  const order = u.relation().addAll(rcuGp).addAll(srcuGp);
  if (order.isEmpty()) return order;
  const rcuRscsi = matchCriticalSections(x).inverse();
  const srcuRscsi = matchSrcuSections(x).inverse();
  const seed = order.or(
    rcuGp.seq(link).seq(rcuRscsi),
    rcuRscsi.seq(link).seq(rcuGp),
    srcuGp.seq(link).seq(srcuRscsi).and(x.loc),
    srcuRscsi.seq(link).seq(srcuGp).and(x.loc),
  );
  order.addAll(seed);
  const before = u.relation();
  for (;;) {
    const mark = u.mark();
    const chain = link.seq(order).seq(link);
    const grown = order.or(
      rcuGp.seq(chain).seq(rcuRscsi),
      rcuRscsi.seq(chain).seq(rcuGp),
      srcuGp.seq(chain).seq(srcuRscsi).and(x.loc),
      srcuRscsi.seq(chain).seq(srcuGp).and(x.loc),
      order.seq(link).seq(order),
    );
    before.empty();
    before.addAll(order);
    order.addAll(grown);
    u.release(mark);
    if (order.equals(before)) return order;
  }
}
