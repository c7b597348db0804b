/**
 * @file A model's matrices as sampling multiplies with them: packed in panels, and matrices with the same input joined, so
 * that queries, keys and values are one product, and so are both inputs of the gate.
 */
import { type Adapter, mergedWeight } from '../model/adapter/lora.ts';
import type { ModelConfig } from '../model/config.ts';
import { biasName, blockNames, EMBEDDING, expectedWeights, weightOf } from '../model/weights.ts';
import { cat, packRows, to_dtype, zeros } from '../torch/ops.ts';
import { scope, type Tensor } from '../torch/tensor.ts';

/** One matrix [O, I], or several one after the other. */
export interface PackedMatrix {
  /** As native `pack_rows` lays them out. */
  panels: Tensor;
  /** Rows of each. */
  outputs: readonly number[];
  /** Biases of all, fp32; null where none has one. */
  bias: Tensor | null;
}

/** Packs every matrix that sampling multiplies with. Joined ones are found under the name of the first. */
export function packMatrices(
  { config, weights, adapter }: { config: ModelConfig; weights: ReadonlyMap<string, Tensor>; adapter: Adapter | null },
  dtype: 'float32' | 'bfloat16',
): Map<string, PackedMatrix> {
  const joined = Array.from({ length: config.layers }, (_, layer) => joinedNames(config, layer)).flat();
  const inside = new Set(joined.flat());
  const alone = [...expectedWeights(config)]
    .filter(([name, shape]) => shape.length === 2 && !inside.has(name) && (name !== EMBEDDING || config.tiedHead))
    .map(([name]) => [name]);
  const packed = (names: readonly string[]): Tensor[] => {
    const parts = names.map((name) => mergedWeight(name, weightOf(weights, name), adapter));
    // fp32 products widen bf16 weights as they read them. Joined parts need one type: an adapter widens only those it changes.
    const areAlike = parts.every((part) => part.dtype === parts[0]?.dtype);
    if (dtype === 'float32' && areAlike) return parts.map((part) => packRows(part));
    return parts.map((part) => packRows(to_dtype(part, dtype)));
  };
  return new Map(
    [...joined, ...alone].map((names) => [
      names[0] ?? '',
      scope('pack', () => ({
        panels: joinedRows(packed(names)),
        outputs: names.map((name) => weightOf(weights, name).shape[0] ?? 0),
        bias: biasOf(weights, names),
      })),
    ]),
  );
}

/** Names of a block's matrices that have the same input. */
function joinedNames(config: ModelConfig, layer: number): string[][] {
  const { queryKeyValue, gateUp } = blockNames(config, layer);
  return [
    ...(queryKeyValue.kind === 'separate' ? [[queryKeyValue.query, queryKeyValue.key, queryKeyValue.value]] : []),
    ...(gateUp.kind === 'separate' && !config.biases.mlp ? [[gateUp.gate, gateUp.up]] : []),
  ];
}

function joinedRows(parts: readonly Tensor[]): Tensor {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : cat(parts);
}

function biasOf(weights: ReadonlyMap<string, Tensor>, names: readonly string[]): Tensor | null {
  const biases = names.map((name) => weights.get(biasName(name)));
  if (biases.every((bias) => bias === undefined)) return null;
  return joinedRows(
    names.map((name, i) => {
      const bias = biases[i];
      return bias === undefined
        ? zeros([weightOf(weights, name).shape[0] ?? 0], { device: weightOf(weights, name).device })
        : to_dtype(bias, 'float32', { copy: true });
    }),
  );
}
