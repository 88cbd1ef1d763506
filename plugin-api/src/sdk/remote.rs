//! The remote that `export!` makes: installs the shared crates and opens surfaces.

use std::{path::PathBuf, rc::Rc};

use abi_stable::std_types::{RResult, RStr};

use super::{Cx, ExposeEntry, SharedEntry, Watches};
use crate::{
    abi::{Font, InitContext, Remote, RemoteBox, RemoteError, Services, SurfaceBox, SurfaceContext},
    entry,
    guard::{catch, guard},
};

/// Implements [`entry::Library::init`] for the remotes that `export!` makes.
pub fn init(
    context: InitContext,
    manifest: &'static str,
    shared: &'static [SharedEntry],
    exposes: &'static [ExposeEntry],
) -> Result<RemoteBox, RemoteError> {
    for (done, entry) in shared.iter().enumerate() {
        let installed = guard(|| {
            (entry.install)(&context.scope).map_err(|error| RemoteError::new(error.code(), error.to_string()))
        });
        if let Err(error) = installed {
            // The first error is the one that matters.
            let _ = uninstall(&shared[..done]);
            return Err(error);
        }
    }
    Ok(entry::remote(Container {
        services: context.services,
        data_dir: PathBuf::from(context.data_dir.into_string()),
        fonts: context.fonts.into(),
        version: version(manifest).into(),
        shared,
        exposes,
        watches: Watches::default(),
    }))
}

/// Releases every provider, even if a crate panics; returns the first panic.
fn uninstall(shared: &[SharedEntry]) -> Result<(), RemoteError> {
    shared.iter().map(|entry| catch(entry.uninstall)).fold(Ok(()), Result::and)
}

/// Returns the version in a manifest, which `export!` checked at compile time.
fn version(manifest: &str) -> String {
    #[derive(Default, serde::Deserialize)]
    struct Versioned {
        version: String,
    }
    serde_json::from_str::<Versioned>(manifest).unwrap_or_default().version
}

struct Container {
    services: Services,
    data_dir: PathBuf,
    fonts: Vec<Font>,
    version: Rc<str>,
    shared: &'static [SharedEntry],
    exposes: &'static [ExposeEntry],
    watches: Watches,
}

impl Remote for Container {
    fn get(&mut self, expose: RStr<'_>, context: SurfaceContext) -> RResult<SurfaceBox, RemoteError> {
        guard(|| {
            let entry = self.exposes.iter().find(|e| e.name == expose.as_str()).ok_or_else(|| {
                let known: Vec<_> = self.exposes.iter().map(|e| e.name).collect();
                RemoteError::new(
                    RemoteError::EXPOSE_UNKNOWN,
                    format!(
                        "the library has no expose `{expose}`; add it to `export!` or remove it from the manifest, \
                         then rebuild the remote; the library has {}",
                        known.join(", ")
                    ),
                )
            })?;
            let cx = Cx::new(
                self.services.clone(),
                context.id,
                self.data_dir.clone(),
                Rc::clone(&self.version),
                Rc::clone(&self.watches),
            );
            (entry.open)(cx, &context, &self.fonts)
        })
        .inspect_err(|_| self.watches.borrow_mut().retain(|watch| watch.surface != context.id))
        .into()
    }

    fn changed(&mut self) -> RResult<(), RemoteError> {
        self.shared.iter().for_each(|entry| (entry.changed)());
        for watch in self.watches.borrow_mut().iter_mut() {
            let epoch = (watch.epoch)();
            if std::mem::replace(&mut watch.seen, epoch) != epoch {
                self.services.request_repaint(watch.surface, 0);
            }
        }
        RResult::ROk(())
    }

    fn shutdown(&mut self) -> RResult<(), RemoteError> {
        self.watches.borrow_mut().clear();
        uninstall(self.shared).into()
    }
}
