//! Checks a repository for news.

use std::time::Instant;

use super::{
    Client,
    load::{self, KnownState, Start, Verified},
    manifests, releases,
    source::MetadataSource,
    trust,
};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    fetch::FetchEvent,
    listing::{Listing, MAX_LISTING},
    release::Wanted,
};

/// The largest number of errors in an event; the list has all of them.
const MAX_PROBLEMS: usize = 100;

/// Checks a repository with the root that has the fingerprint `trusted`, or with the one in the cache.
///
/// Another root in the cache is replaced if the check succeeds. Of several processes, one checks, and the others use its
/// result.
pub(super) fn check(
    client: &Client,
    trusted: Option<Digest>,
    wanted: &[Wanted],
) -> Result<FetchEvent, DeliveryError> {
    let (begun, before) = (load::now(), client.cache.list());
    let (_lock, has_waited) = client.cache.lock("check", || client.link.report(FetchEvent::Waiting))?;
    if let Some(trusted) = trusted
        && client.cache.read("root.json")?.is_none_or(|root| Digest::of_bytes(root) != trusted)
    {
        let root = trust::find(client, trusted)?;
        let start = Start::from_root(root.clone(), KnownState::read(&client.cache)?, &client.cache)?;
        return run(client, start, before, wanted, Some(&root));
    }
    let start = Start::of(&client.cache)?;
    let fresh = client.cache.list().filter(|list| has_waited && list.checked >= begun);
    if let Some(fresh) = fresh
        && let Ok(verified) = stored(client, &start)
    {
        return settle(
            client,
            verified,
            wanted,
            Earlier { known: start.known, list: before },
            fresh.checked,
            None,
        );
    }
    run(client, start, before, wanted, None)
}

/// The state before a check.
struct Earlier {
    known: KnownState,
    list: Option<Listing>,
}

/// Checks with a start; the caller holds the lock `check`.
///
/// `trusted` is the root file that the user trusts from now on.
pub(super) fn run(
    client: &Client,
    start: Start,
    before: Option<Listing>,
    wanted: &[Wanted],
    trusted: Option<&[u8]>,
) -> Result<FetchEvent, DeliveryError> {
    let verified = online(client, &start)?;
    settle(client, verified, wanted, Earlier { known: start.known, list: before }, load::now(), trusted)
}

/// Verifies what the repository offers.
pub(super) fn online(client: &Client, start: &Start) -> Result<Verified, DeliveryError> {
    let source = MetadataSource::new(Some(client.link.clone()), client.time(), start.known.clone());
    load::load(&client.cache, start, &source, &client.repository)
}

/// Verifies the files of the last check again.
pub(super) fn stored(client: &Client, start: &Start) -> Result<Verified, DeliveryError> {
    let source = MetadataSource::new(None, client.time(), start.known.clone());
    load::load(&client.cache, start, &source, &client.repository)
}

/// Makes the list of verified metadata.
pub(super) fn listing(client: &Client, verified: &mut Verified, checked: u64) -> Listing {
    let mut problems = std::mem::take(&mut verified.problems);
    let releases = releases::collect(&verified.publishers, &mut problems);
    Listing {
        repository: client.repository.clone(),
        root: verified.trusted,
        root_version: verified.root_version,
        checked,
        expires: verified.expires.as_second().max(0).cast_unsigned(),
        releases,
        problems,
    }
}

/// Stores a verified state, and the manifests of the releases that are wanted.
fn settle(
    client: &Client,
    mut verified: Verified,
    wanted: &[Wanted],
    earlier: Earlier,
    checked: u64,
    trusted: Option<&[u8]>,
) -> Result<FetchEvent, DeliveryError> {
    let cache = &client.cache;
    let mut list = listing(client, &mut verified, checked);
    let length = serde_json::to_vec(&list).map_or(0, |text| text.len() as u64);
    if length > MAX_LISTING {
        let summary = format!(
            "the list of the repository has {length} bytes, and the limit is {MAX_LISTING}: {}",
            client.repository
        );
        let advice = "ask its owner to divide it into several repositories";
        return Err(DeliveryError::new(ErrorCode::RepoTooLarge, summary, advice));
    }
    manifests::obtain(client, &mut list, wanted, Instant::now() + client.time())?;
    // A process that ends between two of these writes leaves the older list, which the next check replaces.
    if let Some(root) = trusted {
        cache.replace("root.json", root, true)?;
    }
    if verified.known != earlier.known {
        verified.known.write(cache)?;
    }
    let changed = earlier.list.is_none_or(|before| Listing { checked, ..before } != list);
    if cache.list().as_ref() != Some(&list) {
        cache.replace_json("list.json", &list, changed)?;
    }
    cache.sweep(&list);
    let problems = list.problems.into_iter().map(|problem| problem.error).take(MAX_PROBLEMS).collect();
    let (requests, bytes) = client.link.counts();
    Ok(FetchEvent::Checked { changed, requests, bytes, problems })
}
