/** @file Automatic differentiation: grad mode, leaves, gradients and the backward pass. */
import { native } from './native.ts';
import { guard, Tensor } from './tensor.ts';

/** Runs `body` without recording a graph. The mode is restored when it ends, also by an error. */
export function noGrad<T>(body: () => T): T {
  return withGradMode(false, body);
}

/** Runs `body` recording a graph, also inside `noGrad`. */
export function enableGrad<T>(body: () => T): T {
  return withGradMode(true, body);
}

function withGradMode<T>(enabled: boolean, body: () => T): T {
  const before = native().setGradEnabled(enabled);
  try {
    return body();
  } finally {
    native().setGradEnabled(before);
  }
}

/** Makes the tensor a leaf whose gradient backward() accumulates. Returns it. */
export function requireGrad(tensor: Tensor, requires = true): Tensor {
  guard('set requires_grad', [tensor], () => native().setRequiresGrad(tensor.handle, requires));
  return tensor;
}

export function requiresGrad(tensor: Tensor): boolean {
  return native().requiresGrad(tensor.handle);
}

/** The gradient accumulated in a leaf, or null. The result shares memory with it. */
export function gradientOf(tensor: Tensor): Tensor | null {
  const handle = native().gradient(tensor.handle);
  return handle === null ? null : new Tensor(handle);
}

/** Replaces the accumulated gradient; null clears it. */
export function setGradient(tensor: Tensor, gradient: Tensor | null): void {
  guard('set a gradient', [tensor], () =>
    native().setGradient(tensor.handle, gradient === null ? null : gradient.handle),
  );
}

/** Backward pass from outputs with their gradients: accumulates into leaves, frees the graph. */
export function backward(outputs: readonly Tensor[], gradients: readonly Tensor[]): void {
  guard('run backward', outputs, () =>
    native().backward(
      outputs.map((tensor) => tensor.handle),
      gradients.map((tensor) => tensor.handle),
    ),
  );
}

/** Gradients of the inputs for given gradients of the outputs; null for an input that was not used. Frees the graph. */
export function gradients(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  outputGradients: readonly Tensor[],
): (Tensor | null)[] {
  const handles = guard('compute gradients', outputs, () =>
    native().gradients(
      outputs.map((tensor) => tensor.handle),
      inputs.map((tensor) => tensor.handle),
      outputGradients.map((tensor) => tensor.handle),
    ),
  );
  return handles.map((handle) => (handle === null ? null : new Tensor(handle)));
}
