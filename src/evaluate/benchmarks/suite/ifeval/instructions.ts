/** @file The 25 kinds of instructions by the names that the data set gives them. */
import {
  constrainedResponse,
  jsonFormat,
  multipleSections,
  numberOfBullets,
  numberOfHighlights,
  numberOfPlaceholders,
  postscript,
  title,
} from './format.ts';
import type { Instruction } from './instruction.ts';
import { forbiddenWords, keywordExistence, keywordFrequency, letterFrequency } from './keywords.ts';
import { capitalWordFrequency, englishCapitals, englishLowercase, responseLanguage } from './language.ts';
import { firstWordOfParagraph, numberOfParagraphs, numberOfSentences, numberOfWords } from './length.ts';
import { endPhrase, noComma, quotation, repeatPrompt, twoResponses } from './parts.ts';

export const INSTRUCTIONS: ReadonlyMap<string, Instruction> = new Map(
  Object.entries({
    'keywords:existence': keywordExistence,
    'keywords:frequency': keywordFrequency,
    'keywords:forbidden_words': forbiddenWords,
    'keywords:letter_frequency': letterFrequency,
    'language:response_language': responseLanguage,
    'length_constraints:number_sentences': numberOfSentences,
    'length_constraints:number_paragraphs': numberOfParagraphs,
    'length_constraints:number_words': numberOfWords,
    'length_constraints:nth_paragraph_first_word': firstWordOfParagraph,
    'detectable_content:number_placeholders': numberOfPlaceholders,
    'detectable_content:postscript': postscript,
    'detectable_format:number_bullet_lists': numberOfBullets,
    'detectable_format:constrained_response': constrainedResponse,
    'detectable_format:number_highlighted_sections': numberOfHighlights,
    'detectable_format:multiple_sections': multipleSections,
    'detectable_format:json_format': jsonFormat,
    'detectable_format:title': title,
    'combination:two_responses': twoResponses,
    'combination:repeat_prompt': repeatPrompt,
    'startend:end_checker': endPhrase,
    'startend:quotation': quotation,
    'change_case:capital_word_frequency': capitalWordFrequency,
    'change_case:english_capital': englishCapitals,
    'change_case:english_lowercase': englishLowercase,
    'punctuation:no_comma': noComma,
  }),
);
