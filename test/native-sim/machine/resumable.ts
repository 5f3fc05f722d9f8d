/**
 * The textbooks' locks (`scale/textbook.ts`), each as a pair of generators: their functions are turned into generators where they stand,
 * and each operation of `Cpu` into a step of its own.
 */
import { readFileSync } from 'node:fs';
import ts from 'typescript';
import * as struct from '../../../lib/memory/struct.ts';
import * as caches from '../../../native-sim/machine/caches.ts';
import type { TimedCpu } from '../../../native-sim/machine/timed-cpu.ts';
import type { TextbookName } from '../../../native-sim/scale/textbook.ts';
import type { Place } from '../../../native-sim/scale/textbook-parts.ts';

export interface ResumableLock {
  lock(): Generator<void, void>;
  unlock(): Generator<void, void>;
}
type Makers = Record<TextbookName, (cpu: TimedCpu, place: Place) => ResumableLock>;

const FOLDER = new URL('../../../native-sim/scale/', import.meta.url);
const MODULES: Readonly<Record<string, unknown>> = {
  '../../lib/memory/struct.ts': struct,
  '../machine/caches.ts': caches,
};

/** What takes time, beside operations: one step. What takes steps of its own. */
const PAUSE = 'pause';
const QUEUE = [
  'mcsLock',
  'mcsUnlock',
  'lineUp',
  'nextOfSocket',
  'leaveEmpty',
  'takeSpinlock',
  'bucketAt',
  'take',
  'release',
];
const METHODS = ['lock', 'unlock'];
/** One operation: its operands are there before the step begins, and are not computed again with it. */
const STEP = 'function* $step(cpu, act, ...operands) { return yield* cpu.step(() => act(...operands)); }\n';

const { factory } = ts;
const star = () => factory.createToken(ts.SyntaxKind.AsteriskToken);
const yielded = (call: ts.Expression) =>
  factory.createParenthesizedExpression(factory.createYieldExpression(star(), call));
const isNamed = (node: ts.Node, names: readonly string[]) => ts.isIdentifier(node) && names.includes(node.text);

const resumable: ts.TransformerFactory<ts.SourceFile> = (context) => {
  const visit = (node: ts.Node): ts.Node => {
    const inner = ts.visitEachChild(node, visit, context);
    if (ts.isCallExpression(inner)) return call(inner);
    if (ts.isMethodDeclaration(inner) && isNamed(inner.name, METHODS))
      return factory.createMethodDeclaration(
        undefined,
        star(),
        inner.name,
        undefined,
        undefined,
        inner.parameters,
        undefined,
        inner.body,
      );
    if (ts.isPropertyAssignment(inner) && isNamed(inner.name, METHODS) && ts.isArrowFunction(inner.initializer))
      return factory.createPropertyAssignment(inner.name, generator(inner.initializer));
    if (ts.isFunctionDeclaration(inner) && inner.name !== undefined && isNamed(inner.name, QUEUE))
      return factory.createFunctionDeclaration(
        inner.modifiers,
        star(),
        inner.name,
        undefined,
        inner.parameters,
        undefined,
        inner.body,
      );
    return inner;
  };
  return (file) => ts.visitEachChild(file, visit, context);
};

function call(node: ts.CallExpression): ts.Expression {
  const { expression, arguments: operands } = node;
  if (isNamed(expression, QUEUE)) return yielded(node);
  const isOperation = ts.isPropertyAccessExpression(expression) && isNamed(expression.expression, ['cpu']);
  if (!isOperation && !isNamed(expression, [PAUSE])) return node;
  const cpu = factory.createIdentifier('cpu');
  const bound = isOperation
    ? factory.createCallExpression(factory.createPropertyAccessExpression(expression, 'bind'), undefined, [cpu])
    : expression;
  return yielded(factory.createCallExpression(factory.createIdentifier('$step'), undefined, [cpu, bound, ...operands]));
}

function generator({ body }: ts.ArrowFunction): ts.FunctionExpression {
  const block = ts.isBlock(body) ? body : factory.createBlock([factory.createReturnStatement(body)]);
  return factory.createFunctionExpression(undefined, star(), undefined, undefined, [], undefined, block);
}

/** A file of that folder, and those that it imports from there, with its functions as generators. */
function load(file: string): { textbook?: Makers } {
  const { outputText } = ts.transpileModule(readFileSync(new URL(file, FOLDER), 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
    transformers: { before: [resumable] },
  });
  const exports = {};
  new Function('require', 'exports', STEP + outputText)((name: string) => MODULES[name] ?? load(name), exports);
  return exports;
}

export function resumableTextbook(): Makers {
  return load('./textbook.ts').textbook!;
}
