/**
 * @file Writes src/torch/ops.ts: one typed function for each operator of native/operators.txt, from the schema that
 * LibTorch itself gives. Run: `npm run generate`. A test checks that the committed file is what this prints.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EngineError } from '../src/errors.ts';
import { packageRoot } from '../src/files/package-root.ts';
import { native } from '../src/torch/native.ts';
import { type Parameter, parseSchema, type Schema } from './operator-schema.ts';

const RESERVED = new Set(['default', 'function', 'in', 'new', 'var', 'with', 'delete', 'this']);

const SCALAR_TYPES: Record<string, string> = {
  Tensor: 'Tensor',
  int: 'number',
  SymInt: 'number',
  float: 'number',
  Scalar: 'number | boolean',
  bool: 'boolean',
  str: 'string',
  Device: 'string',
  ScalarType: 'Dtype',
  Layout: 'number',
  MemoryFormat: 'number',
  Generator: 'null',
};

function typescriptType(type: string, parameter: string): string {
  if (type.endsWith('?')) return `${typescriptType(type.slice(0, -1), parameter)} | null`;
  if (type.endsWith('[]')) {
    const element = typescriptType(type.slice(0, -2), parameter);
    return `readonly ${element.includes('|') ? `(${element})` : element}[]`;
  }
  if (type === 'int' && parameter === 'dtype') return 'Dtype';
  const known = SCALAR_TYPES[type];
  if (known === undefined) throw new Error(`No TypeScript type for ${type}`);
  return known;
}

export function camel(name: string): string {
  const parts = name.split('_');
  const joined = parts.map((part, i) => (i === 0 ? part : part.slice(0, 1).toUpperCase() + part.slice(1))).join('');
  return RESERVED.has(joined) ? `${joined}_` : joined;
}

function isDtype(parameter: Parameter): boolean {
  return typescriptType(parameter.type, parameter.name).includes('Dtype');
}

function resultOf(returns: string[], call: string): { type: string; body: string } {
  const one = (type: string, value: string): { type: string; body: string } => {
    if (type === 'Tensor') return { type: 'Tensor', body: `asTensor(${value})` };
    if (type === 'Tensor[]') return { type: 'Tensor[]', body: `asTensors(${value})` };
    if (type === 'bool') return { type: 'boolean', body: `${value} as boolean` };
    return { type: 'number', body: `${value} as number` };
  };
  if (returns.length === 0) return { type: 'void', body: call };
  if (returns.length === 1) {
    const { type, body } = one(returns[0] ?? '', call);
    return { type, body: `return ${body}` };
  }
  const elements = returns.map((type, i) => one(type, `result[${i}]`));
  return {
    type: `[${elements.map((element) => element.type).join(', ')}]`,
    body: `const result = ${call} as NativeValue[];\n  return [${elements.map((element) => element.body).join(', ')}]`,
  };
}

/** The function of ops.ts for an operator: at::_ops' name, or our own in camelCase. */
export function wrapperName(schema: Schema): string {
  const base = schema.name.split('::')[1] ?? schema.name;
  if (!schema.name.startsWith('selm::')) return base + (schema.overload ? `_${schema.overload}` : '');
  return camel(base).replace(/_$/, '') + (base.endsWith('_') ? '_' : '');
}

function wrapper(schema: Schema): string {
  const name = wrapperName(schema);
  const required = schema.parameters.filter((parameter) => !parameter.optional);
  const optional = schema.parameters.filter((parameter) => parameter.optional && parameter.type !== 'Generator?');
  const declared = required.map(
    (parameter) => `${camel(parameter.name)}: ${typescriptType(parameter.type, parameter.name)}`,
  );
  if (optional.length > 0) {
    const fields = optional.map(
      (parameter) => `${camel(parameter.name)}?: ${typescriptType(parameter.type, parameter.name)} | undefined`,
    );
    declared.push(`options: { ${fields.join('; ')} } = {}`);
  }
  const passed = schema.parameters.map((parameter) => {
    if (parameter.type === 'Generator?') return 'undefined';
    const value = parameter.optional ? `options.${camel(parameter.name)}` : camel(parameter.name);
    return isDtype(parameter) ? `code(${value})` : value;
  });
  const { type, body } = resultOf(schema.returns, `invoke(${[`op_${name}`, ...passed].join(', ')})`);
  return `const op_${name} = operator('${schema.name}', '${schema.overload}');
/** \`${schema.text}\` */
export function ${name}(${declared.join(', ')}): ${type} {
  ${body};
}
`;
}

/** The whole text of ops.ts for the operators listed in native/operators.txt. */
export function generateOperators(): string {
  const names = readFileSync(join(packageRoot, 'native', 'operators.txt'), 'utf8')
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
  const wrappers = names.map((line) => {
    const [name = '', overload = ''] = line.split('.');
    const index = native().resolve(name, overload);
    if (index < 0)
      throw new EngineError('OPERATOR_UNKNOWN', `Cannot generate a wrapper: LibTorch has no operator ${line}`);
    return wrapper(parseSchema(native().schema(index)));
  });
  return `/**
 * @file Typed wrappers of LibTorch's operators (named as in at::_ops) and of our own kernels. Generated from their schemas
 * by scripts/generate-operators.ts; do not edit. More than 500 lines because it is one list.
 */
import { type Dtype, dtypeCode } from './dtype.ts';
import { asTensor, asTensors, invoke, operator } from './invoke.ts';
import type { NativeValue } from './native.ts';
import type { Tensor } from './tensor.ts';

function code(dtype: Dtype | null | undefined): number | null | undefined {
  return typeof dtype === 'string' ? dtypeCode(dtype) : dtype;
}

${wrappers.join('\n')}`;
}

/** The generated text as the formatter leaves it. */
export function formattedOperators(): string {
  return execFileSync(
    join(packageRoot, 'node_modules', '.bin', 'biome'),
    ['format', '--stdin-file-path=src/torch/ops.ts'],
    {
      input: generateOperators(),
      encoding: 'utf8',
      cwd: packageRoot,
    },
  );
}

if (process.argv[1]?.endsWith('generate-operators.ts')) {
  writeFileSync(join(packageRoot, 'src', 'torch', 'ops.ts'), formattedOperators());
}
