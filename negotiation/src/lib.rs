//! Decides which copy of each shared crate every participant uses, from manifests alone, before any remote runs.
//!
//! The crate opens no file, runs no code of a remote and links no toolkit. A shell, a command line and a build
//! server get the same plan from the same manifests.
//!
//! # Lifecycle
//!
//! 1. **Manifest**: [`HostManifest`](manifest::HostManifest) and [`RemoteManifest`](manifest::RemoteManifest) are
//!    read from JSON and checked. An error carries line, column, JSON pointer and advice.
//! 2. **Plan**: [`resolver::resolve`] applies the rules below to all participants and returns a
//!    [`Plan`](resolver::Plan). A participant whose demands cannot be met is a [`Refusal`](resolver::Refusal) in it.
//! 3. **Assignment**: the plan has one [`Assignment`](resolver::Assignment) for each consumer and crate: provider,
//!    version, and whether that satisfies the demand.
//! 4. **Report**: [`report`] writes the plan, the reason for each choice, and the smallest change that admits a
//!    refused remote.
//!
//! [`Rehearsal`](rehearsal::Rehearsal) carries manifests through steps 2 to 4, with remotes that run already.
//!
//! # Example
//!
//! The host and a remote share `charts`. The plan gives both the remote's copy, the highest version that suits both:
//!
//! ```
//! use negotiation::manifest::{HostManifest, Origin, RemoteManifest, Written};
//! use negotiation::rehearsal::Rehearsal;
//! use negotiation::report::{self, TextStyle};
//!
//! let host = r#"{ "manifestVersion": 1, "name": "pulse",
//!     "shared": { "charts": { "version": "1.2.0", "singleton": true } } }"#;
//! let sales = r#"{ "manifestVersion": 1, "name": "sales", "version": "3.0.0", "remoteEntry": "sales",
//!     "shared": { "charts": { "version": "1.4.1", "requiredVersion": "^1.3" } } }"#;
//! let rehearsal = Rehearsal::start(
//!     Written { manifest: HostManifest::from_json(host)?, origin: Origin::new("host.json", host, false) },
//!     &[],
//!     vec![Written {
//!         manifest: RemoteManifest::from_json(sales)?,
//!         origin: Origin::new("sales.json", sales, false),
//!     }],
//! );
//!
//! let plan = rehearsal.plan();
//! let used = plan.assignment("pulse", "default", "charts").expect("the host uses charts");
//! assert_eq!((&*used.provider, used.version.to_string().as_str()), ("sales", "1.4.1"));
//! let why = plan.explain("default", "charts", "pulse").expect("each assignment has a reason");
//! assert_eq!(why.rule.as_str(), "highest-compatible");
//!
//! let text = report::render(&rehearsal, &plan, 0, TextStyle::default());
//! assert!(text.starts_with("Plan of pulse (version-first, 1 remote): every participant is served"));
//! # Ok::<(), negotiation::manifest::ManifestError>(())
//! ```
//!
//! # Rules
//!
//! [`model::plan`] is these rules as plain code, two hundred lines; read it first. [`resolver::resolve`] returns the
//! same answers for thousands of remotes within milliseconds, with reasons; property tests and fuzzing compare the
//! two.
//!
//! A *participant* is the host or a remote. Its *offer* is the copy of a crate that it brings, its *demand* the
//! versions of that crate that it accepts.
//!
//! 1. The plan does not depend on the order in which remotes are listed.
//! 2. A share scope is a wall: nothing resolves across it.
//! 3. A crate is a *singleton* in its scope as soon as one participant declares it.
//! 4. Of equal versions, the copy in use is chosen, else the host's, else an eager one, else the one of the
//!    participant whose name sorts first.
//! 5. A singleton in use is not replaced, and every demand is checked against it.
//! 6. Otherwise the highest version that satisfies every demand is chosen. If no version does, the choice is among
//!    the versions that the host accepts, or among all if the host accepts none: the version with the fewest
//!    unsatisfied strict demands, then with the fewest unsatisfied demands, then the highest. Under `loaded-first`,
//!    only loaded copies count if one of them satisfies every strict demand.
//! 7. A remote with `strictVersion` whose demand the singleton does not satisfy is refused. All remotes that are
//!    refused at once are withdrawn, and the rest is decided again, until no remote is refused. Then each withdrawn
//!    remote, by name, is admitted again if that refuses no other. The host is never withdrawn.
//! 8. A crate that is not a singleton comes from the highest offer that the consumer accepts (under `loaded-first`,
//!    from the highest loaded one), else from the consumer's own copy. A consumer without a copy is refused.
//! 9. Prereleases follow Cargo: `1.3.0-beta.1` does not satisfy `^1.2`.
//! 10. A remote that joins later is planned against the copies in use, and displaces none of them.
//! 11. A copy that the host does not let its participant [provide](resolver::Providers) serves only that participant.
//! 12. A refusal is a value in the plan and does not fail another participant.
//!
//! # Modules
//!
//! - [`manifest`]: reads manifests, with the place of each error, and writes their JSON schemas.
//! - [`model`]: the rules as plain code.
//! - [`resolver`]: the same rules, fast, with reasons and diagnostics.
//! - [`rehearsal`]: plans manifests before anything runs, and locates edits in their files.
//! - [`why`]: finds the cause of a refusal and the fewest edits that admit the remote.
//! - [`report`]: writes plans and answers as text for a terminal.
//! - [`text`]: sanitises untrusted text for a log, a terminal and a window.

pub mod manifest;
pub mod model;
pub mod rehearsal;
pub mod report;
pub mod resolver;
pub mod text;
pub mod why;
