/**
 * @file Every wrapped operator against PyTorch: values, in-place effects, and gradients, from fixtures that
 * scripts/fixtures/operators.py made. Calls go through the generated wrappers of src/torch/ops.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { camel, formattedOperators, wrapperName } from '../scripts/generate-operators.ts';
import { parseSchema } from '../scripts/operator-schema.ts';
import { DEFAULT_VERSION } from '../src/engine/locate.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { readSafetensorsHeader } from '../src/files/safetensors.ts';
import { backward, gradientOf, noGrad, requireGrad } from '../src/torch/autograd.ts';
import type { Dtype } from '../src/torch/dtype.ts';
import { mapFile, mappedTensor } from '../src/torch/mapped-file.ts';
import { engineVersion, minorVersion } from '../src/torch/native.ts';
import * as ops from '../src/torch/ops.ts';
import { scope, Tensor, toBytes, toFloat32Array } from '../src/torch/tensor.ts';

const folder = join(packageRoot, 'test', 'fixtures', 'operators');

type Argument =
  | null
  | { tensor: string; transpose?: unknown }
  | { tensors: (string | null)[] }
  | { scalar: number | boolean | string }
  | { ints: number[] }
  | { dtype: Dtype }
  | { string: string }
  | { file: string };
interface Case {
  operator: string;
  overload: string;
  arguments: Argument[];
  outputs: (string | number | boolean)[];
  weights?: (string | null)[];
  gradients?: Record<string, string>;
  mutated?: Record<string, string>;
  shapeOnly?: boolean;
  tolerance: number;
  gradientTolerance?: number;
}

const { cases } = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as { cases: Case[] };
const schemas = JSON.parse(readFileSync(join(folder, 'schemas.json'), 'utf8')) as {
  schemas?: Record<string, string>;
} & Record<string, string>;
const schemaOf = (name: string): string => (schemas.schemas ?? schemas)[name] ?? '';
const header = readSafetensorsHeader(join(folder, 'cases.safetensors'));
const DTYPES: Record<string, Dtype> = {
  F32: 'float32',
  F64: 'float64',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};

function stored(file: Tensor, name: string): Tensor {
  const entry = header.tensors.get(name);
  if (entry === undefined) throw new Error(`No tensor ${name} in the fixture`);
  const dtype = DTYPES[entry.dtype] ?? 'float32';
  if (entry.begin === entry.end) return ops.empty_memory_format(entry.shape, { dtype });
  // A copy: the fixture may be mutated by the operator, and may lie at an odd offset.
  const bytes = noGrad(() =>
    ops.clone(
      mappedTensor(file, {
        begin: header.dataOffset + entry.begin,
        end: header.dataOffset + entry.end,
        dtype: 'uint8',
        shape: [entry.end - entry.begin],
      }),
    ),
  );
  return mappedTensor(bytes, { begin: 0, end: entry.end - entry.begin, dtype, shape: entry.shape });
}

const FLOATS: Dtype[] = ['float32', 'float64', 'float16', 'bfloat16'];

function expectClose(actual: Tensor, expected: Tensor, tolerance: number): void {
  expect(actual.dtype).toBe(expected.dtype);
  expect(actual.shape).toEqual(expected.shape);
  if (!FLOATS.includes(actual.dtype) || tolerance === 0) {
    expect(Buffer.from(toBytes(actual)).equals(Buffer.from(toBytes(expected)))).toBe(true);
    return;
  }
  const a = toFloat32Array(noGrad(() => ops.to_dtype(actual, 'float32')));
  const b = toFloat32Array(noGrad(() => ops.to_dtype(expected, 'float32')));
  b.forEach((value, i) => {
    const got = a[i] ?? Number.NaN;
    const near = Object.is(got, value) || Math.abs(got - value) <= tolerance * Math.max(1, Math.abs(value));
    expect(near, `element ${i}: ${got}, PyTorch has ${value}`).toBe(true);
  });
}

function number(value: number | boolean | string): number | boolean {
  return typeof value === 'string'
    ? value === 'inf'
      ? Number.POSITIVE_INFINITY
      : value === '-inf'
        ? Number.NEGATIVE_INFINITY
        : Number.NaN
    : value;
}

/** Calls the wrapper with arguments given in schema order. */
function callWrapper(each: Case, values: unknown[]): unknown {
  const schema = parseSchema(schemaOf(`aten::${each.operator}${each.overload ? `.${each.overload}` : ''}`));
  const wrapper = (ops as unknown as Record<string, (...args: unknown[]) => unknown>)[wrapperName(schema)];
  if (wrapper === undefined) throw new Error(`No wrapper ${wrapperName(schema)}`);
  const positional: unknown[] = [];
  const options: Record<string, unknown> = {};
  schema.parameters.forEach((parameter, i) => {
    if (!parameter.optional) positional.push(values[i]);
    else if (i < values.length) options[camel(parameter.name)] = values[i];
  });
  return schema.parameters.some((parameter) => parameter.optional)
    ? wrapper(...positional, options)
    : wrapper(...positional);
}

function run(each: Case): void {
  const file = mapFile(join(folder, 'cases.safetensors'));
  const inputs = new Map<string, Tensor>();
  const leaves = new Map<string, Tensor>();
  const tensor = (name: string): Tensor => {
    const known = inputs.get(name);
    if (known !== undefined) return known;
    const value = stored(file, name);
    let used = value;
    if (each.gradients !== undefined && name in each.gradients) {
      leaves.set(name, requireGrad(value));
      // An in-place operator must not write to a leaf.
      if (each.mutated !== undefined && name in each.mutated) used = ops.clone(value);
    }
    inputs.set(name, used);
    return used;
  };
  const values = each.arguments.map((argument) => {
    if (argument === null) return null;
    if ('tensor' in argument) {
      const value = tensor(argument.tensor);
      if (argument.transpose === undefined) return value;
      const [a = 0, b = 1] = Array.isArray(argument.transpose) ? (argument.transpose as number[]) : [];
      return ops.transpose_int(value, a, b);
    }
    if ('tensors' in argument) return argument.tensors.map((name) => (name === null ? null : tensor(name)));
    if ('ints' in argument) return argument.ints;
    if ('dtype' in argument) return argument.dtype;
    if ('string' in argument) return argument.string;
    if ('file' in argument) return join(folder, argument.file);
    return number(argument.scalar);
  });
  const raw = callWrapper(each, values);
  const outputs = raw === undefined ? [] : Array.isArray(raw) ? raw : [raw];
  expect(outputs.length).toBe(each.outputs.length);
  outputs.forEach((output, i) => {
    const expected = each.outputs[i];
    if (typeof expected !== 'string') expect(output).toBe(expected);
    else if (each.shapeOnly) expect((output as Tensor).shape).toEqual(stored(file, expected).shape);
    else expectClose(output as Tensor, stored(file, expected), each.tolerance);
  });
  for (const [name, after] of Object.entries(each.mutated ?? {}))
    expectClose(tensor(name), stored(file, after), each.tolerance);
  if (each.gradients === undefined) return;
  const weighted = outputs.flatMap((output, i) => {
    const weight = each.weights?.[i];
    return output instanceof Tensor && typeof weight === 'string' ? [{ output, weight: stored(file, weight) }] : [];
  });
  backward(
    weighted.map(({ output }) => output),
    weighted.map(({ weight }) => weight),
  );
  for (const [name, expected] of Object.entries(each.gradients)) {
    const leaf = leaves.get(name);
    const gradient = leaf === undefined ? null : gradientOf(leaf);
    expect(gradient, `gradient of ${name}`).not.toBeNull();
    if (gradient !== null) expectClose(gradient, stored(file, expected), each.gradientTolerance ?? each.tolerance);
  }
}

describe('every operator agrees with PyTorch', () => {
  const byOperator = new Map<string, Case[]>();
  for (const each of cases) {
    const name = `${each.operator}${each.overload ? `.${each.overload}` : ''}`;
    byOperator.set(name, [...(byOperator.get(name) ?? []), each]);
  }
  it.each([...byOperator])('%s', (_, own) => {
    for (const each of own) scope('case', () => run(each));
  });

  it('has a case for each operator of the list', () => {
    const listed = readFileSync(join(packageRoot, 'native', 'operators.txt'), 'utf8')
      .split('\n')
      .map((line) => line.replace(/#.*/, '').trim())
      .filter((line) => line.startsWith('aten::'))
      .map((line) => line.slice('aten::'.length));
    expect(listed.filter((name) => !byOperator.has(name))).toEqual([]);
  });
});

describe('src/torch/ops.ts', () => {
  // Schemas change from version to version, and the text is formatted by biome, which a machine with a GPU may lack.
  const isPrintable =
    minorVersion(engineVersion()) === minorVersion(DEFAULT_VERSION) &&
    existsSync(join(packageRoot, 'node_modules', '.bin', 'biome'));
  it.skipIf(!isPrintable)('is what the generator prints for this LibTorch', () => {
    expect(readFileSync(join(packageRoot, 'src', 'torch', 'ops.ts'), 'utf8')).toBe(formattedOperators());
  });
});
