/** What a usage line needs to know of an argument. */
export interface UsageArgument {
  readonly name: string;
  readonly required?: boolean | undefined;
  readonly multiple?: boolean | undefined;
  readonly hidden?: boolean | undefined;
}

/** `push-tar TAR... [FLAGS]`: the flags are too many to be listed. */
export function usageLine(id: string, args: readonly UsageArgument[], strict = true): string {
  const shown = args
    .filter((arg) => !arg.hidden)
    .map((arg) => {
      const name = `${arg.name.toUpperCase()}${arg.multiple || !strict ? '...' : ''}`;
      return arg.required ? name : `[${name}]`;
    });
  return [id.replaceAll(':', ' '), ...shown, '[FLAGS]'].join(' ');
}
