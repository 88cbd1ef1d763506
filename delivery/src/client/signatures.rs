//! The keys behind signatures, and the reason if they do not suffice.

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroU64,
};

use tough::schema::{
    Delegations, Role, RoleKeys, Root, Signed, Targets,
    decoded::{Decoded, Hex},
};

use crate::error::{DeliveryError, ErrorCode};

type KeyId = Decoded<Hex>;

/// Returns the keys of a role of `root` whose signatures are valid.
pub(super) fn of_root<T: Role + Clone>(root: &Root, role: &Signed<T>) -> BTreeSet<String> {
    let Some(listed) = root.roles.get(&T::TYPE).map(|keys| keys.keyids.clone()) else {
        return BTreeSet::new();
    };
    let mut root = root.clone();
    valid(role, &listed, |key, signed| {
        let keys = RoleKeys { keyids: vec![key], threshold: NonZeroU64::MIN, _extra: HashMap::new() };
        root.roles.insert(T::TYPE, keys);
        root.verify_role(signed).is_ok()
    })
}

/// Returns the keys of a delegated role whose signatures are valid.
pub(super) fn of_delegation(delegations: &Delegations, name: &str, role: &Signed<Targets>) -> BTreeSet<String> {
    let Some(delegated) = delegations.roles.iter().find(|role| role.name == name) else {
        return BTreeSet::new();
    };
    let mut single = Delegations { keys: delegations.keys.clone(), roles: vec![delegated.clone()] };
    valid(role, &delegated.keyids, |key, signed| {
        single.roles[0].keyids = vec![key];
        single.roles[0].threshold = NonZeroU64::MIN;
        single.verify_role(signed, name).is_ok()
    })
}

/// Verifies one signature at a time.
fn valid<T: Role + Clone>(
    role: &Signed<T>,
    listed: &[KeyId],
    mut verify: impl FnMut(KeyId, &Signed<T>) -> bool,
) -> BTreeSet<String> {
    let mut single = Signed { signed: role.signed.clone(), signatures: Vec::new() };
    let mut keys = BTreeSet::new();
    for signature in &role.signatures {
        single.signatures = vec![signature.clone()];
        if listed.contains(&signature.keyid) && verify(signature.keyid.clone(), &single) {
            keys.insert(shown(&signature.keyid));
        }
    }
    keys
}

/// Formats the identifier of a key.
pub(super) fn shown(key: &KeyId) -> String {
    key.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

/// Makes the error of a file whose signatures do not suffice.
///
/// `valid` are the keys of the present list, `before` those of earlier lists.
pub(super) fn insufficient(
    what: &str,
    valid: &BTreeSet<String>,
    before: &BTreeSet<String>,
    threshold: u64,
    place: &str,
) -> DeliveryError {
    if let Some(revoked) = before.difference(valid).next() {
        return DeliveryError::new(
            ErrorCode::RepoKeyRevoked,
            format!("{what} is signed with the key {revoked:.12}, which was revoked: {place}"),
            "do not use this repository until its owner has explained it",
        );
    }
    if valid.is_empty() {
        return DeliveryError::new(
            ErrorCode::RepoSignature,
            format!("{what} has no valid signature: {place}"),
            "an attacker may have changed it; ask the repository's owner",
        );
    }
    DeliveryError::new(
        ErrorCode::RepoThreshold,
        format!("{what} has {} of {threshold} signatures: {place}", valid.len()),
        "ask the repository's owner to complete it",
    )
}
