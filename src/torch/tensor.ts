/**
 * @file Tensors and scopes. A tensor is a handle to native memory, which the garbage collector does not see: so every
 * tensor belongs to the scope that was open when it was made, and is freed when that scope ends, unless it is returned.
 */
import { OutOfMemoryError, TensorError, TensorFreedError } from '../errors.ts';
import { type Dtype, dtypeBytes, dtypeCode, dtypeName } from './dtype.ts';
import { type Handle, native } from './native.ts';
import { readFailedAllocation } from './out-of-memory.ts';

class Scope {
  readonly name: string;
  readonly tensors: Tensor[] = [];
  constructor(name: string) {
    this.name = name;
  }
}

const open: Scope[] = [];

/** A tensor. Freed by its scope, by `dispose()`, or by `using`; used after that, it throws TensorFreedError. */
export class Tensor {
  #handle: Handle;
  #freedBy = '';
  #shape: readonly number[] | null = null;
  #dtype: Dtype | null = null;
  #device = '';

  /** Only for this folder: takes ownership of a native handle and gives it to the open scope. */
  constructor(handle: Handle) {
    this.#handle = handle;
    open.at(-1)?.tensors.push(this);
  }

  /** The native handle; TensorFreedError after the tensor was freed. */
  get handle(): Handle {
    if (this.#handle === 0) {
      throw new TensorFreedError(
        'TENSOR_FREED',
        `Cannot use a tensor ${this.#seen()}: it was freed by ${this.#freedBy}`,
      );
    }
    return this.#handle;
  }

  get isFreed(): boolean {
    return this.#handle === 0;
  }

  get shape(): readonly number[] {
    this.#describe();
    return this.#shape ?? [];
  }

  get dtype(): Dtype {
    this.#describe();
    return this.#dtype ?? 'float32';
  }

  /** `cpu`, `cuda:0` ... */
  get device(): string {
    this.#describe();
    return this.#device;
  }

  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, length) => product * length, 1);
  }

  /** Frees the native memory now. Freeing twice does nothing. */
  dispose(by = 'dispose()'): void {
    if (this.#handle === 0) return;
    native().free(this.#handle);
    this.#handle = 0;
    this.#freedBy = by;
  }

  [Symbol.dispose](): void {
    this.dispose('the end of its `using` block');
  }

  #describe(): void {
    if (this.#shape !== null) return;
    const [code, device, ...shape] = native().describe(this.handle);
    this.#dtype = dtypeName(code);
    this.#device = device;
    this.#shape = shape;
  }

  #seen(): string {
    return this.#shape === null ? '' : `of shape [${this.#shape}]`;
  }
}

/** Frees every tensor made in `body` but those it returns (in arrays, Maps and plain objects too). */
export function scope<T>(name: string, body: () => T): T {
  const own = new Scope(name);
  open.push(own);
  let kept = new Set<Tensor>();
  try {
    const result = body();
    if (result instanceof Promise) {
      throw new TensorError(
        'SCOPE_ASYNC',
        `Cannot end scope "${name}": its body returned a promise, and a scope must not stay open across await: take out of it what must live (outlive)`,
      );
    }
    kept = tensorsIn(result);
    return result;
  } finally {
    const at = open.lastIndexOf(own);
    open.splice(at, open.length - at);
    const outer = open.at(-1);
    for (const tensor of own.tensors) {
      if (!kept.has(tensor)) tensor.dispose(`scope "${name}"`);
      else outer?.tensors.push(tensor);
    }
  }
}

/** Runs `body`; all tensors that it makes live until they are freed together: for work that goes on across await. */
export function hold<T>(name: string, body: () => T): { result: T; free(): void } {
  const own = new Scope(name);
  const free = (): void => {
    for (const tensor of own.tensors) tensor.dispose(`the end of ${name}`);
  };
  open.push(own);
  try {
    return { result: body(), free };
  } catch (error) {
    free();
    throw error;
  } finally {
    const at = open.lastIndexOf(own);
    open.splice(at, open.length - at);
  }
}

/** Takes a tensor (or all tensors of a structure) out of the open scopes: whoever calls this must free it. */
export function outlive<T>(value: T): T {
  const kept = tensorsIn(value);
  for (const each of open) {
    for (let i = each.tensors.length - 1; i >= 0; i--) {
      const tensor = each.tensors[i];
      if (tensor !== undefined && kept.has(tensor)) each.tensors.splice(i, 1);
    }
  }
  return value;
}

/** Frees every tensor of a structure. */
export function disposeAll(value: unknown): void {
  for (const tensor of tensorsIn(value)) tensor.dispose();
}

function tensorsIn(value: unknown, found = new Set<Tensor>(), depth = 0): Set<Tensor> {
  if (value instanceof Tensor) found.add(value);
  else if (depth > 8 || value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return found;
  else if (Array.isArray(value)) for (const element of value) tensorsIn(element, found, depth + 1);
  else if (value instanceof Map || value instanceof Set)
    for (const element of value.values()) tensorsIn(element, found, depth + 1);
  else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const element of Object.values(value)) tensorsIn(element, found, depth + 1);
  }
  return found;
}

/** Typed arrays that a tensor can be made of. */
export type NumericArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Int16Array
  | Int8Array;

/** Where a tensor is made. */
export interface Placement {
  /** @default one dimension of all elements */
  shape?: readonly number[];
  /** `cpu`, `cuda`, `cuda:1` ... @default 'cpu' */
  device?: string | undefined;
}

/** A tensor holding a copy of the array's bytes; the array's byte length must be that of the shape and type. */
export function tensorFrom(array: NumericArray, shape: readonly number[], dtype: Dtype, device = 'cpu'): Tensor {
  const { buffer, byteOffset, byteLength } = array;
  return guard(
    'create a tensor',
    [],
    () => new Tensor(native().fromBytes(buffer, byteOffset, byteLength, shape, dtypeCode(dtype), device)),
  );
}

/** An fp32 tensor of plain numbers. */
export function float32(values: readonly number[], { shape = [values.length], device }: Placement = {}): Tensor {
  return tensorFrom(Float32Array.from(values), shape, 'float32', device);
}

/** An int64 tensor of plain integers (exact below 2^53). Throws TensorError OPERATOR_FAILED for what is none. */
export function int64(values: ArrayLike<number>, { shape = [values.length], device }: Placement = {}): Tensor {
  return tensorFrom(integerWords(values), shape, 'int64', device);
}

/** The low and the high word of each integer: a tenth of the time that a BigInt of each takes, in every pass of sampling. */
function integerWords(values: ArrayLike<number>): Int32Array {
  const words = new Int32Array(2 * values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? Number.NaN;
    if (!Number.isSafeInteger(value)) {
      throw new TensorError('OPERATOR_FAILED', `Cannot make an int64 tensor of ${value}: round it, or use float32`);
    }
    words[2 * i] = value; // modulo 2^32
    words[2 * i + 1] = Math.floor(value / 2 ** 32);
  }
  return words;
}

/** The tensor's bytes in row-major order. */
export function toBytes(tensor: Tensor): Uint8Array {
  const bytes = new Uint8Array(tensor.size * dtypeBytes(tensor.dtype));
  guard('read a tensor', [tensor], () => native().toBytes(tensor.handle, bytes.buffer, 0));
  return bytes;
}

/** Copies of tensors on their way to the host. */
export interface Fetch {
  /** The copies, on the CPU and in the open scope; waits until they are there. Once only. */
  read(): Tensor[];
  /** For copies that nobody will read. */
  dispose(): void;
}

/**
 * Begins to copy tensors of one device to the host, after all that the device was asked before. Nothing waits until the copies are read;
 * the tensors may be freed, or changed, at once.
 */
export function fetchLater(tensors: readonly Tensor[]): Fetch {
  const doing = 'copy tensors to the host';
  const fetch = guard(doing, tensors, () => native().fetchLater(tensors.map(({ handle }) => handle)));
  return {
    read: () => guard(doing, [], () => native().fetched(fetch)).map((handle) => new Tensor(handle)),
    dispose: () => void native().dropFetch(fetch),
  };
}

/** The elements of a float32 tensor. */
export function toFloat32Array(tensor: Tensor): Float32Array {
  return new Float32Array(expectType(tensor, 'float32').buffer);
}

/** The elements of a float64 tensor. */
export function toFloat64Array(tensor: Tensor): Float64Array {
  return new Float64Array(expectType(tensor, 'float64').buffer);
}

/** The elements of an int64 tensor as numbers (exact below 2^53). */
export function toIntegers(tensor: Tensor): number[] {
  return Array.from(new BigInt64Array(expectType(tensor, 'int64').buffer), Number);
}

function expectType(tensor: Tensor, dtype: Dtype): Uint8Array {
  if (tensor.dtype !== dtype) {
    throw new TensorError('DTYPE_MISMATCH', `Cannot read a ${tensor.dtype} tensor as ${dtype}: convert it first`);
  }
  return toBytes(tensor);
}

/** Operands that an error describes: a decoder's blocks have hundreds. */
const MOST_SHOWN = 12;

function describeOperand(tensor: Tensor): string {
  return tensor.isFreed ? 'a freed tensor' : `${tensor.dtype}[${tensor.shape}]`;
}

/** Runs a native call; its exceptions become TensorError, TensorFreedError or OutOfMemoryError with the operands' shapes. */
export function guard<T>(doing: string, operands: readonly Tensor[], body: () => T): T {
  try {
    return body();
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause)) throw cause;
    if (cause.code === 'SELM_TENSOR_FREED') {
      throw new TensorFreedError('TENSOR_FREED', `Cannot ${doing}: a tensor was freed`, { cause });
    }
    if (cause.code === 'SELM_OUT_OF_MEMORY') {
      const { requestedBytes, device, freeBytes } = readFailedAllocation(cause.message);
      const [, nowBytes, peakBytes] = native().statistics();
      const state = freeBytes === null ? `${nowBytes} bytes are in use` : `${device} has ${freeBytes} bytes free`;
      throw new OutOfMemoryError(
        'OUT_OF_MEMORY',
        `Cannot ${doing}: no memory for ${requestedBytes} bytes more, ${state}: lower training.microBatchTokens or sampling.batchSize, which a run in progress goes on with`,
        { cause, details: { requestedBytes, nowBytes, peakBytes, device } },
      );
    }
    if (cause.code === 'SELM_OPERATOR' || cause.code === 'SELM_NATIVE_ARGUMENT') {
      const shown = operands.slice(0, MOST_SHOWN).map(describeOperand);
      const shapes = [...shown, ...(operands.length > MOST_SHOWN ? [`${operands.length - MOST_SHOWN} more`] : [])].join(
        ', ',
      );
      throw new TensorError('OPERATOR_FAILED', `Cannot ${doing} on (${shapes}): ${cause.message.split('\n')[0]}`, {
        cause,
      });
    }
    throw cause;
  }
}
