/**
 * @file An adapter's folder in PEFT's layout: adapter_config.json, adapter_model.safetensors, and the name of its base.
 * Wherever selm takes a model folder it also takes such a folder (load.ts), which stands for its base with the adapter.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ModelError } from '../../errors.ts';
import type { WrittenFiles } from '../../files/atomic.ts';
import { readSafetensorsHeader } from '../../files/safetensors.ts';
import { writeSafetensors } from '../../files/safetensors-write.ts';
import { noGrad } from '../../torch/autograd.ts';
import { mapFile } from '../../torch/mapped-file.ts';
import { clone, to_dtype } from '../../torch/ops.ts';
import { outlive, scope, type Tensor } from '../../torch/tensor.ts';
import type { ModelConfig } from '../config.ts';
import { checkFinite } from '../finite.ts';
import { copyCompanions, tensorEntries, type WeightInParts, wholeWeight } from '../save.ts';
import { checkShape, openTensor } from '../weight-files.ts';
import { ADAPTER_CONFIG, formatAdapterConfig, readAdapterConfig } from './adapter-config.ts';
import { baseNameOf, findBase, looksLikeHubName } from './base.ts';
import { type BaseModel, foreignProblem } from './foreign-tensors.ts';
import { type Adapter, type LowRank, loraScale, moduleOf, targetNames, targetShapes } from './lora.ts';

export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';
/** PEFT wraps the model twice; its names carry both. */
const PREFIX = 'base_model.model.';

/** The names of a matrix's factors in adapter_model.safetensors. */
export function factorNames(weight: string, part: ModelConfig['part']): { a: string; b: string } {
  const module = PREFIX + moduleOf(weight, part);
  return { a: `${module}.lora_A.weight`, b: `${module}.lora_B.weight` };
}

/** An adapter's tensors by PEFT's names, in the order of the model. */
export function namedFactors(adapter: Pick<Adapter, 'factors' | 'part'>): Map<string, Tensor> {
  return new Map(
    [...adapter.factors].flatMap(([weight, { a_RI, b_OR }]) => {
      const { a, b } = factorNames(weight, adapter.part);
      return [
        [a, a_RI],
        [b, b_OR],
      ];
    }),
  );
}

/** The adapter with its factors in one piece each, of numbers that lie elsewhere by PEFT's names; they belong to the open scope. */
export function withFactors(adapter: Adapter, stored: ReadonlyMap<string, WeightInParts>): Adapter {
  const whole = (name: string): Tensor => {
    const weight = stored.get(name);
    if (weight === undefined) throw new Error(`No factor ${name}`);
    return wholeWeight(weight);
  };
  const factors = [...adapter.factors.keys()].map((weight): [string, LowRank] => {
    const { a, b } = factorNames(weight, adapter.part);
    return [weight, { a_RI: whole(a), b_OR: whole(b) }];
  });
  return { ...adapter, factors: new Map(factors) };
}

/** Whether a folder holds an adapter; transformers, too, goes by this file. */
export function isAdapterDirectory(directory: string): boolean {
  return existsSync(join(directory, ADAPTER_CONFIG));
}

/**
 * The folder of the whole model: a model folder itself, or the one that an adapter names (base.ts). Its tokenizer and
 * templates are those of the adapter.
 */
export function baseDirectory(directory: string): string {
  if (!isAdapterDirectory(directory)) return directory;
  const path = join(directory, ADAPTER_CONFIG);
  const { base, revision } = readAdapterConfig(directory);
  const refusal = (problem: string): ModelError =>
    new ModelError(
      'ADAPTER_BASE',
      `Cannot load the adapter ${directory}: base_model_name_or_path of ${path} is ${JSON.stringify(base)}, ${problem} set it to the folder of the base model`,
      { details: { file: path, field: 'base_model_name_or_path', base } },
    );
  if (isAdapterDirectory(resolve(base))) throw refusal('which is an adapter itself:');
  const found = findBase({ base, revision }, directory);
  if (found !== null) return found;
  throw refusal(
    looksLikeHubName(base)
      ? `and there is no model folder of that name, nor such a model in the Hub's cache: fetch it (selm generate hub:${base} --prompt Hello), or`
      : 'and there is no model folder of that name:',
  );
}

/**
 * Reads an adapter of a model; its factors are fp32 copies. A whole embedding or head beside them is passed over where it
 * equals the base's. Throws ModelError with the file and the field or tensor.
 */
export function readAdapter(directory: string, { config, weights }: BaseModel): Adapter {
  const { rank, alpha, rankStabilised } = readAdapterConfig(directory);
  const header = readSafetensorsHeader(join(directory, ADAPTER_WEIGHTS));
  const shapes = targetShapes(config, 'all-linear');
  const known = new Set([...shapes.keys()].flatMap((weight) => Object.values(factorNames(weight, config.part))));
  const factors = outlive(
    scope('read an adapter', () =>
      noGrad(() => {
        const file = mapFile(header.path);
        const open = (name: string): Tensor | null => {
          const entry = header.tensors.get(name);
          return entry === undefined ? null : openTensor(name, { ...entry, file: header }, file);
        };
        for (const name of header.tensors.keys()) {
          const problem = known.has(name) ? null : foreignProblem(name, open(name), { config, weights });
          if (problem !== null) throw badTensor(header.path, name, problem);
        }
        const read = (name: string, shape: readonly number[]): Tensor => {
          const [entry, tensor] = [header.tensors.get(name), open(name)];
          if (entry === undefined || tensor === null)
            throw badTensor(header.path, name, 'is missing, and its other factor is there');
          checkShape(name, { ...entry, file: header }, { shape, by: `${ADAPTER_CONFIG} and the base model` });
          checkFinite(name, tensor, header.path);
          return clone(to_dtype(tensor, 'float32'));
        };
        return new Map(
          [...shapes].flatMap(([weight, [outputs, inputs]]) => {
            const { a, b } = factorNames(weight, config.part);
            if (!header.tensors.has(a) && !header.tensors.has(b)) return [];
            return [[weight, { a_RI: read(a, [rank, inputs]), b_OR: read(b, [outputs, rank]) }]];
          }),
        );
      }),
    ),
  );
  const scale = loraScale({ rank, alpha, rankStabilised });
  return { rank, alpha, rankStabilised, scale, part: config.part, factors };
}

function badTensor(path: string, tensor: string, problem: string): ModelError {
  return new ModelError('ADAPTER_WEIGHTS', `Cannot load ${path}: tensor ${tensor} ${problem}`, {
    details: { file: path, tensor },
  });
}

/**
 * Fills `directory` (which exists) with an adapter as PEFT saves it, and the base's tokenizer files. The caller makes it
 * durable and gives it its name (files/atomic.ts).
 */
export function writeAdapterFiles(
  directory: string,
  {
    adapter,
    factors = namedFactors(adapter),
    config,
    base,
  }: {
    adapter: Adapter;
    /** Its numbers by PEFT's names, where they lie elsewhere. @default those of `adapter` */
    factors?: ReadonlyMap<string, Tensor | WeightInParts>;
    config: ModelConfig;
    base: string;
  },
): WrittenFiles {
  const targets = targetNames(config, adapter.factors.keys());
  writeFileSync(
    join(directory, ADAPTER_CONFIG),
    formatAdapterConfig({ ...adapter, ...baseNameOf(base, directory), targets }),
  );
  const entries = tensorEntries(factors, { dtype: 'float32' });
  const digest = writeSafetensors(join(directory, ADAPTER_WEIGHTS), entries, [['format', 'pt']]);
  copyCompanions(base, directory);
  return new Map([[ADAPTER_WEIGHTS, digest]]);
}
