/**
 * The kernel's model where it is about primitives rather than orders: failed atomics, and what makes a test meaningless.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';

const check = (text: string) => checkLitmus(readLitmus(text));

describe('a cmpxchg that fails', () => {
  const storeBuffering = (after: string): string => {
    const thread = (n: number, mine: string, other: string): string =>
      `P${n}(int *x, int *y, int *z) { int r0; int r1; WRITE_ONCE(*${mine}, 1); r1 = cmpxchg(z, 1, 0); ${after} r0 = READ_ONCE(*${other}); }`;
    return check(`C SB\n{}\n${thread(0, 'x', 'y')}\n${thread(1, 'y', 'x')}\nexists (0:r0=0 /\\ 1:r0=0)`).observation;
  };

  it('is an atomic operation for smp_mb__after_atomic', () => {
    expect(storeBuffering('smp_mb__after_atomic();')).toBe('Never');
  });

  it('and orders nothing by itself', () => {
    expect(storeBuffering('')).toBe('Sometimes');
  });

  it('a spin_trylock that fails is none', () => {
    const thread = (n: number, mine: string, other: string): string =>
      `P${n}(int *x, int *y, spinlock_t *s) { int r0; int r1; WRITE_ONCE(*${mine}, 1); r1 = spin_trylock(s); smp_mb__after_atomic(); r0 = READ_ONCE(*${other}); }`;
    const holder = 'P2(spinlock_t *s) { spin_lock(s); }';
    const text = `C SB\n{}\n${thread(0, 'x', 'y')}\n${thread(1, 'y', 'x')}\n${holder}\nexists (0:r0=0 /\\ 1:r0=0 /\\ 0:r1=0 /\\ 1:r1=0)`;
    expect(check(text).observation).toBe('Sometimes');
  });
});

describe('flags', () => {
  it('lock-final: the final value of a spin lock means nothing', () => {
    const locked = (condition: string): readonly string[] =>
      check(`C T\n{}\nP0(spinlock_t *s, int *x) { spin_lock(s); WRITE_ONCE(*x, 1); spin_unlock(s); }\n${condition}`)
        .flags;
    expect(locked('exists (s=0)')).toEqual(['lock-final']);
    expect(locked('exists (x=1)')).toEqual([]);
  });

  it('multiple-srcu-matches: an index that is handed to two unlocks', () => {
    const unlocks = (second: string): readonly string[] =>
      check(`C T
{}
P0(struct srcu_struct *s) { int r0; r0 = srcu_read_lock(s); srcu_read_unlock(s, r0); ${second} }
exists (s=0)`).flags;
    expect(unlocks('srcu_read_unlock(s, r0);')).toContain('multiple-srcu-matches');
    expect(unlocks('')).not.toContain('multiple-srcu-matches');
  });

  const one = (body: string): readonly string[] =>
    check(`C T\n{}\nP0(spinlock_t *s, struct srcu_struct *d, int *x) { int r0; ${body} }\nexists (x=0)`).flags;

  it.each([
    ['spin_lock(s); spin_unlock(s); r0 = READ_ONCE(*s);', ['mixed-lock-accesses']],
    ['spin_lock(s); spin_unlock(s); WRITE_ONCE(*s, 0);', ['mixed-lock-accesses']],
    ['spin_lock(s); r0 = spin_is_locked(s); spin_unlock(s);', []],
    ['spin_lock(s); r0 = spin_trylock(s); spin_unlock(s); r0 = spin_is_locked(s);', []],
    ['spin_unlock(s);', ['unmatched-unlock']],
    ['spin_lock(s); spin_unlock(s); spin_unlock(s);', ['unmatched-unlock']],
    ['rcu_read_lock(); rcu_read_lock(); rcu_read_unlock();', ['unbalanced-rcu-locking']],
    ['rcu_read_lock(); synchronize_srcu(d); rcu_read_unlock();', ['invalid-sleep']],
    ['rcu_read_lock(); rcu_read_unlock(); synchronize_srcu(d);', []],
    ['r0 = srcu_read_lock(d); srcu_read_unlock(d, r0 + 1);', ['srcu-bad-value-match']],
    ['r0 = srcu_read_lock(d);', ['unbalanced-srcu-locking']],
    ['r0 = srcu_read_lock(d); srcu_read_unlock(d, r0);', []],
  ])('%s', (body, flags) => {
    expect(one(body)).toEqual(flags);
  });
});

describe('older names', () => {
  it('smp_memb is smp_mb, and spin_unlock_wait waits until nobody holds the lock', () => {
    expect(
      check(`C SB
{}
P0(int *x, int *y) { int r0; WRITE_ONCE(*x, 1); smp_memb(); r0 = READ_ONCE(*y); }
P1(int *x, int *y) { int r0; WRITE_ONCE(*y, 1); smp_memb(); r0 = READ_ONCE(*x); }
exists (0:r0=0 /\\ 1:r0=0)`).observation,
    ).toBe('Never');
    expect(
      check(`C T
{}
P0(int *x, spinlock_t *s) { spin_lock(s); WRITE_ONCE(*x, 1); spin_unlock(s); }
P1(int *x, spinlock_t *s) { int r0; int r1; r0 = READ_ONCE(*x); spin_unlock_wait(s); r1 = READ_ONCE(*x); }
exists (1:r0=1 /\\ 1:r1=0)`).observation,
    ).toBe('Never');
  });
});
