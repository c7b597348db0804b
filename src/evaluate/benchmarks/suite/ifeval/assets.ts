/** @file Data of IFEval's checks that come with the package; assets/ifeval/README.md says from where. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { z } from 'zod';

/** Reads `assets/ifeval/NAME.json.gz`. */
export function readIfevalAsset<Value>(name: string, form: z.ZodType<Value>): Value {
  const packed = readFileSync(new URL(`../../../../../assets/ifeval/${name}.json.gz`, import.meta.url));
  return form.parse(JSON.parse(gunzipSync(packed).toString('utf8')));
}
