import { z } from 'zod';
import { messageOf, parseRate, parseSize, RegopsError } from '../../base/index.ts';
import { durationOf, parseBodyPart, parseDelay, parseDrift, parseLag } from './amounts.ts';
import { parseMisplacement, parseRedirect } from './locations.ts';
import { parsePattern } from './patterns.ts';

export const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE'] as const;

/**
 * Kinds of endpoints. `blobs` are blobs and the requests that bring their bytes, `uploads` all requests of
 * uploads, `api` is the whole administration of NSCR.
 */
export const KINDS = [
  'base',
  'catalog',
  'tags',
  'manifests',
  'blobs',
  'uploads',
  'referrers',
  'token',
  'api',
] as const;

export type Kind = (typeof KINDS)[number];

/** More would only be a mistake, and every request looks at each. */
export const MOST_FAULTS = 1000;

/** A text that a parser must accept; what the parser throws is said in the message. */
function parsed(parse: (text: string) => unknown, longest = 500) {
  return z
    .string()
    .min(1)
    .max(longest)
    .superRefine((text, context) => {
      try {
        parse(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
      }
    });
}

function oneOrMore<T extends z.ZodType>(schema: T) {
  return z.union([schema, z.array(schema).min(1).max(20)]);
}

const pattern = parsed(parsePattern);
const duration = parsed(durationOf);
const ordinal = z.int().min(1);

const matchSchema = z.strictObject({
  method: oneOrMore(z.enum(METHODS)).optional(),
  kind: oneOrMore(z.enum(KINDS)).optional(),
  /** Of the whole path, without its query. */
  path: pattern.optional(),
  repository: pattern.optional(),
  /** A tag or digest as the path has it. */
  reference: pattern.optional(),
  /** Which of the requests that match, counted from 1. */
  nth: oneOrMore(ordinal).optional(),
  /** Every so manieth. */
  every: ordinal.optional(),
  /** The first so many. */
  first: ordinal.optional(),
  /** How likely each request is hit. */
  probability: z.number().min(0).max(1).optional(),
  /** Which share of the objects (blobs, manifests, tags, paths) is hit, always the same ones. */
  share: z.number().min(0).max(1).optional(),
  /** How long the fault waits before it begins, from when it was set. */
  after: duration.optional(),
  /** How long it lasts from there. */
  for: duration.optional(),
});

const effectSchema = z
  .strictObject({
    delay: parsed(parseDelay).optional(),
    /** Whoever comes waits until the fault's `for` is over. */
    stall: z.literal(true).optional(),
    status: z.int().min(200).max(599).optional(),
    body: z.string().max(1_000_000).optional(),
    /** Seconds; alone it means status 429. */
    retryAfter: z.int().min(0).max(86_400).optional(),
    reset: z.enum(['before', 'after', 'head', 'mid']).optional(),
    /** As `reset`, but the connection stays, and nothing more is said on it. */
    hang: z.enum(['before', 'after', 'head', 'mid']).optional(),
    /** The token that the request brings is no longer good. */
    expired: z.literal(true).optional(),
    /** What an upload's Location is instead. */
    location: parsed(parseMisplacement).optional(),
    /** Where a redirect leads that is answered instead. */
    redirect: parsed(parseRedirect).optional(),
    /** The upload ends; with a size only once it has so many bytes. */
    dead: z.union([z.literal(true), parsed(parseSize)]).optional(),
    /** The body does not end; with a size it ends after so much. */
    endless: z.union([z.literal(true), parsed(parseSize)]).optional(),
    /** With `status`: the request is carried out all the same. */
    handled: z.literal(true).optional(),
    truncate: parsed(parseBodyPart).optional(),
    shorten: parsed(parseBodyPart).optional(),
    corrupt: z.union([z.literal(true), z.int().min(1).max(10_000)]).optional(),
    /** Added to the Content-Length. */
    length: z
      .int()
      .refine((bytes) => bytes !== 0, 'must not be 0')
      .optional(),
    digest: z.enum(['wrong', 'missing']).optional(),
    rate: parsed(parseRate).optional(),
    stale: parsed(parseLag).optional(),
    /** Which entries a list leaves out; `true` for one. */
    forget: z.union([z.literal(true), pattern]).optional(),
    missing: z.literal(true).optional(),
    /** Which tags point nowhere; `true` for all. */
    lost: z.union([z.literal(true), pattern]).optional(),
    /** The repository's name. */
    ghost: z.union([z.literal(true), z.string().min(1).max(255)]).optional(),
    /** A manifest read by a tag is half the tag's, half what it was before. */
    torn: z.literal(true).optional(),
    /** A write that was answered as done is taken back, at once or so much later. */
    undone: z.union([z.literal(true), duration]).optional(),
    /** How many other tags of the same manifest go with a deleted tag; `true` for all. */
    siblings: z.union([z.literal(true), z.int().min(1).max(10_000)]).optional(),
    /** What a cleaning throws away that comes before the request. */
    sweep: z.enum(['uploads', 'blobs']).optional(),
    drift: parsed(parseDrift).optional(),
    health: z.enum(['degraded', 'unhealthy']).optional(),
    /** How old the session is that never ends. */
    session: duration.optional(),
  })
  .refine((effect) => Object.keys(effect).length > 0, 'says nothing that should go wrong')
  .refine(({ handled, status, retryAfter }) => !handled || status !== undefined || retryAfter !== undefined, {
    path: ['handled'],
    message: 'belongs to a status',
  })
  .refine(({ body, status, retryAfter }) => body === undefined || (status ?? retryAfter) !== undefined, {
    path: ['body'],
    message: 'belongs to a status',
  });

const faultSchema = z
  .strictObject({
    /** What it is called in counts and in the access log; default `fault-1`, `fault-2` … */
    name: z
      .string()
      .regex(/^[\w.-]{1,64}$/, 'letters, digits, dots, hyphens and underscores, at most 64')
      .optional(),
    match: matchSchema.optional(),
    effect: effectSchema,
  })
  .refine(({ match, effect }) => !effect.stall || match?.for !== undefined, {
    path: ['effect', 'stall'],
    message: 'needs a match with "for": how long the stall is',
  });

/** Every word a match, and an effect, may have. */
export const MATCH_KEYS = Object.keys(matchSchema.shape);
export const EFFECT_KEYS = Object.keys(effectSchema.shape);

/** Which requests a fault hits. Whatever is left out does not matter; what is given must all hold. */
export type FaultMatch = Readonly<z.infer<typeof matchSchema>>;

/** What goes wrong then; several of them go wrong together. */
export type FaultEffect = Readonly<z.infer<typeof effectSchema>>;

/** One way in which the testbed misbehaves (README.md beside this file). */
export interface Fault {
  readonly name?: string | undefined;
  readonly match?: FaultMatch | undefined;
  readonly effect: FaultEffect;
}

/** Checks one fault. Throws CONFIG_INVALID that says where it is wrong. */
export function validateFault(value: unknown, where = 'fault'): Fault {
  const checked = faultSchema.safeParse(value);
  if (checked.success) return checked.data;
  throw invalid(where, checked.error.issues);
}

/** Checks a document: a list of faults, or an object that holds one under `faults`. Throws CONFIG_INVALID. */
export function validateFaults(value: unknown): readonly Fault[] {
  const keys = Object.keys(value ?? {});
  const isWrapped = !Array.isArray(value) && keys.length === 1 && keys[0] === 'faults';
  const list = isWrapped ? (value as { faults: unknown }).faults : value;
  if (!Array.isArray(list) || list.length > MOST_FAULTS) {
    throw new RegopsError('CONFIG_INVALID', `invalid faults: not a list of at most ${MOST_FAULTS} faults`, {
      hints: ['Write [{"match": {"kind": "manifests"}, "effect": {"status": 500}}].'],
    });
  }
  return list.map((fault, at) => validateFault(fault, `faults[${at}]`));
}

function invalid(where: string, issues: readonly z.core.$ZodIssue[]): RegopsError {
  const [first] = issues;
  const path = first?.path.map(String).join('.') ?? '';
  const message = `invalid ${where}${path && `: ${path}`}: ${describe(first)}`;
  return new RegopsError('CONFIG_INVALID', message.slice(0, 500));
}

/** Of a union that nothing fits, what the likeliest branch says. */
function describe(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code !== 'invalid_union') return issue?.message ?? 'invalid';
  const all = issue.errors.flat();
  const apt = all.filter(({ code }) => code !== 'invalid_type');
  const told = apt.length > 0 ? apt : all;
  return [...new Set(told.map(({ message }) => message))].join(', or ') || issue.message;
}
