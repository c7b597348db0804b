/** @file The name of who has the studio's own token, and of whoever answered before answers had names. */

export const OWNER = 'owner';
