/** @file Command lines of this program as they are shown to be pasted into a shell, and paths as short as they can be in one. */
import { delimiter, dirname, relative, sep } from 'node:path';

/** Where and how a command line is called. */
export interface CommandPlace {
  /** The program, as a path or a name. @default the one that runs */
  launcher?: string;
  /** Where it is called. @default the current directory */
  directory?: string;
}

/** A command line of this program that can be pasted into the shell, called as the user called it. */
export function selmCommand(
  args: readonly string[],
  { launcher = process.argv[1] ?? 'selm', directory = process.cwd() }: CommandPlace = {},
): string {
  return [launcherName(launcher, directory), ...args.map(shellQuoted)].join(' ');
}

function launcherName(launcher: string, directory: string): string {
  const folder = dirname(launcher);
  if (!launcher.includes(sep) || (process.env.PATH ?? '').split(delimiter).includes(folder)) return 'selm';
  if (folder.endsWith(`node_modules${sep}.bin`)) return 'npx selm';
  return shellQuoted(shorterPath(launcher, directory));
}

/** `path` from a directory, where that is shorter than the absolute path. */
export function shorterPath(path: string, directory = process.cwd()): string {
  const near = relative(directory, path);
  return near === '' ? '.' : near.length < path.length ? near : path;
}

/** A word as a shell takes it. */
export function shellQuoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
