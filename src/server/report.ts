/** @file The report of a run as it is now, and runs beside each other: the pages that `selm report` and `selm compare` write. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RunError } from '../errors.ts';
import type { Recipe } from '../recipe/schema.ts';
import { collectReport } from '../report/collect.ts';
import { type ArmSource, collectComparison } from '../report/comparison/collect.ts';
import { renderComparison } from '../report/comparison/comparison.ts';
import { REPORT_POLICY } from '../report/page.ts';
import { renderReport } from '../report/report.ts';
import { readRunConfig } from '../store/run-config.ts';
import type { OpenedRun } from './open-runs.ts';

/** A finished page, and the content security policy under which it is shown. */
interface Page {
  html: string;
  policy: string;
}

/** The report as a page. Throws RunError. */
export function reportOf(opened: OpenedRun): Page {
  const { listed } = opened;
  const recipe = rankedRecipe(opened, 'report on');
  const twinPath = join(listed.path, 'twin');
  const twin = existsSync(join(twinPath, 'run.db')) ? readRunConfig(twinPath) : null;
  const data = collectReport(
    { ...recipe, output: listed.path },
    twin === null ? null : { ...twin.recipe, output: twinPath },
  );
  return pageOf(renderReport(data));
}

/** Two or more runs, each an arm of its own; differences are to the first. Throws RunError. */
export function comparisonOf(opened: readonly OpenedRun[]): Page {
  const arms = opened.map((each): ArmSource => {
    const { id, path } = each.listed;
    const { seed } = rankedRecipe(each, 'compare');
    return { name: id, label: id, settings: {}, grid: null, runs: [{ seed, path }] };
  });
  const title = `Comparison of ${arms.map(({ label }) => label).join(', ')}`.slice(0, 120);
  return pageOf(renderComparison(collectComparison({ title, baseline: null, arms })));
}

function rankedRecipe({ listed, config: { recipe } }: OpenedRun, action: string): Recipe {
  if ('ranker' in recipe) return recipe;
  throw new RunError(
    'STUDIO_NO_REPORT',
    `Cannot ${action} "${listed.id}": it is a supervised fine-tuning, in which nothing is ranked: its curves show its steps`,
  );
}

function pageOf(html: string): Page {
  return { html, policy: `${REPORT_POLICY}; frame-ancestors 'none'` };
}
