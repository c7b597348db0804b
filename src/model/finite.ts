/**
 * @file Whether weights are numbers. One NaN or infinity in a file spreads through every product, and what fails then is far
 * from its cause. So each tensor is summed as it is opened, which reads it once (docs/models.md has what that costs).
 */
import { ModelError } from '../errors.ts';
import { noGrad } from '../torch/autograd.ts';
import { isfinite, sum, to_dtype } from '../torch/ops.ts';
import { scope, type Tensor, toFloat32Array, toIntegers } from '../torch/tensor.ts';

/** Throws ModelError WEIGHTS_NOT_FINITE, naming the file and the tensor, where a tensor holds a NaN or an infinity. */
export function checkFinite(name: string, tensor: Tensor, path: string): void {
  const wrong = scope('check a weight', () => noGrad(() => countNotFinite(tensor)));
  if (wrong === 0) return;
  throw new ModelError(
    'WEIGHTS_NOT_FINITE',
    `Cannot use the weights of ${path}: ${wrong} of the ${tensor.size} numbers of tensor ${name} are NaN or infinite: fetch the file again, or take a model from before its training failed`,
    { details: { file: path, tensor: name, notFinite: wrong } },
  );
}

function countNotFinite(tensor: Tensor): number {
  // A sum is finite only if all its terms are; that of many finite fp16 numbers may still overflow.
  const [total = Number.NaN] = toFloat32Array(to_dtype(sum(tensor), 'float32'));
  if (Number.isFinite(total)) return 0;
  const [finite = 0] = toIntegers(sum(isfinite(tensor)));
  return tensor.size - finite;
}
