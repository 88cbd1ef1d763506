//! Callsites that are created at run time.
//!
//! `tracing` requires callsites with a static lifetime, so each is leaked, once for its content: a remote that is
//! loaded again finds its callsites, and remotes cannot create more than a limit.

use std::{
    collections::HashMap,
    sync::{
        OnceLock, PoisonError, RwLock,
        atomic::{AtomicU8, Ordering},
    },
};

use tracing::{
    Dispatch, Level, Metadata,
    callsite::{self, Identifier},
    field::FieldSet,
    level_enabled,
    metadata::Kind,
    subscriber::Interest,
};

use crate::{
    api::Callsite,
    limits::{MAX_CALLSITES, MAX_FIELDS, MAX_NAME, cut},
};

/// Fields of every callsite after the remote's own.
const ADDED: [&str; 2] = ["spans", "remote"];

/// The name in place of a remote's, if there is no room for the remote's coarse callsite either.
const OTHERS: &str = "…";

/// The identity of a callsite: callsites with equal content are one.
#[derive(PartialEq, Eq, Hash)]
struct Content {
    remote: String,
    /// `true` if it represents all further callsites of its remote and level.
    coarse: bool,
    name: String,
    target: String,
    level: Level,
    file: Option<String>,
    line: Option<u32>,
    module_path: Option<String>,
    fields: Vec<String>,
}

impl Content {
    fn of(remote: &str, callsite: &Callsite<'_>) -> Self {
        let name = |text: &str| cut(text, MAX_NAME).into_owned();
        let own = callsite.fields.iter().take(MAX_FIELDS).map(|field| {
            let reserved = ADDED.contains(&field.as_str());
            if reserved { format!("remote.{field}") } else { name(field.as_str()) }
        });
        Self {
            remote: remote.to_owned(),
            coarse: false,
            name: name(callsite.name.as_str()),
            target: name(callsite.target.as_str()),
            level: level_of(callsite.level),
            file: callsite.file.map(|file| name(file.as_str())).into_option(),
            line: callsite.line.into_option(),
            module_path: callsite.module_path.map(|path| name(path.as_str())).into_option(),
            fields: own.chain(ADDED.map(str::to_owned)).collect(),
        }
    }

    fn coarse(remote: &str, level: Level) -> Self {
        Self {
            remote: remote.to_owned(),
            coarse: true,
            name: "event".to_owned(),
            target: remote.to_owned(),
            level,
            file: None,
            line: None,
            module_path: None,
            fields: ["message"].into_iter().chain(ADDED).map(str::to_owned).collect(),
        }
    }
}

fn level_of(number: u32) -> Level {
    match number {
        1 => Level::ERROR,
        2 => Level::WARN,
        3 => Level::INFO,
        4 => Level::DEBUG,
        _ => Level::TRACE,
    }
}

/// A callsite of a remote in this image.
pub(super) struct Site {
    content: &'static Content,
    /// The metadata, which refers to the callsite in turn; set before the callsite is published.
    metadata: OnceLock<Metadata<'static>>,
    interest: AtomicU8,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

impl Site {
    fn leaked(content: &'static Content) -> &'static Self {
        let interest = AtomicU8::new(SOMETIMES);
        let site: &Self = Box::leak(Box::new(Self { content, metadata: OnceLock::new(), interest }));
        let names: Vec<_> = content.fields.iter().map(String::as_str).collect();
        let fields = FieldSet::new(names.leak(), Identifier(site));
        let Content { name, target, level, file, line, module_path, .. } = content;
        let (file, module_path) = (file.as_deref(), module_path.as_deref());
        site.metadata
            .get_or_init(|| Metadata::new(name, target, *level, file, *line, module_path, fields, Kind::EVENT));
        site
    }

    pub(super) fn metadata(&self) -> &Metadata<'static> {
        self.metadata.get().expect("the metadata is set before the callsite is published")
    }

    /// Returns the number of the remote's own fields.
    pub(super) fn own_fields(&self) -> usize {
        self.content.fields.len() - ADDED.len()
    }

    /// Returns `true` if it has the remote's fields as one message.
    pub(super) fn is_coarse(&self) -> bool {
        self.content.coarse
    }

    /// Returns `true` if `dispatch` accepts events of this callsite now; the same test as in `tracing`'s macros.
    pub(super) fn is_enabled(&self, dispatch: &Dispatch) -> bool {
        let metadata = self.metadata();
        level_enabled!(*metadata.level())
            && match self.interest.load(Ordering::Relaxed) {
                NEVER => false,
                ALWAYS => true,
                _ => dispatch.enabled(metadata),
            }
    }
}

impl callsite::Callsite for Site {
    fn set_interest(&self, interest: Interest) {
        let interest = match interest {
            _ if interest.is_never() => NEVER,
            _ if interest.is_always() => ALWAYS,
            _ => SOMETIMES,
        };
        self.interest.store(interest, Ordering::SeqCst);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata()
    }
}

/// Callsites by number and by content.
pub(super) struct Sites {
    limit: usize,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    by_content: HashMap<&'static Content, u64>,
    sites: Vec<&'static Site>,
}

impl Sites {
    /// Creates a table with room for `limit` callsites, and for an eighth of that in addition, which are coarser.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, table: RwLock::default() }
    }

    /// Returns the callsites of this image.
    pub(super) fn of_process() -> &'static Self {
        static SITES: OnceLock<Sites> = OnceLock::new();
        SITES.get_or_init(|| Self::new(MAX_CALLSITES))
    }

    /// Returns the number of a remote's callsite, which it creates if necessary.
    pub(super) fn number(&'static self, remote: &str, callsite: &Callsite<'_>) -> u64 {
        let content = Content::of(remote, callsite);
        let (number, fresh) =
            self.table.write().unwrap_or_else(PoisonError::into_inner).number(content, self.limit);
        if let Some(site) = fresh {
            // Outside of the lock: this calls subscribers.
            callsite::register(site);
        }
        number
    }

    /// Returns the callsite of this number, if it belongs to `remote`.
    pub(super) fn get(&'static self, number: u64, remote: &str) -> Option<&'static Site> {
        let at = usize::try_from(number).ok()?;
        let site = *self.table.read().unwrap_or_else(PoisonError::into_inner).sites.get(at)?;
        [remote, OTHERS].contains(&&*site.content.remote).then_some(site)
    }
}

impl Table {
    fn number(&mut self, content: Content, limit: usize) -> (u64, Option<&'static Site>) {
        let level = content.level;
        let coarse = Content::coarse(&content.remote, level);
        let room = |content: &Content, limit| self.sites.len() < limit || self.by_content.contains_key(content);
        let content = if room(&content, limit) {
            content
        } else if room(&coarse, limit + limit / 8) {
            coarse
        } else {
            Content::coarse(OTHERS, level)
        };
        if let Some(number) = self.by_content.get(&content) {
            return (*number, None);
        }
        let content: &'static Content = Box::leak(Box::new(content));
        let (number, site) = (self.sites.len() as u64, Site::leaked(content));
        self.by_content.insert(content, number);
        self.sites.push(site);
        (number, Some(site))
    }
}

#[cfg(test)]
mod tests {
    use abi_stable::std_types::{ROption, RSlice, RStr};

    use super::*;

    fn number(sites: &'static Sites, remote: &str, name: &str, level: u32) -> u64 {
        let fields = ["rows", "message"].map(RStr::from_str);
        sites.number(
            remote,
            &Callsite {
                name: name.into(),
                target: "target".into(),
                level,
                file: ROption::RNone,
                line: ROption::RSome(7),
                module_path: ROption::RNone,
                fields: RSlice::from_slice(&fields),
            },
        )
    }

    fn sites(limit: usize) -> &'static Sites {
        Box::leak(Box::new(Sites::new(limit)))
    }

    #[test]
    fn callsite_is_made_once_for_its_content() {
        let sites = sites(100);
        let first = number(sites, "one", "a", 1);
        assert_eq!(number(sites, "one", "a", 1), first);
        let others = [("one", "a", 2), ("one", "b", 1), ("two", "a", 1)];
        assert_eq!(others.map(|(remote, name, level)| number(sites, remote, name, level)), [1, 2, 3]);
        assert_eq!(sites.table.read().map(|table| table.sites.len()).ok(), Some(4));
    }

    #[test]
    fn remote_cannot_use_callsites_of_another() {
        let sites = sites(100);
        let (one, two) = (number(sites, "one", "a", 1), number(sites, "two", "a", 1));
        assert!(sites.get(one, "one").is_some() && sites.get(two, "two").is_some());
        assert!(sites.get(one, "two").is_none() && sites.get(two, "one").is_none());
        assert!(sites.get(99, "one").is_none() && sites.get(u64::MAX, "one").is_none());
    }

    #[test]
    fn callsites_beyond_the_limit_are_coarser_then_shared() {
        let sites = sites(16);
        let numbers: Vec<_> = (0..1_000).map(|i| number(sites, "greedy", &i.to_string(), 3)).collect();
        assert_eq!(numbers[..16], (0..16).collect::<Vec<_>>());
        assert_eq!(numbers[16..], [16; 984]);
        let coarse = sites.get(16, "greedy").map(Site::metadata);
        let fields = coarse.map(|m| m.fields().iter().map(|field| field.name()).collect::<Vec<_>>());
        assert_eq!(fields.as_deref(), Some(&["message", "spans", "remote"][..]));
        assert_eq!(coarse.map(|m| (m.target(), *m.level())), Some(("greedy", Level::INFO)));
        // Callsites from before the limit are found again.
        assert_eq!(number(sites, "greedy", "3", 3), 3);
        // Coarse callsites are bounded too: beyond their limit there is one for each level.
        for remote in 0..100 {
            for level in 0..7 {
                let number = number(sites, &remote.to_string(), "a", level);
                assert!(sites.get(number, &remote.to_string()).is_some());
            }
        }
        assert_eq!(sites.table.read().map(|table| table.sites.len()).ok(), Some(18 + 5));
    }
}
