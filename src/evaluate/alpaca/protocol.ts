/** @file AlpacaEval 2 as the leaderboard runs it: its baseline, the judge's settings, and how a model's outputs are sampled. */
import type { OutputModel, OutputSettings } from '../outputs.ts';

/** The leaderboard's baseline, and where its outputs are on the Hub. */
export const BASELINE = 'gpt4_1106_preview';
export const BASELINE_HUB_NAME =
  'hub:tatsu-lab/alpaca_eval@2edc6fad8be6b14ea7230aabfd08188da6b8b814:alpaca_eval_gpt4_baseline.json';

/** The weighted annotator: one question a pair, in alpaca_eval's order, one token with its log-probabilities. */
export const ALPACA_JUDGE = {
  temperature: 1,
  maxTokens: 1,
  ask: { kind: 'pairwise', read: 'log-probabilities', orders: 'alpaca-eval' },
} as const;

/** One output an instruction, a user's message each, or a text to go on with; null where the context leaves no room. */
export async function sampleOutputs(
  model: OutputModel,
  instructions: readonly string[],
  settings: OutputSettings,
): Promise<{ instruction: string; output: string | null }[]> {
  const outputs = await model.sample(instructions.map(model.asPrompt), settings);
  return instructions.map((instruction, i) => ({ instruction, output: outputs[i] ?? null }));
}
