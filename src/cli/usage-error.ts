import { stripVTControlCharacters } from 'node:util';
import { escapeText, isRegopsError, messageOf, RegopsError } from '../base/index.ts';
import { nearest } from './nearest.ts';

/** The parts of oclif's parse errors that we read (@oclif/core lib/parser/errors.js). */
interface ParseError extends Error {
  readonly flags?: readonly string[];
  readonly args?: readonly (string | { readonly name: string })[];
}

/**
 * What oclif's parser threw, as a RegopsError with a short message. oclif's own messages repeat flag
 * values, secrets among them ("--password=… cannot also be provided"), so each is written anew.
 *
 * @param known names of the command's flags, for "did you mean"
 * @param argv what was typed
 */
export function usageErrorOf(
  thrown: unknown,
  known: readonly string[],
  argv: readonly string[],
): RegopsError {
  if (isRegopsError(thrown)) return withoutOclifFrame(thrown);
  const error = thrown as ParseError;
  switch (error?.constructor?.name) {
    case 'NonExistentFlagsError':
      return unknownFlag(error.flags?.[0] ?? '', known);
    case 'UnexpectedArgsError':
      return usage(`unexpected argument ${shownArgument(String(error.args?.[0]), argv)}`);
    case 'RequiredArgsError':
      return usage(
        `missing argument ${(error.args ?? []).map((arg) => (typeof arg === 'string' ? arg : arg.name).toUpperCase()).join(', ')}`,
      );
    case 'FailedFlagValidationError':
    case 'ViolatedFlagConstraintError':
      return usage(
        stripVTControlCharacters(unframed(error.message))
          .replace(/^The following errors? occurred:\s*/, '')
          .replaceAll(/All of the following must be provided when using (--[\w-]+): /g, '$1 needs ')
          .replaceAll(
            /--([\w-]+)=.*? cannot also be provided when using --([\w-]+)/gs,
            '--$1 and --$2 cannot be used together',
          )
          .replaceAll(/\s+/g, ' '),
      );
    case 'FlagInvalidOptionError':
    case 'ArgInvalidOptionError':
    case 'CLIError':
    case 'CLIParseError':
      return usage(lowerFirst(stripVTControlCharacters(unframed(error.message)).replaceAll(/\s+/g, ' ')));
    default:
      return new RegopsError('BUG', messageOf(thrown), { cause: thrown });
  }
}

function withoutOclifFrame(error: RegopsError): RegopsError {
  const message = unframed(error.message);
  if (message === error.message) return error;
  const { hints, details, cause } = error;
  return new RegopsError(error.code, message, { hints, details, cause });
}

/** oclif writes "Parsing --flag \n\t…\nSee more help with --help" into the message of what a flag's parser threw. */
function unframed(message: string): string {
  return message.replace(/\nSee more help with --help$/, '').replace(/^Parsing (--[\w-]+) \n\t/, '$1: ');
}

/** Beside a credential flag a stray word may well be the credential: `--password-stdin SECRET`. */
function shownArgument(text: string, argv: readonly string[]): string {
  const credentials = argv.some((arg) => /^--(password|token|auth)/.test(arg));
  return credentials ? '(not repeated: it may be a secret)' : `'${escapeText(text).slice(0, 100)}'`;
}

function unknownFlag(text: string, known: readonly string[]): RegopsError {
  // Only the name: a misspelled --password=… must not be repeated whole.
  const name = text.startsWith('--') ? text.replace(/=.*/s, '') : text.slice(0, 2);
  const guess = nearest(
    name.replace(/^--/, ''),
    known.filter((flag) => name.startsWith('--') && flag.length > 1),
  );
  return usage(
    `unknown flag ${escapeText(name).slice(0, 100)}`,
    guess === undefined ? [] : [`Did you mean --${guess}?`],
  );
}

function usage(message: string, hints: readonly string[] = []): RegopsError {
  return new RegopsError('USAGE', message, { hints });
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
