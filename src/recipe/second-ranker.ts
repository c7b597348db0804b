/** @file The ranker beside the first one: of a second opinion, or of what the first is not asked about. A recipe has one of them. */
import type { RankerSettings, Recipe } from './schema.ts';

/** Sections that may name a second ranker. */
export type SecondRankerSections = Pick<Recipe, 'secondOpinion' | 'select'>;

/** Its settings; null where there is none. */
export function secondRankerOf({ secondOpinion, select }: SecondRankerSections): RankerSettings | null {
  return secondOpinion?.ranker ?? select?.otherwise ?? null;
}

/** The recipe with each ranker's settings changed; `from` is the field that the settings stand at. */
export function withRankers<R extends SecondRankerSections & Pick<Recipe, 'ranker'>>(
  recipe: R,
  change: (settings: RankerSettings, from: string) => RankerSettings,
): R {
  const { ranker, secondOpinion, select } = recipe;
  return {
    ...recipe,
    ranker: change(ranker, 'ranker'),
    secondOpinion: secondOpinion && {
      ...secondOpinion,
      ranker: change(secondOpinion.ranker, 'secondOpinion.ranker'),
    },
    select: select?.otherwise ? { ...select, otherwise: change(select.otherwise, 'select.otherwise') } : select,
  };
}
