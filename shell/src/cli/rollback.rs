//! `pulse rollback`: pins a remote to an earlier generation that ran well.

use clap::Args;
use jiff::Timestamp;
use negotiation::text;
use serde_json::{Value, json};

use super::{Exit, Folders, folders, pretty, print};
use crate::data::archive::{Archive, ArchiveError, ArchivedGeneration, Pin};

pub(super) const EXAMPLES: &str = "Examples:
  pulse rollback remoteAnalytics           the generation before
  pulse rollback remoteAnalytics --to 1.1.0 --note \"1.2 loses filters\"
  pulse rollback remoteAnalytics --to 3fa9c1
                                           by the beginning of its digest
  pulse rollback --list                    archived generations of all remotes
  pulse rollback remoteAnalytics --latest  unpin

Exit status:
  0 when it is pinned, unpinned or listed
  1 when the archive cannot be used
  2 for a wrong command line
  4 when the archived library is damaged
  6 when there is no such remote or generation";

#[derive(Args)]
pub(super) struct RollbackArgs {
    /// Name in the remote's manifest.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Pin this version, or digest by its beginning; default: the generation before the one in use.
    #[arg(long, value_name = "VERSION|DIGEST", conflicts_with_all = ["list", "latest"])]
    to: Option<String>,
    /// Save the reason.
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with_all = ["list", "latest"])]
    note: String,
    /// List archived generations, newest first, and change nothing.
    #[arg(long, conflicts_with = "latest")]
    list: bool,
    /// Unpin the remote, so that updates resume.
    #[arg(long)]
    latest: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

pub(super) fn run(args: RollbackArgs) -> Result<u8, Exit> {
    let config = folders(&args.folders.options(None))?;
    let archive = Archive::new(&config.data_dir);
    let name = match args.name {
        Some(name) if !args.list => name,
        name => return list(&archive, name.as_deref(), args.json),
    };
    if args.latest {
        archive.unpin(&name)?;
        if args.json {
            print(&pretty(&json!({ "name": name, "pinned": Value::Null }))?)?;
        }
        crate::log::note(format_args!("{name} is unpinned"));
        return Ok(0);
    }
    let kept = archive.roll_back(&name, args.to.as_deref(), &args.note)?;
    if args.json {
        print(&pretty(&json!({ "name": name, "pinned": entry(&kept, archive.pin(&name)?.as_ref()) }))?)?;
    } else {
        print(&format!("{name} {} {}", kept.version, kept.digest))?;
    }
    crate::log::note(format_args!(
        "{name} is pinned to {}; unpin it with `pulse rollback {name} --latest`",
        kept.version
    ));
    Ok(0)
}

fn list(archive: &Archive, name: Option<&str>, json: bool) -> Result<u8, Exit> {
    let names = archive.names()?;
    let names = match name {
        None => names,
        Some(name) => {
            archive.expect(name)?;
            vec![name.to_owned()]
        }
    };
    let (mut lines, mut values) = (Vec::new(), Vec::new());
    for name in names {
        let pin = archive.pin(&name)?;
        let kept = archive.kept(&name)?;
        lines.push(name.clone());
        for one in &kept {
            let why = pin.as_ref().filter(|pin| pin.digest == one.digest).map(|pin| match &*pin.note {
                "" => "  pinned".to_owned(),
                note => format!("  pinned: {note}"),
            });
            let version = one.version.to_string();
            let (digest, taken) = (one.digest.short(), time(one.taken));
            lines.push(format!("  {version:<12}  {digest}  {taken}{}", why.unwrap_or_default()));
        }
        let kept: Vec<Value> = kept.iter().map(|kept| entry(kept, pin.as_ref())).collect();
        values.push(json!({ "name": name, "kept": kept }));
    }
    if json {
        print(&pretty(&values)?)?;
    } else if lines.is_empty() {
        crate::log::note(format_args!(
            "no archived generations yet; a generation is archived once it has run well"
        ));
    } else {
        // A note is free text of the user.
        print(&text::lines(&lines.join("\n"), usize::MAX))?;
    }
    Ok(0)
}

fn entry(kept: &ArchivedGeneration, pin: Option<&Pin>) -> Value {
    let pin = pin.filter(|pin| pin.digest == kept.digest);
    json!({
        "version": kept.version,
        "digest": kept.digest,
        "taken": time(kept.taken),
        "pinned": pin.is_some(),
        "note": pin.map(|pin| &pin.note),
    })
}

/// Formats a time as in ISO 8601; an impossible one stays a number of seconds.
fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

impl From<ArchiveError> for Exit {
    fn from(error: ArchiveError) -> Self {
        let code = match &error {
            ArchiveError::UnknownName { .. } | ArchiveError::Unknown { .. } | ArchiveError::NoneOlder(_) => {
                Self::NOT_FOUND
            }
            ArchiveError::Damaged { .. } | ArchiveError::Mismatch { .. } => Self::VERIFICATION,
            _ => Self::FAILURE,
        };
        Self { code, ..Self::of(&error) }
    }
}
