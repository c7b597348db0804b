/**
 * @file MMLU (Hendrycks et al. 2021, https://arxiv.org/abs/2009.03300): questions of 57 subjects, from elementary mathematics to law.
 * The choices stand in the question, and the model says which by its letter.
 */
import type { Benchmark, Scores } from '../benchmark.ts';
import { likeliest, readChoices } from './choices.ts';

const LETTERS = ['A', 'B', 'C', 'D'] as const;

/** 5 examples that the data set has for each subject; accuracy over all questions, so that a subject weighs by its size. */
export const mmlu: Benchmark = {
  name: 'mmlu',
  title: 'MMLU',
  shots: 5,
  examples: { kind: 'first', from: { hub: 'hub:cais/mmlu:all/dev-*.parquet', file: /^dev/ } },
  rows: { hub: 'hub:cais/mmlu:all/test-*.parquet', file: /^test/ },
  mainMetric: 'acc',
  readItem(row) {
    const { question, subject } = row;
    if (typeof question !== 'string') return { problem: 'it has no question' };
    if (typeof subject !== 'string') return { problem: 'it has no subject' };
    const field = FIELDS.get(subject);
    if (field === undefined) return { problem: `its subject ${JSON.stringify(subject)} is none of MMLU's` };
    const read = readChoices(row);
    if ('problem' in read) return read;
    const { choices, gold } = read;
    if (choices.length !== LETTERS.length) return { problem: `it has ${choices.length} choices in place of 4` };
    const listed = choices.map((choice, place) => `${LETTERS[place]}. ${choice}\n`).join('');
    return {
      opening: `The following are multiple choice questions (with answers) about ${subject.replaceAll('_', ' ')}.\n\n`,
      text: `${question.trim()}\n${listed}Answer:`,
      target: LETTERS[gold] ?? null,
      question: {
        kind: 'choices',
        choices: LETTERS,
        score: (logLikelihoods): Scores => ({ acc: likeliest(logLikelihoods) === gold ? 1 : 0 }),
      },
      groups: [subject, field],
    };
  },
};

/** The four fields of lm-evaluation-harness's groups `mmlu_stem` and so on, by subject. */
const FIELDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    stem: `abstract_algebra anatomy astronomy college_biology college_chemistry college_computer_science college_mathematics
      college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics high_school_biology
      high_school_chemistry high_school_computer_science high_school_mathematics high_school_physics high_school_statistics
      machine_learning`,
    humanities: `formal_logic high_school_european_history high_school_us_history high_school_world_history international_law
      jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory professional_law world_religions`,
    social_sciences: `econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics
      high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations
      security_studies sociology us_foreign_policy`,
    other: `business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing medical_genetics
      miscellaneous nutrition professional_accounting professional_medicine virology`,
  }).flatMap(([field, subjects]) => subjects.split(/\s+/).map((subject): [string, string] => [subject, field])),
);
