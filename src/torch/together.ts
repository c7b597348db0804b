/** @file Integers for a device in one copy: each copy of its own costs more than what it carries. */
import { narrow, view } from './ops.ts';
import { int64, type Tensor } from './tensor.ts';

/** Integers, and the shape that they have on the device. */
export interface Integers {
  numbers: ArrayLike<number>;
  /** @default one dimension of all of them */
  shape?: readonly number[];
}

/** int64 tensors by the names of their numbers, made on a device in one copy. They are parts of one tensor. */
export function int64Together<Name extends string>(
  parts: Record<Name, Integers>,
  device: string,
): Record<Name, Tensor> {
  const named = Object.entries<Integers>(parts);
  const whole = int64(
    named.flatMap(([, { numbers }]) => Array.from(numbers)),
    { device },
  );
  let begin = 0;
  const placed = named.map(([name, { numbers, shape = [numbers.length] }]): [string, Tensor] => {
    const part = narrow(whole, 0, begin, numbers.length);
    begin += numbers.length;
    return [name, shape.length === 1 ? part : view(part, shape)];
  });
  return Object.fromEntries(placed) as Record<Name, Tensor>;
}
