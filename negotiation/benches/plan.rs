//! Benchmarks of planning for federations of up to 10,000 remotes that share 50 crates.
//!
//! `cargo xtask bench -- plan`, or `cargo bench -p negotiation --bench plan`.
//! Participants are created before the clock starts, except in the benchmark that measures their creation; a plan is
//! dropped after the clock stops.
#![expect(clippy::print_stdout, reason = "this program prints figures")]
#![expect(clippy::unwrap_used, reason = "the manifests in this file are valid")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion};
use negotiation::manifest::{
    HostManifest, MANIFEST_VERSION, RemoteManifest, Requirement, ShareDecl, ShareStrategy::VersionFirst,
};
use negotiation::resolver::{Live, Participant, Plan, PlanRequest, resolve};
use semver::Version;

const CRATES: usize = 50;

fn main() {
    if let Some(case) = env::args().skip_while(|arg| arg != MEMORY).nth(1) {
        return memory(case.parse().unwrap());
    }
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    plan(&mut criterion);
    worst(&mut criterion);
    details(&mut criterion);
    criterion.final_summary();
    // Skipped if only some benchmarks are requested, and if `cargo test` only starts this program.
    if env::args().skip(1).eq(["--bench"]) {
        for case in 0..MEMORY_CASES.len() {
            let program = env::current_exe().unwrap();
            assert!(Command::new(program).args([MEMORY, &case.to_string()]).status().unwrap().success());
        }
    }
}

fn plan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    for remotes in [100, 1_000, 10_000] {
        let federation = Federation::new(remotes, CRATES, mixed);
        group.bench_function(format!("{remotes}x{CRATES}"), |b| federation.bench(b));
    }
    let federation = Federation::new(1_000, CRATES, mixed);
    group.bench_function(format!("1000x{CRATES}, with assignments"), |b| {
        b.iter_batched(
            || (),
            |()| {
                let plan = federation.plan(&Live::new());
                assert!(!plan.assignments().is_empty());
                plan
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(format!("1000x{CRATES}, with diagnostics"), |b| {
        b.iter_batched(
            || (),
            |()| {
                let plan = federation.plan(&Live::new());
                assert!(!plan.assignments().is_empty() && !plan.diagnostics().is_empty());
                plan
            },
            BatchSize::PerIteration,
        );
    });
    // Every participant runs, and the plan is requested again.
    let (federation, live) = federation.running();
    group.bench_function(format!("1000x{CRATES}, all in use"), |b| {
        b.iter_batched(|| (), |()| federation.plan(&live), BatchSize::PerIteration);
    });
}

fn worst(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("worst");
    let cases: [(&str, usize, usize, Entry); 6] = [
        ("1000x50, all equal", 1_000, CRATES, |_, _| shared("1.0.0", "^1")),
        ("1000x50, all different", 1_000, CRATES, different),
        ("1000x50, all refused, 7 versions", 1_000, CRATES, |remote, _| {
            strict(&format!("2.{}.0", remote % 7), "^2")
        }),
        ("1000x50, all refused, all different", 1_000, CRATES, |remote, _| {
            strict(&format!("2.{remote}.0"), &format!("=2.{remote}.0"))
        }),
        ("1000x50, all refused, no provider", 1_000, CRATES, |remote, _| {
            let needs = shared("2.0.0", &format!("^2.{remote}"));
            ShareDecl { version: None, import: false, ..needs }
        }),
        ("10000x1, mixed", 10_000, 1, mixed),
    ];
    for (name, remotes, crates, entry) in cases {
        let federation = Federation::new(remotes, crates, entry);
        let refused = federation.plan(&Live::new()).refused().len();
        assert_eq!(refused == remotes, name.contains("all refused"), "{name}: {refused} are refused");
        group.bench_function(name, |b| federation.bench(b));
    }
}

fn details(criterion: &mut Criterion) {
    let federation = Federation::new(1_000, CRATES, mixed);
    let plan = federation.plan(&Live::new());
    let consumer = plan.admitted().next().unwrap().to_owned();
    criterion.bench_with_input(BenchmarkId::new("explain", "1 of 1000x50"), &consumer, |b, consumer| {
        b.iter(|| plan.explain("default", &key(0), consumer).unwrap());
    });
    let manifests: Vec<RemoteManifest> = (0..1_000).map(|at| remote(at, CRATES, mixed)).collect();
    criterion.bench_function("participants/1000x50", |b| {
        let make = || manifests.iter().map(Participant::remote).collect::<Vec<_>>();
        b.iter_batched(|| (), |()| make(), BatchSize::PerIteration);
    });
}

const MEMORY: &str = "--memory";

const MEMORY_CASES: [(&str, usize, Entry); 3] =
    [("mixed", 1_000, mixed), ("mixed", 10_000, mixed), ("all different", 10_000, different)];

/// Prints the resident memory that a plan adds to this process, which does nothing else. The figures are the
/// kernel's; without them nothing is printed.
fn memory(case: usize) {
    let (name, remotes, entry) = MEMORY_CASES[case];
    let federation = Federation::new(remotes, CRATES, entry);
    let resident = |line: &str| -> Option<f64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let kibibytes = status.lines().find_map(|text| text.strip_prefix(line))?;
        Some(kibibytes.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
    };
    let Some(before) = resident("VmRSS:").filter(|_| fs::write("/proc/self/clear_refs", "5").is_ok()) else {
        return;
    };
    let plan = federation.plan(&Live::new());
    let [planned, peak] = ["VmRSS:", "VmHWM:"].map(|line| resident(line).unwrap() - before);
    assert!(!plan.assignments().is_empty());
    let assigned = resident("VmRSS:").unwrap() - before;
    println!(
        "memory/{remotes}x{CRATES}, {name}: {planned:.1} MiB for the plan, {peak:.1} MiB at most while planning, \
         {assigned:.1} MiB with the assignments"
    );
}

struct Federation {
    host: Participant,
    remotes: Vec<Participant>,
}

/// A function that returns a remote's entry for a crate.
type Entry = fn(remote: usize, key: usize) -> ShareDecl;

impl Federation {
    fn new(remotes: usize, crates: usize, entry: Entry) -> Self {
        // The host has half of the crates, at versions that most remotes can work with.
        let own = (0..crates).step_by(2).map(|at| {
            let required = if at.is_multiple_of(4) { "^1" } else { "=1.0.0" };
            (key(at), ShareDecl { eager: true, singleton: at.is_multiple_of(4), ..shared("1.0.0", required) })
        });
        let host = HostManifest {
            schema: None,
            manifest_version: MANIFEST_VERSION,
            name: "host".to_owned(),
            share_strategy: VersionFirst,
            remotes: BTreeMap::new(),
            shared: own.collect(),
            auth: None,
            preflight: true,
            grants: None,
            providers: BTreeMap::new(),
            repositories: BTreeMap::new(),
            updates: negotiation::manifest::UpdateConfig::default(),
        };
        // 7,919 is prime: the order is not that of names.
        let remotes = (0..remotes).map(|at| Participant::remote(&remote(at * 7_919 % remotes, crates, entry)));
        Self { host: Participant::host(&host), remotes: remotes.collect() }
    }

    fn plan(&self, live: &Live) -> Plan {
        resolve(&PlanRequest { live, ..PlanRequest::new(&self.host, &self.remotes, VersionFirst) })
    }

    fn bench(&self, b: &mut Bencher<'_>) {
        b.iter_batched(|| (), |()| self.plan(&Live::new()), BatchSize::PerIteration);
    }

    /// Returns the federation with every admitted participant running.
    fn running(self) -> (Self, Live) {
        let plan = self.plan(&Live::new());
        let mut live = Live::new();
        live.bind_assigned(&plan, "host");
        plan.admitted().for_each(|name| live.bind_assigned(&plan, name));
        let loaded = |remote: Participant| {
            let runs = !plan.is_refused(remote.name());
            remote.loaded(runs)
        };
        (Self { remotes: self.remotes.into_iter().map(loaded).collect(), ..self }, live)
    }
}

fn key(at: usize) -> String {
    format!("shared-crate-{at:02}")
}

fn remote(at: usize, crates: usize, entry: Entry) -> RemoteManifest {
    RemoteManifest {
        schema: None,
        manifest_version: MANIFEST_VERSION,
        name: format!("remote-{at:05}"),
        version: Version::new(1, 0, 0),
        title: None,
        remote_entry: "remote".to_owned(),
        sha256: None,
        exposes: BTreeMap::new(),
        shared: (0..crates).map(|crate_at| (key(crate_at), entry(at, crate_at))).collect(),
        atoms: BTreeMap::new(),
    }
}

fn shared(version: &str, required: &str) -> ShareDecl {
    ShareDecl {
        version: Some(version.parse().unwrap()),
        required_version: Some(Requirement::Range(required.parse().unwrap())),
        singleton: false,
        eager: false,
        strict_version: false,
        import: true,
        share_scope: "default".to_owned(),
    }
}

fn strict(version: &str, required: &str) -> ShareDecl {
    ShareDecl { singleton: true, strict_version: true, ..shared(version, required) }
}

/// Returns an entry of a realistic federation: some 30 versions of each crate, half of the crates singletons, one
/// entry in ten without a copy, one remote in a hundred too old to get a copy, and one in a hundred that is refused.
fn mixed(remote: usize, at: usize) -> ShareDecl {
    // A fixed shuffle of the two numbers.
    let chance = |salt: usize| {
        let mixed = (remote * 1_000 + at * 10 + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 40
    };
    let major = usize::from(remote % 100 != 99);
    let minor = chance(0) % 10;
    let version = format!("{major}.{minor}.{}", chance(1) % 3);
    let required = match chance(2) % 4 {
        0 => format!("^{major}.0"),
        1 => format!(">={major}.{}, <{}", minor.min(2), major + 1),
        2 => format!("^{major}.{}", if major == 0 { minor } else { minor.min(4) }),
        _ => format!("^{version}"),
    };
    ShareDecl {
        singleton: at.is_multiple_of(2) && chance(3).is_multiple_of(2),
        eager: chance(4).is_multiple_of(5),
        strict_version: remote % 100 == 98 && at == 0,
        import: !chance(5).is_multiple_of(10) || major == 0,
        ..shared(&version, &required)
    }
}

fn different(remote: usize, at: usize) -> ShareDecl {
    let minor = (remote * 104_729 + at) % 10_007;
    ShareDecl {
        singleton: at.is_multiple_of(2),
        ..shared(&format!("1.{minor}.0"), &format!(">=1.{}.0", minor / 2))
    }
}
