/**
 * Each row of the kernel's tables of RCU calls (Documentation/RCU/whatisRCU.rst, "Full list of RCU APIs") has a call here, or a
 * line in docs/rcu.md that says what replaces it. The calls themselves are tested in this folder.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Rcu, RcuHlist, RcuList, RcuQsbr, Srcu, TasksRcu } from '../../lib/index.ts';

const PAGE = readFileSync(new URL('../../docs/rcu.md', import.meta.url), 'utf8');

/** A flavour's name stands for all that have readers. */
const TYPES = {
  Rcu: [Rcu, RcuQsbr, Srcu],
  Srcu: [Srcu],
  TasksRcu: [TasksRcu],
  RcuList: [RcuList],
  RcuHlist: [RcuHlist],
};

/** By kernel name: members of classes that programs use. */
const CALLS: Record<string, string> = {
  rcu_read_lock: 'Rcu.readLock',
  rcu_read_unlock: 'Rcu.readUnlock',
  'guard(rcu)': 'Rcu.read',
  'scoped_guard(rcu)': 'Rcu.read',
  rcu_dereference: 'Rcu.dereference',
  rcu_dereference_check: 'Rcu.dereferenceCheck',
  rcu_read_lock_held: 'Rcu.readLockHeld',
  rcu_assign_pointer: 'Rcu.assignPointer',
  synchronize_rcu: 'Rcu.synchronize',
  synchronize_rcu_expedited: 'Rcu.synchronizeExpedited',
  call_rcu: 'Rcu.call',
  call_rcu_hurry: 'Rcu.call',
  rcu_barrier: 'Rcu.barrier',
  kfree_rcu: 'Rcu.kfree',
  kvfree_rcu: 'Rcu.kfree',
  kfree_rcu_mightsleep: 'Rcu.kfree',
  cond_synchronize_rcu: 'Rcu.condSynchronize',
  cond_synchronize_rcu_full: 'Rcu.condSynchronize',
  cond_synchronize_rcu_expedited: 'Rcu.condSynchronize',
  cond_synchronize_rcu_expedited_full: 'Rcu.condSynchronize',
  get_completed_synchronize_rcu: 'Rcu.completedState',
  get_completed_synchronize_rcu_full: 'Rcu.completedState',
  get_state_synchronize_rcu: 'Rcu.getState',
  get_state_synchronize_rcu_full: 'Rcu.getState',
  poll_state_synchronize_rcu: 'Rcu.pollState',
  poll_state_synchronize_rcu_full: 'Rcu.pollState',
  same_state_synchronize_rcu: 'Rcu.sameState',
  same_state_synchronize_rcu_full: 'Rcu.sameState',
  start_poll_synchronize_rcu: 'Rcu.startPoll',
  start_poll_synchronize_rcu_full: 'Rcu.startPoll',
  start_poll_synchronize_rcu_expedited: 'Rcu.startPollExpedited',
  start_poll_synchronize_rcu_expedited_full: 'Rcu.startPollExpedited',
  srcu_read_lock: 'Srcu.readLock',
  srcu_read_unlock: 'Srcu.readUnlock',
  srcu_dereference: 'Srcu.dereference',
  srcu_dereference_check: 'Srcu.dereferenceCheck',
  srcu_read_lock_held: 'Srcu.readLockHeld',
  call_srcu: 'Srcu.call',
  synchronize_srcu: 'Srcu.synchronize',
  synchronize_srcu_expedited: 'Srcu.synchronizeExpedited',
  srcu_barrier: 'Srcu.barrier',
  cleanup_srcu_struct: 'Srcu.destroy',
  call_rcu_tasks: 'TasksRcu.call',
  synchronize_rcu_tasks: 'TasksRcu.synchronize',
  rcu_tasks_classic_qs: 'TasksRcu.quiescent',
  list_entry_rcu: 'RcuList.first',
  list_entry_lockless: 'RcuList.first',
  list_first_entry_rcu: 'RcuList.first',
  list_next_rcu: 'RcuList.next',
  list_for_each_entry_rcu: 'RcuList.entries',
  list_for_each_entry_continue_rcu: 'RcuList.entries',
  list_for_each_entry_from_rcu: 'RcuList.entries',
  list_first_or_null_rcu: 'RcuList.first',
  list_next_or_null_rcu: 'RcuList.next',
  hlist_first_rcu: 'RcuHlist.first',
  hlist_next_rcu: 'RcuHlist.next',
  hlist_for_each_entry_rcu: 'RcuHlist.entries',
  hlist_for_each_entry_from_rcu: 'RcuHlist.entries',
  hlist_for_each_entry_continue_rcu: 'RcuHlist.entries',
  hlist_nulls_first_rcu: 'RcuHlist.first',
  hlist_nulls_for_each_entry_rcu: 'RcuHlist.endOf',
  list_add_rcu: 'RcuList.addHead',
  list_add_tail_rcu: 'RcuList.addTail',
  list_del_rcu: 'RcuList.delete',
  list_replace_rcu: 'RcuList.replace',
  list_splice_init_rcu: 'RcuList.splice',
  list_splice_tail_init_rcu: 'RcuList.spliceTail',
  hlist_add_behind_rcu: 'RcuHlist.addBehind',
  hlist_add_before_rcu: 'RcuHlist.addBefore',
  hlist_add_head_rcu: 'RcuHlist.addHead',
  hlist_add_tail_rcu: 'RcuHlist.addTail',
  hlist_del_rcu: 'RcuHlist.delete',
  hlist_del_init_rcu: 'RcuHlist.deleteInit',
  hlist_replace_rcu: 'RcuHlist.replace',
  hlist_nulls_del_init_rcu: 'RcuHlist.deleteInit',
  hlist_nulls_del_rcu: 'RcuHlist.delete',
  hlist_nulls_add_head_rcu: 'RcuHlist.addHead',
};

/** By kernel name: what stands in the docs page, in the first column of a table, for a name that has no call of its own. */
const LINES: Record<string, string> = {
  synchronize_rcu_mult: '`synchronize_rcu_mult`',
  synchronize_net: '`synchronize_net`',
  RCU_NONIDLE: '`RCU_NONIDLE`',
  RCU_LOCKDEP_WARN: '`RCU_LOCKDEP_WARN`',
  rcu_sleep_check: '`rcu_sleep_check`',
  rcu_access_pointer: '`rcu_access_pointer`',
  rcu_dereference_raw: '`rcu_dereference_raw`',
  rcu_dereference_protected: '`_protected`',
  rcu_pointer_handoff: '`rcu_pointer_handoff`',
  unrcu_pointer: '`unrcu_pointer`',
  rcu_read_lock_any_held: '`_any_held`',
  rcu_read_lock_bh: '`rcu_read_lock_bh`',
  rcu_read_unlock_bh: '`rcu_read_lock_bh`',
  rcu_read_lock_bh_held: '`rcu_read_lock_bh`',
  rcu_dereference_bh: '`_bh`',
  rcu_dereference_bh_check: '`_bh`',
  rcu_dereference_bh_protected: '`_bh`',
  local_bh_disable: '`local_bh_disable`',
  rcu_read_lock_sched: '`_sched`',
  rcu_read_unlock_sched: '`_sched`',
  rcu_read_lock_sched_held: '`_sched`',
  rcu_dereference_sched: '`_sched`',
  rcu_dereference_sched_check: '`_sched`',
  rcu_dereference_sched_protected: '`_sched`',
  rcu_read_lock_sched_notrace: '`_notrace`',
  rcu_read_unlock_sched_notrace: '`_notrace`',
  preempt_disable: '`preempt_disable`',
  rcu_read_lock_trace: '`rcu_read_lock_trace`',
  synchronize_rcu_tasks_trace: '`synchronize_rcu_tasks_trace`',
  synchronize_rcu_tasks_rude: '`synchronize_rcu_tasks_rude`',
  init_srcu_struct: '`init_srcu_struct`',
  DEFINE_SRCU: '`DEFINE_SRCU`',
  DEFINE_STATIC_SRCU: '`DEFINE_STATIC_SRCU`',
  hlist_pprev_rcu: '`hlist_pprev_rcu`',
  hlist_for_each_entry_rcu_bh: '`…_rcu_bh`',
  hlist_for_each_entry_continue_rcu_bh: '`…_rcu_bh`',
  hlist_bl_first_rcu: '`hlist_bl_*`',
  hlist_bl_for_each_entry_rcu: '`hlist_bl_*`',
  hlist_bl_add_head_rcu: '`hlist_bl_*`',
  hlist_bl_del_init_rcu: '`hlist_bl_*`',
  hlist_bl_del_rcu: '`hlist_bl_*`',
  hlist_bl_set_first_rcu: '`hlist_bl_*`',
};

/** Left cells of all tables in the page. */
const FIRST_COLUMN = PAGE.split('\n').flatMap((line) => (line.startsWith('| ') ? [line.split('|')[1] as string] : []));

describe('a name of the kernel', () => {
  test.each(Object.entries(CALLS))('%s stands for a call that is not there', (_name, call) => {
    const [type, member] = call.split('.') as [keyof typeof TYPES, string];
    for (const Type of TYPES[type]) expect(member in Type.prototype, `${Type.name}.${member}`).toBe(true);
  });

  test.each(Object.entries(LINES))('%s has neither a call nor a line that says what replaces it', (_name, words) => {
    expect(FIRST_COLUMN.some((cell) => cell.includes(words))).toBe(true);
  });
});
