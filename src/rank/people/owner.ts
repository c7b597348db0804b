/** @file The name of whoever holds the studio's own token. Answers from before answers had names carry it too. */

export const OWNER = 'owner';
