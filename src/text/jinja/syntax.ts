/** @file The syntax tree of a template. */
import type { BinaryOperator } from './operators.ts';
import type { Value } from './values.ts';

export type CompareOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';

/** What is between the parentheses of a call. */
export interface CallArguments {
  positional: readonly Expression[];
  named: readonly { name: string; value: Expression }[];
  /** *expression */
  rest: Expression | null;
  /** **expression */
  namedRest: Expression | null;
}

export type Expression = { line: number } & (
  | { kind: 'constant'; value: Value }
  | { kind: 'name'; name: string }
  | { kind: 'list' | 'tuple'; items: readonly Expression[] }
  | { kind: 'dict'; entries: readonly { key: Expression; value: Expression }[] }
  | { kind: 'attribute'; object: Expression; name: string }
  | { kind: 'item'; object: Expression; key: Expression }
  | { kind: 'slice'; start: Expression | null; stop: Expression | null; step: Expression | null }
  | { kind: 'call'; callee: Expression; given: CallArguments }
  | { kind: 'filter'; name: string; operand: Expression; given: CallArguments }
  | { kind: 'test'; name: string; operand: Expression; given: CallArguments }
  | { kind: 'binary'; operator: BinaryOperator; left: Expression; right: Expression }
  | { kind: 'concatenation'; items: readonly Expression[] }
  | { kind: 'comparison'; first: Expression; rest: readonly { operator: CompareOperator; value: Expression }[] }
  | { kind: 'not'; operand: Expression }
  | { kind: 'sign'; operator: '+' | '-'; operand: Expression }
  | { kind: 'and' | 'or'; left: Expression; right: Expression }
  | { kind: 'conditional'; condition: Expression; then: Expression; otherwise: Expression | null }
);

/** What is assigned to: a name, a field of a namespace, or several of them. */
export type Target =
  | { kind: 'name'; name: string }
  | { kind: 'field'; namespace: string; field: string }
  | { kind: 'targets'; items: readonly Target[] };

/** Parameters of a macro or of the body of a call block. */
export interface Signature {
  parameters: readonly { name: string; otherwise: Expression | null }[];
  /** Which of varargs, kwargs and caller its body reads. */
  reads: ReadonlySet<string>;
}

export interface FilterStep {
  name: string;
  given: CallArguments;
  line: number;
}

export type Block = readonly Statement[];

export type Statement = { line: number } & (
  | { kind: 'data'; text: string }
  | { kind: 'print'; expression: Expression }
  | { kind: 'if'; branches: readonly { condition: Expression; body: Block }[]; otherwise: Block }
  | {
      kind: 'for';
      target: Target;
      iterable: Expression;
      condition: Expression | null;
      isRecursive: boolean;
      body: Block;
      otherwise: Block;
    }
  | { kind: 'set'; target: Target; value: Expression }
  | { kind: 'set block'; target: Target; filters: readonly FilterStep[]; body: Block }
  | { kind: 'with'; bindings: readonly { target: Target; value: Expression }[]; body: Block }
  | { kind: 'macro'; name: string; signature: Signature; body: Block }
  | { kind: 'call block'; signature: Signature; call: Expression; body: Block }
  | { kind: 'filter block'; filters: readonly FilterStep[]; body: Block }
  | { kind: 'generation'; body: Block }
  | { kind: 'break' | 'continue' }
);
