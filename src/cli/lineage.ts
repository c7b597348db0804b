/**
 * @file The lineage of one pair: where each text came from, how it was scored, and which of them were chosen and
 * rejected.
 */

import type { RawAnswer } from '../rank/services.ts';
import type { PairLineage, RankingRecord, ResponseRecord } from '../store/ledger-rows.ts';
import type { Prompt } from '../text/rendering.ts';
import { formatNumber, indented, printable } from './format.ts';
import { promptAsText } from './prompts.ts';

/** The lineage as plain data; token ids as a list, raw answers of judges by their key. */
export function lineageJson(
  { pair, responses, rankings }: PairLineage,
  prompt: Prompt | null,
  answersOf: (key: string) => RawAnswer[],
): Record<string, unknown> {
  const keys = rankings.flatMap(({ judgements = [] }) => judgements.map(({ answerKey }) => answerKey));
  const answers = [...new Set(keys)].flatMap((key) => answersOf(key).map((answer) => ({ key, ...answer })));
  const withIds = responses.map((response) => ({ ...response, tokenIds: Array.from(response.tokenIds) }));
  return { pair, prompt, rankings, responses: withIds, answers };
}

/** The lineage as a page of text, lines cut nowhere: the terminal wraps them. */
export function describeLineage(
  { pair, responses, rankings }: PairLineage,
  prompt: Prompt | null,
  columns: number,
): string {
  const { source } = pair;
  const [sample] = responses;
  const facts: [string, string][] = [
    ['prompt id', pair.promptId],
    ['source', source === null ? 'not recorded' : `${source.file}:${source.line}`],
    ['ranker', pair.rankerId ?? 'none: a pair of the data as it is'],
    [
      'sampler',
      sample === undefined
        ? 'none: nothing was sampled'
        : `weights sha256 ${sample.samplerSha256}, seed ${sample.seed}`,
    ],
  ];
  const parts = [
    `Pair ${pair.pairId} of iteration ${pair.iteration}`,
    ...facts.map(([name, text]) => `  ${name.padEnd(10)} ${text}`),
    block('prompt', promptAsText(prompt), columns),
  ];
  const own = rankings.filter(({ rankerId }) => pair.rankerId === null || rankerId === pair.rankerId);
  if (own.length === 0) parts.push(block('chosen', pair.chosen, columns), block('rejected', pair.rejected, columns));
  for (const ranking of own) parts.push(...describeRanking(ranking, { pair, responses, columns }));
  for (const other of rankings.filter((each) => !own.includes(each))) parts.push('', describeOpinion(other));
  return parts.join('\n');
}

/** The verdict of a ranker that did not make the pair, in one line: candidates best first. */
function describeOpinion({ rankerId, candidates, scores, order, ties, problem }: RankingRecord): string {
  if (problem !== undefined) return `Also asked: ${rankerId}: no verdict: ${problem}`;
  const places = order.map((index) => {
    const score = scores?.[index];
    return `${candidateName(candidates[index])}${score === undefined ? '' : ` (${formatNumber(score)})`}`;
  });
  const named = ties.map((tie) => tie.map((index) => candidateName(candidates[index])).join(' = '));
  return `Also asked: ${rankerId}: ${places.join(' > ')}${named.length === 0 ? '' : `; ties: ${named.join('; ')}`}`;
}

/** What a judge was shown and what it came to, a line an answer. */
function describeJudgements({ candidates, judgements = [] }: RankingRecord): string[] {
  if (judgements.length === 0) return [];
  const lines = judgements.map(({ shown, value, answerKey }) => {
    const names = shown.map((index) => candidateName(candidates[index]));
    const said = value === null ? 'no verdict' : formatNumber(value);
    return `  ${names.join(' shown before ')}: ${said}, answer ${answerKey.slice(0, 12)}`;
  });
  const what = (judgements[0]?.shown.length ?? 0) > 1 ? 'preference for the first shown, 0 to 1' : 'rating';
  return ['', `Answers of the judge (${what}):`, ...lines];
}

/** Every candidate, best first, under a line of its place, score, origin and role. */
function describeRanking(
  ranking: RankingRecord,
  { pair, responses, columns }: Pick<PairLineage, 'pair' | 'responses'> & { columns: number },
): string[] {
  const { candidates, scores, order, ties, problem } = ranking;
  if (problem !== undefined) return [block('no verdict', problem, columns)];
  const named = ties.map((tie) => tie.map((index) => candidateName(candidates[index])).join(' = '));
  // The loop takes the first sample with this text.
  const exploredIndex = candidates.findIndex(({ kind, text }) => kind === 'response' && text === pair.response);
  const blocks = order.map((index, place) => {
    const candidate = candidates[index];
    const score = scores?.[index];
    const is = (from: { kind: string; sampleIndex: number | null }): boolean =>
      candidate?.kind === from.kind && candidate.sampleIndex === from.sampleIndex;
    const roles = [
      ...(is(pair.chosenFrom) ? ['became CHOSEN'] : []),
      ...(is(pair.rejectedFrom) ? ['became REJECTED'] : []),
      ...(index === exploredIndex ? ['is y of the exploration term'] : []),
    ];
    const sample =
      candidate?.kind === 'response'
        ? responses.find(({ sampleIndex }) => sampleIndex === candidate.sampleIndex)
        : undefined;
    const title = [
      `${place + 1}. ${candidateName(candidate)}`,
      ...(score === undefined ? [] : [`score ${formatNumber(score)}`]),
      ...(sample === undefined ? [] : [sampleText(sample)]),
      ...roles,
    ].join(', ');
    return block(title, candidate?.text ?? '', columns);
  });
  return [
    ...blocks,
    ...describeJudgements(ranking),
    '',
    named.length === 0 ? 'No ties' : `Ties: ${named.join('; ')} (the first candidate wins)`,
  ];
}

function candidateName(candidate: { kind: string; sampleIndex: number | null } | undefined): string {
  if (candidate === undefined) return 'unknown';
  if (candidate.kind === 'edit') return 'written by a person';
  return candidate.kind === 'response'
    ? `response ${candidate.sampleIndex ?? 0} of the policy`
    : `${candidate.kind} of the data`;
}

function sampleText({ tokenIds, logProb, finish }: ResponseRecord): string {
  return `${tokenIds.length} tokens, log-probability ${logProb.toFixed(2)}, ${finish === 'stop' ? 'ended by itself' : 'cut at the length limit'}`;
}

function block(title: string, text: string, columns: number): string {
  const rule = '─'.repeat(Math.max(4, Math.min(columns, 100) - title.length - 4));
  return `\n── ${title} ${rule}\n${indented(printable(text), '  ')}`;
}
