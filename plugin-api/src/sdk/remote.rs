//! The container of a remote: shared crates in, surfaces out.

use std::{path::PathBuf, rc::Rc};

use abi_stable::{
    sabi_trait::TD_Opaque,
    std_types::{RResult, RStr},
};

use super::{Cx, ExposeEntry, SharedEntry, Watches};
use crate::abi::{
    Font, InitContext, Remote, Remote_TO, RemoteBox, RemoteError, Services, SurfaceBox, SurfaceContext,
};
use crate::guard::guard;

/// [`crate::abi::RemoteEntry::init`] for the remotes that `export!` makes.
pub fn init(
    context: InitContext,
    manifest: &'static str,
    shared: &'static [SharedEntry],
    exposes: &'static [ExposeEntry],
) -> RResult<RemoteBox, RemoteError> {
    guard(|| {
        for (done, entry) in shared.iter().enumerate() {
            if let Err(error) = (entry.install)(&context.scope) {
                shared[..done].iter().for_each(|entry| (entry.uninstall)());
                return Err(RemoteError::new(error.code(), error.to_string()));
            }
        }
        let container = Container {
            services: context.services,
            data_dir: PathBuf::from(context.data_dir.into_string()),
            fonts: context.fonts.into(),
            version: version(manifest).into(),
            shared,
            exposes,
            watches: Watches::default(),
        };
        Ok(Remote_TO::from_value(container, TD_Opaque))
    })
    .into()
}

/// The version in a manifest, which was checked when the remote was built.
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
                        "the library has no expose `{expose}`; name it in `export!` or take it out of the manifest, \
                         and build the remote again; the library has {}",
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
        guard(|| {
            self.shared.iter().for_each(|entry| (entry.changed)());
            for watch in self.watches.borrow_mut().iter_mut() {
                let epoch = (watch.epoch)();
                if std::mem::replace(&mut watch.seen, epoch) != epoch {
                    self.services.request_repaint(watch.surface, 0);
                }
            }
            Ok(())
        })
        .into()
    }

    fn shutdown(&mut self) -> RResult<(), RemoteError> {
        guard(|| {
            self.watches.borrow_mut().clear();
            self.shared.iter().for_each(|entry| (entry.uninstall)());
            Ok(())
        })
        .into()
    }
}
