/**
 * @file The work of `selm eval alpaca --judge`: outputs of a model (sampled, or from a file) beside the baseline's, judged as
 * alpaca_eval's weighted annotator does: one question a pair, in its order, one token with its log-probabilities.
 */
import { writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import type { Annotations } from '../evaluate/alpaca/annotations.ts';
import {
  annotationRows,
  annotationsOfJudged,
  type JudgedPair,
  judgeOutputs,
  matchOutputs,
  readOutputs,
} from '../evaluate/alpaca/judged.ts';
import { readResultFile } from '../evaluate/records.ts';
import { createFile } from '../files/new-file.ts';
import { localFiles } from '../hub/local.ts';
import { openAnswerFile } from '../rank/answer-file.ts';
import { openRanker } from '../rank/open.ts';
import { memoryAnswers } from '../rank/services.ts';
import { loadRanker } from '../recipe/load.ts';
import { UsageError } from './errors.ts';
import type { EvalAlpacaOptions } from './eval-alpaca.ts';
import { sampledOutputs } from './eval-outputs.ts';
import { hubAccess } from './hub.ts';

/** The leaderboard's baseline, and where its outputs are on the Hub. */
const BASELINE = 'gpt4_1106_preview';
const BASELINE_HUB_NAME =
  'hub:tatsu-lab/alpaca_eval@2edc6fad8be6b14ea7230aabfd08188da6b8b814:alpaca_eval_gpt4_baseline.json';

/** What is said and when it ends. */
export interface Listening {
  signal: AbortSignal;
  say: (text: string) => void;
}

/** Annotations of a model by a judge. Throws UsageError, JudgeError (its answers are kept in --answers), or InterruptedError. */
export async function judgedAnnotations(
  model: string | undefined,
  options: EvalAlpacaOptions & { judge: string },
  { signal, say }: Listening,
): Promise<Annotations> {
  if ((model === undefined) === (options.outputs === undefined)) {
    throw new UsageError('Give a model to sample from, or --outputs FILE with its outputs, one of the two');
  }
  const ranker = await openJudge(options, { signal, say });
  try {
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
    for await (const each of judgeOutputs(pairs, ranker.judge)) {
      signal.throwIfAborted();
      judged.push(each);
    }
    const name =
      model === undefined ? basename(options.outputs ?? '', extname(options.outputs ?? '')) : basename(model);
    const rows = annotationRows(judged, { model: name, baseline: BASELINE, annotator: ranker.judge.id });
    if (options.writeAnnotations !== undefined) await writeJson(options.writeAnnotations, rows);
    return annotationsOfJudged(judged, { model: name, missing });
  } finally {
    await ranker.close();
  }
}

/** AlpacaEval's own settings; `--set` changes them. A pair that the judge does not answer is dropped and named. */
async function openJudge({ judge, set, answers }: EvalAlpacaOptions & { judge: string }, { signal, say }: Listening) {
  const settings = loadRanker(
    {
      kind: 'judge',
      model: judge,
      temperature: 1,
      maxTokens: 1,
      ask: { kind: 'pairwise', read: 'log-probabilities', orders: 'alpaca-eval' },
      onError: 'drop',
    },
    { overrides: set },
  );
  const kept = answers === undefined ? null : openAnswerFile(answers);
  if (kept === null) say('The answers of the judge are not kept: --answers FILE keeps them');
  const store = kept ?? memoryAnswers();
  const services = { answers: () => store, signal, warn: (text: string) => say(`warning: ${text}`) };
  const opened = await openRanker(settings, services);
  return {
    judge: opened,
    async close() {
      await opened.close();
      kept?.close();
    },
  };
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await createFile(path, async (temporary) => writeFileSync(temporary, `${JSON.stringify(value, null, 1)}\n`));
}
