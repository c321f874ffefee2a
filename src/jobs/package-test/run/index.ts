import { counted, mapConcurrently, RegopsError } from '../../../base/index.ts';
import type { Engine, Image } from '../../../engine/index.ts';
import { formatReference, platformMatches } from '../../../oci/index.ts';
import { errorOf } from './ending.ts';
import type { PackageTestRunContext, PackageTestRunOptions, PackageTestRunResult } from './options.ts';
import { type Subject, type Tested, testPackage } from './test-package.ts';

export { reportPackageTest } from '../report.ts';
export {
  ALTS_LIMITS,
  type Keep,
  type KeptContainer,
  type PackageFile,
  type PackageTestRunContext,
  type PackageTestRunOptions,
  type PackageTestRunResult,
  type StageLimits,
  type TestFolder,
  type TestScript,
} from './options.ts';

/**
 * package-test run: ALTS' stages here, on a Docker Engine: each package is installed, checked, tested and removed in
 * a container of its own, by the distribution's own tools. Nothing is put into the container but the package files
 * and scripts: no Python, no agent. The result has ALTS' shape, so verdicts and reports are those of a scheduler's.
 */
export async function runPackageTests(
  options: PackageTestRunOptions,
  context: PackageTestRunContext,
): Promise<{ readonly result: PackageTestRunResult; readonly error?: RegopsError }> {
  const began = performance.now();
  const { packages, files, concurrency } = options;
  const subjects: Subject[] =
    packages.length > 0 ? packages.map((wanted) => ({ package: wanted })) : files.map((file) => ({ file }));
  if (subjects.length === 0) throw new RegopsError('USAGE', 'test what? Name a PACKAGE, or give a --file');
  const engine = await context.engine();
  const image = await getImage(engine, options, context);
  const labels = labelsOf(subjects);
  const name = formatReference(options.image);
  context.progress.phase(`testing ${counted(subjects.length, 'package')} in ${name}`);
  const tested = await mapConcurrently(
    subjects.entries(),
    concurrency,
    undefined,
    async ([at, subject]): Promise<Tested> => {
      const one = await testPackage(subject, labels[at] as string, image, engine, options, context);
      context.ended?.(one.task);
      return one;
    },
  );
  const tasks = tested.map(({ task }) => task);
  const error = errorOf(tested, name);
  return {
    result: {
      image: name,
      imageId: image.id,
      tasks,
      kept: tested.flatMap(({ kept }) => kept ?? []),
      durationMs: Math.round(performance.now() - began),
    },
    ...(error ? { error } : {}),
  };
}

/** The image, pulled when the engine has it not, or has that of another platform. */
async function getImage(
  engine: Engine,
  { image, platform }: PackageTestRunOptions,
  { credential, progress, signal }: PackageTestRunContext,
): Promise<Image> {
  const present = await engine.images.find(image, { signal });
  if (present && (platform === undefined || platformMatches(platform, present.platform))) return present;
  const wanted = image.tag === undefined && image.digest === undefined ? { ...image, tag: 'latest' } : image;
  progress.phase(`pulling ${formatReference(wanted)}`);
  const pulled = await engine.images.pull(wanted, {
    signal,
    credential: await credential(image.domain, image.repository),
    ...(platform ? { platform } : {}),
  });
  return pulled.image;
}

/** Names of the tests, each different. */
function labelsOf(subjects: readonly Subject[]): string[] {
  const names = subjects.map((subject) =>
    'file' in subject
      ? subject.file.name
      : `${subject.package.name}${subject.package.version ? `=${subject.package.version}` : ''}`,
  );
  return names.map((name, at) => (names.indexOf(name) === at ? name : `${name}-${at + 1}`));
}
