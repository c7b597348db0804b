/**
 * @file One measurement of `bench -- audit` in a process of its own, so that its memory is its own; prints one JSON
 * line. Usage: audit-run.ts audit|parse FILE MODEL
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { auditFilesFor } from '../src/data/measure.ts';
import { processorSeconds } from './process-tree.ts';

const [what = '', file = '', model = ''] = process.argv.slice(2);

async function audit(): Promise<number> {
  const text = { rendering: 'clean', prompts: null, maxLength: 1024, maxPromptLength: 512 } as const;
  return (await auditFilesFor(model, [file], { text, onBadRow: 'stop', limit: null })).used;
}

/** The least that any reader does: Node's own lines, and JSON.parse. */
async function parse(): Promise<number> {
  let rows = 0;
  for await (const line of createInterface({ input: createReadStream(file, 'utf8') })) {
    JSON.parse(line);
    rows += 1;
  }
  return rows;
}

const startedMs = performance.now();
const rows = await (what === 'audit' ? audit() : parse());
const seconds = (performance.now() - startedMs) / 1000;
const cpuSeconds = processorSeconds(process.pid);
process.stdout.write(`${JSON.stringify({ rows, seconds, cpuSeconds })}\n`);
