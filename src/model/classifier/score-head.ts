/** @file What every model with a head of one score is to its user, and the check that a directory has such a head. */
import { ModelError } from '../../errors.ts';
import { safetensorsIndex } from '../../files/safetensors-index.ts';

/** How a family joins a prompt and a response. */
export type ClassifierFamily = 'decoder' | 'deberta' | 'roberta';

/** A scored sequence model, open. */
export interface Classifier {
  family: ClassifierFamily;
  /** Tokens of the longest sequence that it is made for. */
  maxTokens: number;
  /** One score a sequence; all run as one stream. What sequences share from their start, a decoder computes once. */
  scores(sequences: readonly (readonly number[])[]): number[];
  dispose(): void;
}

/** The head must be there, and give one score. */
export function checkScoreHead(directory: string, name: string): void {
  const tensor = safetensorsIndex(directory).tensors.get(name);
  if (tensor === undefined) {
    throw new ModelError(
      'MODEL_HEAD_MISSING',
      `Cannot use ${directory} as a reward model: it has no tensor ${name}: give a model with a sequence-classification head (...ForSequenceClassification)`,
      { details: { file: directory, tensor: name } },
    );
  }
  const [labels = 0] = tensor.shape;
  if (labels !== 1) {
    throw new ModelError(
      'MODEL_UNSUPPORTED',
      `Cannot use ${directory} as a reward model: ${name} gives ${labels} numbers a text, a reward model gives one (num_labels 1)`,
      { details: { file: directory, tensor: name } },
    );
  }
}
