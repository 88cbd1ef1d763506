//! `pulse remote`: adds, removes, preloads and overrides remotes; a running shell follows at once.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use negotiation::manifest::UpdatePolicy;

use super::{Exit, Folders, fetch::decisions, load};
use crate::{
    catalogue::Code,
    config::Config,
    data::{choices::Choices, deliveries::Subscription},
};

pub(super) const EXAMPLES: &str = "Examples:
  pulse remote add remoteHello@https://plugins.example.org --enable
  pulse remote add remoteHello@http://localhost:3001/ --enable
  pulse remote remove remoteHello
  pulse remote preload remoteHello         fetch it when the shell starts
  pulse remote policy remoteHello auto     use newer releases without asking
  pulse remote override remoteHello target/release/libhello.so
  pulse remote override remoteHello --off

Exit status:
  0 when the decision is saved; a running shell applies it immediately
  1 when it cannot be saved, or the file cannot be used
  2 for a wrong command line
  4 when the repository is not trusted
  6 when there is no such remote or file";

#[derive(Args)]
pub(super) struct RemoteArgs {
    #[command(subcommand)]
    command: RemoteCommand,
}

#[derive(Subcommand)]
enum RemoteCommand {
    /// Add a remote that the host's manifest does not list.
    #[command(after_help = EXAMPLES)]
    Add {
        /// Name, `@`, and the address of a repository or development server.
        #[arg(value_name = "NAME@ADDRESS", value_parser = reference)]
        reference: (String, String),
        /// Also enable it.
        #[arg(long)]
        enable: bool,
        /// Channel of its releases.
        #[arg(long)]
        channel: Option<String>,
        #[command(flatten)]
        folders: Folders,
    },
    /// Remove a remote that was added.
    #[command(after_help = EXAMPLES)]
    Remove {
        /// Name of the remote.
        name: String,
        #[command(flatten)]
        folders: Folders,
    },
    /// Fetch a remote's library when the shell starts, not when it is first shown.
    #[command(after_help = EXAMPLES)]
    Preload {
        /// Name of the remote.
        name: String,
        /// Fetch it when it is first shown.
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        folders: Folders,
    },
    /// Set what happens with newer releases.
    #[command(after_help = EXAMPLES)]
    Policy {
        /// Name of the remote.
        name: String,
        /// auto: use them; ask: offer them; pin: ignore them.
        #[arg(value_parser = policy)]
        policy: UpdatePolicy,
        #[command(flatten)]
        folders: Folders,
    },
    /// Use a local library or manifest in place of a remote's own.
    #[command(after_help = EXAMPLES)]
    Override {
        /// Name of the remote.
        name: String,
        /// Library or manifest.
        #[arg(required_unless_present = "off")]
        file: Option<PathBuf>,
        /// End the override.
        #[arg(long, conflicts_with = "file")]
        off: bool,
        #[command(flatten)]
        folders: Folders,
    },
}

fn reference(text: &str) -> Result<(String, String), String> {
    match text.split_once('@') {
        Some((name, address)) if !name.is_empty() && !address.is_empty() => {
            Ok((name.to_owned(), address.to_owned()))
        }
        _ => Err("write the remote's name, `@` and its address".to_owned()),
    }
}

fn policy(text: &str) -> Result<UpdatePolicy, String> {
    let known = UpdatePolicy::WORDS.iter().find(|(word, _)| *word == text);
    known.map(|(_, policy)| *policy).ok_or_else(|| "write auto, ask or pin".to_owned())
}

pub(super) fn run(args: RemoteArgs) -> Result<u8, Exit> {
    match args.command {
        RemoteCommand::Add { reference: (name, location), enable, channel, folders } => {
            add(&load(&folders.options(None))?, &name, location, channel, enable)
        }
        RemoteCommand::Remove { name, folders } => remove(&load(&folders.options(None))?, &name),
        RemoteCommand::Preload { name, off, folders } => {
            let words = if off { "fetched when it is first shown" } else { "fetched when the shell starts" };
            change(&load(&folders.options(None))?, &name, words, |own| own.preload = !off)
        }
        RemoteCommand::Policy { name, policy, folders } => {
            let words = match policy {
                UpdatePolicy::Auto => "updated without asking",
                UpdatePolicy::Ask => "offered newer releases",
                UpdatePolicy::Pin => "not updated",
            };
            change(&load(&folders.options(None))?, &name, words, |own| own.policy = Some(policy))
        }
        RemoteCommand::Override { name, file, folders, .. } => {
            replace(&load(&folders.options(None))?, &name, file)
        }
    }
}

fn add(
    config: &Config,
    name: &str,
    location: String,
    channel: Option<String>,
    enable: bool,
) -> Result<u8, Exit> {
    let (deliveries, _) = decisions(config)?;
    deliveries.add(config, name, location, channel)?;
    let mut choices = Choices::load(&config.data_dir);
    if enable {
        choices.enable(name)?;
    }
    let state = if choices.is_enabled(name) {
        "and enabled".to_owned()
    } else {
        format!("; enable it with `pulse enable {name}`")
    };
    crate::log::note(format_args!("{name} is added {state}"));
    Ok(0)
}

fn remove(config: &Config, name: &str) -> Result<u8, Exit> {
    let (deliveries, known) = decisions(config)?;
    if known.remotes.get(name).is_none_or(|own| own.location.is_none()) {
        let text = format!("`{name}` was not added by you");
        let advice = "a remote of the host's manifest can be disabled: `pulse disable`";
        return Err(Exit::new(Exit::NOT_FOUND, Code::RemoteUnknown, text, advice));
    }
    // First, so that a remote added later under this name is not enabled by this one's decision.
    Choices::load(&config.data_dir).forget(name)?;
    deliveries.change(|decisions| decisions.remotes.remove(name))?;
    crate::log::note(format_args!("{name} is removed"));
    Ok(0)
}

fn change(
    config: &Config,
    name: &str,
    words: &str,
    change: impl FnOnce(&mut Subscription),
) -> Result<u8, Exit> {
    let (deliveries, known) = decisions(config)?;
    expect(config, &known, name)?;
    let changed = deliveries.change(|decisions| change(decisions.remotes.entry(name.to_owned()).or_default()));
    changed?;
    crate::log::note(format_args!("{name} is {words}"));
    Ok(0)
}

fn replace(config: &Config, name: &str, file: Option<PathBuf>) -> Result<u8, Exit> {
    let (deliveries, known) = decisions(config)?;
    expect(config, &known, name)?;
    let file = file.map(|file| std::path::absolute(&file).unwrap_or(file));
    deliveries.override_with(name, file.clone())?;
    match file {
        Some(file) => crate::log::note(format_args!(
            "{name} is overridden by {}, until `pulse remote override {name} --off`",
            file.display()
        )),
        None => crate::log::note(format_args!("{name} is no longer overridden")),
    }
    Ok(0)
}

/// Checks that a remote is known.
fn expect(config: &Config, known: &crate::data::deliveries::DeliveryDecisions, name: &str) -> Result<(), Exit> {
    let listed = config.host.remotes.values().map(|reference| reference.name.clone());
    let added = known.remotes.iter().filter(|(_, own)| own.location.is_some()).map(|(name, _)| name.clone());
    let dropped = crate::data::drop_folder::DropFolder::new(&config.data_dir).names();
    let names: std::collections::BTreeSet<String> = listed.chain(added).chain(dropped).collect();
    if names.contains(name) {
        return Ok(());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let advice = match negotiation::manifest::near_miss(name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`pulse list` lists all remotes".to_owned(),
    };
    Err(Exit::new(Exit::NOT_FOUND, Code::RemoteUnknown, format!("no remote is called `{name}`"), advice))
}
