/**
 * @file From the votes of several people to the probability that a text is better. How able each annotator is and how
 * easy each question are learned from who agrees with whom (GLAD, Whitehill et al. 2009, "Whose Vote Should Count
 * More"). Pure.
 */
import { logSigmoid, sigmoid } from '../../objective/sigmoid.ts';

/** Which of a question's two texts somebody prefers. Who cannot tell has no vote: it would favour neither. */
export interface Vote {
  question: string;
  annotator: string;
  says: 'first' | 'second';
}

/** What votes come to. */
export interface VoteModel {
  /** P(the first text is better), in (0, 1), of each question that has a vote. */
  probabilities: ReadonlyMap<string, number>;
  /** alpha of each annotator: 0 guesses, below 0 says mostly the opposite; about 1 is expected of one who is not known. */
  abilities: ReadonlyMap<string, number>;
  /** log of 1 / difficulty of each question; about 1 is expected. */
  ease: ReadonlyMap<string, number>;
}

/** What is expected of an annotator and of a question before any vote: normal, with this mean and standard deviation 1. */
const EXPECTED = 1;
/** Rounds of EM at most, and how little must move for it to end; some hundred rounds are usual. */
const MOST_ROUNDS = 5000;
const STILL = 1e-10;

/** A vote with the places of its annotator and its question. */
interface PlacedVote {
  annotator: number;
  question: number;
  isFirst: boolean;
}

/**
 * Fits the model by expectation-maximisation. A vote is right with probability sigma(ability * e^ease) (the paper's Eq. 1, with
 * 1/beta as e^ease), both texts are equally likely to be the better one before anybody voted, and abilities and eases have
 * normal priors with mean 1, so that a single vote already says something (0.94) and never everything.
 *
 * @param votes at most one of an annotator on a question
 */
export function fitVotes(votes: readonly Vote[]): VoteModel {
  const annotators = [...new Set(votes.map(({ annotator }) => annotator))];
  const questions = [...new Set(votes.map(({ question }) => question))];
  const placed = placedVotes(votes, { annotators, questions });
  const abilities = annotators.map(() => EXPECTED);
  const ease = questions.map(() => EXPECTED);
  const ofAnnotator = groups(placed, annotators.length, ({ annotator }) => annotator);
  const ofQuestion = groups(placed, questions.length, ({ question }) => question);
  const posterior = (): number[] => ofQuestion.map((own) => sigmoid(logOddsOf(own, { abilities, ease })));
  for (let round = 0, moved = Number.POSITIVE_INFINITY; round < MOST_ROUNDS && moved > STILL; round++) {
    const first = posterior();
    const isRight = ({ question, isFirst }: PlacedVote): number =>
      isFirst ? (first[question] ?? 0.5) : 1 - (first[question] ?? 0.5);
    moved = 0;
    for (const [index, own] of ofAnnotator.entries()) {
      const terms = own.map((vote) => ({ right: isRight(vote), slope: Math.exp(ease[vote.question] ?? EXPECTED) }));
      moved = Math.max(
        moved,
        climb(abilities, index, (ability) => abilityTerm(ability, terms)),
      );
    }
    for (const [index, own] of ofQuestion.entries()) {
      const terms = own.map((vote) => ({ right: isRight(vote), slope: abilities[vote.annotator] ?? EXPECTED }));
      moved = Math.max(
        moved,
        climb(ease, index, (value) => easeTerm(value, terms)),
      );
    }
  }
  const first = posterior();
  return {
    probabilities: new Map(questions.map((question, index) => [question, first[index] ?? 0.5])),
    abilities: new Map(annotators.map((annotator, index) => [annotator, abilities[index] ?? EXPECTED])),
    ease: new Map(questions.map((question, index) => [question, ease[index] ?? EXPECTED])),
  };
}

/** log P(first) / P(second) of a question by its votes: each vote counts by how likely it is to be right. */
function logOddsOf(
  own: readonly PlacedVote[],
  { abilities, ease }: { abilities: readonly number[]; ease: readonly number[] },
): number {
  return own.reduce((sum, { annotator, question, isFirst }) => {
    // log sigma(x) - log sigma(-x) = x
    const x = (abilities[annotator] ?? EXPECTED) * Math.exp(ease[question] ?? EXPECTED);
    return sum + (isFirst ? x : -x);
  }, 0);
}

/** A function at a point: what is maximised, its first and its second derivative. */
interface Point {
  value: number;
  first: number;
  second: number;
}

/** Expected log-likelihood of an annotator's votes, and the prior, by the ability. */
function abilityTerm(ability: number, terms: readonly { right: number; slope: number }[]): Point {
  const point: Point = { value: -((ability - EXPECTED) ** 2) / 2, first: EXPECTED - ability, second: -1 };
  for (const { right, slope } of terms) {
    const p = sigmoid(ability * slope);
    point.value += right * logSigmoid(ability * slope) + (1 - right) * logSigmoid(-ability * slope);
    point.first += (right - p) * slope;
    point.second -= p * (1 - p) * slope * slope;
  }
  return point;
}

/** The same of a question's votes, by its ease. */
function easeTerm(ease: number, terms: readonly { right: number; slope: number }[]): Point {
  const point: Point = { value: -((ease - EXPECTED) ** 2) / 2, first: EXPECTED - ease, second: -1 };
  for (const { right, slope } of terms) {
    const x = slope * Math.exp(ease);
    const p = sigmoid(x);
    point.value += right * logSigmoid(x) + (1 - right) * logSigmoid(-x);
    point.first += (right - p) * x;
    point.second += (right - p) * x - p * (1 - p) * x * x;
  }
  return point;
}

/** One step of Newton's method uphill, halved until it climbs. Returns how far it went. */
function climb(values: number[], index: number, term: (value: number) => Point): number {
  const from = values[index] ?? EXPECTED;
  const here = term(from);
  // Where the function is not concave the prior's curvature stands in.
  const whole = here.first / Math.max(1, -here.second);
  for (let share = 1; share > 1e-6; share /= 2) {
    if (term(from + share * whole).value < here.value) continue;
    values[index] = from + share * whole;
    return Math.abs(share * whole);
  }
  return 0;
}

function placedVotes(
  votes: readonly Vote[],
  { annotators, questions }: { annotators: readonly string[]; questions: readonly string[] },
): PlacedVote[] {
  const annotatorAt = new Map(annotators.map((name, index) => [name, index]));
  const questionAt = new Map(questions.map((name, index) => [name, index]));
  return votes.map(({ annotator, question, says }) => ({
    annotator: annotatorAt.get(annotator) ?? 0,
    question: questionAt.get(question) ?? 0,
    isFirst: says === 'first',
  }));
}

function groups<Item>(items: readonly Item[], count: number, placeOf: (item: Item) => number): Item[][] {
  const found: Item[][] = Array.from({ length: count }, () => []);
  for (const item of items) found[placeOf(item)]?.push(item);
  return found;
}
