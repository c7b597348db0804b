/**
 * @file Writes the quickstart's prompts: openings of small stories, for training and (other ones) for evaluation.
 * `npx tsx scripts/make-quickstart-prompts.ts [directory]` writes prompts.jsonl and heldout.jsonl, into recipes/quickstart
 * if no directory is named, the same bytes each time: every choice is drawn from the generator of src/random.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { randomKey, uniformAt } from '../src/random.ts';

const SEED = 260;
const TRAINING = 3 * 256; // three iterations of 256 prompts
const HELD_OUT = 128;

// Names and things that the story model knows (TinyStories), so that an opening is no surprise to it.
const GIRLS = ['Lily', 'Anna', 'Mia', 'Sue', 'Lucy', 'Amy', 'Sara', 'Jane'];
const BOYS = ['Tim', 'Tom', 'Ben', 'Max', 'Jack', 'Sam', 'Bob', 'Timmy'];
const PLACES = ['in the park', 'at the beach', 'in the garden', 'near a big tree', 'in a small house', 'by the pond'];
const ADJECTIVES = ['big', 'little', 'red', 'shiny', 'new', 'pretty'];
const THINGS = ['ball', 'bird', 'box', 'car', 'cat', 'dog', 'doll', 'stone', 'flower', 'hat'];

type Choose = <T>(values: readonly T[]) => T;

/** One opening: who, where or what they like, and (two times in three) an event that leaves the story open. */
function opening(choose: Choose): string {
  const who = choose(['girl', 'boy']);
  const name = choose(who === 'girl' ? GIRLS : BOYS);
  const she = who === 'girl' ? 'She' : 'He';
  const place = choose(PLACES);
  const thing = `${choose(ADJECTIVES)} ${choose(THINGS)}`;
  const start = choose([
    `Once upon a time, there was a little ${who} named ${name}. ${she} liked to play ${place}.`,
    `Once upon a time, there was a little ${who} named ${name}.`,
    `One day, a little ${who} named ${name} was ${place}.`,
    `${name} was a little ${who} who lived with ${who === 'girl' ? 'her' : 'his'} mom.`,
  ]);
  const event = choose([
    ` ${name} saw a ${thing}.`,
    ` ${name} found a ${thing} ${place}.`,
    ` ${name} had a ${thing}.`,
    ` ${name} met a sad friend ${place}.`,
    ` ${name} lost a ${thing}.`,
    ` ${name} wanted a ${thing}.`,
    '',
    '',
    '',
  ]);
  return start + event;
}

/** `count` different openings in a fixed order. */
function differentOpenings(count: number): string[] {
  const key = randomKey(SEED, 'quickstart-prompts');
  let counter = 0;
  const choose: Choose = (values) => {
    const value = values[Math.floor(uniformAt(key, counter++) * values.length)];
    if (value === undefined) throw new RangeError('A list of the openings is empty');
    return value;
  };
  const openings = new Set<string>();
  while (openings.size < count) openings.add(opening(choose));
  return [...openings];
}

function toJsonl(prompts: string[]): string {
  return prompts.map((prompt) => `${JSON.stringify({ prompt })}\n`).join('');
}

const directory = process.argv[2] ?? fileURLToPath(new URL('../recipes/quickstart/', import.meta.url));
const openings = differentOpenings(TRAINING + HELD_OUT);
writeFileSync(join(directory, 'prompts.jsonl'), toJsonl(openings.slice(0, TRAINING)));
writeFileSync(join(directory, 'heldout.jsonl'), toJsonl(openings.slice(TRAINING)));
