/** @file From a recipe's ranker section to an open ranker. To add a kind: its settings in recipe/schema.ts, a case here. */
import { basename } from 'node:path';
import { readWeights } from '../model/fingerprint.ts';
import type { RankerSettings } from '../recipe/schema.ts';
import { commandFiles, openCommandRanker } from './command/command.ts';
import { loadFunctionRanker } from './function/function.ts';
import { openJudge } from './judge/judge.ts';
import { openPairRmRanker } from './model/pairrm.ts';
import { openRewardModel } from './model/reward-model.ts';
import { openPeople } from './people/people.ts';
import type { Ranker } from './ranker.ts';
import type { RankerServices } from './services.ts';
import { stoppable } from './stoppable.ts';

/** Opens what the settings describe. RankerError (or ModelError) when it cannot be used; nothing is ranked yet. */
export async function openRanker(settings: RankerSettings, services: RankerServices): Promise<Ranker> {
  switch (settings.kind) {
    case 'function':
      return stoppable(await loadFunctionRanker(settings.module, settings), services.signal);
    case 'command':
      return stoppable(await openCommandRanker(settings, services), services.signal);
    case 'pairrm':
      await readWeights(settings.model);
      return openPairRmRanker(settings.model, { ...settings, device: services.device });
    case 'reward-model':
      await readWeights(settings.model);
      return openRewardModel(settings.model, { ...settings, device: services.device });
    case 'judge':
      return openJudge(settings, services);
    case 'people':
      return openPeople(settings, services);
  }
}

/** What ranks, in a few words, for progress and reports. */
export function describeRanker(settings: RankerSettings): string {
  switch (settings.kind) {
    case 'function':
      return basename(settings.module);
    case 'command':
      return settings.command.join(' ');
    case 'pairrm':
    case 'reward-model':
      return basename(settings.model);
    case 'judge':
      return `judge ${settings.model}`;
    case 'people':
      return 'people';
  }
}

/** Files whose change makes it another ranker: their digests belong to the identity of a run. */
export function rankerFiles(settings: RankerSettings): string[] {
  switch (settings.kind) {
    case 'function':
      return [settings.module];
    case 'command':
      return commandFiles(settings);
    case 'pairrm':
    case 'reward-model':
    case 'people':
      return [];
    case 'judge':
      return settings.ask.prompt === null ? [] : [settings.ask.prompt];
  }
}

/** Model folder of a ranker that has one: its fingerprint belongs to the identity of a run. */
export function rankerModel(settings: RankerSettings): string | null {
  switch (settings.kind) {
    case 'function':
    case 'command':
    case 'judge':
    case 'people':
      return null;
    case 'pairrm':
    case 'reward-model':
      return settings.model;
  }
}
