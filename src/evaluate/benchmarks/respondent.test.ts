import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openRespondent } from './respondent.ts';

const story = fileURLToPath(new URL('../../../assets/stories260K', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'selm-respondent-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function identityOf(directory: string): Promise<string> {
  const respondent = await openRespondent(directory, { dtype: 'float32', batchTokens: 512, batchSize: 4 });
  respondent.dispose();
  return respondent.identity;
}

describe('the identity of a model that answers', () => {
  it('is another where its configuration is, with the same weights: the answers may be others', async () => {
    const copy = join(folder, 'copy');
    cpSync(story, copy, { recursive: true });
    expect(await identityOf(copy)).toBe(await identityOf(story));
    const config = JSON.parse(readFileSync(join(copy, 'config.json'), 'utf8')) as Record<string, unknown>;
    writeFileSync(join(copy, 'config.json'), JSON.stringify({ ...config, rope_theta: 5000 }));
    expect(await identityOf(copy)).not.toBe(await identityOf(story));
  });
});
