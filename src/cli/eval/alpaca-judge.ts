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
  readBaseline,
  readOutputs,
} from '../../evaluate/alpaca/judged.ts';
import { ALPACA_JUDGE, BASELINE, BASELINE_HUB_NAME, sampleOutputs } from '../../evaluate/alpaca/protocol.ts';
import { readResultFile } from '../../evaluate/records.ts';
import { createFile } from '../../files/new-file.ts';
import { localFiles } from '../../hub/local.ts';
import { UsageError } from '../errors.ts';
import { hubAccess } from '../hub.ts';
import { type EvalJudgeOptions, openEvalJudge } from './judge.ts';
import { type OutputModelOptions, withOutputModel } from './output-model.ts';
import type { SharedListening } from './stop.ts';

/** Options that say whose outputs are judged, how they are sampled, and where the verdicts are kept. */
export interface AlpacaOutputOptions extends OutputModelOptions {
  outputs?: string;
  reference?: string;
  writeAnnotations?: string;
  temperature: number;
  topP: number;
  maxNewTokens: number;
  seed: number;
}

/** Annotations of a model by a judge. Throws UsageError, JudgeError (its answers are kept in --answers), or InterruptedError. */
export async function judgedAnnotations(
  model: string | undefined,
  options: AlpacaOutputOptions & EvalJudgeOptions,
  listening: SharedListening,
): Promise<{ annotations: Annotations; instructions: number }> {
  if ((model === undefined) === (options.outputs === undefined)) {
    throw new UsageError('Give either a model to sample from, or --outputs FILE with its outputs');
  }
  const { signal, say } = listening;
  const judges = openEvalJudge(options, { signal, say });
  try {
    // AlpacaEval's own settings; --set changes them.
    const judge = await judges.open(ALPACA_JUDGE);
    const [file = ''] =
      options.reference === undefined ? await localFiles([BASELINE_HUB_NAME], hubAccess()) : [options.reference];
    const baseline = readBaseline(await readResultFile(file), { path: file, limit: null });
    const instructions = baseline.map(({ instruction }) => instruction);
    const outputs =
      options.outputs === undefined
        ? await sampledOutputs(model ?? '', instructions, options, listening)
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
    return { annotations: annotationsOfJudged(judged, { model: name, missing }), instructions: instructions.length };
  } finally {
    await judges.close();
  }
}

function sampledOutputs(
  model: string,
  instructions: readonly string[],
  options: AlpacaOutputOptions,
  listening: SharedListening,
): ReturnType<typeof sampleOutputs> {
  return withOutputModel(model, options, listening, async (answering) => {
    const outputs = await sampleOutputs(answering, instructions, options);
    listening.say(`${answering.counts.kept} of ${instructions.length} outputs were kept from before`);
    return outputs;
  });
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await createFile(path, async (temporary) => writeFileSync(temporary, `${JSON.stringify(value, null, 1)}\n`));
}
