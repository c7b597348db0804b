/**
 * @file What an adapter's file may hold beside factors of the blocks' matrices, and why that is not run here. PEFT saves the
 * whole embedding and head with an adapter when they were trained, or when the vocabulary was resized, or when asked.
 */
import { equal, to_dtype } from '../../torch/ops.ts';
import type { Tensor } from '../../torch/tensor.ts';
import type { ModelConfig } from '../config.ts';
import { EMBEDDING, headName, weightOf } from '../weights.ts';

/** What an adapter is for. */
export interface BaseModel {
  config: ModelConfig;
  weights: ReadonlyMap<string, Tensor>;
}

const WHOLE = /\.(embed_tokens|lm_head)\.(?:base_layer\.|modules_to_save\.)?weight$/;
const ONLY_BLOCKS = 'only adapters of the matrices in the blocks are computed here';
const FIX = 'merge it in Python (PEFT: merge_and_unload, save_pretrained) and give the merged model';

/** What is wrong with a tensor that is no factor of the base's blocks, as the rest of a sentence; null where it changes nothing. */
export function foreignProblem(name: string, tensor: Tensor | null, { config, weights }: BaseModel): string | null {
  const [, whole] = WHOLE.exec(name) ?? [];
  if (whole !== undefined) {
    const own = weightOf(weights, whole === 'lm_head' ? headName(config) : EMBEDDING);
    if (tensor !== null && isSame(tensor, own)) return null;
    const differs =
      tensor !== null && tensor.shape.join() !== own.shape.join()
        ? `of shape [${tensor.shape}] where the base has [${own.shape}] (a resized vocabulary)`
        : "that differs from the base's (save_embedding_layers or modules_to_save of PEFT)";
    return `is a whole ${whole} ${differs}, and ${ONLY_BLOCKS}: ${FIX}`;
  }
  if (/\.lora_embedding_[AB]\b/.test(name)) return `belongs to LoRA on an embedding, and ${ONLY_BLOCKS}: ${FIX}`;
  if (/\.lm_head\.lora_[AB]\./.test(name)) return `belongs to LoRA on the head, and ${ONLY_BLOCKS}: ${FIX}`;
  if (name.includes('.lora_magnitude_vector')) return `belongs to DoRA, which is not computed here: ${FIX}`;
  if (/\.bias$/.test(name)) return `is a bias that was trained with the adapter, which is not computed here: ${FIX}`;
  return 'has no place in a LoRA adapter of this base model';
}

function isSame(a: Tensor, b: Tensor): boolean {
  return a.shape.join() === b.shape.join() && equal(to_dtype(a, 'float32'), to_dtype(b, 'float32'));
}
