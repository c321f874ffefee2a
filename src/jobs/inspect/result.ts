/** What inspect saw; the `result` of its JSON answer. */
export interface InspectResult {
  readonly subjects: readonly Subject[];
}

export type Subject = RegistrySubject | RepositorySubject | ArtifactSubject | ArchiveSubject;

export interface RegistrySubject {
  readonly kind: 'registry';
  readonly registry: string;
  readonly repositories: readonly string[];
}

export interface RepositorySubject {
  readonly kind: 'repository';
  readonly registry: string;
  readonly repository: string;
  readonly tags: readonly string[];
}

/** An image, artifact or index in a registry. */
export interface ArtifactSubject {
  readonly kind: 'artifact';
  /** As it was asked for, in full. */
  readonly reference: string;
  readonly root: ManifestView;
  readonly referrers?: readonly DescriptorView[];
  readonly check?: CheckView;
}

export interface ArchiveSubject {
  readonly kind: 'archive';
  readonly path: string;
  readonly format: 'docker-archive' | 'oci-archive' | 'oci-layout';
  readonly outerCompression: 'none' | 'gzip' | 'zstd';
  readonly images: readonly ArchiveImageView[];
  readonly check?: CheckView;
}

export interface ArchiveImageView {
  /** Chooses the image: `@0`. */
  readonly index: number;
  readonly names: readonly string[];
  readonly root: ManifestView;
}

/** A manifest with what it holds; an image that has none of its own (docker-archive) lacks the digest. */
export type ManifestView = ImageView | IndexView;

export interface ImageView {
  readonly type: 'image';
  readonly digest?: string;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly platform?: string;
  /** Manifest, configuration and layers together. */
  readonly sizeBytes: number;
  readonly created?: string;
  readonly author?: string;
  readonly config: DescriptorView;
  readonly settings?: SettingsView;
  readonly layers: readonly LayerView[];
  readonly history?: readonly HistoryView[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly subject?: DescriptorView;
  /** Exact text of the manifest or configuration, when asked for. */
  readonly text?: string;
}

export interface IndexView {
  readonly type: 'index';
  readonly digest: string;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly sizeBytes: number;
  readonly manifests: readonly IndexEntryView[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly subject?: DescriptorView;
  readonly text?: string;
}

export interface IndexEntryView extends DescriptorView {
  readonly platform?: string;
  /** False when the archive names it but does not hold it. */
  readonly present?: boolean;
  /** The entry itself, with --tree. */
  readonly manifest?: ManifestView;
}

export interface DescriptorView {
  /** Absent for what has no digest before it is pushed. */
  readonly digest?: string;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface LayerView extends DescriptorView {
  readonly diffId?: string;
  /** How the bytes are packed in a docker-archive. */
  readonly compression?: string;
}

export interface SettingsView {
  readonly user?: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly workingDir?: string;
  readonly env?: readonly string[];
  readonly exposedPorts?: readonly string[];
  readonly volumes?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

export interface HistoryView {
  readonly created?: string;
  readonly createdBy?: string;
  readonly comment?: string;
  readonly emptyLayer: boolean;
  /** Size of the layer it made. */
  readonly sizeBytes?: number;
}

/** What --check found. */
export interface CheckView {
  readonly deep: boolean;
  readonly manifests: number;
  readonly blobs: number;
  /** Bytes that were read and hashed; 0 without --deep. */
  readonly readBytes: number;
  readonly problems: readonly ProblemView[];
}

export interface ProblemView {
  readonly digest: string;
  /** Where it is named: `layer 3 of linux/amd64`. */
  readonly what: string;
  readonly problem: 'missing' | 'wrong-size' | 'corrupt' | 'unreadable';
  readonly message: string;
}
