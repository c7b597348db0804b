/**
 * @file Who may use the studio: whoever has the token of the start URL. The browser trades it once for a cookie that no
 * script can read and no other site can send. The cookie holds a hash of the token, so that it is no second copy of it.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** A fresh token: 256 random bits, safe in a URL. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** Name of the cookie; cookies do not know ports, and two studios may run on one machine. */
export function cookieName(port: number): string {
  return `selm_studio_${port}`;
}

/** Value of the `Set-Cookie` header that lets a browser in. */
export function cookieHeader(token: string, port: number): string {
  return `${cookieName(port)}=${cookieValue(token)}; Path=/; HttpOnly; SameSite=Strict`;
}

/** Whether two secrets are the same, in a time that does not tell how much of them is. */
export function isSecret(given: string, secret: string): boolean {
  // Hashes of equal length, whatever was given.
  return timingSafeEqual(hashed(given), hashed(secret));
}

/** Whether a `Cookie` header lets in. */
export function hasCookie(header: string | undefined, { token, port }: { token: string; port: number }): boolean {
  const name = `${cookieName(port)}=`;
  const values = (header ?? '').split(';').map((part) => part.trim());
  return values.some((part) => part.startsWith(name) && isSecret(part.slice(name.length), cookieValue(token)));
}

/** Whether an `Authorization` header of a program lets in. */
export function hasBearer(header: string | undefined, { token }: { token: string }): boolean {
  return header?.startsWith('Bearer ') === true && isSecret(header.slice('Bearer '.length), token);
}

function cookieValue(token: string): string {
  return createHmac('sha256', token).update('cookie of selm studio').digest('base64url');
}

function hashed(text: string): Buffer {
  return createHmac('sha256', 'compare').update(text).digest();
}
