/**
 * Values out of thin air: values that a test can produce only if some read has returned them already, in a circle.
 *
 *     P0: r = 1; if (READ_ONCE(*x) == 0) r = 0; WRITE_ONCE(*y, r);        P1: WRITE_ONCE(*x, READ_ONCE(*y));
 *
 * Here no chain of writes leads from the initial zeros to x = 1, but once P0 reads 1 it writes 1, and 1 is what P1 hands
 * back. The hardware models forbid every such circle. The kernel's does not where only a branch closes it that ends
 * before the write, or where plain accesses do, and then herd says Sometimes.
 *
 * So, where what a thread does depends on a read and one outcome has never been seen, the domains are computed
 * once more from the other side: every location may at first hold any constant of the test, and what no thread writes is
 * taken away until nothing changes.
 *
 * A circle in which nothing but copying hands the value on, with no constant in it, would justify any value at all. herd
 * keeps such executions with an unknown in that place (it prints S4, say), which equals no number; and it drops those
 * in which the unknown is calculated with, or decides a branch. So do we (`unknown.ts`).
 */
import type { Expression, Statement } from './c-syntax.ts';
import type { LitmusTest } from './test-file.ts';

/** Has some place where a read decides always gone one way? */
export function isOneSided(runs: Iterable<{ readonly decisions: ReadonlyMap<object, number> }>): boolean {
  const seen = new Map<object, number>();
  for (const { decisions } of runs) {
    for (const [site, outcomes] of decisions) seen.set(site, (seen.get(site) ?? 0) | outcomes);
  }
  return [...seen.values()].some((outcomes) => outcomes !== 3);
}

/** The constants that the C of a test writes down, and what comparisons yield. */
export function constantsOf(test: LitmusTest): bigint[] {
  const found = new Set<bigint>([0n, 1n]);
  for (const { body } of test.functions) addOfStatement(body, test, found);
  return [...found];
}

function addOfStatement(statement: Statement, test: LitmusTest, found: Set<bigint>): void {
  const inner = (s: Statement): void => addOfStatement(s, test, found);
  const expression = (e: Expression): void => addOfExpression(e, test, found);
  switch (statement.kind) {
    case 'assign':
      expression(statement.to);
      expression(statement.value);
      break;
    case 'evaluate':
      expression(statement.expression);
      break;
    case 'if':
      expression(statement.condition);
      inner(statement.then);
      inner(statement.otherwise);
      break;
    case 'while':
      expression(statement.condition);
      inner(statement.body);
      if (statement.step !== undefined) inner(statement.step);
      break;
    case 'block':
      statement.statements.forEach(inner);
  }
}

function addOfExpression(expression: Expression, test: LitmusTest, found: Set<bigint>): void {
  const inner = (e: Expression): void => addOfExpression(e, test, found);
  switch (expression.kind) {
    case 'number':
      found.add(expression.value);
      break;
    case 'unary':
      inner(expression.operand);
      break;
    case 'binary':
      inner(expression.left);
      inner(expression.right);
      break;
    case 'address':
      if (expression.of.kind === 'name') found.add(test.memory.address(expression.of.name));
      else inner(expression.of);
      break;
    case 'dereference':
      inner(expression.address);
      break;
    case 'index':
      inner(expression.base);
      inner(expression.index);
      break;
    case 'call':
      expression.arguments.forEach(inner);
  }
}
