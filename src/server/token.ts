/**
 * @file Who may use the studio, and as whom. The token of the start URL makes its owner; from it come invitations, a link for each
 * annotator with a name and a right in it, which nobody can alter or make without the token. The browser trades either once
 * for a cookie that no script can read and no other site can send. The cookie holds a hash, so that it is no second copy.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { OWNER } from '../rank/people/owner.ts';

/**
 * What a visitor may do, each with what stands before it. `label`: answer questions, and see nothing else. `review`: see
 * everything. `admin`: invite, stop runs and go on with them.
 */
export const RIGHTS = ['label', 'review', 'admin'] as const;
export type Right = (typeof RIGHTS)[number];

/** Who is in. */
export interface Visitor {
  name: string;
  right: Right;
}

/** Names of annotators, as they stand in links and answers. */
export const ANNOTATOR_NAME = /^[a-z][a-z0-9-]{0,31}$/;

const OWNER_VISITOR: Visitor = { name: OWNER, right: 'admin' };

/** A fresh token: 256 random bits, safe in a URL. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** What lets an annotator in, in place of the token. It is good as long as the token is. */
export function invitationOf({ name, right }: Visitor, token: string): string {
  return `${name}.${right}.${mac(token, `invitation of ${name} to ${right}`)}`;
}

/** Who comes with a token or an invitation; null: nobody. */
export function visitorOf(given: string, token: string): Visitor | null {
  if (isSecret(given, token)) return OWNER_VISITOR;
  return signed(given, (visitor) => invitationOf(visitor, token));
}

/** Name of the cookie; cookies do not know ports, and two studios may run on one machine. */
export function cookieName(port: number): string {
  return `selm_studio_${port}`;
}

/** Value of the `Set-Cookie` header that lets a browser in. */
export function cookieHeader(token: string, port: number, visitor: Visitor = OWNER_VISITOR): string {
  return `${cookieName(port)}=${cookieValue(visitor, token)}; Path=/; HttpOnly; SameSite=Strict`;
}

/** Whether two secrets are the same, in a time that does not tell how much of them is. */
export function isSecret(given: string, secret: string): boolean {
  // Hashes of equal length, whatever was given.
  return timingSafeEqual(hashed(given), hashed(secret));
}

/** Who comes with a `Cookie` header; null: nobody. */
export function visitorOfCookie(
  header: string | undefined,
  { token, port }: { token: string; port: number },
): Visitor | null {
  const name = `${cookieName(port)}=`;
  for (const part of (header ?? '').split(';').map((each) => each.trim())) {
    if (!part.startsWith(name)) continue;
    const value = part.slice(name.length);
    if (isSecret(value, cookieValue(OWNER_VISITOR, token))) return OWNER_VISITOR;
    const visitor = signed(value, (each) => cookieValue(each, token));
    if (visitor !== null) return visitor;
  }
  return null;
}

/** Who a program with an `Authorization` header is; null: nobody. */
export function visitorOfBearer(header: string | undefined, token: string): Visitor | null {
  return header?.startsWith('Bearer ') === true ? visitorOf(header.slice('Bearer '.length), token) : null;
}

function cookieValue({ name, right }: Visitor, token: string): string {
  if (name === OWNER) return mac(token, 'cookie of selm studio');
  return `${name}.${right}.${mac(token, `cookie of ${name} to ${right}`)}`;
}

/** The visitor that a text names, if it is the one that is made for that visitor. */
function signed(given: string, made: (visitor: Visitor) => string): Visitor | null {
  const [name = '', said = ''] = given.split('.', 2);
  const right = RIGHTS.find((each) => each === said);
  if (right === undefined || name === OWNER || !ANNOTATOR_NAME.test(name)) return null;
  return isSecret(given, made({ name, right })) ? { name, right } : null;
}

function mac(token: string, text: string): string {
  return createHmac('sha256', token).update(text).digest('base64url');
}

function hashed(text: string): Buffer {
  return createHmac('sha256', 'compare').update(text).digest();
}
