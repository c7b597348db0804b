/**
 * @file The child of io.test.ts: does one piece of durable work again and again, each time with another call failing, and
 * prints what it saw as one line of JSON. Usage: child.ts SCENARIO FOLDER, where faults happen in FOLDER/faulty only.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SelmError } from '../../src/errors.ts';
import { commitDirectory, verifyDirectory } from '../../src/files/atomic.ts';
import { packageRoot } from '../../src/files/package-root.ts';
import { Database } from '../../src/files/sqlite.ts';
import { writeModelFiles } from '../../src/model/save.ts';
import { FINAL_NORM, weightOf } from '../../src/model/weights.ts';
import { openPolicy, type Policy } from '../../src/score/policy.ts';
import { type Ledger, openLedger } from '../../src/store/ledger.ts';
import { noGrad } from '../../src/torch/autograd.ts';
import { memoryStatistics } from '../../src/torch/memory.ts';
import { fill__Scalar } from '../../src/torch/ops.ts';
import { scope, toFloat32Array } from '../../src/torch/tensor.ts';
import { restoreCheckpoint, saveCheckpoint } from '../../src/train/checkpoint.ts';
import { openOptimiser } from '../../src/train/optimiser.ts';
import { smallConfig, smallWeights } from '../support/small-model.ts';
import { type Fault, faultPlan } from './fail-io.ts';

/** What the parent expects of a walk. */
export interface WalkReport {
  /** Failures met: as many as there are calls, for each kind of fault. */
  failures: number;
  /** Codes of the errors, with how often each came. */
  codes: Record<string, number>;
  /** Everything that should not have happened. */
  problems: string[];
}

/** One piece of work to walk over. */
interface Work {
  /** Puts the old state in place. */
  reset(): Promise<void> | void;
  /** What may fail. */
  attempt(): Promise<void> | void;
  /** Looks at what is left, without faults; says what is wrong. */
  inspect(): Promise<string | null> | string | null;
}

/** A disk that turns read-only fails as a full one does, with other words: a seventh of the calls shows those. */
const KINDS: readonly (Pick<Fault, 'after' | 'code'> & { stride: number })[] = [
  { after: 'once', code: 'EIO', stride: 1 },
  { after: 'always', code: 'ENOSPC', stride: 1 },
  { after: 'always', code: 'EROFS', stride: 7 },
];

/** Fails the first call of the work, then the second ..., until it goes through; for each kind of fault. */
async function walk(work: Work): Promise<WalkReport> {
  const plan = faultPlan();
  const report: WalkReport = { failures: 0, codes: {}, problems: [] };
  for (const kind of KINDS) {
    for (let call = 1; ; call += kind.stride) {
      const problem = (text: string): void => void report.problems.push(`${kind.after} ${kind.code} ${call}: ${text}`);
      await work.reset();
      plan.arm({ ...kind, call });
      let error: unknown = null;
      try {
        await work.attempt();
      } catch (caught) {
        error = caught;
      }
      const calls = plan.disarm();
      const wrong = await work.inspect();
      if (wrong !== null) problem(wrong);
      if (error !== null) {
        report.failures += 1;
        const code = error instanceof SelmError ? error.code : 'NOT_OURS';
        report.codes[code] = (report.codes[code] ?? 0) + 1;
        const complaint = complaintAbout(error, kind.code);
        if (complaint !== null) problem(complaint);
      }
      if (calls < call) break;
      if (call > 2000) throw new Error('The work never goes through');
    }
  }
  return report;
}

/** What an error of a full or read-only disk must say. */
function complaintAbout(error: unknown, code: Fault['code']): string | null {
  if (!(error instanceof SelmError)) return `not an error of this package: ${String(error)}`;
  const must = { EIO: /^Cannot /, ENOSPC: /is full: .*free.*: free space there/, EROFS: /read-only: choose another/ };
  return must[code].test(error.message) ? null : `it does not say what to do: ${error.message}`;
}

const config = smallConfig();

/** A policy whose final norm says which version of the weights it is. */
function policyOf(version: number): Policy {
  const weights = smallWeights(config);
  const policy = openPolicy({ config, weights }, { dtype: 'float32', purpose: 'train' });
  for (const weight of weights.values()) weight.dispose();
  setVersion(policy, version);
  return policy;
}

function setVersion(policy: Policy, version: number): void {
  scope('set version', () => noGrad(() => void fill__Scalar(weightOf(policy.masters, FINAL_NORM), version)));
}

function versionOf(policy: Policy): number {
  return toFloat32Array(weightOf(policy.masters, FINAL_NORM))[0] ?? Number.NaN;
}

/** The second checkpoint of a training: afterwards the first or the second loads, with its own weights. */
async function checkpointWork(folder: string): Promise<Work> {
  const policy = policyOf(1);
  const optimiser = openOptimiser(policy);
  const reader = policyOf(0);
  const readerState = openOptimiser(reader);
  const pristine = join(folder, 'pristine');
  const faulty = join(folder, 'faulty', 'checkpoints');
  for (const step of [1, 2]) await saveCheckpoint(pristine, { policy, optimiser, step, plan: 'a' });
  setVersion(policy, 3);
  const live = memoryStatistics().liveTensors;
  return {
    reset: () => copyOver(pristine, faulty),
    attempt: () => saveCheckpoint(faulty, { policy, optimiser, step: 3, plan: 'a' }),
    inspect: async () => {
      if (memoryStatistics().liveTensors !== live) return `${memoryStatistics().liveTensors - live} tensors leaked`;
      setVersion(reader, 0);
      const { step } = await restoreCheckpoint(faulty, { policy: reader, optimiser: readerState, plan: 'a' });
      const expected = step === 3 ? 3 : 1;
      if (step < 2 || versionOf(reader) !== expected) return `step ${step} loads with version ${versionOf(reader)}`;
      await saveCheckpoint(faulty, { policy, optimiser, step: 3, plan: 'a' });
      return null;
    },
  };
}

/** The model of an iteration, in place of one that was there. */
async function modelWork(folder: string): Promise<Work> {
  const policy = policyOf(2);
  const pristine = join(folder, 'pristine');
  const faulty = join(folder, 'faulty', 'iteration-1');
  const base = join(packageRoot, 'assets', 'stories260K');
  const save = async (place: string, version: number): Promise<void> => {
    const { raw } = policy.config;
    await commitDirectory(
      join(place, 'model'),
      (temporary) => writeModelFiles(temporary, { base, raw, weights: policy.masters, dtype: 'float32' }),
      { details: { version } },
    );
  };
  await save(pristine, 1);
  return {
    reset: () => copyOver(pristine, faulty),
    attempt: () => save(faulty, 2),
    inspect: async () => {
      const { details } = await verifyDirectory(join(faulty, 'model'));
      return details.version === 1 || details.version === 2 ? null : `version ${String(details.version)}`;
    },
  };
}

/** Everything that a run writes to its ledger, in order. Each is one transaction. */
const LEDGER_WRITES: readonly ((ledger: Ledger) => void)[] = [
  (ledger) => void ledger.stages.begin(1, 'sample'),
  ...[0, 1, 2].map((sampleIndex) => (ledger: Ledger) => {
    ledger.putResponses([
      {
        iteration: 1,
        promptId: 'p',
        sampleIndex,
        text: 'text '.repeat(2000),
        tokenIds: Int32Array.of(1, 2),
        finish: 'stop',
        logProb: -1,
        samplerSha256: 'aa',
        seed: 1,
      },
    ]);
  }),
  (ledger) => ledger.stages.finish(1, 'sample'),
  (ledger) => {
    const candidates = [0, 1].map((sampleIndex) => ({ kind: 'response' as const, sampleIndex, text: 'x' }));
    ledger.putRanking({
      iteration: 1,
      promptId: 'p',
      rankerId: 'r',
      candidates,
      scores: [1, 2],
      order: [1, 0],
      ties: [],
    });
  },
  (ledger) => {
    const from = { kind: 'response', sampleIndex: 0 } as const;
    const texts = { chosen: 'a', rejected: 'b', response: null, chosenFrom: from, rejectedFrom: from };
    ledger.putPairs([{ pairId: 'q', iteration: 1, promptId: 'p', ...texts }]);
  },
  (ledger) => ledger.putReferenceLogProbs([1, 2, 3].map((key) => ({ key: String(key), logProb: -key }))),
  (ledger) => ledger.putMetric({ iteration: 1, stage: 'train', step: 0, values: { loss: 0.5, lr: 1 } }),
  (ledger) => ledger.putRecord(1, 'pair-counts', { pairs: 1, from: {}, skipped: {}, sharedPlaces: 0 }),
];

/** All rows of all tables. */
function ledgerContent(path: string): string {
  const database = new Database(path, { readonly: true });
  try {
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").pluck().all();
    return JSON.stringify(
      tables.map((table) => database.prepare(`SELECT * FROM "${String(table)}" ORDER BY 1, 2`).all()),
    );
  } finally {
    database.close();
  }
}

/** All writes of a run to its ledger: what returned is there, the write that failed is there whole or not at all. */
function ledgerWork(folder: string): Work {
  const faulty = join(folder, 'faulty');
  const path = join(faulty, 'run.db');
  const clock = (): number => 0;
  const states = LEDGER_WRITES.map((_, index) => {
    const clean = join(folder, `clean-${index}.db`);
    using ledger = openLedger(clean, { clock });
    for (const put of LEDGER_WRITES.slice(0, index + 1)) put(ledger);
    return clean;
  }).map(ledgerContent);
  let acknowledged = 0;
  return {
    reset: () => {
      rmSync(faulty, { recursive: true, force: true });
      mkdirSync(faulty);
      acknowledged = 0;
    },
    attempt: () => {
      using ledger = openLedger(path, { clock });
      for (const put of LEDGER_WRITES) {
        put(ledger);
        acknowledged += 1;
      }
    },
    inspect: () => {
      {
        using ledger = openLedger(path, { clock });
        if (acknowledged === LEDGER_WRITES.length) return null;
        const before = ledgerContent(path);
        const allowed = [states[acknowledged - 1], states[acknowledged]];
        if (acknowledged > 0 && !allowed.includes(before)) return `after ${acknowledged} writes it holds ${before}`;
        // The stage begins once more only where it did not; everything else may be put again.
        for (const put of LEDGER_WRITES.slice(ledger.stages.status(1, 'sample') === 'none' ? 0 : 1)) put(ledger);
      }
      return ledgerContent(path) === states.at(-1) ? null : 'a second attempt ends elsewhere';
    },
  };
}

function copyOver(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}

const SCENARIOS = { checkpoint: checkpointWork, model: modelWork, ledger: ledgerWork };
const [scenario = '', folder = ''] = process.argv.slice(2);
const open = SCENARIOS[scenario as keyof typeof SCENARIOS];
process.stdout.write(`${JSON.stringify(await walk(await open(folder)))}\n`);
