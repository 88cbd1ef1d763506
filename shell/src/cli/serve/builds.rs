//! The remotes in a folder, as builds for a development server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use delivery::{release::Platform, serve::DevBuild};
use negotiation::manifest::{MAX_MANIFEST_BYTES, RemoteManifest, Written};
use plugin_api::abi::ABI_REVISION;
use semver::Version;

use crate::{
    catalogue::Code,
    cli::Exit,
    data::{
        drop_folder,
        private::{Folder, Places},
    },
    failure::{Failure, FailureCode, Stage},
    file,
    library::{self, Digest, LibraryError, copy_digested, is_json, read_manifest, search},
    trust,
    watch::FileEvent,
};

/// Reason for a remote without a file.
const REMOVED: &str = "its file was removed";

/// A change of the offer.
pub(super) enum BuildChange {
    /// A new build.
    Build(Box<DevBuild>),
    /// A remote has no usable build any more.
    Gone { name: String, reason: String },
    /// A file cannot be used.
    Broken(Failure),
    /// A file is not served, because another one has the same remote.
    Hidden { name: String, path: PathBuf, by: PathBuf },
}

/// A manifest or library that describes a remote.
struct Source {
    manifest: RemoteManifest,
    /// Text of the manifest, if it is a JSON file.
    text: Option<String>,
    library: PathBuf,
}

/// The remotes of a folder, and their state when they were last read.
pub(super) struct Builds {
    folder: PathBuf,
    copies: Folder,
    /// Number of copies so far.
    copied: u64,
    sources: BTreeMap<PathBuf, Source>,
    /// The source of each remote on offer.
    offered: BTreeMap<String, PathBuf>,
    /// Messages that were reported, by file.
    reported: BTreeMap<PathBuf, String>,
}

impl Builds {
    pub(super) fn new(folder: PathBuf) -> Result<Self, Exit> {
        let copies = Places::of_user(None).first().map_err(|why| {
            Exit::new(Exit::FAILURE, Code::CopyFailed, "no folder can hold private copies of libraries", why)
        })?;
        let (sources, offered, reported) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { folder, copies, copied: 0, sources, offered, reported })
    }

    /// Reads every file of the folder.
    pub(super) fn scan(&mut self) -> Vec<BuildChange> {
        let mut changes = Vec::new();
        let paths = drop_folder::files(&self.folder).unwrap_or_default();
        let names: BTreeSet<_> = paths.iter().filter_map(|path| self.read(path, &mut changes).ok()).collect();
        for name in names {
            self.choose(&name, REMOVED, &mut changes);
        }
        changes
    }

    /// Returns the libraries of manifests that are not in the folder itself.
    pub(super) fn elsewhere(&self) -> BTreeSet<PathBuf> {
        let libraries = self.sources.values().map(|source| &source.library);
        libraries.filter(|library| library.parent() != Some(&*self.folder)).cloned().collect()
    }

    /// Handles an event of a file in the folder, or of a library of a manifest there.
    pub(super) fn handle(&mut self, event: FileEvent) -> Vec<BuildChange> {
        let mut changes = Vec::new();
        let path = event.path().to_owned();
        let (mut names, mut reason) = (self.names_of(&path), REMOVED.to_owned());
        match event {
            FileEvent::Complete { .. } if path.parent() == Some(&*self.folder) => {
                match self.read(&path, &mut changes) {
                    Ok(name) => drop(names.insert(name)),
                    Err(why) => reason = why,
                }
            }
            FileEvent::Complete { .. } => {}
            FileEvent::Gone { .. } => {
                self.sources.remove(&path);
                self.reported.remove(&path);
            }
            FileEvent::Unreadable { failure, .. } => {
                self.sources.remove(&path);
                reason = self.refuse(&path, failure, !names.is_empty(), &mut changes);
            }
        }
        for name in names {
            self.choose(&name, &reason, &mut changes);
        }
        changes
    }

    /// Returns the remotes whose manifest or library is this file.
    fn names_of(&self, path: &Path) -> BTreeSet<String> {
        let here = self.sources.iter().filter(|(at, source)| *at == path || source.library == path);
        here.map(|(_, source)| source.manifest.name.clone()).collect()
    }

    /// Reads a file, and returns the name of its remote, or the reason why it has none.
    fn read(&mut self, path: &Path, changes: &mut Vec<BuildChange>) -> Result<String, String> {
        let former = self.sources.remove(path);
        match source(path) {
            Ok(source) => {
                self.reported.remove(path);
                let name = source.manifest.name.clone();
                self.sources.insert(path.to_owned(), source);
                Ok(name)
            }
            Err(failure) => Err(self.refuse(path, failure, former.is_some(), changes)),
        }
    }

    /// Reports a file that cannot be used, unless it is none of a remote; returns the reason.
    fn refuse(
        &mut self,
        path: &Path,
        failure: Failure,
        was_remote: bool,
        changes: &mut Vec<BuildChange>,
    ) -> String {
        let reason = format!("{} [{}]", failure.summary, failure.code);
        if (was_remote || !is_foreign(path, &failure)) && self.reported.get(path) != Some(&reason) {
            self.reported.insert(path.to_owned(), reason.clone());
            changes.push(BuildChange::Broken(failure));
        }
        reason
    }

    /// Offers the best build of a remote: the highest version, and a manifest rather than a library.
    ///
    /// `reason` is reported if there is none any more.
    fn choose(&mut self, name: &str, reason: &str, changes: &mut Vec<BuildChange>) {
        let mut sources: Vec<_> =
            self.sources.iter().filter(|(_, source)| source.manifest.name == name).collect();
        sources.sort_by(|(path, source), (other, its)| {
            (&source.manifest.version, is_json(path)).cmp(&(&its.manifest.version, is_json(other)))
        });
        let paths: Vec<PathBuf> = sources.iter().map(|(path, _)| (*path).clone()).collect();
        let Some((best, others)) = paths.split_last() else {
            return self.lose(name, reason, changes);
        };
        let library = self.sources[best].library.clone();
        match self.build(best) {
            Ok(build) => {
                for other in others.iter().filter(|other| **other != library) {
                    let line = format!("hidden by {}", best.display());
                    if self.reported.insert(other.clone(), line.clone()) != Some(line) {
                        let (path, by) = (other.clone(), best.clone());
                        changes.push(BuildChange::Hidden { name: name.to_owned(), path, by });
                    }
                }
                self.offered.insert(name.to_owned(), best.clone());
                changes.push(BuildChange::Build(Box::new(build)));
            }
            Err(failure) => {
                let reason = self.refuse(best, failure, true, changes);
                self.lose(name, &reason, changes);
            }
        }
    }

    fn lose(&mut self, name: &str, reason: &str, changes: &mut Vec<BuildChange>) {
        if self.offered.remove(name).is_some() {
            changes.push(BuildChange::Gone { name: name.to_owned(), reason: reason.to_owned() });
        }
    }

    /// Copies the library of a source, and checks the copy, because the file may change at any time.
    fn build(&mut self, path: &Path) -> Result<DevBuild, Failure> {
        let Source { manifest, text, library } = &self.sources[path];
        is_trusted(path)?;
        is_trusted(library)?;
        self.copied += 1;
        let failed = |error: io::Error| {
            let text = format!("the library cannot be copied ({error}): {}", library.display());
            Failure::new(Stage::Check, Code::CopyFailed, text, "make room in the user's folder for caches")
        };
        let place = self.copies.file(&self.copied.to_string()).map_err(failed)?;
        let digest = copy(library, &place).map_err(|error| Failure::from_error(Stage::Check, &error))?;
        let copied = File::open(&place).map_err(failed)?;
        let checked = check(&place, manifest, text.as_deref(), digest);
        // The open file stays readable. A system that keeps the name removes it with the folder.
        let _ = fs::remove_file(&place);
        let (version, text) =
            checked.map_err(|error| Failure::from_error(Stage::Check, &error.of_original(library)))?;
        let sha256 = digest.to_string().parse().map_err(|_| failed(io::ErrorKind::InvalidData.into()))?;
        Ok(DevBuild {
            name: manifest.name.clone(),
            version,
            platform: Platform::current(),
            abi: ABI_REVISION,
            manifest: text,
            library: copied,
            sha256,
        })
    }
}

/// Reads a manifest, or the manifest of a library.
fn source(path: &Path) -> Result<Source, Failure> {
    let Written { manifest, origin } = read_manifest(path)?;
    if !is_json(path) {
        return Ok(Source { manifest, text: None, library: path.to_owned() });
    }
    let own = path.parent().unwrap_or(Path::new("."));
    let (library, _) = search::find(&manifest.remote_entry, own, &[]);
    let text = origin.text().to_owned();
    Ok(Source { manifest, text: Some(text), library })
}

/// Copies a library to a new file, and returns its digest.
fn copy(library: &Path, place: &Path) -> Result<Digest, LibraryError> {
    let failed = |error| LibraryError::io(error, library);
    let mut from = file::open_within(library, file::MAX_LIBRARY).map_err(failed)?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let copied = options.open(place).and_then(|mut to| copy_digested(&mut from, &mut to));
    copied.map_err(failed)
}

/// Checks that a copy is complete and has the manifest of its source; returns the version, and the text to serve.
fn check(
    copy: &Path,
    planned: &RemoteManifest,
    text: Option<&str>,
    digest: Digest,
) -> Result<(Version, String), LibraryError> {
    let embedded = library::complete(copy)?;
    let Some(text) = text.map(str::to_owned) else {
        if embedded.name != planned.name {
            library::same_manifest(planned, &embedded, copy)?;
        }
        // Those of the copy: the library may have been built again since its manifest was read.
        return Ok((embedded.version, library::section_text(copy)?));
    };
    library::same_manifest(planned, &embedded, copy)?;
    let stated = planned.sha256.as_ref().and_then(|digits| digits.parse().ok());
    match stated.filter(|stated| *stated != digest) {
        Some(stated) => Err(LibraryError::Digest { stated, found: digest, path: copy.to_owned() }),
        None => Ok((embedded.version, text)),
    }
}

/// Checks that no other user can change a library or manifest.
fn is_trusted(path: &Path) -> Result<(), Failure> {
    match trust::check(path) {
        // A missing or unreadable file is reported when it is read.
        Ok(()) | Err(trust::UnsafePath::Unreadable(..)) => Ok(()),
        Err(reason) => {
            let text = format!(
                "the remote is not served, because other users can change it: {reason}: {}",
                path.display()
            );
            Err(Failure::new(Stage::Check, Code::RemoteUntrusted, text, reason.advice()))
        }
    }
}

/// Returns `true` for a file that cannot be used because it does not belong to a remote.
fn is_foreign(path: &Path, failure: &Failure) -> bool {
    match failure.code {
        FailureCode::Pulse(Code::LibraryNotAPlugin | Code::LibraryNotALibrary | Code::ManifestOfHost) => true,
        // Other tools have JSON files too, in dialects of their own.
        _ if is_json(path) => {
            const KEY: &[u8] = b"remoteEntry";
            let text = file::read(path, MAX_MANIFEST_BYTES as u64).unwrap_or_default();
            !text.windows(KEY.len()).any(|part| part == KEY)
        }
        _ => false,
    }
}
