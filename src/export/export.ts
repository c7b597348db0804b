/**
 * @file Exports a model, or an adapter merged into its base, to a folder with a GGUF file for llama.cpp and a Modelfile
 * for Ollama. What llama.cpp would compute otherwise is refused before anything is written.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ModelError } from '../errors.ts';
import { commitDirectory } from '../files/atomic.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { mergedWeight } from '../model/adapter/lora.ts';
import { modelName } from '../model/card.ts';
import { loadModel, type Model } from '../model/load.ts';
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';
import { noGrad } from '../torch/autograd.ts';
import { add_Scalar, contiguous, to_dtype, transpose_int, view } from '../torch/ops.ts';
import { scope, type Tensor, tensorFrom } from '../torch/tensor.ts';
import { type LlamaCppModel, llamaCppModel, type TensorSource, type WeightChange } from './architecture.ts';
import {
  type GgufMetadata,
  type GgufTensor,
  type GgufTensorType,
  type GgufValue,
  ggufBytes,
  Q8_BLOCK,
  writeGguf,
} from './gguf.ts';
import { modelfile } from './modelfile.ts';
import { ggufData } from './quantise.ts';
import { tokenizerMetadata } from './tokenizer.ts';

/** llama.cpp's numbers for what most of a file's weights are. */
const FILE_TYPES: Record<GgufTensorType, number> = { f32: 0, f16: 1, bf16: 32, q8_0: 7 };

/** What was written. */
export interface Exported {
  ggufPath: string;
  modelfilePath: string;
  bytes: number;
  /** Longest context in which llama.cpp computes the same, in tokens. */
  contextLength: number;
  /** Matrices that are fp16 in a q8_0 file, because their rows are no multiple of 32. */
  unquantised: number;
}

/** Writes the new folder `out`. Throws ModelError or TextError EXPORT_UNSUPPORTED, ModelError OUTPUT_EXISTS, FileError. */
export async function exportGguf(directory: string, out: string, type: GgufTensorType): Promise<Exported> {
  if (existsSync(out)) {
    throw new ModelError('OUTPUT_EXISTS', `Cannot export to ${out}: it already exists: name a new folder`, {
      details: { file: out },
    });
  }
  const model = loadModel(directory);
  try {
    const target = llamaCppModel(model.config);
    const tokenizer = loadTokenizer(baseDirectory(directory));
    const { vocabularySize } = model.config;
    const text = tokenizerMetadata(tokenizer, { name: basename(modelName(directory)), vocabularySize });
    const metadata = new Map([...generalMetadata(type), ...target.metadata, ...text]);
    const tensors = ggufTensors(model, target, type);
    const name = `model-${type}.gguf`;
    const instructions = modelfile(tokenizer, { gguf: name, stops: stopTexts(metadata, tokenizer) });
    const bytes = tensors.reduce((sum, tensor) => sum + ggufBytes(tensor), 0);
    const fill = (temporary: string): void => {
      noGrad(() => writeGguf(join(temporary, name), { metadata, tensors }));
      writeFileSync(join(temporary, 'Modelfile'), instructions);
    };
    await commitDirectory(out, fill, { bytesNeeded: bytes });
    return {
      ggufPath: join(out, name),
      modelfilePath: join(out, 'Modelfile'),
      bytes,
      contextLength: target.contextLength,
      unquantised: type === 'q8_0' ? tensors.filter((tensor) => tensor.type === 'f16').length : 0,
    };
  } finally {
    model.dispose();
  }
}

function generalMetadata(type: GgufTensorType): [string, GgufValue][] {
  return [
    ['general.type', { type: 'string', value: 'model' }],
    ['general.file_type', { type: 'uint32', value: FILE_TYPES[type] }],
    ...(type === 'q8_0' ? [['general.quantization_version', { type: 'uint32', value: 2 }] as [string, GgufValue]] : []),
  ];
}

/** The tensors of a file: matrices in `type`, vectors in fp32. */
export function ggufTensors(
  model: Pick<Model, 'weights' | 'adapter'>,
  { tensors, ropeDivisors }: Pick<LlamaCppModel, 'tensors' | 'ropeDivisors'>,
  type: GgufTensorType,
): GgufTensor[] {
  const written = tensors.map((source): GgufTensor => {
    const own = typeOf(source, type);
    const bytes = (): Uint8Array =>
      scope(`export ${source.name}`, () => {
        const weight = model.weights.get(source.weight);
        if (weight === undefined) throw new Error(`No weight ${source.weight}`);
        return ggufData(changed(mergedWeight(source.weight, weight, model.adapter), source.change), own);
      });
    return { name: source.name, type: own, shape: source.shape, bytes };
  });
  if (ropeDivisors === null) return written;
  const shape = [ropeDivisors.length];
  const bytes = (): Uint8Array =>
    scope('export rope', () => ggufData(tensorFrom(ropeDivisors, shape, 'float32'), 'f32'));
  return [...written, { name: 'rope_freqs.weight', type: 'f32', shape, bytes }];
}

function typeOf({ shape }: TensorSource, type: GgufTensorType): GgufTensorType {
  const [, inputs] = shape;
  if (inputs === undefined) return 'f32';
  return type === 'q8_0' && inputs % Q8_BLOCK !== 0 ? 'f16' : type;
}

function changed(weight: Tensor, change: WeightChange): Tensor {
  switch (change.kind) {
    case 'none':
      return weight;
    case 'add-one':
      return add_Scalar(to_dtype(weight, 'float32'), 1);
    case 'pair-rows': {
      // [heads, half, pair, inputs] to [heads, pair, half, inputs]: rows i and i + d / 2 of a head become neighbours.
      const [rows = 0, ...inputs] = weight.shape;
      const split = view(contiguous(weight), [change.heads, 2, rows / change.heads / 2, ...inputs]);
      return view(contiguous(transpose_int(split, 1, 2)), weight.shape);
    }
  }
}

/** Texts of the tokens that end an answer. */
function stopTexts(metadata: GgufMetadata, { stopIds }: Pick<Tokenizer, 'stopIds'>): string[] {
  const tokens = metadata.get('tokenizer.ggml.tokens');
  return tokens?.type === 'strings' ? stopIds.flatMap((id) => tokens.value[id] ?? []) : [];
}
