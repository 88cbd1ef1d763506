//! `pulse rollback`: back to a generation that ran well, and staying with it.

use clap::Args;
use jiff::Timestamp;
use negotiation::text;
use serde_json::{Value, json};

use super::{Exit, Folders, folders, pretty, print};
use crate::data::archive::{Archive, ArchiveError, Kept, Pin};

pub(super) const EXAMPLES: &str = "Examples:
  pulse rollback remoteAnalytics           the one before
  pulse rollback remoteAnalytics --to 1.1.0 --note \"1.2 loses filters\"
  pulse rollback remoteAnalytics --to 3fa9c1
                                           by the beginning of its digest
  pulse rollback --list                    what is kept, of all remotes
  pulse rollback remoteAnalytics --latest  newer ones are taken again

Exit status:
  0 when it is pinned, unpinned or listed
  1 when the kept generations are out of reach
  2 for a wrong command line
  4 when the kept library is damaged
  6 when there is no such remote or generation";

#[derive(Args)]
pub(super) struct RollbackArgs {
    /// The name in the remote's manifest.
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// A version, or the beginning of a digest; without it the generation before the one in use.
    #[arg(long, value_name = "VERSION|DIGEST", conflicts_with_all = ["list", "latest"])]
    to: Option<String>,
    /// Why, for whoever wonders why newer ones are not taken.
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with_all = ["list", "latest"])]
    note: String,
    /// Lists what is kept, newest first, and changes nothing.
    #[arg(long, conflicts_with = "latest")]
    list: bool,
    /// Takes newer generations again.
    #[arg(long)]
    latest: bool,
    /// As JSON.
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
        eprintln!("{name} takes newer generations again");
        return Ok(0);
    }
    let kept = archive.roll_back(&name, args.to.as_deref(), &args.note)?;
    if args.json {
        print(&pretty(&json!({ "name": name, "pinned": entry(&kept, archive.pin(&name)?.as_ref()) }))?)?;
    } else {
        print(&format!("{name} {} {}", kept.version, kept.digest))?;
    }
    eprintln!(
        "{name} stays with {}; `pulse rollback {name} --latest` lets it take newer ones again",
        kept.version
    );
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
        eprintln!("nothing is kept yet; a generation is kept once it has run well");
    } else {
        // A note is whatever the user wrote.
        print(&text::lines(&lines.join("\n"), usize::MAX))?;
    }
    Ok(0)
}

fn entry(kept: &Kept, pin: Option<&Pin>) -> Value {
    let pin = pin.filter(|pin| pin.digest == kept.digest);
    json!({
        "version": kept.version,
        "digest": kept.digest,
        "taken": time(kept.taken),
        "pinned": pin.is_some(),
        "note": pin.map(|pin| &pin.note),
    })
}

/// As in ISO 8601; an impossible time is left as the number it is.
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
