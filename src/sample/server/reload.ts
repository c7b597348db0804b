/** @file The user's own program that makes a server serve a model folder, run without a shell. */
import { execFile } from 'node:child_process';
import { SamplerError } from '../../errors.ts';
import { interrupted } from './client.ts';

/** Characters of what a program wrote that its error shows. */
const SHOWN_CHARACTERS = 300;

/** Runs it to its end. SamplerError SAMPLER_RELOAD where it fails or takes longer than `timeoutMs`. */
export async function runReload(
  command: readonly string[],
  { model, url, timeoutMs, signal }: { model: string; url: string; timeoutMs: number; signal: AbortSignal | undefined },
): Promise<void> {
  const [program = '', ...given] = command.map((text) => text.replaceAll('{model}', model).replaceAll('{url}', url));
  await new Promise<void>((resolve, reject) => {
    execFile(program, given, { timeout: timeoutMs, ...(signal === undefined ? {} : { signal }) }, (error, _, wrote) => {
      if (signal?.aborted) return reject(interrupted());
      if (error === null) return resolve();
      const said = wrote
        .replaceAll(/[\p{Cc}\s]+/gu, ' ')
        .trim()
        .slice(-SHOWN_CHARACTERS);
      const how = error.killed ? `took longer than ${timeoutMs} ms` : `failed (${error.code ?? error.signal})`;
      const text = `Cannot load "${model}" at ${url}: sampler.reload, ${program}, ${how}${said === '' ? '' : `: ${said}`}: mend it, and run the same command again`;
      reject(new SamplerError('SAMPLER_RELOAD', text, { details: { program, model, url } }));
    });
  });
}
