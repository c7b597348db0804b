/** @file One call through LibTorch's dispatcher: used by the generated wrappers of ops.ts only. */
import { EngineError } from '../errors.ts';
import { type NativeValue, native } from './native.ts';
import { guard, Tensor } from './tensor.ts';

/** An operator by name and overload, looked up at its first use. */
export interface Operator {
  readonly name: string;
  readonly overload: string;
  index: number | null;
}

/** Arguments as the wrappers pass them. */
export type Argument =
  | Tensor
  | null
  | undefined
  | number
  | boolean
  | string
  | readonly (Tensor | number | boolean | null)[];

export function operator(name: string, overload: string): Operator {
  return { name, overload, index: null };
}

function indexOf(op: Operator): number {
  if (op.index === null) {
    const index = native().resolve(op.name, op.overload);
    if (index < 0) {
      throw new EngineError(
        'OPERATOR_UNKNOWN',
        `Cannot run ${op.name}.${op.overload}: LibTorch ${native().version()} does not have this operator: use the version that selm engine install fetches`,
      );
    }
    op.index = index;
  }
  return op.index;
}

function lower(argument: Argument, tensors: Tensor[]): NativeValue {
  if (argument instanceof Tensor) {
    tensors.push(argument);
    return argument.handle;
  }
  if (Array.isArray(argument))
    return argument.map((element: Tensor | number | boolean | null) => lower(element, tensors));
  return argument as NativeValue;
}

/** Calls the operator; arguments in schema order, undefined for the schema's default. The result is still raw. */
export function invoke(op: Operator, ...args: Argument[]): NativeValue {
  const tensors: Tensor[] = [];
  const index = indexOf(op);
  const values = args.map((argument) => lower(argument, tensors));
  return guard(`run ${op.name}`, tensors, () => native().call(index, ...values));
}

/** A result that the schema says is one tensor. */
export function asTensor(value: NativeValue): Tensor {
  return new Tensor(value as number);
}

/** A result that the schema says is a list of tensors. */
export function asTensors(value: NativeValue): Tensor[] {
  return (value as number[]).map((handle) => new Tensor(handle));
}
