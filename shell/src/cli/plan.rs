//! `pulse plan`: plans manifests together, without loading anything or running code of a remote.

use std::{
    collections::BTreeSet,
    env,
    io::{self, IsTerminal},
    path::PathBuf,
};

use clap::{Args, CommandFactory, ValueEnum, error::ErrorKind};
use negotiation::manifest::{RemoteManifest, Written, near_miss};
use negotiation::rehearsal::Rehearsal;
use negotiation::report::{self, TextStyle};
use negotiation::resolver::{KeyView, Outcome, Plan};
use negotiation::text;
use negotiation::why::Why;
use serde_json::{Value, json};

use super::{Cli, Exit, Folders, columns, pretty, print, write};
use crate::failure::{Failure, Stage};
use crate::federation::LINKED;
use crate::{
    catalogue::Code,
    config::{Config, migrate},
    library::read_manifest,
};

mod inputs;

pub(super) use inputs::Inputs;

pub(super) const EXAMPLES: &str = "Examples:
  pulse plan                               the remotes of the host's manifest
  pulse plan manifests/ target/release/    every remote in these folders
  pulse plan --config my/host.json a.json  another host, and this remote
  pulse plan --live remoteA=old/a.json new/
                                           remoteA runs already; these join
  pulse plan --explain shared-store        who gets which copy, and why
  pulse plan --explain charts@legacy --json
                                           the same of one scope, as JSON
  pulse plan --why remoteA                 what refuses remoteA, and the
                                           smallest change that admits it

Exit status:
  0 when every participant is served; with --why, when that remote is
  1 when a manifest cannot be used
  2 for a wrong command line
  3 when a remote is refused or the host lacks something; with --why, when that
    remote is refused
  6 when a file, a crate or a remote does not exist";

#[derive(Args)]
pub(super) struct PlanArgs {
    /// Use this host's manifest; default: `PULSE_SHELL_CONFIG`, else the manifest that `pulse` starts with.
    #[arg(long, value_name = "FILE", alias = "host")]
    config: Option<PathBuf>,
    /// Manifests, libraries, or folders of both; default: the remotes in the host's manifest.
    manifests: Vec<PathBuf>,
    /// Treat this remote as running already; it may be older than a remote of the same name that joins.
    #[arg(long, value_name = "NAME=MANIFEST", value_parser = live)]
    live: Vec<(String, PathBuf)>,
    /// Explain who gets which copy of a crate, candidate by candidate; may be repeated.
    #[arg(long, value_name = "KEY[@SCOPE]")]
    explain: Vec<String>,
    /// Show what refuses a remote, and the smallest change of manifests that would admit it.
    #[arg(long, value_name = "REMOTE")]
    why: Option<String>,
    /// Print JSON; explanations are additional keys of the plan.
    #[arg(long)]
    json: bool,
    /// Colour the output; `auto` does so on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

#[derive(Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

fn live(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err("write the remote's name, `=` and its manifest, such as `remoteA=old/a.json`".to_owned()),
    }
}

/// Plans, prints the plan or the answers, and returns the exit status.
pub(super) fn run(args: &PlanArgs) -> Result<u8, Exit> {
    migrate(true);
    let options = Folders::default().options(args.config.clone());
    let config = Config::load(&options).map_err(|e| Exit::of(&e))?;
    let running = running(&args.live)?;
    let inputs = if args.manifests.is_empty() {
        Inputs::of_host(&config, &args.live.iter().map(|(name, _)| name.as_str()).collect())
    } else {
        Inputs::of_paths(&args.manifests)
    };
    let Inputs { remotes, failures, notes } = inputs;
    for note in notes {
        crate::log::note(format_args!("{}", text::lines(&note, usize::MAX)));
    }
    for failure in &failures {
        Exit::from(failure.clone()).print();
    }
    let read = config.origin.name();
    let host = Written { manifest: config.host, origin: config.origin };
    let rehearsal = Rehearsal::join(host, LINKED, running, remotes);
    let plan = rehearsal.plan();
    let keys = keys(&plan, &args.explain)?;
    let why = args.why.as_deref().map(|name| why(&rehearsal, &plan, &read, name)).transpose()?;

    if args.json {
        let mut json = plan.to_json();
        if !keys.is_empty() {
            json["explain"] = keys.iter().map(|key| explained(&plan, key)).collect();
        }
        if let Some(why) = &why {
            json["why"] = why.to_json();
        }
        print(&pretty(&json)?)?;
    } else {
        let look = args.color.look();
        let mut answers: Vec<String> =
            keys.iter().map(|key| report::explain(&rehearsal, &plan, key, look)).collect();
        answers.extend(why.as_ref().map(|why| report::why(&rehearsal, why, look)));
        if answers.is_empty() {
            answers.push(report::render(&rehearsal, &plan, failures.len(), look));
        }
        // The only control characters are those of its colours.
        write(answers.join("\n").trim_end())?;
    }
    if why.map_or(!plan.is_compatible(), |why| why.refused) {
        return Ok(Exit::INCOMPATIBLE);
    }
    Ok(failures.into_iter().next().map_or(0, |failure| Exit::from(failure).code))
}

/// Reads the manifests of the remotes that run already.
fn running(live: &[(String, PathBuf)]) -> Result<Vec<Written<RemoteManifest>>, Exit> {
    let mut names = BTreeSet::new();
    let mut running = Vec::new();
    for (name, path) in live {
        if !names.insert(name) {
            let text = format!("`{name}` is named by --live more than once");
            Cli::command().error(ErrorKind::ArgumentConflict, text).exit();
        }
        let read = read_manifest(path)?;
        if read.manifest.name != *name {
            let text = format!(
                "--live names `{name}`, and this manifest is of `{}`: {}",
                read.manifest.name,
                path.display()
            );
            return Err(Failure::new(Stage::Discover, Code::ManifestName, text, "correct one of them").into());
        }
        running.push(read);
    }
    Ok(running)
}

/// Returns the crates named as `KEY` or `KEY@SCOPE`.
fn keys(plan: &Plan, asked: &[String]) -> Result<Vec<KeyView>, Exit> {
    let mut found = Vec::new();
    for text in asked {
        let (key, scope) =
            text.split_once('@').map_or((text.as_str(), None), |(key, scope)| (key, Some(scope)));
        let of_key: Vec<KeyView> = plan.keys().filter(|view| *view.key == *key).collect();
        if of_key.is_empty() {
            let known: BTreeSet<_> = plan.keys().map(|view| view.key).collect();
            let known: Vec<&str> = known.iter().map(|key| &**key).collect();
            return Err(unknown(
                Code::CrateUnknown,
                &format!("no participant shares a crate `{key}`"),
                key,
                &known,
            ));
        }
        let scopes: Vec<_> = of_key.iter().map(|view| view.scope.clone()).collect();
        let count = found.len();
        found.extend(of_key.into_iter().filter(|view| scope.is_none_or(|scope| *view.scope == *scope)));
        if let Some(scope) = scope
            && found.len() == count
        {
            let known: Vec<&str> = scopes.iter().map(|scope| &**scope).collect();
            let what = format!("`{key}` is not shared in a scope `{scope}`");
            return Err(unknown(Code::ScopeUnknown, &what, scope, &known));
        }
    }
    Ok(found)
}

fn why(rehearsal: &Rehearsal, plan: &Plan, host: &str, name: &str) -> Result<Why, Exit> {
    rehearsal.why(plan, name).ok_or_else(|| {
        let refused = plan.refused().iter().map(|refusal| &*refusal.participant);
        let known: BTreeSet<&str> = plan.admitted().chain(refused).chain([plan.host()]).collect();
        let known: Vec<&str> = known.into_iter().collect();
        let mut exit = unknown(Code::RemoteUnknown, &format!("no remote is called `{name}`"), name, &known);
        exit.text = format!("{}: {host}", exit.text);
        exit
    })
}

/// Returns the exit for an unknown name; the advice lists the known ones.
fn unknown(code: Code, what: &str, word: &str, known: &[&str]) -> Exit {
    let meant = near_miss(word, known).map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
    let list = match known {
        [] => return Exit::new(Exit::NOT_FOUND, code, what, ""),
        known => known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    Exit::new(Exit::NOT_FOUND, code, what, format!("{meant}name one of these: {list}"))
}

/// Returns the explanation of one crate as JSON.
fn explained(plan: &Plan, key: &KeyView) -> Value {
    let consumer = |why: negotiation::resolver::Explanation| {
        let (uses, refused) = match &why.outcome {
            Outcome::Uses { provider, version, own, satisfied } => {
                let version = version.to_string();
                (
                    json!({ "provider": &**provider, "version": version, "own": own, "satisfied": satisfied }),
                    None,
                )
            }
            Outcome::Refused { code } => (Value::Null, Some(code.as_str())),
        };
        let candidates = why.candidates.iter().map(|one| {
            let (provider, version) = (&*one.provider, one.version.to_string());
            json!({ "provider": provider, "version": version, "won": one.chosen, "reason": one.reason })
        });
        json!({
            "consumer": &*why.consumer,
            "required": why.required.to_string(),
            "uses": uses,
            "refused": refused,
            "rule": why.rule.as_str(),
            "because": why.rule.sentence(),
            "candidates": candidates.collect::<Vec<_>>(),
        })
    };
    let consumers = key.demands.iter();
    let consumers = consumers.filter_map(|demand| plan.explain(&key.scope, &key.key, &demand.participant));
    json!({
        "scope": &*key.scope,
        "key": &*key.key,
        "singleton": key.singleton,
        "declaredBy": key.declared_by.iter().map(|name| &**name).collect::<Vec<_>>(),
        "consumers": consumers.map(consumer).collect::<Vec<_>>(),
    })
}

impl Color {
    fn look(self) -> TextStyle {
        let terminal = io::stdout().is_terminal();
        let color = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                let set = |name| env::var_os(name).filter(|value: &std::ffi::OsString| !value.is_empty());
                terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
            }
        };
        TextStyle { color, width: columns() }
    }
}
