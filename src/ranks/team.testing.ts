/** @file A team whose ranks live in this process, for tests of shared work. */
import { groupInProcess } from '../torch/group.testing.ts';
import { merge } from './merge.ts';
import { ALONE, partOf, type Team } from './team.ts';

/** Rank 0 of a team; the others do their parts of what it shares, each on its own. */
export function teamOf(size: number): Team {
  const groups = groupInProcess(size);
  const [group = ALONE.group] = groups;
  return {
    ...ALONE,
    group,
    share: (work, setting, items, signal) =>
      merge(groups.map((own) => work.run(setting, partOf(items, own), { group: own, signal }))),
  };
}
