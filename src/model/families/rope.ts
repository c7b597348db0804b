/** @file Rotary settings of config.json: old spelling (rope_theta and rope_scaling) or new (rope_parameters). */
import type { RopeConfig } from '../config.ts';
import { type RawRope, refuse, type Source } from './raw.ts';

/** Where the settings stand, and what they say. */
export interface RawPlace {
  field: string;
  values: RawRope;
}

const KINDS = 'default, linear, llama3, yarn or longrope';

/** The rope of a model that has one for all its layers. */
export function ropeOf(source: Source, options: { synonyms?: Readonly<Record<string, string>> } = {}): RopeConfig {
  const { raw } = source;
  const place: RawPlace =
    raw.rope_parameters === null || raw.rope_parameters === undefined
      ? { field: 'rope_scaling', values: raw.rope_scaling ?? {} }
      : { field: 'rope_parameters', values: raw.rope_parameters };
  return ropeAt(source, place, { theta: raw.rope_theta ?? 10_000, ...options });
}

/** The rope that the settings at a place describe; `theta` where they name none. */
export function ropeAt(
  source: Source,
  place: RawPlace,
  options: { theta: number; synonyms?: Readonly<Record<string, string>> },
): RopeConfig {
  const { values } = place;
  const theta = values.rope_theta ?? options.theta;
  const spelt = values.rope_type ?? values.type ?? 'default';
  const kind = options.synonyms?.[spelt] ?? spelt;
  const need = <K extends keyof RawRope>(field: K): NonNullable<RawRope[K]> =>
    (values[field] as NonNullable<RawRope[K]> | null | undefined) ??
    refuse(source, `${place.field}.${String(field)}`, `given, since the rope type is ${kind}`);
  switch (kind) {
    case 'default':
      return { kind, theta };
    case 'linear':
      return { kind, theta, factor: need('factor') };
    case 'llama3':
      return {
        kind,
        theta,
        factor: need('factor'),
        lowFrequencyFactor: need('low_freq_factor'),
        highFrequencyFactor: need('high_freq_factor'),
        originalMaxPositions: need('original_max_position_embeddings'),
      };
    case 'yarn': {
      const factor = need('factor');
      if (theta <= 1)
        refuse(source, values.rope_theta ? `${place.field}.rope_theta` : 'rope_theta', 'more than 1 for yarn');
      return {
        kind,
        theta,
        factor,
        betaFast: values.beta_fast ?? 32,
        betaSlow: values.beta_slow ?? 1,
        truncate: values.truncate ?? true,
        originalMaxPositions: values.original_max_position_embeddings ?? source.raw.max_position_embeddings,
        attentionFactor: usable(values.attention_factor ?? yarnAttentionFactor(values, factor), source, place),
      };
    }
    case 'longrope':
      return longRope(source, place, { theta, shortFactors: need('short_factor'), longFactors: need('long_factor') });
    default:
      return refuse(source, `${place.field}.${values.rope_type ? 'rope_type' : 'type'}`, KINDS);
  }
}

/** An attention factor that can be computed with: settings that divide by zero give none. */
function usable(attentionFactor: number, source: Source, { field }: RawPlace): number {
  if (Number.isFinite(attentionFactor) && attentionFactor > 0) return attentionFactor;
  return refuse(source, field, `settings of an attention factor above 0, not ${attentionFactor}`);
}

/** 0.1 ln(factor) + 1 (YaRN, section 3.4), or a ratio of two such numbers where mscale and mscale_all_dim are given. */
function yarnAttentionFactor(values: RawRope, factor: number): number {
  const magnitude = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  if (values.mscale && values.mscale_all_dim) return magnitude(values.mscale) / magnitude(values.mscale_all_dim);
  return magnitude(1);
}

/** LongRoPE; transformers scales attention by sqrt(1 + ln(factor) / ln(originalMaxPositions)) unless config.json says. */
function longRope(
  source: Source,
  { field, values }: RawPlace,
  given: { theta: number; shortFactors: readonly number[]; longFactors: readonly number[] },
): RopeConfig {
  const { raw } = source;
  const half = (raw.head_dim ?? raw.hidden_size / raw.num_attention_heads) / 2;
  for (const [name, factors] of [
    ['short_factor', given.shortFactors],
    ['long_factor', given.longFactors],
  ] as const) {
    if (factors.length !== half) refuse(source, `${field}.${name}`, `a list of head_dim / 2 = ${half} numbers`);
  }
  // Phi-3 keeps it beside the rope settings, and there it wins.
  const originalMaxPositions =
    raw.original_max_position_embeddings ?? values.original_max_position_embeddings ?? raw.max_position_embeddings;
  if (originalMaxPositions === 1) refuse(source, 'original_max_position_embeddings', 'more than 1');
  const factor = values.factor ?? raw.max_position_embeddings / originalMaxPositions;
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));
  const attentionFactor = usable(values.attention_factor ?? inferred, source, { field, values });
  return { kind: 'longrope', ...given, originalMaxPositions, attentionFactor };
}
