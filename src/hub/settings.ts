/** @file Where the Hub is, who asks, and where its files lie: from the environment variables that Python's tools read too. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { HubError } from '../errors.ts';

/** How the Hub is reached. */
export interface HubSettings {
  /** HF_ENDPOINT, without a slash at the end. */
  url: string;
  /** HF_TOKEN. Never part of a message, a log or a run directory. */
  token: string | null;
  /** HF_HUB_OFFLINE: nothing is asked, the cache must have it. */
  offline: boolean;
  /** HF_HUB_CACHE, or `hub` in HF_HOME: shared with transformers and datasets. */
  cachePath: string;
}

/** The settings of an environment. HubError when a variable cannot be used; its message does not show the token. */
export function hubSettings(environment: NodeJS.ProcessEnv = process.env): HubSettings {
  const set = (name: string): string | null => environment[name]?.trim() || null;
  const url = (set('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, '');
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new HubError(
      'HUB_SETTINGS',
      `Cannot use the Hub: HF_ENDPOINT is "${url}": allowed is an address such as https://huggingface.co`,
    );
  }
  const token = set('HF_TOKEN');
  if (token !== null && !/^hf_\w+$/.test(token)) {
    throw new HubError(
      'HUB_SETTINGS',
      'Cannot use the Hub: HF_TOKEN is not a token: a token begins with hf_ and has letters and digits only',
    );
  }
  const home = set('HF_HOME') ?? join(set('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface');
  return {
    url,
    token,
    offline: /^(1|true|yes|on)$/i.test(set('HF_HUB_OFFLINE') ?? ''),
    cachePath: set('HF_HUB_CACHE') ?? set('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub'),
  };
}

/** A text without the token, whoever put it there. */
export function withoutToken(text: string, token: string | null): string {
  return token === null ? text : text.replaceAll(token, 'hf_***');
}
