//! Renews metadata before it expires, and makes visible what waits for the online key.

use jiff::SignedDuration;
use serde::Serialize;
use tough::schema::RoleType;

use super::{
    RepoSite, RoleState,
    check::roles,
    writer::{SiteWriter, signers, top_keys},
};
use crate::{
    error::{DeliveryError, ErrorCode},
    keys::KeyRing,
};

/// A renewal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    /// Names of the roles that were signed again; `online` means snapshot and timestamp.
    pub renewed: Vec<String>,
    /// Files that became visible: role and version.
    pub published: Vec<(String, u64)>,
    /// Newer files that are not used, with the reason.
    pub unusable: Vec<DeliveryError>,
    /// Time at which the timestamp expires, in seconds since 1970.
    pub expires: i64,
    /// The state of every role.
    pub roles: Vec<RoleState>,
    /// `false` if lists that were renewed wait for the online key.
    pub visible: bool,
}

impl RepoSite {
    /// Renews every role that `keys` may sign for, and with the online key makes visible all files that wait.
    ///
    /// `expires` is the validity of snapshot and timestamp; the other roles are valid as [`Self::validity`] states.
    ///
    /// # Errors
    /// Fails with `key-unauthorized` if the keys sign for no role.
    pub fn refresh(&self, expires: Option<SignedDuration>, keys: &KeyRing) -> Result<Refreshed, DeliveryError> {
        let expires = expires.unwrap_or(self.validity.online);
        if !expires.is_positive() {
            let text = "metadata that is made now cannot have expired";
            return Err(DeliveryError::new(
                ErrorCode::DeliverySettingInvalid,
                text,
                "name a time such as `14d`",
            ));
        }
        let mut writer = SiteWriter::open(self)?;
        let lists = |writer: &SiteWriter<'_>| -> Vec<(String, u64)> {
            let publishers = writer.heads.publishers.iter().map(|(name, list)| (name.clone(), list));
            let all = publishers.chain([("targets".to_owned(), &writer.heads.targets)]);
            all.filter(|(_, list)| list.pending).map(|(name, list)| (name, list.version())).collect()
        };
        let published = lists(&writer);
        let unusable = writer.heads.unusable.clone();
        let mut renewed = Vec::new();
        let root = top_keys(writer.heads.root(), RoleType::Root)?;
        if signers(keys, "root", &root.keyids, root.threshold).is_ok() {
            writer.put_root(writer.heads.root().clone(), keys)?;
            renewed.push("root".to_owned());
        }
        let targets = top_keys(writer.heads.root(), RoleType::Targets)?;
        if signers(keys, "targets", &targets.keyids, targets.threshold).is_ok() {
            writer.put_targets(writer.heads.targets.targets().clone(), keys)?;
            renewed.push("targets".to_owned());
        }
        for role in writer.heads.delegations().roles {
            let list = writer.heads.publishers.get(&role.name).map(|list| list.targets().clone());
            if let (Some(list), Ok(_)) = (list, signers(keys, &role.name, &role.keyids, role.threshold)) {
                writer.put_publisher(&role.name, list, keys)?;
                renewed.push(role.name);
            }
        }
        let is_committed = writer.commit(keys, Some(expires))?;
        if is_committed {
            renewed.push("online".to_owned());
        } else if renewed.is_empty() {
            let online = top_keys(writer.heads.root(), RoleType::Timestamp)?;
            signers(keys, "online", &online.keyids, online.threshold)?;
        }
        let visible = is_committed || renewed == ["root"];
        let expires = writer.heads.timestamp.signed.expires.as_second();
        let roles = roles(&writer.heads)?;
        Ok(Refreshed {
            renewed,
            published: if is_committed { published } else { Vec::new() },
            unusable,
            expires,
            roles,
            visible,
        })
    }
}
