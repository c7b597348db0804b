/** @file The setting `track` of a recipe: trackers that get a run's metrics as they come. */
import { z } from 'zod';
import { oneOf, path } from './fields.ts';

export const TRACKERS = ['tensorboard', 'trackio', 'mlflow', 'wandb'] as const;
export type TrackerKind = (typeof TRACKERS)[number];

const ALLOWED = `one of ${TRACKERS.join(', ')}, or a section with kind, url, project`;

export const track = z
  .array(
    z.union(
      [
        z.enum(TRACKERS, { error: ALLOWED }),
        z.strictObject({
          kind: oneOf(TRACKERS),
          url: path('an http address')
            .regex(/^https?:\/\//, { error: 'an http address' })
            .nullable()
            .default(null),
          project: path('a name').nullable().default(null),
        }),
      ],
      { error: ALLOWED },
    ),
    { error: 'a list such as [tensorboard, {kind: mlflow, url: "http://127.0.0.1:5000"}]' },
  )
  .default([])
  .describe(
    'Trackers that get the metrics of training as they come, and what is measured of each model, each by its name or as a section with kind, url (of a server) and project. A tracker that fails never stops a run',
  )
  .meta({ change: 'free' });

/** One of them, with nothing left open. */
export interface TrackerSettings {
  kind: TrackerKind;
  /** Null: what the tracker's own environment variable says, or its usual address. */
  url: string | null;
  project: string | null;
}

/** The setting in one form. */
export function trackersOf(setting: z.output<typeof track>): TrackerSettings[] {
  return setting.map((each) => (typeof each === 'string' ? { kind: each, url: null, project: null } : each));
}
