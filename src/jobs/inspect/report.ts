import { counted, formatBytes } from '../../base/index.ts';
import type { Check, Metric, Report, Section } from '../../report/model.ts';
import type {
  ArchiveSubject,
  ArtifactSubject,
  CheckView,
  DescriptorView,
  ImageView,
  IndexView,
  InspectResult,
  ManifestView,
  Subject,
} from './result.ts';

/** How much of what inspect saw goes on the page. */
export interface InspectPresentation {
  /** Only the exact text that was kept, or only digests. */
  readonly only?: 'text' | 'digest' | undefined;
  readonly tree: boolean;
}

/** inspect's answer for people and pipes. */
export function reportInspect(result: InspectResult, presentation: InspectPresentation): Report {
  const checks = result.subjects.flatMap(checksOf);
  const metrics = result.subjects.flatMap(metricsOf);
  const judged = { ...(checks.length > 0 ? { checks } : {}), ...(metrics.length > 0 ? { metrics } : {}) };
  if (presentation.only === 'text')
    return {
      exact: rootsOf(result)
        .map((root) => root.text ?? '')
        .join('\n'),
      ...judged,
    };
  if (presentation.only === 'digest') {
    return {
      lines: rootsOf(result).map((root) => root.digest ?? ''),
      ...judged,
    };
  }
  const lists = result.subjects.every(
    (subject) => subject.kind === 'registry' || subject.kind === 'repository',
  );
  if (lists) return { lines: result.subjects.flatMap(namesOf), summary: summaryOfLists(result), ...judged };
  return { sections: result.subjects.flatMap((subject) => sectionsOf(subject, presentation)), ...judged };
}

function rootsOf(result: InspectResult): ManifestView[] {
  return result.subjects.flatMap((subject) =>
    subject.kind === 'artifact'
      ? [subject.root]
      : subject.kind === 'archive'
        ? subject.images.map((image) => image.root)
        : [],
  );
}

function namesOf(subject: Subject): readonly string[] {
  if (subject.kind === 'registry') return subject.repositories;
  return subject.kind === 'repository' ? subject.tags : [];
}

function summaryOfLists(result: InspectResult): string {
  return result.subjects
    .map((subject) =>
      subject.kind === 'registry'
        ? `${counted(subject.repositories.length, 'repository', 'repositories')} in ${subject.registry}`
        : subject.kind === 'repository'
          ? `${counted(subject.tags.length, 'tag')} in ${subject.registry}/${subject.repository}`
          : '',
    )
    .join('; ');
}

function sectionsOf(subject: Subject, presentation: InspectPresentation): Section[] {
  switch (subject.kind) {
    case 'registry':
      return [{ title: subject.registry, text: subject.repositories.join('\n') }];
    case 'repository':
      return [{ title: `${subject.registry}/${subject.repository}`, text: subject.tags.join('\n') }];
    case 'artifact':
      return artifactSections(subject, presentation);
    case 'archive':
      return archiveSections(subject, presentation);
  }
}

function artifactSections(subject: ArtifactSubject, presentation: InspectPresentation): Section[] {
  if (presentation.tree) {
    const referrers = (subject.referrers ?? []).map((one) =>
      leaf(`referrer ${one.artifactType ?? one.mediaType}`, one),
    );
    return [
      { text: renderTree(subject.reference, subject.root, referrers) },
      ...checkSections(subject.check),
    ];
  }
  return [
    ...manifestSections(subject.reference, subject.root),
    ...(subject.referrers ? [referrerSection(subject.referrers)] : []),
    ...checkSections(subject.check),
  ];
}

function archiveSections(subject: ArchiveSubject, presentation: InspectPresentation): Section[] {
  const packing = subject.outerCompression === 'none' ? '' : `, ${subject.outerCompression}`;
  const heading: Section = {
    title: subject.path,
    facts: [
      ['format', subject.format + packing],
      ['images', String(subject.images.length)],
    ],
  };
  const images = subject.images.flatMap(({ index, names, root }) => {
    const title = `@${index} ${names.join(', ') || '(no name)'}`;
    return presentation.tree ? [{ text: renderTree(title, root, []) }] : manifestSections(title, root);
  });
  return [heading, ...images, ...checkSections(subject.check)];
}

function manifestSections(title: string, root: ManifestView): Section[] {
  return root.type === 'image' ? imageSections(title, root) : indexSections(title, root);
}

function imageSections(title: string, image: ImageView): Section[] {
  const { settings } = image;
  const facts: [string, string | undefined][] = [
    ['digest', image.digest],
    ['media type', image.mediaType],
    ['artifact type', image.artifactType],
    ['platform', image.platform],
    ['size', formatBytes(image.sizeBytes)],
    ['created', image.created],
    ['author', image.author],
    ['config', image.config.digest],
    ['subject', image.subject?.digest],
    ['user', settings?.user],
    ['entrypoint', words(settings?.entrypoint)],
    ['command', words(settings?.command)],
    ['working dir', settings?.workingDir],
    ['ports', settings?.exposedPorts?.join(' ')],
    ['volumes', settings?.volumes?.join(' ')],
  ];
  const sections: Section[] = [{ title, facts: present(facts) }];
  if (settings?.env) sections.push({ title: 'environment', text: settings.env.join('\n') });
  if (settings?.labels) sections.push({ title: 'labels', facts: Object.entries(settings.labels) });
  if (image.annotations) sections.push({ title: 'annotations', facts: Object.entries(image.annotations) });
  if (image.layers.length > 0) sections.push(layerSection(image));
  if (image.history) sections.push(historySection(image));
  return sections;
}

function layerSection(image: ImageView): Section {
  return {
    title: 'layers',
    table: {
      columns: [
        { title: '#', align: 'right' },
        { title: 'size', align: 'right' },
        { title: 'digest' },
        { title: 'media type', shrink: true },
      ],
      rows: image.layers.map((layer, at) => [
        String(at + 1),
        formatBytes(layer.sizeBytes),
        layer.digest ?? `${layer.diffId} (diffID)`,
        layer.mediaType,
      ]),
    },
  };
}

function historySection(image: ImageView): Section {
  return {
    title: 'history',
    table: {
      columns: [
        { title: 'created' },
        { title: 'size', align: 'right' },
        { title: 'created by', shrink: true },
      ],
      rows: (image.history ?? []).map((step) => [
        step.created ?? '',
        step.emptyLayer ? '' : step.sizeBytes === undefined ? '?' : formatBytes(step.sizeBytes),
        (step.createdBy ?? step.comment ?? '').replaceAll(/\s+/g, ' '),
      ]),
    },
  };
}

function indexSections(title: string, index: IndexView): Section[] {
  const facts: [string, string | undefined][] = [
    ['digest', index.digest],
    ['media type', index.mediaType],
    ['artifact type', index.artifactType],
    ['subject', index.subject?.digest],
    ['manifests', String(index.manifests.length)],
  ];
  const sections: Section[] = [{ title, facts: present(facts) }];
  if (index.annotations) sections.push({ title: 'annotations', facts: Object.entries(index.annotations) });
  sections.push({
    title: 'manifests',
    table: {
      columns: [
        { title: 'platform' },
        { title: 'size', align: 'right' },
        { title: 'digest' },
        { title: 'media type', shrink: true },
      ],
      rows: index.manifests.map((entry) => [
        (entry.platform ?? '') + (entry.present === false ? ' (absent)' : ''),
        formatBytes(entry.sizeBytes),
        entry.digest ?? '',
        entry.artifactType ?? entry.mediaType,
      ]),
    },
  });
  return sections;
}

function referrerSection(referrers: readonly DescriptorView[]): Section {
  if (referrers.length === 0) return { title: 'referrers', text: 'none' };
  return {
    title: 'referrers',
    table: {
      columns: [{ title: 'artifact type' }, { title: 'size', align: 'right' }, { title: 'digest' }],
      rows: referrers.map((one) => [
        one.artifactType ?? one.mediaType,
        formatBytes(one.sizeBytes),
        one.digest ?? '',
      ]),
    },
  };
}

function checkSections(check: CheckView | undefined): Section[] {
  if (!check) return [];
  const verdict = check.problems.length === 0 ? 'good' : counted(check.problems.length, 'problem');
  const heading: Section = {
    title: 'check',
    facts: [
      ['result', verdict],
      ['looked at', lookedAt(check)],
    ],
  };
  if (check.problems.length === 0) return [heading];
  const rows = check.problems.map((one) => [one.problem, one.message, one.digest]);
  return [
    heading,
    { table: { columns: [{ title: 'problem' }, { title: 'what' }, { title: 'digest' }], rows } },
  ];
}

function lookedAt(check: CheckView): string {
  const read = check.deep ? `, ${formatBytes(check.readBytes)} read and hashed` : '';
  return `${counted(check.manifests, 'manifest')}, ${counted(check.blobs, 'blob')}${read}`;
}

function checksOf(subject: Subject): Check[] {
  if (!('check' in subject) || !subject.check) return [];
  const name = subject.kind === 'artifact' ? subject.reference : subject.path;
  const { problems } = subject.check;
  return [
    {
      name,
      status: problems.length === 0 ? 'pass' : 'fail',
      message:
        problems.length === 0
          ? lookedAt(subject.check)
          : `${counted(problems.length, 'problem')}: ${problems[0]?.message}`,
    },
  ];
}

function metricsOf(subject: Subject): Metric[] {
  if (!('check' in subject) || !subject.check) return [];
  const { blobs, readBytes, problems } = subject.check;
  return [
    { name: 'blobs_checked', help: 'Blobs looked at.', value: blobs },
    { name: 'problems', help: 'Problems found.', value: problems.length, warn: 0, critical: 0 },
    ...(subject.check.deep
      ? [{ name: 'read_bytes', help: 'Bytes read and hashed.', value: readBytes, unit: 'B' as const }]
      : []),
  ];
}

interface Branch {
  readonly label: string;
  readonly children: readonly Branch[];
}

function renderTree(title: string, root: ManifestView, more: readonly Branch[]): string {
  const lines = [`${title}${root.digest ? ` ${root.digest}` : ''}`];
  const draw = (branches: readonly Branch[], indent: string): void => {
    for (const [at, branch] of branches.entries()) {
      const last = at === branches.length - 1;
      lines.push(`${indent}${last ? '└─ ' : '├─ '}${branch.label}`);
      draw(branch.children, indent + (last ? '   ' : '│  '));
    }
  };
  draw([...branchesOf(root), ...more], '');
  return lines.join('\n');
}

function branchesOf(view: ManifestView): Branch[] {
  if (view.type === 'index') {
    return view.manifests.map((entry) => ({
      label: `${entry.platform ?? entry.artifactType ?? entry.mediaType} ${entry.digest}${entry.present === false ? ' (absent)' : ''}`,
      children: entry.manifest ? branchesOf(entry.manifest) : [],
    }));
  }
  return [
    leaf('config', view.config),
    ...view.layers.map((layer, at) => leaf(`layer ${at + 1}`, layer, layer.diffId)),
  ];
}

function leaf(name: string, descriptor: DescriptorView, diffId?: string): Branch {
  const id = descriptor.digest ?? (diffId ? `${diffId} (diffID)` : '');
  return { label: `${name} ${id} ${formatBytes(descriptor.sizeBytes)}`, children: [] };
}

function present(facts: readonly [string, string | undefined][]): [string, string][] {
  return facts.filter((fact): fact is [string, string] => fact[1] !== undefined && fact[1] !== '');
}

function words(list: readonly string[] | undefined): string | undefined {
  return list?.map((word) => (/[\s"']/.test(word) || word === '' ? JSON.stringify(word) : word)).join(' ');
}
