//! The commands of a repository's owner.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use delivery::{
    keys::KeyRing,
    site::{InitOptions, PublisherChange, Refreshed, RepoSite, RoleState, SiteReport, SiteRole, Validity},
};
use jiff::{SignedDuration, Timestamp};
use negotiation::text;

use crate::{
    cli::{
        Exit, pretty, print,
        publish::{key_sources, keys, waits},
    },
    log::note,
};

pub(super) const INIT_EXAMPLES: &str = "Examples:
  pulse repo init site --keys KEYS --threshold 2
  pulse repo init site --keys KEYS --publisher team-a=remoteClock,remoteMap \\
      --publisher team-b=remoteChat

The keys are files in PEM that only you can read: root-1.pem and more, of which
the threshold must sign to replace any key; targets.pem signs the publishers;
publisher.pem signs releases; online.pem makes them visible. Keep the first two
kinds offline, in different places.

Exit status:
  0 when it is made
  1 when a folder is not empty or cannot be written
  2 for a wrong command line
  4 when the keys would be in the repository, which is public";

pub(super) const CHECK_EXAMPLES: &str = "Example:
  pulse repo check site --json

Exit status:
  0 when clients accept the repository
  1 when it cannot be read
  2 for a wrong command line
  4 when it has a fault: signature, digest, expired metadata
  6 when there is no repository";

pub(super) const REFRESH_EXAMPLES: &str = "Examples:
  pulse repo refresh site --expires 14d --key env:PULSE_ONLINE_KEY
  pulse repo refresh site --key KEYS/targets.pem --key KEYS/publisher.pem \\
      --key KEYS/online.pem                renew the yearly ones too

Every role whose keys are given is renewed; releases and publishers that wait
for the online key become visible with it. PULSE_KEY is the default of --key.

Exit status:
  0 when it is renewed
  1 when it cannot be
  2 for a wrong command line
  4 for a key or a file of the repository that is refused
  6 when there is no repository";

pub(super) const PUBLISHER_EXAMPLES: &str = "Examples:
  pulse repo publisher add site team --remotes remoteClock --new team.pub \\
      --key KEYS/targets.pem --key KEYS/online.pem
  pulse repo publisher remove site team --key KEYS/targets.pem \\
      --key KEYS/online.pem

A remote of another publisher moves with its releases, which needs the keys of
both publishers. Without --remotes, a new publisher has every remote without
another publisher.

Exit status:
  0 when it is done
  1 when it cannot be
  2 for a wrong command line
  4 for a key or a file of the repository that is refused
  6 when there is no such repository or publisher";

pub(super) const ROTATE_EXAMPLES: &str = "Examples:
  pulse repo rotate site root --retire 3fa9c1 --generate root-4.pem \\
      --key KEYS/root-1.pem --key KEYS/root-3.pem
  pulse repo rotate site targets --generate targets-2.pem \\
      --key KEYS/root-1.pem --key KEYS/root-2.pem --key KEYS/online.pem
  pulse repo rotate site online --generate online-2.pem \\
      --key KEYS/root-1.pem --key KEYS/root-2.pem
  pulse repo rotate site main --generate publisher-2.pem \\
      --key KEYS/targets.pem --key KEYS/online.pem

The role is root, targets, online or a publisher. Its former keys are not
needed, so a lost key can be replaced; `pulse repo check` lists their digits.

Exit status:
  0 when the keys are replaced
  1 when they cannot be
  2 for a wrong command line
  4 for a key or a file of the repository that is refused
  6 when there is no such repository or publisher";

#[derive(Subcommand)]
pub(super) enum PublisherCommand {
    /// Add a publisher, or remotes to one.
    #[command(after_help = PUBLISHER_EXAMPLES)]
    Add(AddPublisherArgs),
    /// Remove a publisher with its releases.
    #[command(after_help = PUBLISHER_EXAMPLES)]
    Remove(RemovePublisherArgs),
}

#[derive(Args)]
pub(super) struct InitArgs {
    /// Folder of the repository, new or empty.
    site: PathBuf,
    /// Write the keys to this folder, which must be elsewhere.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// Require this many root keys to replace any key; one more is made.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    threshold: u8,
    /// Make a publisher with these remotes; may be repeated; default: `main`, which has every remote.
    #[arg(long, value_name = "NAME=REMOTE,…", value_parser = publisher_of)]
    publisher: Vec<(String, Vec<String>)>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct CheckArgs {
    /// Folder of the repository.
    site: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The repository of a command that signs, and its keys.
#[derive(Args)]
struct SigningArgs {
    /// Folder of the repository.
    site: PathBuf,
    /// Read keys from here: a file, `env:NAME` or `-`; may be repeated; default: `env:PULSE_KEY`.
    // A key that is given by mistake begins with hyphens, and clap would print it.
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true)]
    key: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// New keys of a role.
#[derive(Args)]
struct NewKeyArgs {
    /// Read a new key from here, private or public; may be repeated.
    #[arg(long, value_name = "SOURCE", allow_hyphen_values = true)]
    new: Vec<String>,
    /// Generate a new key in this file.
    #[arg(long, value_name = "FILE")]
    generate: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct RefreshArgs {
    #[command(flatten)]
    signing: SigningArgs,
    /// Let snapshot and timestamp expire after this time: hours `h`, days `d` or weeks `w`.
    #[arg(long, value_name = "TIME", default_value = "14d", value_parser = duration)]
    expires: SignedDuration,
}

#[derive(Args)]
pub(super) struct AddPublisherArgs {
    #[command(flatten)]
    signing: SigningArgs,
    /// Name of the publisher.
    name: String,
    /// Give it these remotes, separated by commas.
    #[arg(long, value_name = "REMOTE,…", value_delimiter = ',')]
    remotes: Vec<String>,
    #[command(flatten)]
    new: NewKeyArgs,
}

#[derive(Args)]
pub(super) struct RemovePublisherArgs {
    #[command(flatten)]
    signing: SigningArgs,
    /// Name of the publisher.
    name: String,
}

#[derive(Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    signing: SigningArgs,
    /// Role: `root`, `targets`, `online` or a publisher's name.
    role: String,
    /// Remove the key whose identifier begins so; may be repeated; default: all former keys, except of root.
    #[arg(long, value_name = "DIGITS")]
    retire: Vec<String>,
    #[command(flatten)]
    new: NewKeyArgs,
}

fn publisher_of(text: &str) -> Result<(String, Vec<String>), String> {
    match text.split_once('=') {
        Some((name, remotes)) if !name.is_empty() && !remotes.is_empty() => {
            Ok((name.to_owned(), remotes.split(',').map(str::to_owned).collect()))
        }
        _ => Err("write the publisher's name, `=` and its remotes, such as `team=remoteA,remoteB`".to_owned()),
    }
}

/// Parses a time such as `14d`.
fn duration(text: &str) -> Result<SignedDuration, String> {
    let hours = |unit| match unit {
        'h' => Some(1),
        'd' => Some(24),
        'w' => Some(24 * 7),
        _ => None,
    };
    let parsed = text.char_indices().next_back().and_then(|(at, unit)| {
        let number: i64 = text[..at].parse().ok().filter(|number| (1..=10_000).contains(number))?;
        Some(SignedDuration::from_hours(number * hours(unit)?))
    });
    parsed.ok_or_else(|| "write a number and `h`, `d` or `w`, such as `14d`".to_owned())
}

pub(super) fn init(args: InitArgs) -> Result<u8, Exit> {
    let options =
        InitOptions { threshold: args.threshold, publishers: args.publisher, validity: Validity::default() };
    let made = RepoSite::init(&args.site, &args.keys, &options)?;
    if args.json {
        print(&pretty(&made)?)?;
    } else {
        print(&format!("sha256:{}", made.root))?;
    }
    let (site, keys) = (args.site.display(), args.keys.display());
    note(format_args!("the repository is made: {site}"));
    note(format_args!("keep the root keys and targets.pem offline, each with a copy: {keys}"));
    note(format_args!("copy the folder to a web server, or use it as it is; then:"));
    let of_publisher = made.keys.iter().find(|key| !["root", "targets", "online"].contains(&&*key.role));
    let of_publisher = of_publisher.map_or_else(|| args.keys.join("publisher.pem"), |key| key.file.clone());
    note(format_args!(
        "  pulse publish LIBRARY --to {site} --key {} --key {keys}/online.pem",
        of_publisher.display()
    ));
    note(format_args!("  pulse repo refresh {site} --expires 14d --key {keys}/online.pem   (every week)"));
    note(format_args!("  pulse repo add ADDRESS --root sha256:{}   (each user)", made.root));
    Ok(0)
}

pub(super) fn check(args: &CheckArgs) -> Result<u8, Exit> {
    let report = RepoSite::open(&args.site)?.check()?;
    if args.json {
        print(&pretty(&report)?)?;
    } else {
        // Notes of releases are free text of publishers.
        print(&text::lines(&lines(&report).join("\n"), usize::MAX))?;
    }
    for problem in &report.problems {
        Exit::from(problem.clone()).print();
    }
    warn_of_expiry(&report.roles);
    waits(report.pending.is_empty(), &args.site);
    Ok(if report.problems.is_empty() { 0 } else { Exit::VERIFICATION })
}

/// Formats a report, with a line for each root, role, release and file that waits.
fn lines(report: &SiteReport) -> Vec<String> {
    let mut lines = Vec::new();
    for root in &report.roots {
        lines.push(format!("fingerprint of root {}  sha256:{}", root.version, root.sha256));
    }
    for RoleState { name, version, expires, keys, threshold, remotes } in &report.roles {
        let ids: Vec<&str> = keys.iter().map(|id| id.get(..12).unwrap_or(id)).collect();
        let of = if remotes.is_empty() { String::new() } else { format!("  {}", remotes.join(", ")) };
        let (expires, ids) = (time(*expires), ids.join(" "));
        lines.push(format!("{name:<12} {version:<4} until {expires}  {threshold} of {ids}{of}"));
    }
    for release in &report.releases {
        let about = &release.about;
        let channels: Vec<&str> = about.channels.iter().map(String::as_str).collect();
        let state = match &about.withdrawn {
            None => String::new(),
            Some(withdrawal) => format!("  withdrawn {}", withdrawal.note),
        };
        let (name, version, platform) = (&about.name, about.version.to_string(), &about.platform);
        lines.push(format!("{name} {version:<9} {platform}  {}{state}", channels.join(",")));
    }
    for file in &report.pending {
        lines.push(format!("waits: {} {}", file.role, file.version));
    }
    lines
}

/// Warns of roles that expire soon: within three days, or a month for those that a machine does not renew.
fn warn_of_expiry(roles: &[RoleState]) {
    const DAY: i64 = 24 * 60 * 60;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    for RoleState { name, expires, .. } in roles {
        let soon = if ["snapshot", "timestamp"].contains(&name.as_str()) { 3 * DAY } else { 30 * DAY };
        if (0..soon).contains(&expires.saturating_sub_unsigned(now)) {
            let expires = time(*expires);
            note(format_args!(
                "warning: `{name}` expires at {expires}; renew it with `pulse repo refresh` and its keys"
            ));
        }
    }
}

/// Formats a time as in ISO 8601; an impossible one stays a number of seconds.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

pub(super) fn refresh(args: &RefreshArgs) -> Result<u8, Exit> {
    let SigningArgs { site, key, json } = &args.signing;
    let refreshed = RepoSite::open(site)?.refresh(Some(args.expires), &keys(key)?)?;
    let Refreshed { renewed, published, unusable, expires, roles, visible } = &refreshed;
    if *json {
        print(&pretty(&refreshed)?)?;
    } else {
        print(&format!("{}  until {}", renewed.join(" "), time(*expires)))?;
    }
    for (role, version) in published {
        note(format_args!("version {version} of `{role}` is visible now"));
    }
    for error in unusable {
        note(format_args!("warning: {error} [{}]", error.code));
    }
    warn_of_expiry(roles);
    waits(*visible, site);
    Ok(0)
}

/// Reads or generates the new keys of a command.
fn new_keys(args: &NewKeyArgs) -> Result<KeyRing, Exit> {
    let mut sources = if args.new.is_empty() { Vec::new() } else { key_sources(&args.new)? };
    if let Some(file) = &args.generate {
        sources.push(KeyRing::generate(file)?);
        note(format_args!("a key is made: {}", file.display()));
    }
    Ok(if sources.is_empty() { KeyRing::default() } else { KeyRing::read_any(&sources)? })
}

pub(super) fn publisher(command: &PublisherCommand) -> Result<u8, Exit> {
    match command {
        PublisherCommand::Add(args) => add_publisher(args),
        PublisherCommand::Remove(args) => remove_publisher(args),
    }
}

fn add_publisher(args: &AddPublisherArgs) -> Result<u8, Exit> {
    let SigningArgs { site, key, json } = &args.signing;
    let (opened, keys) = (RepoSite::open(site)?, keys(key)?);
    let change = opened.add_publisher(&args.name, &args.remotes, new_keys(&args.new)?, keys)?;
    report_publisher(&change, "publishes", site, *json)
}

fn remove_publisher(args: &RemovePublisherArgs) -> Result<u8, Exit> {
    let SigningArgs { site, key, json } = &args.signing;
    let change = RepoSite::open(site)?.remove_publisher(&args.name, &keys(key)?)?;
    report_publisher(&change, "does not publish any more:", site, *json)
}

fn report_publisher(change: &PublisherChange, does: &str, site: &Path, json: bool) -> Result<u8, Exit> {
    let PublisherChange { publisher, remotes, keys, releases, visible } = change;
    if json {
        print(&pretty(change)?)?;
    } else {
        print(&format!("{publisher} {}", keys.join(" ")))?;
    }
    note(format_args!("`{publisher}` {does} {}; releases that go with it: {releases}", remotes.join(", ")));
    waits(*visible, site);
    Ok(0)
}

pub(super) fn rotate(args: &RotateArgs) -> Result<u8, Exit> {
    let SigningArgs { site, key, json } = &args.signing;
    let (opened, keys) = (RepoSite::open(site)?, keys(key)?);
    let role = SiteRole::named(&args.role);
    let rotated = opened.rotate(&role, &args.retire, new_keys(&args.new)?, keys)?;
    if *json {
        print(&pretty(&rotated)?)?;
    } else {
        print(&rotated.keys.join("\n"))?;
    }
    note(format_args!(
        "`{}` has {} keys; {} are retired",
        rotated.role,
        rotated.keys.len(),
        rotated.retired.len()
    ));
    waits(rotated.visible, site);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_number_and_unit() {
        for (text, hours) in [("14d", 336), ("1h", 1), ("2w", 336), ("10000d", 240_000)] {
            assert_eq!(duration(text), Ok(SignedDuration::from_hours(hours)), "{text}");
        }
        for text in
            ["", "d", "14", "0d", "-1d", "1.5d", "14m", "14 d", "14é", "99999999999999999999d", "10001w"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn publisher_has_name_and_remotes() {
        let remotes = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(publisher_of("team=a,b"), Ok(("team".to_owned(), remotes)));
        for text in ["team", "team=", "=a", ""] {
            assert!(publisher_of(text).is_err(), "{text}");
        }
    }
}
