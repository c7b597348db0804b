/** @file `selm pairs RUN`: the pairs that were trained on, and where each of them comes from (its lineage). */
import { Command } from 'commander';
import { RunError } from '../errors.ts';
import { textLabels } from '../rank/people/labels.ts';
import { peopleFolder, readQuestions } from '../rank/people/questions.ts';
import type { CandidateOrigin, StoredPair } from '../store/ledger-rows.ts';
import type { Prompt } from '../text/rendering.ts';
import { formatNumber, formatTable, oneLine } from './format.ts';
import { describeLineage, lineageJson } from './lineage.ts';
import { wholeNumber } from './numbers.ts';
import { findPrompts, promptAsText } from './prompts.ts';
import { openRunArgument, type ReadableRun, RUN_ARGUMENT } from './run-argument.ts';

export interface PairsOptions {
  iteration?: number;
  limit?: number;
  id?: string;
  json?: true;
  trl?: true;
  labels?: true;
}

/** Pairs listed when no --limit is given. */
const LIMIT = 20;

/** The command. */
export function pairsCommand(): Command {
  return new Command('pairs')
    .description('list the pairs of a run, or show one with all its candidates, scores and origins')
    .argument('<run>', RUN_ARGUMENT)
    .option('--iteration <t>', 'only of this iteration; 0 is a warm start', wholeNumber(0))
    .option('--limit <n>', `how many to list (default: ${LIMIT}, with --json all)`, wholeNumber(1))
    .option('--id <pair>', 'show the whole lineage of this pair; the start of its id is enough')
    .option('--json', 'one line of JSON a pair')
    .option('--trl', "one line of JSON a pair in TRL's form, which data.train and TRL read")
    .option(
      '--labels',
      'responses that people called good or bad, as rows for KTO; also two that were both bad, which make no pair',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ selm pairs quickstart --iteration 1 --limit 5\n  $ selm pairs quickstart --id 4f1c\n  $ selm pairs quickstart --trl > pairs.jsonl\n  $ selm pairs people --labels > labels.jsonl   # for selm sft recipes/kto-labels.yaml',
    )
    .action(async (run: string, options: PairsOptions) => {
      process.stdout.write(`${await pairsText(run, options)}\n`);
    });
}

/** What the command prints. Throws RunError. */
export async function pairsText(name: string, options: PairsOptions): Promise<string> {
  using run = openRunArgument(name);
  if (options.labels) return labelRows(run);
  const all = pairsOf(run, options.iteration);
  if (options.id !== undefined) return await lineageText(run, findPair(all, options.id), options);
  const limit = options.limit ?? (options.json || options.trl ? all.length : LIMIT);
  const pairs = all.slice(0, limit);
  const prompts = await findPrompts(run.ledger, pairs);
  if (options.json)
    return pairs.map((pair) => JSON.stringify({ ...pair, prompt: prompts.get(pair.pairId) ?? null })).join('\n');
  if (options.trl) return pairs.flatMap((pair) => trlRow(pair, prompts.get(pair.pairId) ?? null)).join('\n');
  if (pairs.length === 0) return 'There are no pairs yet';
  const rows = pairs.map((pair) => [
    pair.pairId,
    String(pair.iteration),
    originText(pair.chosenFrom),
    formatNumber(pair.scoreChosen ?? undefined),
    originText(pair.rejectedFrom),
    formatNumber(pair.scoreRejected ?? undefined),
    oneLine(promptAsText(prompts.get(pair.pairId)), 60),
  ]);
  const table = formatTable(['pair', 'iteration', 'chosen', 'score', 'rejected', 'score', 'prompt'], rows);
  const rest = all.length - pairs.length;
  return `${table}${rest > 0 ? `\n... and ${rest} more: --limit ${all.length} lists all` : ''}`;
}

/** A pair as TRL's DPO data have it, a text for a text and messages for messages; none where its prompt is gone. */
function trlRow({ promptId, chosen, rejected }: StoredPair, prompt: Prompt | null): string[] {
  if (prompt === null) return [];
  const answer = (content: string) => answerTo(prompt, content);
  return [
    JSON.stringify({
      prompt_id: promptId,
      prompt: asked(prompt),
      chosen: answer(chosen),
      rejected: answer(rejected),
    }),
  ];
}

function asked(prompt: Prompt): string | object[] {
  return prompt.kind === 'text' ? prompt.text : prompt.messages;
}

function answerTo(prompt: Prompt, content: string): string | object[] {
  return prompt.kind === 'text' ? content : [{ role: 'assistant', content }];
}

/** TRL's unpaired form, a row a text. Throws RunError where nobody answered. */
function labelRows({ ledger, path }: ReadableRun): string {
  const rows = textLabels(readQuestions(peopleFolder(path))).flatMap(({ promptId, text, isGood }) => {
    const prompt = ledger.row(promptId)?.prompt;
    if (prompt === undefined) return [];
    return [JSON.stringify({ prompt: asked(prompt), completion: answerTo(prompt, text), label: isGood })];
  });
  if (rows.length > 0) return rows.join('\n');
  throw new RunError(
    'LABELS_MISSING',
    `Cannot list labels of "${path}": nobody has called a text of it good or bad: let people rank (ranker: {kind: people}), and answer in \`selm studio\``,
  );
}

async function lineageText(run: ReadableRun, pair: StoredPair, { json }: PairsOptions): Promise<string> {
  const lineage = run.ledger.pairLineage(pair.pairId);
  if (lineage === null) throw new Error(`No lineage of pair ${pair.pairId}`);
  const prompt = (await findPrompts(run.ledger, [pair])).get(pair.pairId) ?? null;
  return json
    ? JSON.stringify(lineageJson(lineage, prompt, (key) => run.ledger.answers.all(key)))
    : describeLineage(lineage, prompt, process.stdout.columns ?? 100);
}

function pairsOf({ ledger, config }: ReadableRun, iteration: number | undefined): StoredPair[] {
  const { iterations } = config.recipe;
  if (iteration === undefined) return Array.from({ length: iterations + 1 }, (_, t) => ledger.pairs(t)).flat();
  if (iteration <= iterations) return ledger.pairs(iteration);
  throw new RunError(
    'ITERATION_MISSING',
    `Cannot list pairs of iteration ${iteration}: the run has ${iterations}: give 0 to ${iterations}`,
  );
}

function findPair(pairs: readonly StoredPair[], id: string): StoredPair {
  const found = pairs.filter(({ pairId }) => pairId.startsWith(id));
  const [pair] = found;
  if (pair !== undefined && found.length === 1) return pair;
  const reason = pair === undefined ? 'the run has none with that id' : `${found.length} ids begin so`;
  const ids = (pair === undefined ? pairs : found).slice(0, 3).map(({ pairId }) => pairId);
  const fix = pair === undefined ? '`selm pairs` without --id lists them' : 'give more of it';
  throw new RunError(
    'PAIR_UNKNOWN',
    `Cannot show pair "${id}": ${reason} (there are ${ids.join(', ') || 'no pairs'} ...): ${fix}`,
    {
      details: { id },
    },
  );
}

/** `response 0`, `chosen`, `rejected`: which candidate a text was. */
export function originText({ kind, sampleIndex }: CandidateOrigin): string {
  return sampleIndex === null ? kind : `${kind} ${sampleIndex}`;
}
