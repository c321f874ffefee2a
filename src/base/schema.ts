/**
 * The smaller of zod's two faces, for what every command reads: the other one takes 25 ms to load and to build
 * its schemas. Beside base's index, so that commands that read nothing foreign load neither.
 */
import * as z from 'zod/mini';
import english from 'zod/v4/locales/en.js';

// The larger face does so by itself; without it every message is "Invalid input".
z.config(english());

export { z };
