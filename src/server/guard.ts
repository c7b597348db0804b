/**
 * @file What a request must be before anything looks at what it asks for. A page of another site can make the browser
 * send requests here (also under a name of its own that it points at this machine, DNS rebinding), so Host, Origin and
 * Sec-Fetch-Site are checked before the token. Pure: looks at the request only.
 */

/** The parts of a request that are checked, as they came. */
export interface RawRequest {
  method: string;
  /** The request target, not decoded and not normalised. */
  target: string;
  /** Every `Host` header: more than one is the work of whoever wants two programs to see different ones. */
  hosts: readonly string[];
  headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Why a request is refused. */
export interface Refusal {
  status: 400 | 401 | 403 | 404 | 405 | 413 | 414 | 415 | 421 | 429;
  code: string;
  message: string;
}

const LONGEST_TARGET = 2048;
const LONGEST_BODY = 10_000;
/** The only addresses that are sent something. */
const TAKES_ANSWERS = /^\/api\/(invitations|runs\/[^/?]{1,500}\/(answers|control)|arenas\/[^/?]{1,500}\/votes)$/;
const SAME_SITE: readonly (string | undefined)[] = [undefined, 'same-origin', 'none'];

/** Why a request is refused whoever sends it, or null. `port`: where the studio listens. */
export function requestProblem(
  { method, target, hosts, headers }: RawRequest,
  { port }: { port: number },
): Refusal | null {
  const [host = '', ...others] = hosts;
  if (!hostsOf(port).includes(host) || others.length > 0) {
    return {
      status: 421,
      code: 'HOST_UNKNOWN',
      message: `The studio answers to ${hostsOf(port).join(', ')} only: open one of these, through a tunnel with the same port`,
    };
  }
  const isAnswer = method === 'POST' && TAKES_ANSWERS.test(target);
  if (method !== 'GET' && method !== 'HEAD' && !isAnswer) {
    return {
      status: 405,
      code: 'METHOD_UNKNOWN',
      message: `The studio takes GET and HEAD here, not ${shownText(method)}`,
    };
  }
  if (headers.origin !== undefined && headers.origin !== `http://${host}`) {
    return { status: 403, code: 'ORIGIN_FOREIGN', message: 'The studio answers to its own pages only' };
  }
  if (!SAME_SITE.includes(single(headers['sec-fetch-site']))) {
    return {
      status: 403,
      code: 'SITE_FOREIGN',
      message: 'A page of another site led here: copy the address that `selm studio` printed into the address bar',
    };
  }
  if (isAnswer) return answerProblem(headers);
  if (headers['transfer-encoding'] !== undefined || !['0', undefined].includes(single(headers['content-length']))) {
    return { status: 413, code: 'BODY_UNWANTED', message: 'This request takes no body' };
  }
  if (target.length > LONGEST_TARGET) {
    return { status: 414, code: 'TARGET_LONG', message: `An address has at most ${LONGEST_TARGET} characters` };
  }
  const problem = targetProblem(target);
  return problem === null ? null : { status: 400, code: 'TARGET_INVALID', message: `This address ${problem}` };
}

/** A body must be what only the studio's own pages send: JSON, of a length that is said and small. */
function answerProblem(headers: RawRequest['headers']): Refusal | null {
  if (single(headers['content-type']) !== 'application/json') {
    return { status: 415, code: 'BODY_TYPE', message: 'An answer is sent as application/json' };
  }
  const length = single(headers['content-length']) ?? '';
  if (headers['transfer-encoding'] !== undefined || !/^\d{1,5}$/.test(length) || Number(length) > LONGEST_BODY) {
    return { status: 413, code: 'BODY_LONG', message: `An answer has at most ${LONGEST_BODY} bytes` };
  }
  return null;
}

/** The names of this machine for itself, with the port. */
export function hostsOf(port: number): string[] {
  return [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`];
}

/** What is wrong with a request target, or null: nothing in it may mean another place after it is decoded. */
function targetProblem(target: string): string | null {
  if (!target.startsWith('/') || target.startsWith('//')) return 'is no path of the studio';
  if (/[^\x21-\x7e]/.test(target)) return 'has characters that must be encoded';
  const [path = ''] = target.split('?', 1);
  let decoded: string;
  try {
    decoded = decodeURIComponent(path);
    decodeURIComponent(target.slice(path.length).replaceAll('+', ' '));
  } catch {
    return 'has a percent sign that encodes nothing';
  }
  if (/\p{Cc}/u.test(decoded)) return 'has a control character';
  if (decoded.split(/[/\\]/).some((part) => part === '.' || part === '..')) return 'leads out of its folder';
  if (/%2e|%2f|%5c|%00/i.test(decoded)) return 'is encoded twice';
  return null;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

/** A text from outside in a message or a line of the log: short, and without control characters. */
export function shownText(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}...` : text);
}
