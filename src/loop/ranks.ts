/**
 * @file A run on several ranks. Rank 0 runs the program as always, with a team instead of itself alone; the others do the
 * work that it names. Only rank 0 reads data, asks rankers, writes the run's directory and prints.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { InterruptedError, RankLostError, SelmError } from '../errors.ts';
import { sha256Folder } from '../files/hash.ts';
import { packageRoot } from '../files/package-root.ts';
import { sampleFile } from '../files/sampled-file.ts';
import { sampledFingerprint } from '../model/sampled-fingerprint.ts';
import { type LearnedRewardPlace, openLearnedReward, RANK_BY_LEARNED_REWARD } from '../rank/model/learned-reward.ts';
import { RANK_BY_MODEL, type RankerPlace, rankingWork } from '../rank/model/together.ts';
import { openRanker } from '../rank/open.ts';
import { type Ending, follow } from '../ranks/follow.ts';
import { type Identity, type JoinOptions, joinRanks, throwIfEnded } from '../ranks/join.ts';
import type { Place } from '../ranks/place.ts';
import { openTeam, type SharedWork, type Team } from '../ranks/team.ts';
import { differences } from '../store/differences.ts';
import { loadTokenizer, type Tokenizer } from '../text/tokenizer/tokenizer.ts';
import type { KeyStore } from '../torch/key-store.ts';
import { engineVersion, minorVersion } from '../torch/native.ts';
import { ncclLibrary } from '../torch/nccl.ts';
import { answeringWork } from './evaluation/benchmark-work.ts';
import { outputWork } from './evaluation/output-work.ts';
import { describingWork } from './stages/describing.ts';
import { samplingWork } from './stages/sampling.ts';
import { scoringWork } from './stages/scoring.ts';
import { trainingWork } from './stages/training-work.ts';
import { verifyingWork } from './stages/verifying.ts';

/** Longest wait for the other ranks, where SELM_RANKS_TIMEOUT (seconds) says nothing. */
const TIMEOUT_S = 600;
/** How often rank 0 looks whether another was asked to stop. */
const STOP_POLL_MS = 100;

/** What all ranks do: the same, where they see one folder, on one kind of device. */
export interface RankedWork {
  /** The recipe, or the options of the command: two ranks that differ in it do not work together. */
  recipe: object;
  /** A folder that all ranks have to see; null where none writes. */
  sharedFolder: string | null;
  device: string;
  /** Folder of the model that it begins with, or its name on the Hub. */
  model: string | null;
  /** Files of its data, or their names on the Hub. */
  data: readonly string[];
}

/** Runs `body` as rank 0, once all ranks are there; afterwards all have left. Throws RanksError, RankLostError. */
export async function leadRun<Outcome>(
  { place, work, say }: { place: Place; work: RankedWork; say: (line: string) => void },
  body: (team: Team) => Promise<Outcome>,
): Promise<Outcome> {
  const membership = await joinRanks(place, joinOptions(work, say));
  const { store, group, local, lost } = membership;
  let ending: Ending = 'failed';
  const heeding = heedOthers(store);
  try {
    const outcome = await body(openTeam(group, store, lost));
    ending = 'finished';
    return outcome;
  } catch (error) {
    if (error instanceof InterruptedError) ending = 'stopped';
    // A rank that ended explains a collective that failed.
    if (error instanceof RankLostError) throwIfEnded(local);
    throw error;
  } finally {
    clearInterval(heeding);
    await membership.leave(ending);
  }
}

/**
 * A rank that its machine asks to stop asks for all: whoever listens in this one hears what it would hear of the signal. Launchers
 * send it to all ranks, so that it may have come here before, or come later: neither is a second one, which would end the process at once.
 */
function heedOthers(store: KeyStore): NodeJS.Timeout {
  let isAsked = false;
  const polling = setInterval(() => {
    store.get('stop').then(
      (asked) => {
        if (asked === null || isAsked) return;
        isAsked = true;
        clearInterval(polling);
        const listeners = process.listeners('SIGTERM');
        if (listeners.length === 0) return; // stops already
        process.once('SIGTERM', () => {});
        for (const listener of listeners) listener('SIGTERM');
      },
      () => {},
    );
  }, STOP_POLL_MS);
  return polling;
}

/** Follows rank 0 to the end of the run, and returns this process's exit code. Throws RanksError, RankLostError. */
export async function followRun(place: Place, work: RankedWork, say: (line: string) => void): Promise<number> {
  const ignored = (): void => {};
  // Signals go to all ranks: rank 0 decides what comes of them.
  process.on('SIGINT', ignored);
  process.on('SIGTERM', ignored);
  const membership = await joinRanks(place, joinOptions(work, say));
  const { store } = membership;
  process.on('SIGTERM', () => void store.set('stop', '').catch(() => {}));
  let ending: Ending = 'failed';
  try {
    ending = await follow(membership, works());
  } finally {
    await membership.leave(ending);
    process.off('SIGINT', ignored);
  }
  return ending === 'finished' ? 0 : ending === 'stopped' ? 143 : 1;
}

/** All that ranks do for rank 0. */
function works(): SharedWork<never, never, unknown>[] {
  const tokenizers = new Map<string, Tokenizer>();
  const tokenizerOf = (directory: string): Tokenizer => {
    const tokenizer = tokenizers.get(directory) ?? loadTokenizer(directory);
    tokenizers.set(directory, tokenizer);
    return tokenizer;
  };
  const services = {
    answers: () => {
      throw new Error('Only rank 0 asks rankers that keep answers');
    },
    signal: undefined,
    warn: () => {},
  };
  return [
    samplingWork(tokenizerOf),
    scoringWork,
    describingWork,
    rankingWork<RankerPlace>(RANK_BY_MODEL, ({ settings, device }) => openRanker(settings, { ...services, device })),
    rankingWork<LearnedRewardPlace>(RANK_BY_LEARNED_REWARD, async ({ directory, tokenizerDirectory, limits, device }) =>
      openLearnedReward(directory, { tokenizer: tokenizerOf(tokenizerDirectory), limits, device }),
    ),
    verifyingWork,
    trainingWork,
    answeringWork,
    outputWork,
  ] as SharedWork<never, never, unknown>[];
}

function joinOptions(
  { recipe, sharedFolder, device, model, data }: RankedWork,
  say: (line: string) => void,
): JoinOptions {
  const seconds = Number(process.env.SELM_RANKS_TIMEOUT ?? TIMEOUT_S);
  if (sharedFolder !== null) mkdirSync(sharedFolder, { recursive: true });
  return {
    identity: {
      code: sha256Folder(join(packageRoot, 'src')),
      libtorch: minorVersion(engineVersion()),
      node: process.versions.node.split('.')[0] ?? '',
      recipe,
      model: fingerprintOf(model),
      data: dataFingerprint(data),
    },
    mismatch,
    sharedFolder,
    ncclLibrary: ncclLibrary(device),
    timeoutMs: (Number.isFinite(seconds) && seconds > 0 ? seconds : TIMEOUT_S) * 1000,
    say,
  };
}

/** Enough of a model to tell it from one of other training, in milliseconds; what is wrong with it, rank 0 says when it reads it. */
function fingerprintOf(model: string | null): string | null {
  if (model === null || !existsSync(model)) return null;
  try {
    return sampledFingerprint(model);
  } catch (error) {
    if (error instanceof SelmError) return null;
    throw error;
  }
}

/** The same of data files; null where one is not here, or cannot be read, which rank 0 says when it reads it. */
export function dataFingerprint(files: readonly string[]): string | null {
  if (files.length === 0) return null;
  const hash = createHash('sha256');
  try {
    for (const path of files) sampleFile(hash, path, { head: 0 });
  } catch {
    return null;
  }
  return hash.digest('hex');
}

/** Why two ranks cannot work on one run. */
export function mismatch(rank0: Identity, other: Identity): string | null {
  if (other.code !== rank0.code) return 'runs another version of selm than rank 0: install the same one everywhere';
  if (other.libtorch !== rank0.libtorch)
    return `runs LibTorch ${other.libtorch} and rank 0 ${rank0.libtorch}: install the same one everywhere`;
  if (other.node !== rank0.node)
    return `runs Node ${other.node} and rank 0 Node ${rank0.node}: install the same one everywhere`;
  if (other.model !== rank0.model)
    return 'finds another model than rank 0 where the recipe says: let all ranks see the same folder';
  // Rank 0 alone reads them, so that a rank may lack them; other data are a mistake that would be found by nobody.
  if (rank0.data !== null && other.data !== null && other.data !== rank0.data)
    return 'finds other data than rank 0 where the recipe says: let all ranks see the same files';
  // As it came over: what JSON leaves out is no difference.
  const [difference] = differences(JSON.parse(JSON.stringify(rank0.recipe)), JSON.parse(JSON.stringify(other.recipe)));
  if (difference === undefined) return null;
  const { field, old, new: now } = difference;
  return `has another recipe than rank 0: ${field} is ${JSON.stringify(now)} there and ${JSON.stringify(old)} here`;
}
