//! `pulse repo add`, `list`, `remove` and `mirror`: the repositories that a user trusts.

use std::path::PathBuf;

use clap::Args;
use delivery::{
    Digest,
    fetch::{FetchEvent, Task},
};
use negotiation::text;
use serde_json::json;

use super::super::{
    Exit, Folders,
    fetch::{ago, decisions, perform, perform_at, unexpected},
    load, pretty, print,
};
use crate::{
    catalogue::Code,
    config::Config,
    data::deliveries::{Repository, TrustedRepository, normal, now},
};

pub(super) const EXAMPLES: &str = "Examples:
  pulse repo add https://plugins.example.org          show the root it offers
  pulse repo add https://plugins.example.org --root sha256:4f1c...
  pulse repo add file:///media/stick/plugins --root sha256:4f1c...
  pulse repo list --json
  pulse repo remove https://plugins.example.org
  pulse repo mirror https://plugins.example.org /srv/plugins

Exit status:
  0 when it is done
  1 when a file cannot be used or written
  2 for a wrong command line
  4 when the repository is not trusted, or cannot be verified
  5 when it cannot be reached
  6 when no such repository is trusted";

#[derive(Args)]
pub(in crate::cli) struct AddArgs {
    /// Address of the repository: https, http or file.
    address: String,
    /// Fingerprint of its root, from its owner by another way than the repository itself.
    #[arg(long, value_name = "sha256:HEX", value_parser = fingerprint)]
    root: Option<Digest>,
    /// Read a bearer token from this environment variable each time.
    #[arg(long, value_name = "NAME", conflicts_with = "token_file")]
    token_env: Option<String>,
    /// Read a bearer token from this file each time.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Trust these root certificates (PEM) too.
    #[arg(long, value_name = "FILE")]
    certificates: Option<PathBuf>,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Args)]
pub(in crate::cli) struct ListRepositoriesArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Args)]
pub(in crate::cli) struct RemoveArgs {
    /// Address of the repository.
    address: String,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Args)]
pub(in crate::cli) struct MirrorArgs {
    /// Address of a trusted repository.
    address: String,
    /// Folder for the copy.
    folder: PathBuf,
    #[command(flatten)]
    folders: Folders,
}

fn fingerprint(text: &str) -> Result<Digest, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.parse().map_err(|_| "write `sha256:` and 64 hexadecimal digits".to_owned())
}

pub(super) fn add(args: AddArgs) -> Result<u8, Exit> {
    let config = load(&args.folders.options(None))?;
    let address = normal(&args.address);
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let Some(root) = args.root else {
        return Err(offer(&config, &address)?);
    };
    let trusted = TrustedRepository {
        root,
        added: now(),
        token_file: args.token_file.map(absolute),
        token_env: args.token_env,
        certificates: args.certificates.map(absolute),
    };
    let (deliveries, _) = decisions(&config)?;
    let cache = deliveries.cache_of(&address);
    let repository = Repository { address: address.clone(), trusted: trusted.clone(), cache };
    match perform(&config, &repository, Task::Check { root: Some(root), wanted: vec![] })? {
        FetchEvent::Checked { .. } => {}
        other => return Err(unexpected(&other)),
    }
    let change = deliveries.change(|decisions| decisions.repositories.insert(address.clone(), trusted));
    change?;
    let listing = repository.listing();
    let remotes = listing.map(|listing| names(&listing)).unwrap_or_default();
    crate::log::note(format_args!("{} is trusted; it has: {}", text::line(&address, 300), remotes.join(", ")));
    Ok(0)
}

fn names(listing: &delivery::listing::Listing) -> Vec<String> {
    let names = listing.releases.iter().map(|release| release.about.name.clone());
    let names: std::collections::BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

/// Returns the exit that shows the root that a server offers.
fn offer(config: &Config, address: &str) -> Result<Exit, Exit> {
    match perform_at(config, address, Task::Offer)? {
        FetchEvent::Offered { root, keys, threshold } => {
            let text = format!(
                "{address} is not trusted: it offers the root sha256:{root}, with {} keys of which {threshold} must \
                 sign",
                keys.len()
            );
            let advice = format!(
                "compare this fingerprint with the one that its owner published elsewhere, then run `pulse repo add \
                 {address} --root sha256:{root}`"
            );
            Ok(Exit::new(Exit::VERIFICATION, Code::RepoUntrusted, text, advice))
        }
        other => Err(unexpected(&other)),
    }
}

pub(super) fn list(args: ListRepositoriesArgs) -> Result<u8, Exit> {
    let config = load(&args.folders.options(None))?;
    let (deliveries, known) = decisions(&config)?;
    let repositories = deliveries.repositories(&config, &known);
    if args.json {
        let of = |repository: &Repository| {
            let listing = repository.listing();
            json!({
                "address": repository.address,
                "root": format!("sha256:{}", repository.trusted.root),
                "checked": listing.as_ref().map(|listing| listing.checked),
                "expires": listing.as_ref().map(|listing| listing.expires),
                "remotes": listing.as_ref().map(names),
            })
        };
        print(&pretty(&repositories.iter().map(of).collect::<Vec<_>>())?)?;
        return Ok(0);
    }
    for repository in &repositories {
        let state = match repository.listing() {
            Some(listing) if listing.is_expired(now()) => format!("expired {}", ago(listing.expires)),
            Some(listing) => format!("checked {}; {}", ago(listing.checked), names(&listing).join(", ")),
            None => "not checked yet".to_owned(),
        };
        print(&format!("{}  root sha256:{}  {state}", repository.address, repository.trusted.root))?;
    }
    if repositories.is_empty() {
        crate::log::note(format_args!("no repository is trusted; add one with `pulse repo add`"));
    }
    Ok(0)
}

pub(super) fn remove(args: RemoveArgs) -> Result<u8, Exit> {
    let config = load(&args.folders.options(None))?;
    let (deliveries, known) = decisions(&config)?;
    let address = normal(&args.address);
    expect(&config, &known, &address)?;
    let removed = deliveries.change(|decisions| decisions.repositories.remove(&address));
    if removed?.is_none() {
        let text = format!("{address} is trusted by the host's manifest");
        return Err(Exit::new(Exit::FAILURE, Code::RepoUntrusted, text, "remove it from `repositories` there"));
    }
    deliveries.forget(&address);
    crate::log::note(format_args!("{address} is no longer trusted; what was installed from it runs on"));
    Ok(0)
}

pub(super) fn mirror(args: MirrorArgs) -> Result<u8, Exit> {
    let config = load(&args.folders.options(None))?;
    let (_, known) = decisions(&config)?;
    let repository = expect(&config, &known, &normal(&args.address))?;
    let to = std::path::absolute(&args.folder).unwrap_or(args.folder);
    std::fs::create_dir_all(&to).map_err(|error| {
        let text = format!("the folder cannot be created ({error}): {}", to.display());
        Exit::new(Exit::FAILURE, Code::SiteFailed, text, "name a folder that you can write to")
    })?;
    match perform(&config, &repository, Task::Mirror { to: to.clone() })? {
        FetchEvent::Mirrored { files, bytes } => {
            crate::log::note(format_args!(
                "copied {files} files with {bytes} bytes; use it as file://{}",
                to.display()
            ));
            Ok(0)
        }
        other => Err(unexpected(&other)),
    }
}

/// Returns the trusted repository at `address`.
fn expect(
    config: &Config,
    known: &crate::data::deliveries::DeliveryDecisions,
    address: &str,
) -> Result<Repository, Exit> {
    let (deliveries, _) = decisions(config)?;
    let repositories = deliveries.repositories(config, known);
    if let Some(found) = repositories.iter().find(|repository| repository.address == address) {
        return Ok(found.clone());
    }
    let known: Vec<&str> = repositories.iter().map(|repository| repository.address.as_str()).collect();
    let advice = match negotiation::manifest::near_miss(address, &known) {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "trust it with `pulse repo add`".to_owned(),
        None => format!("trust it with `pulse repo add`, or name one of: {}", known.join(", ")),
    };
    let text = format!("no trusted repository has the address {}", text::line(address, 300));
    Err(Exit::new(Exit::NOT_FOUND, Code::RepoUntrusted, text, advice))
}
