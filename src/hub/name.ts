/**
 * @file Names of repositories on the Hugging Face Hub, as they stand in recipes and commands:
 *
 *   hub:owner/name                  a model, or the split `train` of a data set
 *   hub:owner/name@revision         of a branch, a tag or a commit; without one, of `main`
 *   hub:owner/name:train_prefs      a split of a data set
 *   hub:owner/name:data/part-*.parquet   a file of a data set, or several
 */

/** A parsed name. */
export interface HubName {
  /** As it was written. */
  text: string;
  /** `owner/name`, or `name` alone for the Hub's oldest repositories. */
  repository: string;
  revision: string;
  /** What is meant of a data set: a split, a path, or a pattern with `*`. */
  part: string | null;
}

const PREFIX = 'hub:';
const REPOSITORY = /^(?:[A-Za-z0-9][\w.-]{0,95}\/)?[A-Za-z0-9][\w.-]{0,95}$/;
const REVISION = /^[\w][\w./-]{0,199}$/;
const PART = /^[\w*][\w.*+=@/-]{0,499}$/;

/** Whether a setting names the Hub; everything else is a path. */
export function isHubName(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** The parts of a name, or what is wrong with it, after the value. `part: 'refused'` for what is one as a whole. */
export function parseHubName(
  text: string,
  { part: rule }: { part: 'allowed' | 'refused' },
): HubName | { problem: string } {
  const whole = text.slice(PREFIX.length);
  const colon = whole.indexOf(':');
  const [place, part] = colon < 0 ? [whole, null] : [whole.slice(0, colon), whole.slice(colon + 1)];
  const at = place.indexOf('@');
  const [repository, revision] = at < 0 ? [place, 'main'] : [place.slice(0, at), place.slice(at + 1)];
  const wrong = (what: string, shown: string, allowed: string) => ({
    problem: `has the ${what} "${shown}": allowed is ${allowed}`,
  });
  if (!isHubName(text) || !REPOSITORY.test(repository) || repository.includes('..') || repository.includes('--')) {
    return wrong('repository', repository, 'hub:owner/name, as in its address on the Hub');
  }
  if (!REVISION.test(revision) || hasEmptyOrPoints(revision)) {
    return wrong('revision', revision, 'a branch, a tag or a commit');
  }
  if (part !== null && rule === 'refused') return wrong('part', part, 'a model as a whole, without ":"');
  if (part !== null && (!PART.test(part) || hasEmptyOrPoints(part))) {
    return wrong('part', part, 'a split such as train, or a path in the repository, also with *');
  }
  return { text, repository, revision, part };
}

function hasEmptyOrPoints(path: string): boolean {
  return path.split('/').some((segment) => segment === '' || /^\.+$/.test(segment));
}
