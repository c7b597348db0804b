/** @file Writes a report three times beside each other: a page for people, Markdown for other pages, JSON for programs. */
import { extname } from 'node:path';
import { writeFileAtomic } from '../files/atomic.ts';
import { numbersOf } from './findings.ts';
import { reportMarkdown } from './markdown.ts';
import { renderReport } from './report.ts';
import type { ReportData } from './report-data.ts';

/** Writes the page, and Markdown and JSON of the same name beside it; a path that ends in .md or .json is that one alone. */
export function writeReport(path: string, data: ReportData): string[] {
  const ending = extname(path);
  const stem = ending === '.html' ? path.slice(0, -ending.length) : path;
  const all = [
    { file: `${stem}.json`, text: () => `${reportJson(data)}\n` },
    { file: `${stem}.md`, text: () => reportMarkdown(data) },
    { file: path, text: () => renderReport(data) },
  ];
  const alone = { '.json': all.slice(0, 1), '.md': all.slice(1, 2) }[ending]?.map((each) => ({ ...each, file: path }));
  const written = alone ?? all;
  for (const { file, text } of written) writeFileAtomic(file, text());
  return written.map(({ file }) => file);
}

/** What the report shows, raw and as numbers. NaN is null. */
export function reportJson(data: ReportData): string {
  const numbers = numbersOf(data).map(({ method, policies }) => ({ method: method.name, policies }));
  return JSON.stringify({ ...data, numbers });
}
