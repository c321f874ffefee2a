/** An element of an XML document, its texts joined. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  readonly text: string;
}

const NAME = String.raw`[A-Za-z_][\w.-]*`;
const ATTRIBUTE = new RegExp(String.raw`\s+(${NAME})="([^<"]*)"`, 'y');
/** XML 1.0, section 2.2: what is no character of a document. */
const NO_CHARACTER = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;

/** Parses the XML that a careful writer writes (no DOCTYPE, comments or CDATA). Throws at whatever is not well-formed. */
export function parseXml(text: string): XmlElement {
  const bad = NO_CHARACTER.exec(text);
  if (bad) throw new Error(`not a character of XML at ${bad.index}`);
  let at = /^(<\?xml [^<]*?\?>)?\s*/.exec(text)?.[0].length ?? 0;
  const fail = (what: string): never => {
    throw new Error(`${what} at ${at}: ${text.slice(at, at + 60)}`);
  };
  const take = (pattern: RegExp): RegExpExecArray | null => {
    const sticky = new RegExp(pattern.source, 'y');
    sticky.lastIndex = at;
    const match = sticky.exec(text);
    if (match) at = sticky.lastIndex;
    return match;
  };

  const element = (): XmlElement => {
    const name = take(new RegExp(`<(${NAME})`))?.[1] ?? fail('no element');
    const attributes: Record<string, string> = {};
    for (let one = take(ATTRIBUTE); one; one = take(ATTRIBUTE)) {
      const key = one[1] ?? '';
      if (key in attributes) fail(`attribute ${key} twice`);
      attributes[key] = decode(one[2] ?? '');
    }
    const children: XmlElement[] = [];
    let content = '';
    if (take(/\s*\/>/)) return { name, attributes, children, text: content };
    if (!take(/\s*>/)) fail('a start tag that does not end');
    for (;;) {
      content += decode(take(/[^<]*/)?.[0] ?? '');
      const end = take(new RegExp(String.raw`</(${NAME})\s*>`));
      if (end)
        return end[1] === name ? { name, attributes, children, text: content } : fail(`no end of ${name}`);
      children.push(element());
    }
  };

  const root = element();
  if (!/^\s*$/.test(text.slice(at))) fail('more than one root');
  return root;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decode(text: string): string {
  return text.replaceAll(/&([^;&]*;?)/g, (_, reference: string) => {
    const name = reference.slice(0, -1);
    const known =
      ENTITIES[name] ?? (/^#\d+$/.test(name) ? String.fromCodePoint(Number(name.slice(1))) : undefined);
    if (known === undefined || !reference.endsWith(';')) throw new Error(`bad reference &${reference}`);
    return known;
  });
}
