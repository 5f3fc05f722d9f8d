/** The parts of a trace program, as the parser finds them. `at`: characters from the start of the source. */
import type { MapValue } from '../program.ts';

export type Operator = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '<<' | '>>';
export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=';

export interface MapUse {
  readonly name: string;
  readonly keys: readonly Expression[];
  readonly at: number;
}

export type Expression = { readonly at: number } & (
  | { readonly is: 'number'; readonly value: number }
  | { readonly is: 'string'; readonly text: string }
  /** A field of the event, or what every event has. */
  | { readonly is: 'word'; readonly word: string }
  | { readonly is: 'variable'; readonly name: string }
  | { readonly is: 'map'; readonly map: MapUse }
  | { readonly is: 'binary'; readonly operator: Operator; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'comparison'; readonly operator: Comparison; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'both' | 'either'; readonly left: Expression; readonly right: Expression }
  | { readonly is: 'not' | 'negative'; readonly of: Expression }
  | { readonly is: 'choice'; readonly condition: Expression; readonly yes: Expression; readonly no: Expression }
);

/** `count()`, `hist(x)`, `lhist(x, min, max, step)`. */
export interface Aggregation {
  readonly value: Exclude<MapValue, 'number'>;
  readonly of: Expression | undefined;
  readonly linear?: { readonly min: number; readonly max: number; readonly step: number };
}

export type Statement = { readonly at: number } & (
  | { readonly is: 'aggregate'; readonly map: MapUse; readonly aggregation: Aggregation }
  | { readonly is: 'store' | 'add' | 'subtract'; readonly map: MapUse; readonly value: Expression }
  | { readonly is: 'set'; readonly name: string; readonly value: Expression }
  | { readonly is: 'if'; readonly condition: Expression; readonly yes: Block; readonly no: Block }
  | { readonly is: 'while'; readonly condition: Expression; readonly body: Block }
  | {
      readonly is: 'for';
      readonly name: string;
      readonly from: Expression;
      readonly to: Expression;
      readonly body: Block;
    }
  | { readonly is: 'printf'; readonly format: string; readonly values: readonly Expression[] }
  | { readonly is: 'print' | 'clear'; readonly name: string }
  | { readonly is: 'delete'; readonly map: MapUse }
  | { readonly is: 'exit' | 'return' }
);

export type Block = readonly Statement[];

export type ProbeName = { readonly at: number; readonly name: string } & (
  | { readonly on: 'point'; readonly kind: string; readonly point: string }
  | { readonly on: 'begin' | 'end' }
  | { readonly on: 'interval'; readonly ms: number }
);

export interface Clause {
  readonly probes: readonly ProbeName[];
  readonly predicate: Expression | undefined;
  readonly body: Block;
}

/** `let @x = array(16);` */
export interface MapSize {
  readonly name: string;
  readonly isArray: boolean;
  readonly entries: number;
  readonly at: number;
}

export interface Script {
  readonly sizes: readonly MapSize[];
  readonly clauses: readonly Clause[];
}
