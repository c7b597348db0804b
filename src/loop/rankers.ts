/** @file The rankers of a run: opened before its directory exists, so that what is wrong with them leaves nothing behind. */
import { basename, dirname } from 'node:path';
import { RankerError } from '../errors.ts';
import { digestFileSync } from '../files/hash.ts';
import { modelFingerprint } from '../model/fingerprint.ts';
import { rankTogether } from '../rank/model/together.ts';
import { openRanker, rankerFiles, rankerModel } from '../rank/open.ts';
import type { Ranker, Source } from '../rank/ranker.ts';
import type { RankerServices } from '../rank/services.ts';
import type { Team } from '../ranks/team.ts';
import type { RankerSettings, Recipe } from '../recipe/schema.ts';
import { type SecondRankerSections, secondRankerOf } from '../recipe/second-ranker.ts';
import type { Announce } from '../store/events.ts';
import type { RankerSources } from '../store/identity.ts';
import type { Ledger } from '../store/ledger.ts';

export interface Rankers {
  first: Ranker;
  /** Of the recipe's second opinion, or of what the first is not asked about. */
  second: Ranker | null;
  /** What they are made of beside their settings. */
  sources: RankerSources;
  /** Where the answers that they pay for go; to be called before anything is ranked. */
  keepAnswersIn(ledger: Ledger): void;
  close(): Promise<void>;
}

/** Opens what the recipe names. Throws RankerError, ModelError or FileError. */
export async function openRankers(
  recipe: Pick<Recipe, 'ranker' | 'device'> & SecondRankerSections,
  {
    announce,
    signal,
    team,
    waits = true,
  }: { announce: Announce; signal: AbortSignal | undefined; team: Team; waits?: boolean },
): Promise<Rankers> {
  let ledger: Ledger | null = null;
  const services: RankerServices = {
    answers: () => {
      if (ledger === null) throw new Error('A ranker was asked before there was a ledger');
      return ledger.answers;
    },
    runPath: () => {
      if (ledger === null) throw new Error('People were asked before there was a run');
      return dirname(ledger.path);
    },
    signal,
    device: recipe.device,
    waits,
    warn: (text) => announce({ kind: 'warning', text }),
  };
  const open = async (settings: RankerSettings): Promise<Ranker> =>
    rankTogether(await openRanker(settings, services), { settings, device: recipe.device, team, signal });
  const { ranker } = recipe;
  const secondSettings = secondRankerOf(recipe);
  const first = await open(ranker);
  let second: Ranker | null = null;
  try {
    second = secondSettings === null ? null : await open(secondSettings);
    if (second?.id === first.id) {
      throw new RankerError(
        'RANKERS_EQUAL',
        `Cannot ask for a second opinion: both rankers are ${first.id}: name another model, prompt or module in ${recipe.secondOpinion === null ? 'select.otherwise' : 'secondOpinion.ranker'}`,
      );
    }
  } catch (error) {
    await first.close();
    await second?.close();
    throw error;
  }
  return {
    first,
    second,
    sources: {
      ranker: sourcesOf(first, ranker),
      secondRanker: second === null || secondSettings === null ? [] : sourcesOf(second, secondSettings),
    },
    keepAnswersIn: (opened) => {
      ledger = opened;
    },
    async close() {
      await first.close();
      await second?.close();
    },
  };
}

/** What a ranker found out that it is made of, or else what its settings name. */
function sourcesOf(ranker: Ranker, settings: RankerSettings): readonly Source[] {
  const model = rankerModel(settings);
  return (
    ranker.sources ?? [
      ...rankerFiles(settings).map((path) => ({ name: basename(path), sha256: digestFileSync(path).sha256 })),
      ...(model === null ? [] : [{ name: 'model', sha256: modelFingerprint(model) }]),
    ]
  );
}
