/**
 * @file Models with a head of one score on a sequence (`...ForSequenceClassification` with one label), in Hugging Face
 * layout: DeBERTa-v2/v3 and RoBERTa here, every decoder in decoder-classifier.ts.
 */
import { noGrad } from '../../torch/autograd.ts';
import { gelu, linear, tanh, to_dtype } from '../../torch/ops.ts';
import { disposeAll, scope, type Tensor, toFloat32Array } from '../../torch/tensor.ts';
import { readConfigFile, refuseField, textField } from '../config-file.ts';
import { debertaShapes, openDeberta } from '../encoder/deberta.ts';
import { normaliseDebertaConfig } from '../encoder/deberta-config.ts';
import { addLinear, type Encoder, encodeRows } from '../encoder/encoder.ts';
import { type Computation, weightsFor } from '../encoder/encoder-weights.ts';
import { normaliseRobertaConfig, openRoberta, robertaShapes } from '../encoder/roberta.ts';
import { openWeights } from '../weight-files.ts';
import { openDecoderClassifier } from './decoder-classifier.ts';
import { type Classifier, type ClassifierFamily, checkScoreHead } from './score-head.ts';

/** Opens what a directory holds. ModelError for another architecture, another head or none, and weights that do not fit. */
export function openClassifier(directory: string, computation: Computation): Classifier {
  const { path, value } = readConfigFile(directory);
  switch (textField(value, 'model_type')) {
    case 'deberta-v2':
      return openDebertaClassifier(directory, { value, path, computation });
    case 'roberta':
    case 'xlm-roberta':
      return openRobertaClassifier(directory, { value, path, computation });
    default:
      return openDecoderClassifier(directory, computation);
  }
}

interface ConfigOf {
  value: unknown;
  path: string;
  computation: Computation;
}

function openDebertaClassifier(directory: string, { value, path, computation }: ConfigOf): Classifier {
  const config = normaliseDebertaConfig(value, path);
  const act = textField(value, 'pooler_hidden_act') ?? 'gelu';
  if (act !== 'gelu') refuseField(path, { field: 'pooler_hidden_act', value: act, allowed: 'gelu' });
  checkScoreHead(directory, 'classifier.weight');
  const shapes = debertaShapes(config);
  addLinear(shapes, 'pooler.dense', [config.hiddenSize, config.hiddenSize]);
  addLinear(shapes, 'classifier', [1, config.hiddenSize]);
  const stored = openWeights(directory, {
    model: 'a DeBERTa classifier',
    expected: shapes,
    nameOf: (name) => bareName(name, 'deberta.'),
  });
  return encoderClassifier('deberta', config.maxTokens, {
    stored,
    device: computation.device,
    encoder: openDeberta(config, stored, computation),
    layers: { inner: 'pooler.dense', outer: 'classifier', activation: gelu },
  });
}

function openRobertaClassifier(directory: string, { value, path, computation }: ConfigOf): Classifier {
  const config = normaliseRobertaConfig(value, path);
  checkScoreHead(directory, 'classifier.out_proj.weight');
  const shapes = robertaShapes(config);
  addLinear(shapes, 'classifier.dense', [config.hiddenSize, config.hiddenSize]);
  addLinear(shapes, 'classifier.out_proj', [1, config.hiddenSize]);
  const stored = openWeights(directory, {
    model: 'a RoBERTa classifier',
    expected: shapes,
    // The pooler of the encoder alone: its classifier has a layer of its own.
    nameOf: (name) => (name.startsWith('roberta.pooler.') ? null : bareName(name, 'roberta.')),
  });
  return encoderClassifier('roberta', config.maxTokens, {
    stored,
    device: computation.device,
    encoder: openRoberta(config, stored, computation),
    layers: { inner: 'classifier.dense', outer: 'classifier.out_proj', activation: tanh },
  });
}

/** The first token's hidden state through two layers, the head in float32. */
function encoderClassifier(
  family: ClassifierFamily,
  maxTokens: number,
  parts: {
    stored: ReadonlyMap<string, Tensor>;
    device: string | undefined;
    encoder: Encoder & { dispose(): void };
    layers: { inner: string; outer: string; activation: (x: Tensor) => Tensor };
  },
): Classifier {
  const { stored, device, encoder, layers } = parts;
  const isHead = (name: string): boolean => name.startsWith(`${layers.inner}.`) || name.startsWith(`${layers.outer}.`);
  const head = weightsFor(new Map([...stored].filter(([name]) => isHead(name))), { dtype: 'float32', device });
  const apply = (x: Tensor, name: string): Tensor => {
    const [weight, bias] = [head.get(`${name}.weight`), head.get(`${name}.bias`)];
    if (weight === undefined || bias === undefined) throw new Error(`No weight ${name}`);
    return linear(x, weight, { bias });
  };
  return {
    family,
    maxTokens,
    scores: (sequences) =>
      scope('score', () => {
        const firsts = sequences.map(() => [0]);
        const hidden_ND = encodeRows(
          encoder,
          sequences.map((ids) => ({ ids })),
          firsts,
        );
        return noGrad(() => {
          const inner_ND = layers.activation(apply(to_dtype(hidden_ND, 'float32'), layers.inner));
          return Array.from(toFloat32Array(apply(inner_ND, layers.outer)));
        });
      }),
    dispose: () => {
      encoder.dispose();
      disposeAll([head, stored]);
    },
  };
}

function bareName(name: string, prefix: string): string | null {
  const bare = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return bare === 'embeddings.position_ids' ? null : bare;
}
