/** @file The losses of TRL's trainers as objectives of a recipe. */
import { z } from 'zod';
import { RecipeError } from '../errors.ts';
import { type Fields, refuse, type Unmatched } from './trl-fields.ts';

/** Losses on a pair, by TRL's names. `kto_pair` was there until TRL 0.8. */
const PAIR_LOSSES = ['sigmoid', 'hinge', 'ipo', 'sppo_hard', 'kto_pair'] as const;

/** The loss on a pair, and `sft` beside it as the chosen response's likelihood (RPO). RecipeError TRL_NO_EQUIVALENT. */
export function objectiveOf(fields: Fields, unmatched: Unmatched[]): Record<string, unknown> {
  const given = fields.take('loss_type') ?? 'sigmoid';
  const names = Array.isArray(given) ? given.map(String) : [String(given)];
  const weights = lossWeights(fields, names);
  const pairLosses = names.filter((name) => name !== 'sft');
  const kind = PAIR_LOSSES.find((name) => name === pairLosses[0]);
  if (kind === undefined || pairLosses.length > 1) {
    throw new RecipeError(
      'TRL_NO_EQUIVALENT',
      `Cannot import the configuration: loss_type ${names.join(', ')} has no equivalent: allowed are ${PAIR_LOSSES.join(', ')}, each alone or with sft; change it, or write the objective by docs/objectives.md`,
      { details: { field: 'loss_type', value: names } },
    );
  }
  const weight = weights.get(kind) ?? 1;
  if (weight !== 1) {
    const text = 'the loss on a pair has weight 1; the others are given relative to it, which AdamW hardly notices';
    unmatched.push({ field: 'loss_weights', value: weight, text });
  }
  const likelihood = (fields.number('rpo_alpha') ?? 0) + (weights.get('sft') ?? 0) / weight;
  return {
    preference: preferenceOf(kind, fields),
    exploration: { kind: 'none' },
    ...(likelihood === 0 ? {} : { chosenLikelihood: likelihood }),
  };
}

/** The weight of each loss; 1 where none is given. */
function lossWeights(fields: Fields, names: readonly string[]): Map<string, number> {
  const parsed = z.array(z.coerce.number()).optional().safeParse(fields.take('loss_weights'));
  if (!parsed.success || (parsed.data !== undefined && parsed.data.length !== names.length))
    refuse('loss_weights', `is not a list of ${names.length} numbers, one for each loss_type`);
  return new Map(names.map((name, i) => [name, parsed.data?.[i] ?? 1]));
}

function preferenceOf(kind: (typeof PAIR_LOSSES)[number], fields: Fields): Record<string, unknown> {
  const beta = fields.number('beta') ?? 0.1;
  const smoothing = fields.number('label_smoothing') ?? 0;
  switch (kind) {
    case 'sigmoid':
      return { kind: 'dpo', beta, ...(smoothing === 0 ? {} : { labelSmoothing: smoothing }) };
    case 'hinge':
    case 'ipo':
      return { kind, beta };
    case 'sppo_hard':
      return { kind: 'sppo', beta, targets: 'hard' };
    case 'kto_pair':
      return { kind: 'kto', beta };
  }
}

/** KTO's loss on labels. */
export function ktoObjective(fields: Fields): Record<string, unknown> {
  const loss = fields.text('loss_type') ?? 'kto';
  if (loss !== 'kto' && loss !== 'apo_zero_unpaired') {
    throw new RecipeError(
      'TRL_NO_EQUIVALENT',
      `Cannot import the configuration: loss_type ${loss} of KTO has no equivalent: allowed are kto, apo_zero_unpaired`,
      { details: { field: 'loss_type', value: loss } },
    );
  }
  return {
    kind: 'kto',
    beta: fields.number('beta') ?? 0.1,
    desirableWeight: fields.number('desirable_weight') ?? 1,
    undesirableWeight: fields.number('undesirable_weight') ?? 1,
    ...(loss === 'kto' ? {} : { baseline: 'none' }),
  };
}

/** The loss of SFT is the likelihood of tokens, whatever saves memory in it. RecipeError TRL_NO_EQUIVALENT. */
export function checkSftLoss(fields: Fields): void {
  const loss = fields.text('loss_type') ?? 'nll';
  if (loss === 'nll' || loss === 'chunked_nll') return;
  throw new RecipeError(
    'TRL_NO_EQUIVALENT',
    `Cannot import the configuration: loss_type ${loss} of SFT has no equivalent: allowed are nll, chunked_nll`,
    { details: { field: 'loss_type', value: loss } },
  );
}
