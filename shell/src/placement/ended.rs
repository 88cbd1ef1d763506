//! Last phase of a generation: its library, once none of its code runs by itself.

use std::{
    mem::ManuallyDrop,
    sync::{Arc, Weak},
    time::Instant,
};

use plugin_api::shared::Interface;

use super::{
    SHUTDOWN_LIMIT,
    loader::{Image, LoadedLibrary, Unloaded},
};
use crate::{
    catalogue::Code,
    failure::{Failure, Stage},
};

/// A remote whose thread has ended.
pub(super) struct Ended {
    pub(super) library: LoadedLibrary,
    pub(super) providers: Vec<Provider>,
}

/// A library whose copy of a shared crate a remote uses; held while the remote's code may call it.
pub(crate) struct Provider {
    /// Names of the provider and of the crate, for messages.
    name: String,
    image: Arc<Image>,
    /// Set if the copy keeps nothing of the remote but objects that the remote counts.
    counted: bool,
}

impl Provider {
    /// Names the provider of an interface.
    pub(crate) fn new(interface: &Interface, image: Arc<Image>) -> Self {
        let name = format!("`{}` ({})", interface.provider(), interface.key());
        Self { name, image, counted: interface.is_counted() }
    }
}

/// Result of ending a remote.
pub enum Retired {
    /// Nothing of it is left.
    Gone,
    /// Its code is still loaded and stays so until the shell ends, for this reason.
    Leaked(Failure),
    /// Its code is still loaded while others may call it.
    Waiting(Waiting),
}

/// A library that runs no code by itself any more, but whose code and objects others may still call.
pub struct Waiting {
    name: String,
    generation: u64,
    library: LoadedLibrary,
    /// Libraries that may keep objects of it.
    keepers: Vec<(String, Weak<Image>)>,
    since: Instant,
    reported: bool,
}

impl Ended {
    /// Unloads the library of generation `generation` of the remote called `name`, unless others may call its code.
    pub(super) fn unload(self, name: &str, generation: u64) -> Retired {
        let Self { library, providers } = self;
        let threads = library.threads_left();
        if !threads.is_empty() {
            // The threads may call the providers at any time.
            let _held = ManuallyDrop::new(providers);
            return Retired::Leaked(left_threads(name, generation, &threads));
        }
        let keepers = providers.iter().filter(|provider| !provider.counted);
        let keepers =
            keepers.map(|provider| (provider.name.clone(), Arc::downgrade(&provider.image))).collect();
        // The code calls nothing by itself any more.
        drop(providers);
        let name = name.to_owned();
        let waiting = Waiting { name, generation, library, keepers, since: Instant::now(), reported: false };
        if waiting.is_free() { waiting.unload() } else { Retired::Waiting(waiting) }
    }
}

impl Waiting {
    /// Returns the remote's name and the number of the generation.
    pub(crate) fn of(&self) -> (&str, u64) {
        (&self.name, self.generation)
    }

    fn keepers(&self) -> impl Iterator<Item = &str> {
        let alive = self.keepers.iter().filter(|(_, image)| image.strong_count() > 0);
        alive.map(|(name, _)| &**name)
    }

    /// Returns `true` once nothing holds it any more.
    pub(crate) fn is_free(&self) -> bool {
        self.keepers().next().is_none() && !self.library.is_held()
    }

    /// Returns the reason why it is still loaded, once: immediately if that will not change by itself, and after
    /// [`SHUTDOWN_LIMIT`] otherwise.
    pub(crate) fn report(&mut self) -> Option<Failure> {
        let keepers: Vec<_> = self.keepers().collect();
        let (code, why, advice) = if !keepers.is_empty() {
            let list = keepers.join(", ");
            (
                Code::LibraryLent,
                format!("until {list} is unloaded, which may keep objects of it"),
                "a crate that keeps none, or keeps them in `Lent`, states so with `SharedCrate::COUNTED`",
            )
        } else if self.library.is_lent() {
            (
                Code::LibraryLent,
                "while others keep objects that it lent to them".to_owned(),
                "report this to the plugin's author, who can take them back in `Drop`",
            )
        } else if self.since.elapsed() >= SHUTDOWN_LIMIT {
            (
                Code::LibraryPinned,
                "while remotes that have not ended use its copies of shared crates".to_owned(),
                "",
            )
        } else {
            return None;
        };
        if std::mem::replace(&mut self.reported, true) {
            return None;
        }
        let (generation, name) = (self.generation, &self.name);
        let text = format!("generation {generation} of `{name}` has ended, and its library stays loaded {why}");
        Some(Failure::new(Stage::Retire, code, text, advice))
    }

    /// Unloads it.
    pub(crate) fn unload(self) -> Retired {
        unload(&self.name, self.generation, self.library)
    }
}

/// Unloads a library that nothing holds.
fn unload(name: &str, generation: u64, library: LoadedLibrary) -> Retired {
    let (code, why) = match library.unload() {
        unloaded @ (Unloaded::Gone | Unloaded::Linked) => {
            tracing::debug!(remote = name, generation, ?unloaded, "retired");
            return Retired::Gone;
        }
        Unloaded::Threads(threads) => return Retired::Leaked(left_threads(name, generation, &threads)),
        Unloaded::Signals(left) => {
            let list = left.join(", ");
            (
                Code::LibrarySignals,
                format!("the process may still call functions that it has installed: {list}"),
            )
        }
        Unloaded::StillMapped => (Code::LibraryMapped, "something in the process still uses it".to_owned()),
    };
    Retired::Leaked(stays(name, generation, code, &why))
}

fn left_threads(name: &str, generation: u64, threads: &[String]) -> Failure {
    let list = threads.join(", ");
    let why = format!("it left threads running, whose code must stay: {list}");
    stays(name, generation, Code::LibraryThreads, &why)
}

fn stays(name: &str, generation: u64, code: Code, why: &str) -> Failure {
    let text = format!(
        "generation {generation} of `{name}` has ended, and its library stays loaded until Pulse exits ({why})"
    );
    let advice = "report this to the plugin's author, who can end everything in `Drop`";
    Failure::new(Stage::Retire, code, text, advice)
}

#[cfg(test)]
mod tests {
    use plugin_api::{
        abi::{InitContext, RemoteBox, RemoteError},
        entry::{self, Root, entry, root_of},
    };

    use super::*;

    struct Idle;

    impl entry::Library for Idle {
        const MANIFEST: &'static str = "{}";

        fn init(_: InitContext) -> Result<RemoteBox, RemoteError> {
            Err(RemoteError::new("unused", "it is never started"))
        }
    }

    #[test]
    fn library_waits_for_images_that_may_call_it() {
        const ROOT: &Root = &root_of::<Idle>();
        let keeper = Arc::new(Image::default());
        let mut waiting = Waiting {
            name: "consumer".to_owned(),
            generation: 1,
            library: LoadedLibrary::linked(entry(ROOT)),
            keepers: vec![("`provider` (rates)".to_owned(), Arc::downgrade(&keeper))],
            since: Instant::now(),
            reported: false,
        };
        assert!(!waiting.is_free(), "the provider may keep objects of it");
        let failure = waiting.report().expect("it is still loaded");
        assert_eq!(failure.code, Code::LibraryLent);
        assert!(failure.line().contains("`provider` (rates)"), "{failure}");
        assert!(waiting.report().is_none(), "it is reported once");
        drop(keeper);
        assert!(waiting.is_free());
        let user = Arc::clone(waiting.library.image());
        assert!(!waiting.is_free(), "another may call its copies");
        drop(user);
        assert!(waiting.is_free());
    }
}
