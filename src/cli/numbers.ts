/** @file Numbers in options, checked as they are read. A wrong one is a usage error that says what is allowed. */
import { InvalidArgumentError } from 'commander';

/** Parser of a whole number from `least`. */
export function wholeNumber(least: number): (text: string) => number {
  return checked(`a whole number from ${least}`, (value) => Number.isSafeInteger(value) && value >= least);
}

/** Parser of a number from `least` to `most`; `least` itself is allowed where `from` is 'inclusive'. */
export function numberBetween(least: number, most: number, from: 'inclusive' | 'exclusive'): (text: string) => number {
  const allowed = `a number ${from === 'inclusive' ? 'from' : 'above'} ${least}${most === Infinity ? '' : ` up to ${most}`}`;
  return checked(
    allowed,
    (value) => (from === 'inclusive' ? value >= least : value > least) && value <= most && Number.isFinite(value),
  );
}

function checked(allowed: string, isAllowed: (value: number) => boolean): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (isAllowed(value)) return value;
    throw new InvalidArgumentError(`Allowed is ${allowed}.`);
  };
}
