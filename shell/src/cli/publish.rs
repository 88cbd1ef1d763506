//! `pulse publish`: publishes a library to a repository, or withdraws a version.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::Args;
use delivery::{
    keys::{KeyRing, KeySource},
    release::{Platform, STABLE},
    site::{Artifact, Published, RepoSite, Withdrawn},
};
use plugin_api::abi::ABI_REVISION;
use semver::Version;

use super::{Exit, pretty, print, variable};
use crate::{
    catalogue::Code,
    library::{LibraryError, Publishable, publishable},
    log::note,
};

pub(super) const EXAMPLES: &str = "Examples:
  pulse publish target/release/libclock.so --to site --key env:PULSE_KEY
  pulse publish libclock.so --channel beta --notes \"faster start\"
                                           with the variables below
  pulse publish clock.dll --target x86_64-pc-windows-gnu
  pulse publish --withdraw remoteClock@1.3.0 --note \"wrong totals\"

A key source is file:PATH or a path, env:NAME, or - for standard input; each
may hold several keys in PEM. The key of the publisher signs; with the online
key too, clients see the release immediately, without it after the next
`pulse repo refresh`.

Environment:
  PULSE_PUBLISH_TO        default of --to
  PULSE_KEY               keys, if --key is omitted

Exit status:
  0 when it is published or withdrawn, or was before
  1 when it cannot be, or the version exists with other content
  2 for a wrong command line
  3 when the library is for another revision of the contract
  4 for a key or a file of the repository that is refused
  6 when there is no such library, repository or version";

#[derive(Args)]
pub(super) struct PublishArgs {
    /// Library with its manifest inside.
    #[arg(required_unless_present = "withdraw", conflicts_with = "withdraw")]
    library: Option<PathBuf>,
    /// Folder of the repository; default: `PULSE_PUBLISH_TO`.
    #[arg(long, value_name = "SITE")]
    to: Option<PathBuf>,
    /// Offer it in this channel; publish again to add another one.
    #[arg(long, value_name = "NAME", default_value = STABLE, conflicts_with = "withdraw")]
    channel: String,
    /// Read keys from here; may be repeated.
    // A key that is given by mistake begins with hyphens, and clap would print it.
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true)]
    key: Vec<String>,
    /// State the changes for users, in one line.
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "withdraw")]
    notes: String,
    /// Publish for this target triple; default: from the library's header.
    #[arg(long, value_name = "TRIPLE", conflicts_with = "withdraw")]
    target: Option<String>,
    /// Withdraw this version on all platforms.
    #[arg(long, value_name = "NAME@VERSION", value_parser = named_version)]
    withdraw: Option<(String, Version)>,
    /// State the reason of the withdrawal.
    #[arg(long, value_name = "TEXT", default_value = "", requires = "withdraw")]
    note: String,
    /// Let shells return to this version; default: the newest lower one.
    #[arg(long, value_name = "VERSION", requires = "withdraw")]
    return_to: Option<Version>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn named_version(text: &str) -> Result<(String, Version), String> {
    let advice = || "write the remote's name, `@` and its version, such as `remoteClock@1.3.0`".to_owned();
    let (name, version) = text.rsplit_once('@').filter(|(name, _)| !name.is_empty()).ok_or_else(advice)?;
    Ok((name.to_owned(), version.parse().map_err(|_| advice())?))
}

pub(super) fn run(args: PublishArgs) -> Result<u8, Exit> {
    let to = args.to.or_else(|| variable("PULSE_PUBLISH_TO").map(PathBuf::from));
    let to = to.ok_or_else(|| {
        let advice = "name its folder with --to, or set PULSE_PUBLISH_TO";
        Exit::new(Exit::NOT_FOUND, Code::SiteMissing, "no repository is named", advice)
    })?;
    let site = RepoSite::open(&to)?;
    let keys = keys(&args.key)?;
    if let Some((name, version)) = args.withdraw {
        let withdrawn = site.withdraw(&name, &version, &args.note, args.return_to.as_ref(), &keys)?;
        return report_withdrawn(&withdrawn, &to, args.json);
    }
    let library = args.library.unwrap_or_default();
    let found = publishable(&library).map_err(|error| refused(&error))?;
    let platform = platform(&found, args.target, &library)?;
    let stripped = if found.is_elf { strip(&library, &found, &args.key) } else { None };
    let path = stripped.as_ref().map_or(library, |file| file.to_path_buf());
    let artifact = Artifact { manifest_text: found.manifest_text, abi: ABI_REVISION, platform, library: path };
    let published = site.publish(&artifact, &args.channel, &args.notes, &keys)?;
    report_published(&published, &args.channel, &to, args.json)
}

/// Reads the keys of all sources; without one, those in `PULSE_KEY`.
pub(super) fn keys(sources: &[String]) -> Result<KeyRing, Exit> {
    Ok(KeyRing::read(&key_sources(sources)?)?)
}

pub(super) fn key_sources(sources: &[String]) -> Result<Vec<KeySource>, Exit> {
    let default = variable(KEY).filter(|_| sources.is_empty()).map(|_| format!("env:{KEY}"));
    let parsed: Result<_, _> = sources.iter().chain(&default).map(|text| KeySource::parse(text)).collect();
    Ok(parsed?)
}

/// The variable with the keys of a CI job.
const KEY: &str = "PULSE_KEY";

/// Returns the exit for a refused library.
fn refused(error: &LibraryError) -> Exit {
    let exit = Exit::of(error);
    match error.code() {
        Code::AbiRevision => Exit { code: Exit::INCOMPATIBLE, ..exit },
        _ => exit,
    }
}

/// Returns the platform of a library: the named one, if it is of the processor and system in the library's header.
fn platform(found: &Publishable, named: Option<String>, library: &Path) -> Result<Platform, Exit> {
    let wrong = |text: String, advice: &str| {
        Exit::new(Exit::FAILURE, Code::LibraryOtherPlatform, format!("{text}: {}", library.display()), advice)
    };
    let Some((processor, system)) = found.platform else {
        let Some(named) = named else {
            let text = "the library is for a processor or system without a name here".to_owned();
            return Err(wrong(text, "name its target triple with --target"));
        };
        return Platform::try_from(named)
            .map_err(|advice| wrong("this is no target triple".to_owned(), advice));
    };
    let default = match system {
        "windows" => format!("{processor}-pc-windows-msvc"),
        "darwin" => format!("{processor}-apple-darwin"),
        _ => format!("{processor}-unknown-{system}-gnu"),
    };
    let triple = named.unwrap_or(default);
    let mut parts = triple.split('-');
    if parts.next() != Some(processor) || !parts.any(|part| part == system) {
        let text = format!("the library is for {processor} and {system}, not for {triple}");
        return Err(wrong(text, "omit --target, or name the library for it"));
    }
    Platform::try_from(triple).map_err(|advice| wrong("this is no target triple".to_owned(), advice))
}

/// Returns a copy of a library without the symbols that only debuggers use; `None` if it stays as it is.
fn strip(library: &Path, found: &Publishable, keys: &[String]) -> Option<tempfile::TempPath> {
    let kept = |reason: &str| {
        note(format_args!("warning: the library is published with its debug symbols, because {reason}"));
        None
    };
    // In a folder that other users cannot enter.
    let Ok(copy) = tempfile::Builder::new().prefix("pulse-publish-").tempfile() else {
        return kept("there is no place for temporary files");
    };
    let copy = copy.into_temp_path();
    let mut command = Command::new("strip");
    command.arg("--strip-unneeded").arg("-o").arg(&copy).arg(library).stdin(Stdio::null());
    // It needs no keys.
    command.env_remove(KEY);
    for name in keys.iter().filter_map(|source| source.strip_prefix("env:")) {
        command.env_remove(name);
    }
    match command.output() {
        Err(_) => return kept("`strip` is not installed"),
        Ok(output) if !output.status.success() => return kept("`strip` cannot read it"),
        Ok(_) => {}
    }
    match publishable(&copy) {
        Ok(stripped) if stripped.manifest_text == found.manifest_text => Some(copy),
        _ => kept("it would lose its manifest"),
    }
}

fn report_published(published: &Published, channel: &str, site: &Path, json: bool) -> Result<u8, Exit> {
    let Published { release, download, publisher, changed, visible } = published;
    if json {
        print(&pretty(published)?)?;
    } else {
        let (name, version, platform) = (&release.name, &release.version, &release.platform);
        print(&format!("{name} {version} {platform} {} {}", release.library.sha256, download.length))?;
    }
    let state = if *changed { "is published" } else { "was published before" };
    note(format_args!("{} {} {state} in `{channel}`, signed by `{publisher}`", release.name, release.version));
    waits(*visible, site);
    Ok(0)
}

fn report_withdrawn(withdrawn: &Withdrawn, site: &Path, json: bool) -> Result<u8, Exit> {
    let Withdrawn { name, version, platforms, visible } = withdrawn;
    if json {
        print(&pretty(withdrawn)?)?;
    } else {
        let to = |to: &Option<Version>| to.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let lines =
            platforms.iter().map(|(platform, back)| format!("{name} {version} {platform} {}", to(back)));
        print(&lines.collect::<Vec<_>>().join("\n"))?;
    }
    note(format_args!("{name} {version} is withdrawn; shells return with their next check"));
    waits(*visible, site);
    Ok(0)
}

/// Notes that a change waits for the online key.
pub(super) fn waits(visible: bool, site: &Path) {
    if !visible {
        note(format_args!(
            "warning: clients do not see this yet; make it visible with the online key: \
             `pulse repo refresh {} --key ONLINE_KEY`",
            site.display()
        ));
    }
}
