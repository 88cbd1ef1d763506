//! The first trust in a repository.

use std::{collections::BTreeSet, time::Instant};

use super::{Client, load::parse_root, signatures, source::MAX_ROOT};
use crate::{
    Digest,
    error::{DeliveryError, ErrorCode},
    fetch::FetchEvent,
    link::Body,
};

use tough::schema::RoleType;

/// The largest number of roots to look through.
const MAX_ROOTS: u64 = 1_024;

/// Reports the root that the server offers; nothing is stored.
pub(super) fn offer(client: &Client) -> Result<FetchEvent, DeliveryError> {
    let until = Instant::now() + client.time();
    let Some(bytes) = fetch(client, 1, until)? else {
        return Err(DeliveryError::new(
            ErrorCode::RepoNotFound,
            format!("the server has no file metadata/1.root.json: {}", client.repository),
            "check the address of the repository",
        ));
    };
    let root = parse_root(&bytes)?;
    let Some(keys) = root.signed.roles.get(&RoleType::Root) else {
        return Err(DeliveryError::new(
            ErrorCode::RepoNotMetadata,
            format!("the root file names no keys of its own: {}", client.repository),
            "check the address of the repository",
        ));
    };
    if root.signed.verify_role(&root).is_err() {
        let valid = signatures::of_root(&root.signed, &root);
        let (before, threshold) = (BTreeSet::new(), keys.threshold.get());
        return Err(signatures::insufficient("the root file", &valid, &before, threshold, &client.repository));
    }
    Ok(FetchEvent::Offered {
        root: Digest::of_bytes(&bytes),
        keys: keys.keyids.iter().map(signatures::shown).collect(),
        threshold: keys.threshold.get(),
    })
}

/// Looks for the root with a fingerprint, from the first version on.
pub(super) fn find(client: &Client, fingerprint: Digest) -> Result<Vec<u8>, DeliveryError> {
    let until = Instant::now() + client.time();
    for version in 1..=MAX_ROOTS {
        let Some(root) = fetch(client, version, until)? else { break };
        if Digest::of_bytes(&root) == fingerprint {
            return Ok(root);
        }
    }
    Err(DeliveryError::new(
        ErrorCode::RepoRootMismatch,
        format!("the repository has no root with the fingerprint sha256:{fingerprint}: {}", client.repository),
        "compare the fingerprint with the one that the repository's owner states",
    ))
}

fn fetch(client: &Client, version: u64, until: Instant) -> Result<Option<Vec<u8>>, DeliveryError> {
    let body = client.link.fetch(&["metadata", &format!("{version}.root.json")], MAX_ROOT, until);
    let body = match body {
        // Object stores answer this for a file after the last root.
        Err(error) if error.code == ErrorCode::RepoDenied && version > 1 => None,
        body => body?,
    };
    body.map(Body::metadata).transpose()
}
