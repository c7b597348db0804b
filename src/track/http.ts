/** @file A call to a tracker's server, with a limit of time, and an error that names the server without its secrets. */
import { TrackerError } from '../errors.ts';

const TIMEOUT_MS = 10_000;
/** What a server says in its refusal is shown up to here. */
const SHOWN_CHARACTERS = 200;

export interface Call {
  /** `MLflow`, in errors. */
  service: string;
  url: URL;
  method?: 'GET' | 'POST';
  body?: unknown;
  headers?: Readonly<Record<string, string>>;
}

/** The JSON that a server answers. TrackerError TRACKER_UNREACHABLE, or TRACKER_REFUSED with the status in `details`. */
export async function callJson({ service, url, method = 'POST', body, headers = {} }: Call): Promise<unknown> {
  const shown = `${url.origin}${url.pathname}`; // without what may be a token
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    throw new TrackerError(
      'TRACKER_UNREACHABLE',
      `Cannot reach ${service} at ${shown}: start the server, or correct its address`,
      { cause, details: { service } },
    );
  }
  const text = await response.text();
  if (!response.ok) {
    const said = text.replaceAll(/\s+/g, ' ').slice(0, SHOWN_CHARACTERS);
    const hint = response.status === 401 || response.status === 403 ? ': give it the right token' : '';
    throw new TrackerError('TRACKER_REFUSED', `${service} at ${shown} answers ${response.status} (${said})${hint}`, {
      details: { service, status: response.status, said },
    });
  }
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch (cause) {
    throw new TrackerError('TRACKER_REFUSED', `${service} at ${shown} answers with something that is not JSON`, {
      cause,
      details: { service, status: response.status },
    });
  }
}

/** A path below a server's address, which may have a path of its own. */
export function below(base: string, path: string): URL {
  const url = new URL(base);
  return new URL(`${url.origin}${url.pathname.replace(/\/+$/, '')}/${path}`);
}
