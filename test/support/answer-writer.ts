/** @file Answers questions of a folder one after the other, and prints each key once it is acknowledged, for a test that kills it. */
import { writeSync } from 'node:fs';
import { QuestionLog, readQuestions, say } from '../../src/rank/people/questions.ts';

const [folder = '', attempt = ''] = process.argv.slice(2);
const [id = ''] = readQuestions(folder).asked.keys();
for (let n = 0; ; n++) {
  const key = `${attempt}-${n}`;
  await say(new QuestionLog(folder), {
    kind: 'answer',
    question: id,
    annotator: 'owner',
    choice: 'tie',
    strength: 'some',
    tags: [],
    isFlagged: false,
    edit: null,
    left: 'first',
    seconds: 0,
    key,
    timeMs: n,
  });
  writeSync(1, `${key}\n`);
}
