import type { Container, HistoryStep } from '../../engine/index.ts';
import { isTooLong, settingsOf } from './settings.ts';

/** Parts of a variable's name that say that its value is a secret. */
const SECRET_NAME =
  /(?<!com|by)pass(word|wd|phrase)?(?![a-z])|secret|token|api_?key|access_?key|private_?key|credential|(^|_)(auth|pat|pwd)(_|$)/i;
/** Values that are secrets under any name: a URL with a password, a private key, a JSON web token. */
const SECRET_VALUE =
  /:\/\/[^\s/:@]+:[^\s/@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|(^|[^\w-])eyJ[\w-]{8,}\.[\w-]+\./;

/** The name of a variable as an engine lists it: `NAME=value`. */
export function variableName(entry: string): string {
  const equals = entry.indexOf('=');
  return equals === -1 ? entry : entry.slice(0, equals);
}

/** Names of the variables that look like secrets, and whose values would be in the image. */
export function secretVariables(env: readonly string[]): string[] {
  return env
    .filter((entry) => {
      const name = variableName(entry);
      const value = entry.slice(name.length + 1);
      return value !== '' && (SECRET_NAME.test(name) || SECRET_VALUE.test(value));
    })
    .map(variableName);
}

/** Names of the variables that a pattern asks to be emptied. A match anywhere in the name counts. */
export function scrubbedVariables(env: readonly string[], patterns: readonly RegExp[]): string[] {
  // A pattern of the `g` kind would remember where it last matched.
  const fresh = patterns.map((pattern) => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')));
  return env.map(variableName).filter((name) => fresh.some((pattern) => pattern.test(name)));
}

/** Of these variables, those that a step of the image's history sets: a commit cannot take them out of there. */
export function namedInHistory(names: readonly string[], history: readonly HistoryStep[]): string[] {
  return names.filter((name) =>
    history.some(({ createdBy }) =>
      new RegExp(`\\b(ENV|ARG)\\b.*(^|[\\s"'])${escaped(name)}[= ]`).test(createdBy),
    ),
  );
}

/** What the image of a container will lack, one sentence each. */
export function lossesOf(container: Container): string[] {
  const { mounts, host } = container;
  const settings = settingsOf(container);
  const losses: string[] = [];
  if (mounts.length > 0) {
    const what = mounts.map(({ type, name, source, destination }) =>
      type === 'bind'
        ? `${destination} (of ${source})`
        : `${destination} (${type}${name ? ` ${short(name)}` : ''})`,
    );
    losses.push(`not in a snapshot: what is mounted at ${listed(what)}`);
  }
  const powers = [
    ...(host.privileged ? ['--privileged'] : []),
    ...host.capAdd.map((name) => `--cap-add ${name}`),
    ...(settings.network === undefined || settings.network === 'none'
      ? []
      : [`--network ${settings.network}`]),
  ];
  if (powers.length > 0) losses.push(`not restored unless asked for on the other side: ${listed(powers)}`);
  const kept = keptInLabel(settings);
  if (kept.length > 0) {
    losses.push(`kept as a label that only regops snapshot pull --start reads: ${kept.join(', ')}`);
  }
  if (isTooLong(settings)) losses.push('too many published ports for a label: they are not restored');
  return losses;
}

function keptInLabel(settings: ReturnType<typeof settingsOf>): string[] {
  return [
    ...(settings.ports ? [`ports (${listed(Object.keys(settings.ports))})`] : []),
    ...(settings.memoryBytes || settings.nanoCpus || settings.cpuShares || settings.pidsLimit
      ? ['limits']
      : []),
    ...(settings.restart ? ['restart policy'] : []),
  ];
}

function listed(items: readonly string[]): string {
  return items.slice(0, 6).join(', ') + (items.length > 6 ? ` and ${items.length - 6} more` : '');
}

/** Anonymous volumes are named by 64 digits. */
function short(name: string): string {
  return /^[0-9a-f]{64}$/.test(name) ? name.slice(0, 12) : name;
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
