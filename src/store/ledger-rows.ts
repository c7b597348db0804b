/** @file The rows of a ledger as typed records, and how each is kept in its columns. */
import type { PairLabel } from '../objective/soft-label.ts';
import type { CandidateKind, Judgement } from '../rank/ranker.ts';

/** Which candidate a text was: a sample of the policy, or one of the data's pair. */
export interface CandidateOrigin {
  kind: CandidateKind;
  sampleIndex: number | null;
}

/** One response of the policy. */
export interface ResponseRecord {
  iteration: number;
  promptId: string;
  sampleIndex: number;
  text: string;
  tokenIds: Int32Array;
  finish: 'stop' | 'length';
  /** Summed log-probability under the sampler. */
  logProb: number;
  /** Of the weights that sampled it. */
  samplerSha256: string;
  seed: number;
}

/** One verdict. */
export interface RankingRecord {
  iteration: number;
  promptId: string;
  rankerId: string;
  candidates: readonly (CandidateOrigin & { text: string })[];
  /** Higher is better, in order of the candidates; null when the ranker gives only an order. */
  scores: readonly number[] | null;
  /** Indices of candidates, best first. */
  order: readonly number[];
  /** Groups of indices that share a place. */
  ties: readonly (readonly number[])[];
  /** Why there is no verdict, when there is none. */
  problem?: string;
  /** The answers that it was made from, where the ranker asked for some. */
  judgements?: readonly Judgement[];
}

/** One pair to train on. */
export interface PairRecord {
  pairId: string;
  iteration: number;
  promptId: string;
  chosen: string;
  rejected: string;
  /** The policy's response for the exploration term. */
  response: string | null;
  chosenFrom: CandidateOrigin;
  rejectedFrom: CandidateOrigin;
  /** Null (or absent) for a pair that comes from the data as it is. */
  rankerId?: string | null;
  scoreChosen?: number | null;
  scoreRejected?: number | null;
  /** How sure the chosen is better, and how much the pair counts. Null (or absent): certain, and as any other. */
  label?: PairLabel | null;
  /** Where the row is in the data. */
  source?: { file: string; line: number } | null;
}

/** A pair as it is read back: every field present. */
export type StoredPair = Required<PairRecord>;

/** Numbers of one step. */
export interface MetricRecord {
  iteration: number;
  stage: string;
  step: number;
  values: Readonly<Record<string, number>>;
}

/** Numbers as read back, with the attempt that measured them. */
export interface StoredMetric extends MetricRecord {
  attempt: number;
}

/** Everything known about a pair. */
export interface PairLineage {
  pair: StoredPair;
  /** Responses of the policy to its prompt in its iteration, by sample index. */
  responses: ResponseRecord[];
  /** Verdicts on its prompt in its iteration. */
  rankings: RankingRecord[];
}

/** One answer of a model to a held-out prompt. */
export interface HeldOutResponse {
  /** Of the weights that answered. */
  samplerSha256: string;
  /** Hash of how it was sampled. */
  settings: string;
  promptId: string;
  sampleIndex: number;
  /** Up to a stop text. */
  text: string;
  /** Tokens of the text, without an end token. */
  length: number;
  /** All that was sampled: with the end token, and with what a stop text cut off. */
  tokenIds: Int32Array;
  finish: 'stop' | 'length';
  /** Summed log-probability of `tokenIds` under the sampler. */
  logProb: number;
}

/** How a stage stands. `waiting`: for people or another program; the run goes on when it is started again. */
export type StageStatus = 'none' | 'running' | 'waiting' | 'finished' | 'failed';

/** A stage of a run, as far as it got. */
export interface StageRecord {
  iteration: number;
  stage: string;
  status: Exclude<StageStatus, 'none'>;
  attempt: number;
  startedAt: string;
  finishedAt: string | null;
  /** Of its last finished attempt. */
  seconds: number | null;
  /** Why it failed. */
  error: { code: string; message: string } | null;
}

/** Prompts and responses that were too long for a ranker and lost a part before it judged. */
export interface CutCounts {
  prompts: number;
  responses: number;
}

/** A row as SQLite gives it. */
export type Row = Record<string, unknown>;

/** A row of `responses` or of `held_out_responses`. */
export function toResponse<Kind extends ResponseRecord | HeldOutResponse>(row: Row): Kind {
  return { ...(row as unknown as Kind), tokenIds: int32Array(row.tokenIds as Uint8Array) };
}

/** A row of `stages`. */
export function toStage(row: Row): StageRecord {
  return { ...(row as unknown as StageRecord), error: parseJson(row.error) as StageRecord['error'] };
}

/** A row of `rankings`. */
export function toRanking(row: Row): RankingRecord {
  const { iteration, promptId, rankerId } = row as unknown as RankingRecord;
  return {
    iteration,
    promptId,
    rankerId,
    candidates: parseJson(row.candidates) as RankingRecord['candidates'],
    scores: parseJson(row.scores) as RankingRecord['scores'],
    order: parseJson(row.order) as RankingRecord['order'],
    ties: parseJson(row.ties) as RankingRecord['ties'],
    ...(row.problem === null ? {} : { problem: String(row.problem) }),
    // Absent in a file of version 1 that is open for reading.
    ...(typeof row.judgements === 'string' ? { judgements: parseJson(row.judgements) as Judgement[] } : {}),
  };
}

/** A row of `pairs`. */
export function toPair({ probability, weight, ...row }: Row): StoredPair {
  return {
    ...(row as unknown as StoredPair),
    // Absent in a file of version 4 that is open for reading.
    label: typeof probability === 'number' ? { probability, weight: Number(weight) } : null,
    chosenFrom: parseJson(row.chosenFrom) as CandidateOrigin,
    rejectedFrom: parseJson(row.rejectedFrom) as CandidateOrigin,
    source: parseJson(row.source) as StoredPair['source'],
  };
}

/** Rows of `metrics`, one number each, as one record a step and attempt. */
export function toMetrics(rows: readonly Row[]): StoredMetric[] {
  const found = new Map<string, StoredMetric & { values: Record<string, number> }>();
  for (const row of rows) {
    const { iteration, stage, step, attempt } = row as unknown as StoredMetric;
    const key = `${iteration}/${stage}/${step}/${attempt}`;
    const record = found.get(key) ?? { iteration, stage, step, attempt, values: {} };
    record.values[String(row.name)] = row.value === null ? Number.NaN : Number(row.value);
    found.set(key, record);
  }
  return [...found.values()];
}

/** Which candidate a text was, as a column. */
export function originText({ kind, sampleIndex }: CandidateOrigin): string {
  return JSON.stringify({ kind, sampleIndex });
}

/** Columns written by this file only; the file was checked when it was opened. */
export function parseJson(text: unknown): unknown {
  return text === null ? null : JSON.parse(String(text));
}

/** Token ids as a column: little-endian int32. */
export function int32Bytes(ids: Int32Array): Buffer {
  const bytes = Buffer.alloc(ids.length * 4);
  ids.forEach((id, index) => {
    bytes.writeInt32LE(id, index * 4);
  });
  return bytes;
}

function int32Array(bytes: Uint8Array): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Int32Array.from({ length: bytes.byteLength / 4 }, (_, index) => view.getInt32(index * 4, true));
}
