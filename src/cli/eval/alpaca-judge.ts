/**
 * @file The work of `selm eval alpaca --judge`: outputs of a model (sampled, or from a file) beside the baseline's, judged as
 * alpaca_eval's weighted annotator does: one question a pair, in its order, one token with its log-probabilities.
 */
import { writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import type { Annotations } from '../../evaluate/alpaca/annotations.ts';
import {
  annotationRows,
  annotationsOfJudged,
  type JudgedPair,
  judgeOutputs,
  matchOutputs,
  readOutputs,
} from '../../evaluate/alpaca/judged.ts';
import { readResultFile } from '../../evaluate/records.ts';
import { createFile } from '../../files/new-file.ts';
import { localFiles } from '../../hub/local.ts';
import { UsageError } from '../errors.ts';
import { hubAccess } from '../hub.ts';
import type { EvalAlpacaOptions } from './alpaca.ts';
import { openEvalJudge } from './judge.ts';
import { openOutputModel } from './outputs.ts';
import type { Listening } from './stop.ts';

/** The leaderboard's baseline, and where its outputs are on the Hub. */
const BASELINE = 'gpt4_1106_preview';
const BASELINE_HUB_NAME =
  'hub:tatsu-lab/alpaca_eval@2edc6fad8be6b14ea7230aabfd08188da6b8b814:alpaca_eval_gpt4_baseline.json';

/** Annotations of a model by a judge. Throws UsageError, JudgeError (its answers are kept in --answers), or InterruptedError. */
export async function judgedAnnotations(
  model: string | undefined,
  options: EvalAlpacaOptions & { judge: string },
  { signal, say }: Listening,
): Promise<Annotations> {
  if ((model === undefined) === (options.outputs === undefined)) {
    throw new UsageError('Give a model to sample from, or --outputs FILE with its outputs, one of the two');
  }
  // AlpacaEval's own settings; --set changes them.
  const ask = { kind: 'pairwise', read: 'log-probabilities', orders: 'alpaca-eval' };
  const judges = openEvalJudge(options, { signal, say });
  try {
    const judge = await judges.open({ temperature: 1, maxTokens: 1, ask });
    const [file = ''] =
      options.reference === undefined ? await localFiles([BASELINE_HUB_NAME], hubAccess()) : [options.reference];
    const baseline = readOutputs(await readResultFile(file));
    if (baseline.length === 0)
      throw new UsageError(`${file} has no instructions: its rows need instruction and output`);
    const instructions = baseline.map(({ instruction }) => instruction);
    const outputs =
      options.outputs === undefined
        ? await sampledOutputs(model ?? '', instructions, options, { signal, say })
        : readOutputs(await readResultFile(options.outputs));
    const { pairs, missing, unknown } = matchOutputs(baseline, outputs);
    if (unknown > 0) say(`${unknown} outputs are to no instruction of the baseline and are left out`);
    const judged: JudgedPair[] = [];
    for await (const each of judgeOutputs(pairs, judge)) {
      signal.throwIfAborted();
      judged.push(each);
    }
    const name =
      model === undefined ? basename(options.outputs ?? '', extname(options.outputs ?? '')) : basename(model);
    const rows = annotationRows(judged, { model: name, baseline: BASELINE, annotator: judge.id });
    if (options.writeAnnotations !== undefined) await writeJson(options.writeAnnotations, rows);
    return annotationsOfJudged(judged, { model: name, missing });
  } finally {
    await judges.close();
  }
}

/** A user's message each, or a text to go on with where the model has no chat template. */
async function sampledOutputs(
  model: string,
  instructions: readonly string[],
  options: EvalAlpacaOptions,
  { signal, say }: Listening,
): Promise<{ instruction: string; output: string | null }[]> {
  const answering = await openOutputModel(model, { store: options.store, signal });
  try {
    const outputs = await answering.sample(instructions.map(answering.asPrompt), options);
    say(`${answering.counts.kept} of ${instructions.length} outputs were kept from before`);
    return instructions.map((instruction, i) => ({ instruction, output: outputs[i] ?? null }));
  } finally {
    answering.dispose();
  }
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await createFile(path, async (temporary) => writeFileSync(temporary, `${JSON.stringify(value, null, 1)}\n`));
}
