//! The inputs of a plan: manifests, libraries, and folders of both.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use negotiation::manifest::{MAX_MANIFEST_BYTES, RemoteManifest, RemoteRef, Written};
use serde_json::Value;

use crate::config::Config;
use crate::library::{is_host, is_json, read_manifest};
use crate::{
    catalogue::Code,
    data::{choices::Choices, deliveries::Deliveries, drop_folder::files},
    difference,
    failure::{Failure, Stage},
    file,
};

/// The manifests that could be read, and failures and notes about the rest.
#[derive(Default)]
pub(in crate::cli) struct Inputs {
    pub(in crate::cli) remotes: Vec<Written<RemoteManifest>>,
    pub(super) failures: Vec<Failure>,
    /// Notes about skipped files, one line for each folder.
    pub(super) notes: Vec<String>,
}

impl Inputs {
    /// Reads the remotes that the host's manifest lists, without those named in `except`.
    pub(in crate::cli) fn of_host(config: &Config, except: &BTreeSet<&str>) -> Self {
        let mut inputs = Self::default();
        for (alias, reference) in &config.host.remotes {
            if let Some(first) = config.host.alias_of(&reference.name).filter(|first| first != alias) {
                inputs.failures.push(config.duplicate(first, alias, reference));
            } else if !except.contains(reference.name.as_str()) {
                let located = config.locate(alias, reference);
                inputs.take(located.map(|one| Written { manifest: one.manifest, origin: one.origin }));
            }
        }
        // Remotes that the user added; a list that cannot be read is reported by the commands that change it.
        let added = Deliveries::new(&config.data_dir).read().unwrap_or_default().remotes;
        let choices = Choices::load(&config.data_dir);
        for (name, own) in added.into_iter().filter(|(name, _)| choices.is_enabled(name)) {
            let is_new = config.host.alias_of(&name).is_none() && !except.contains(name.as_str());
            let Some(location) = own.location.filter(|_| is_new) else { continue };
            let located = config.locate(&name, &RemoteRef { name: name.clone(), location });
            inputs.take(located.map(|one| Written { manifest: one.manifest, origin: one.origin }));
        }
        inputs
    }

    /// Reads the remotes of these files and folders; a file that is named twice counts once.
    pub(super) fn of_paths(paths: &[PathBuf]) -> Self {
        let (mut inputs, mut seen) = (Self::default(), BTreeSet::new());
        for path in paths {
            if path.is_dir() {
                inputs.folder(path, &mut seen);
            } else if seen.insert(canonical(path)) {
                inputs.take(read_manifest(path));
            }
        }
        inputs.join_with_libraries();
        inputs
    }

    fn take(&mut self, read: Result<Written<RemoteManifest>, Failure>) {
        match read {
            Ok(read) => self.remotes.push(read),
            Err(failure) => self.failures.push(failure),
        }
    }

    /// Reads every remote of a folder, and counts the other files.
    fn folder(&mut self, folder: &Path, seen: &mut BTreeSet<PathBuf>) {
        let files = match files(folder) {
            Ok(files) => files,
            Err(error) => {
                let text = format!("the folder cannot be read ({error}): {}", folder.display());
                let advice = "let this user read it, or name the files in it";
                self.failures.push(Failure::new(Stage::Discover, Code::FolderUnreadable, text, advice));
                return;
            }
        };
        let [mut other, mut hosts, mut libraries, mut found] = [0_usize; 4];
        for path in files.into_iter().filter(|path| path.is_file()) {
            let json = is_json(&path);
            match if json { kind(&path) } else { Kind::Remote } {
                Kind::Other => other += 1,
                Kind::Host => hosts += 1,
                Kind::Remote if !seen.insert(canonical(&path)) => found += 1,
                Kind::Remote => match read_manifest(&path) {
                    Err(failure)
                        if failure.code == Code::LibraryNotAPlugin
                            || failure.code == Code::LibraryNotALibrary =>
                    {
                        libraries += 1;
                    }
                    read => {
                        found += 1;
                        self.take(read);
                    }
                },
            }
        }
        let counted = [
            (libraries, "library without a manifest", "libraries without a manifest"),
            (hosts, "host's manifest", "hosts' manifests"),
            (other, "JSON file that is not a manifest", "JSON files that are not manifests"),
        ];
        let skipped: Vec<String> = counted
            .into_iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
            .collect();
        let folder = folder.display();
        match (found, skipped.join(", ")) {
            (0, skipped) if skipped.is_empty() => self.notes.push(format!("no remote in {folder}")),
            (0, skipped) => self.notes.push(format!("no remote in {folder}; skipped: {skipped}")),
            (_, skipped) if skipped.is_empty() => {}
            (_, skipped) => self.notes.push(format!("skipped in {folder}: {skipped}")),
        }
    }

    /// Joins a manifest and the library that embeds it into one remote, if both are equal.
    fn join_with_libraries(&mut self) {
        let mut by_name: BTreeMap<String, [Vec<Written<RemoteManifest>>; 2]> = BTreeMap::new();
        for one in self.remotes.drain(..) {
            let library = usize::from(!is_json(one.origin.path()));
            by_name.entry(one.manifest.name.clone()).or_default()[library].push(one);
        }
        for (name, [written, embedded]) in by_name {
            let mut differ = false;
            for (a, b) in written.first().into_iter().flat_map(|a| embedded.iter().map(move |b| (a, b))) {
                let (plain_a, plain_b) = (as_json(&a.manifest), as_json(&b.manifest));
                let Some(found) = difference::first(&plain_a, &plain_b) else { continue };
                let pointer = &found.pointer;
                differ = true;
                let place = |one: &Written<RemoteManifest>| one.origin.place(pointer);
                let text = format!(
                    "`{name}` has {} at {} and {} in {}, at {pointer}",
                    found.value(0),
                    place(a),
                    found.value(1),
                    place(b)
                );
                let advice = "rebuild the library or correct the manifest";
                self.failures.push(Failure::new(Stage::Discover, Code::DescriptorMismatch, text, advice));
            }
            if !differ {
                self.remotes.extend(if written.is_empty() { embedded } else { written });
            }
        }
    }
}

enum Kind {
    Remote,
    Host,
    Other,
}

/// Returns the kind of a JSON file; a file that looks like a remote's manifest counts as one, even if it is invalid.
fn kind(path: &Path) -> Kind {
    let bytes = match file::read(path, MAX_MANIFEST_BYTES as u64) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Kind::Other,
        // The reader of manifests reports files that cannot be read.
        Err(_) => return Kind::Remote,
    };
    let Ok(json) = serde_json::from_slice::<Value>(&bytes) else {
        let meant = String::from_utf8_lossy(&bytes).contains("\"manifestVersion\"");
        return if meant { Kind::Remote } else { Kind::Other };
    };
    if json.get("manifestVersion").is_none() {
        Kind::Other
    } else if is_host(&bytes) {
        Kind::Host
    } else {
        Kind::Remote
    }
}

/// Returns a manifest as JSON for comparison, without the path of its schema and the digest of its library.
fn as_json(manifest: &RemoteManifest) -> Value {
    serde_json::to_value(RemoteManifest { schema: None, sha256: None, ..manifest.clone() }).unwrap_or_default()
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
