/**
 * @file Licences of the data: the recipe states them, the run keeps them, and those that are not allowed are refused.
 */
import { z } from 'zod';
import { listOf, path } from './fields.ts';

const name = () => path('the name of a licence such as cc-by-4.0, or unknown');

/** Fields of a `data` section. */
export const licenseFields = {
  license: z
    .union([name(), listOf(name(), 'a list of licences, one each file')], {
      error: 'the name of a licence such as cc-by-4.0, or a list of them, one each file',
    })
    .nullable()
    .default(null)
    .describe('Licence of the data: one for all files, or a list with one each, by the names of the Hub; null: unknown')
    .meta({ change: 'free' }),
  allowLicenses: listOf(name(), 'a list of licences')
    .nullable()
    .default(null)
    .describe('Licences that may be trained on; data under others, or under none that is known, are refused. null: all')
    .meta({ change: 'free' }),
};

/** What a `data` section says of its files and their licences. */
export interface LicensedData {
  train: string | readonly string[];
  license: string | readonly string[] | null;
  allowLicenses: readonly string[] | null;
}

/** What stands for a licence that nobody said. */
export const UNKNOWN_LICENSE = 'unknown';

/** The licence of each file, in their order. */
export function licensesOf({ train, license }: Pick<LicensedData, 'train' | 'license'>): string[] {
  const files = typeof train === 'string' ? [train] : train;
  return files.map((_, i) => (typeof license === 'string' ? license : license?.[i]) ?? UNKNOWN_LICENSE);
}

/** Licences that do not belong to the files, or are not allowed; `section` is the path of the `data` section. */
export function checkLicenses(data: LicensedData, section: readonly string[]): { path: string[]; problem: string }[] {
  const files = typeof data.train === 'string' ? [data.train] : data.train;
  const { license, allowLicenses } = data;
  if (license !== null && typeof license !== 'string' && license.length !== files.length) {
    const problem = `lists ${license.length} licences for ${files.length} files: give one each file, or one for all`;
    return [{ path: [...section, 'license'], problem }];
  }
  if (allowLicenses === null) return [];
  return licensesOf(data).flatMap((own, i) => {
    if (allowLicenses.some((allowed) => allowed.toLowerCase() === own.toLowerCase())) return [];
    const said = own === UNKNOWN_LICENSE ? 'and nothing is known of the licence' : `and the licence is ${own}:`;
    const fix = own === UNKNOWN_LICENSE ? `of ${files[i]}: say it in license` : `leave ${files[i]} out`;
    return [{ path: [...section, 'allowLicenses'], problem: `allows ${allowLicenses.join(', ')}, ${said} ${fix}` }];
  });
}

/** A line for the audit: `Licences: prefs.jsonl cc-by-4.0, more.jsonl unknown`. */
export function licenseLine(data: Pick<LicensedData, 'train' | 'license'>, nameOf: (file: string) => string): string {
  const files = typeof data.train === 'string' ? [data.train] : data.train;
  const licenses = licensesOf(data);
  return `Licences: ${files.map((file, i) => `${nameOf(file)} ${licenses[i]}`).join(', ')}`;
}
