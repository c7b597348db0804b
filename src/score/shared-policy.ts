/**
 * @file A policy that ranks share. `optimiser`: every rank has all weights, and masters and moments of its slices only
 * (ZeRO-1, Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054). `full`: weights and gradients too are slices, and a block
 * is whole only while it computes (ZeRO-3). An adapter's factors are small, as is what is trained beside the model: they are whole everywhere in both.
 */
import { namedFactors } from '../model/adapter/adapter.ts';
import { type Adapter, checkSameSettings, initialAdapter, type LowRank, mergedWeight } from '../model/adapter/lora.ts';
import { openRotary } from '../model/rope.ts';
import { EMBEDDING, expectedWeights, weightOf } from '../model/weights.ts';
import { type Flat, type FlatOptions, openFlat } from '../shard/flats.ts';
import { layoutUnits, type UnitLayout } from '../shard/layout.ts';
import { bring, disposeShards, type PresentWeights, type Shards, type Sharing } from '../shard/shards.ts';
import { noGrad } from '../torch/autograd.ts';
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { frozenWeights, type LowRankPath, type Policy, type PolicyOptions, type PolicySource } from './policy.ts';

type SharedOptions = Pick<PolicyOptions, 'dtype' | 'states' | 'lora' | 'beside'> & { sharing: Sharing };

/** Makes a rank's part of a policy to train; the model may be disposed afterwards. */
export function openSharedPolicy(model: PolicySource, options: SharedOptions): Policy {
  const { config, weights } = model;
  const { dtype, states = 'float32', sharing, beside = new Map() } = options;
  const device = weightOf(weights, EMBEDDING).device;
  const present: PresentWeights = { compute: new Map(), vectors: new Map(), leaves: new Map(), gradients: new Map() };
  const base = options.lora ? null : (model.adapter ?? null);
  const isGathered = sharing.kind === 'full';
  const open = (
    layout: UnitLayout['flats'][number],
    rest: Pick<FlatOptions, 'isTrained' | 'isResident' | 'read'>,
  ): Flat =>
    openFlat(layout, {
      ...rest,
      group: sharing.group,
      dtype: layout.kind === 'vectors' ? 'float32' : dtype,
      states: layout.kind === 'vectors' ? 'float32' : states,
      device,
    });

  const units: { unit: UnitLayout['unit']; flats: Flat[] }[] = [];
  let frozen: Pick<Policy, 'compute' | 'vectors'> | null = null;
  if (!options.lora || isGathered) {
    const read = (name: string): Tensor => mergedWeight(name, weightOf(weights, name), base);
    // A reward model has no head of words.
    const shapes = new Map([...expectedWeights(config)].filter(([name]) => weights.has(name)));
    for (const { unit, flats } of layoutUnits(shapes, sharing.group.size))
      units.push({
        unit,
        flats: flats.map((layout) => open(layout, { isTrained: !options.lora, isResident: !isGathered, read })),
      });
  } else {
    frozen = outlive(
      scope('weights below an adapter', () => noGrad(() => frozenWeights(weights, { dtype, frozen: 'in-place' }))),
    );
  }
  const gathered = isGathered
    ? {
        ends: units.flatMap(({ unit, flats }) => (unit === 'ends' ? flats : [])),
        blocks: Array.from({ length: config.layers }, (_, layer) =>
          units.flatMap(({ unit, flats }) => (unit === layer ? flats : [])),
        ),
      }
    : null;
  const own = units.flatMap(({ flats }) => flats);
  for (const { flats } of layoutUnits(shapesOf(beside), sharing.group.size))
    for (const layout of flats)
      own.push(open(layout, { isTrained: true, isResident: true, read: (name) => weightOf(beside, name) }));
  for (const flat of own) if (flat.resident !== null) bring(present, flat, flat.resident);

  const shared = options.lora ? openFactors(model, { ...options, lora: options.lora, device, open }) : null;
  if (shared !== null) own.push(...shared.flats);
  const shards: Shards = { group: sharing.group, flats: own, gathered, present };
  const rotary = openRotary(config, device);
  const dispose = (): void => {
    rotary.dispose();
    disposeShards(shards);
    disposeAll([frozen?.compute, frozen?.vectors]);
  };
  return {
    config,
    dtype,
    device,
    rotary,
    compute: frozen?.compute ?? present.compute,
    vectors: frozen === null ? present.vectors : new Map([...frozen.vectors, ...present.vectors]),
    lowRank: shared?.lowRank ?? null,
    masters: new Map(own.flatMap((flat) => (flat.gradient === null ? [] : [[flat.layout.name, flat.own] as const]))),
    leaves: present.leaves,
    gradients: present.gradients,
    shards,
    dispose,
    [Symbol.dispose]: dispose,
  };
}

/** The factors of an adapter, whole at every rank; masters and moments of a slice. */
function openFactors(
  { config, adapter = null }: PolicySource,
  {
    lora,
    device,
    sharing,
    open,
  }: {
    lora: NonNullable<PolicyOptions['lora']>;
    device: string;
    sharing: Sharing;
    open: (layout: UnitLayout['flats'][number], rest: Pick<FlatOptions, 'isTrained' | 'isResident' | 'read'>) => Flat;
  },
): { flats: Flat[]; lowRank: LowRankPath } {
  if (adapter !== null) checkSameSettings(adapter, { config, settings: lora.settings });
  const made =
    adapter === null ? outlive(scope('an adapter', () => initialAdapter(config, { ...lora, device }))) : null;
  const source: Adapter = adapter ?? made ?? missing('adapter');
  const named = namedFactors(source);
  const flats = layoutUnits(shapesOf(named), sharing.group.size).flatMap(({ flats: layouts }) =>
    layouts.map((layout) => open(layout, { isTrained: true, isResident: true, read: (name) => weightOf(named, name) })),
  );
  disposeAll(made?.factors);
  const names = [...named.keys()];
  const factorsOf = (pick: 'weights' | 'leaves'): Map<string, LowRank> => {
    const all = new Map(flats.flatMap(({ resident }) => [...(resident?.[pick] ?? [])]));
    const at = (index: number): Tensor => all.get(names[index] ?? '') ?? missing(`factor ${index}`);
    return new Map([...source.factors.keys()].map((name, i) => [name, { a_RI: at(2 * i), b_OR: at(2 * i + 1) }]));
  };
  return { flats, lowRank: { adapter: { ...source, factors: factorsOf('leaves') }, compute: factorsOf('weights') } };
}

function shapesOf(weights: ReadonlyMap<string, Tensor>): Map<string, readonly number[]> {
  return new Map([...weights].map(([name, { shape }]) => [name, shape]));
}

function missing(what: string): never {
  throw new Error(`No ${what}`);
}
