//! Manifests, and the plan that follows from them: who provides each shared crate to whom, decided before any
//! remote runs.
//!
//! Pure: no file is opened, no code of a remote is run, no toolkit is linked.
//!
//! # The rules
//!
//! [`model::plan`] is these rules as plain code, two hundred lines; read it first. [`resolver::resolve`] gives the
//! same answers for thousands of remotes within milliseconds, and says why; property tests and fuzzing hold the two
//! together.
//!
//! A *participant* is the host or a remote. Its *offer* is the copy of a crate that it brings, its *demand* what it
//! needs of that crate.
//!
//! 1. The plan does not depend on the order in which remotes are listed.
//! 2. A share scope is a wall: nothing resolves across it.
//! 3. A crate is a *singleton* in its scope as soon as one participant declares it.
//! 4. Of equal versions the copy in use wins, else the host's, else an eager one, else the smallest name.
//! 5. A singleton in use stays where it is, and every demand is checked against it.
//! 6. Else the highest version that satisfies every demand wins. If there is none: of the versions that the host
//!    can work with (of all, if there are none), the one that leaves the fewest strict demands unsatisfied, then the
//!    fewest demands, then the highest. Under `loaded-first` only copies that are loaded count where one of them
//!    satisfies every strict demand.
//! 7. A remote with `strictVersion` whose demand the singleton does not satisfy is refused. All that are refused at
//!    one time are withdrawn and the rest is decided again, until none is refused; then each, by name, is admitted
//!    again if that refuses no other. The host is never withdrawn.
//! 8. A crate that is not a singleton comes from the highest offer that fits the consumer, under `loaded-first` the
//!    highest loaded one, else from the consumer's own copy. A consumer without a copy is refused.
//! 9. Prereleases follow Cargo: `1.3.0-beta.1` does not satisfy `^1.2`.
//! 10. A remote that joins later is planned against what is in use, and displaces nothing.
//! 11. A copy that the host does not let its participant [provide](resolver::Providers) is that participant's alone.
//! 12. A refusal is a value in the plan, never the failure of another participant.
//!
//! # A plan
//!
//! ```
//! use negotiation::manifest::{HostManifest, RemoteManifest};
//! use negotiation::resolver::{Participant, Request, resolve};
//!
//! let host = HostManifest::from_json(
//!     r#"{ "manifestVersion": 1, "name": "pulse",
//!          "shared": { "charts": { "version": "1.2.0", "singleton": true } } }"#,
//! )?;
//! let remote = RemoteManifest::from_json(
//!     r#"{ "manifestVersion": 1, "name": "sales", "version": "3.0.0", "remoteEntry": "sales",
//!          "shared": { "charts": { "version": "1.4.1", "requiredVersion": "^1.3" } } }"#,
//! )?;
//! let participants = [Participant::remote(&remote)];
//! let plan = resolve(&Request::new(&Participant::host(&host), &participants, host.share_strategy));
//!
//! let used = plan.assignment("pulse", "default", "charts").expect("the host uses charts");
//! assert_eq!((&*used.provider, used.version.to_string().as_str()), ("sales", "1.4.1"));
//! let why = plan.explain("default", "charts", "pulse").expect("so there is a reason");
//! assert_eq!(why.rule.as_str(), "highest-compatible");
//! # Ok::<(), negotiation::manifest::ManifestError>(())
//! ```
//!
//! # Modules
//!
//! - [`manifest`]: reads manifests, with the place of each error, and writes their schemas.
//! - [`model`]: the rules, plainly.
//! - [`resolver`]: the rules, fast, with reasons and diagnostics.
//! - [`rehearsal`]: a plan before anything runs, from manifests as they are written.
//! - [`why`]: the reason of a refusal, and the fewest edits that would admit the remote.
//! - [`report`]: plans and answers as text for a terminal.
//! - [`text`]: text from outside, made fit for a log, a terminal and a window.

pub mod manifest;
pub mod model;
pub mod rehearsal;
pub mod report;
pub mod resolver;
pub mod text;
pub mod why;
