/** @file The report of a run as it is now, the same as `selm report` writes. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RunError } from '../errors.ts';
import { collectReport } from '../report/collect.ts';
import { REPORT_POLICY } from '../report/page.ts';
import { renderReport } from '../report/report.ts';
import { readRunConfig } from '../store/run-config.ts';
import type { OpenedRun } from './open-runs.ts';

/** The report as a page, and the content security policy under which it is shown. Throws RunError. */
export function reportOf({ listed, config: { recipe } }: OpenedRun): { html: string; policy: string } {
  if (!('ranker' in recipe)) {
    throw new RunError(
      'STUDIO_NO_REPORT',
      `Cannot report on "${listed.id}": it is a supervised fine-tuning, in which nothing is ranked: its curves show its steps`,
    );
  }
  const twinPath = join(listed.path, 'twin');
  const twin = existsSync(join(twinPath, 'run.db')) ? readRunConfig(twinPath) : null;
  const data = collectReport(
    { ...recipe, output: listed.path },
    twin === null ? null : { ...twin.recipe, output: twinPath },
  );
  return { html: renderReport(data), policy: `${REPORT_POLICY}; frame-ancestors 'none'` };
}
