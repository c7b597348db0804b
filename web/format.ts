/** @file Numbers as a person reads them. */

/** `1 min 20 s`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds < 10 ? Number(seconds.toFixed(1)) : Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) - 60 * minutes} s`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days ${Math.floor((minutes % 1440) / 60)} h`;
}

/** At most four digits that tell something. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return value.toLocaleString('en', { maximumSignificantDigits: 4 }).replace('-', '−');
}

/** `1.5 GB`. */
export function bytes(count: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const power = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** `3.1/s`, or `12/min` where it is slow. */
export function rate(perSecond: number): string {
  return perSecond >= 1 ? `${short(perSecond)}/s` : `${short(perSecond * 60)}/min`;
}

/** How long ago, from milliseconds since 1970. */
export function ago(ms: number, nowMs: number): string {
  const seconds = (nowMs - ms) / 1000;
  return seconds < 5 ? 'now' : `${duration(seconds)} ago`;
}

/** `iteration 2 of 3, train`. */
export function placeText(place: { iteration: number; iterations: number; stage: string } | null): string {
  if (place === null) return 'not begun';
  if (place.stage === 'sft') return 'fine-tuning';
  return place.iteration === 0
    ? `before iteration 1, ${place.stage}`
    : `iteration ${place.iteration} of ${place.iterations}, ${place.stage}`;
}
