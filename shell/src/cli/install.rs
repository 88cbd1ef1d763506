//! `pulse install`, `pulse enable` and `pulse disable`: decisions about remotes, which a running shell follows.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, CommandFactory, error::ErrorKind};
use negotiation::manifest::near_miss;
use negotiation::text::Shown;
use serde_json::json;

use super::{Cli, Exit, Folders, folders, load, pretty, print, update};
use crate::{
    catalogue::Code,
    config::Config,
    data::{
        choices::{Choices, ChoicesError, Disabled},
        deliveries::Deliveries,
        drop_folder::DropFolder,
    },
    failure::Failure,
    failure::FailureCode,
};

pub(super) const INSTALL_EXAMPLES: &str = "Examples:
  pulse install target/release/libpulse_analytics.so
  pulse install clock.json --enable        the manifest and its library
  pulse install clock.so --json            the installed files, as JSON
  pulse install remoteHello                from a trusted repository
  pulse install remoteHello@^1.2 --enable

Exit status:
  0 when it is installed
  1 when the file cannot be used or copied
  2 for a wrong command line
  3 when it is for another platform or revision of the contract, or the plan
    refuses it
  4 when a digest or signature is wrong, or the repository is not trusted
  5 when the repository cannot be reached
  6 when there is no such file or release";

pub(super) const ENABLE_EXAMPLES: &str = "Examples:
  pulse enable remoteClock
  pulse disable remoteClock --note \"slows down the start\"

Exit status:
  0 when the decision is saved; a running shell applies it immediately
  1 when it cannot be saved
  2 for a wrong command line
  6 when there is no such remote";

#[derive(Args)]
pub(super) struct InstallArgs {
    /// Library, manifest next to its library, or name of a remote in a repository with the versions to accept.
    #[arg(value_name = "FILE|NAME[@RANGE]")]
    what: PathBuf,
    /// Install from the repository at this address.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Channel of the repository; default: stable.
    #[arg(long)]
    channel: Option<String>,
    /// Also enable it.
    #[arg(long)]
    enable: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Args)]
pub(super) struct EnableArgs {
    /// Name in the remote's manifest, or its alias in the host's.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Use this host's manifest; default: `PULSE_SHELL_CONFIG`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Args)]
pub(super) struct DisableArgs {
    #[command(flatten)]
    which: EnableArgs,
    /// Save the reason.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

pub(super) fn run(args: InstallArgs) -> Result<u8, Exit> {
    let by_name = args.what.to_str().filter(|_| !args.what.exists()).and_then(update::name_and_range);
    if let Some(parsed) = by_name {
        let (name, range) = parsed.unwrap_or_else(|problem| {
            Cli::command().error(ErrorKind::ValueValidation, format!("the range is wrong: {problem}")).exit()
        });
        let InstallArgs { from, channel, enable, json, folders, .. } = args;
        return update::install(&name, range, from.as_deref(), channel, enable, json, folders);
    }
    let config = folders(&args.folders.options(None))?;
    let installed =
        DropFolder::new(&config.data_dir).install(&args.what, &config.plugin_dirs).map_err(refused)?;
    let mut choices = Choices::load(&config.data_dir);
    let name = &installed.name;
    if args.enable {
        choices.enable(name)?;
    }
    let enabled = choices.is_enabled(name);
    if args.json {
        let mut value = serde_json::to_value(&installed).unwrap_or_default();
        value["enabled"] = enabled.into();
        print(&pretty(&value)?)?;
    } else {
        let files = installed.manifest.iter().chain([&installed.library]);
        print(&files.map(|file| Shown(file).to_string()).collect::<Vec<_>>().join("\n"))?;
    }
    let state = if enabled {
        "is installed and enabled".to_owned()
    } else {
        format!("is installed; enable it with `pulse enable {name}`")
    };
    let instead = installed.replaced.map(|old| format!(" in place of {old}")).unwrap_or_default();
    crate::log::note(format_args!("{name} {}{instead} {state}", installed.version));
    for other in &installed.others {
        crate::log::note(format_args!(
            "warning: {name} is installed more than once, and only one file can be used; remove the others: {}",
            Shown(other)
        ));
    }
    Ok(0)
}

/// Returns the exit for a refused file: trying again on this machine is pointless for 3 and 4.
fn refused(failure: Failure) -> Exit {
    let code = match failure.code {
        FailureCode::Pulse(Code::AbiRevision | Code::LibraryOtherPlatform) => Exit::INCOMPATIBLE,
        FailureCode::Pulse(Code::DigestMismatch) => Exit::VERIFICATION,
        _ => return failure.into(),
    };
    Exit { code, ..failure.into() }
}

impl From<ChoicesError> for Exit {
    fn from(error: ChoicesError) -> Self {
        Self::of(&error)
    }
}

pub(super) fn enable(args: EnableArgs) -> Result<u8, Exit> {
    decide(args, Choices::enable)
}

pub(super) fn disable(args: DisableArgs) -> Result<u8, Exit> {
    decide(args.which, |choices, name| choices.disable(name, Disabled::by_user(args.note)))
}

fn decide(
    args: EnableArgs,
    decide: impl FnOnce(&mut Choices, &str) -> Result<(), ChoicesError>,
) -> Result<u8, Exit> {
    let config = load(&args.folders.options(args.config))?;
    let mut choices = Choices::load(&config.data_dir);
    let name = named(&args.name, &config, &choices)?;
    decide(&mut choices, &name)?;
    let enabled = choices.is_enabled(&name);
    if args.json {
        print(&pretty(&json!({ "name": name, "enabled": enabled }))?)?;
    }
    crate::log::note(format_args!("{name} is {}", if enabled { "enabled" } else { "disabled" }));
    Ok(0)
}

/// Returns the name of the remote for a name or an alias.
fn named(word: &str, config: &Config, choices: &Choices) -> Result<String, Exit> {
    if let Some(reference) = config.host.remotes.get(word) {
        return Ok(reference.name.clone());
    }
    let drop_folder = DropFolder::new(&config.data_dir);
    let mut names: BTreeSet<String> = drop_folder.names();
    names.extend(config.host.remotes.values().map(|reference| reference.name.clone()));
    let added = Deliveries::new(&config.data_dir).read()?.remotes;
    names.extend(added.into_iter().filter(|(_, own)| own.location.is_some()).map(|(name, _)| name));
    // A remote with a saved decision may be missing for a while.
    if names.contains(word) || choices.is_enabled(word) || choices.disabled(word).is_some() {
        return Ok(word.to_owned());
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = match (near_miss(word, &names), names.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => "install one with `pulse install FILE`".to_owned(),
        (None, names) => format!("name one of these: {}", names.join(", ")),
    };
    let text = format!(
        "neither the host's manifest ({}) nor the drop folder ({}) has a remote `{word}`",
        config.origin.name(),
        drop_folder.path().display()
    );
    Err(Exit::new(Exit::NOT_FOUND, Code::RemoteUnknown, text, hint))
}
