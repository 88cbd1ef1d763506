//! Bodies of the fuzz targets: properties of any input, which the tests also check on the seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use negotiation::manifest::{HostManifest, ManifestError, RemoteManifest, ShareStrategy};
use plugin_api::embed;
use semver::Version;
use serde::Serialize;
use serde_json::{Value, json};

use negotiation::model::{self, Assigned, Member, World};
use negotiation::resolver::{
    Assignment, Explanation, KeyView, Live, Participant, Plan, PlanRequest, Providers, ShareKey, resolve,
};

/// Checks that a manifest is read back as written, and that an error has a place inside the text.
pub fn manifest(bytes: &[u8]) {
    read_back(bytes, RemoteManifest::from_slice);
    read_back(bytes, HostManifest::from_slice);
}

fn read_back<T: Serialize + PartialEq + Debug>(bytes: &[u8], read: fn(&[u8]) -> Result<T, ManifestError>) {
    match read(bytes) {
        Ok(manifest) => {
            let written = serde_json::to_vec(&manifest).expect("a manifest can be written");
            assert_eq!(read(&written).expect("a manifest that was written is one"), manifest);
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
            let text = String::from_utf8_lossy(bytes);
            if let (Some(line), Some(column)) = (error.line(), error.column()) {
                let line = text.split('\n').nth(line - 1).expect("the line is one of the text's");
                assert!((1..=line.chars().count() + 1).contains(&column), "{message}");
            }
            assert_eq!(
                error.pointer().is_some(),
                matches!(error.code(), "manifest-invalid" | "manifest-version")
            );
        }
    }
}

/// Checks that a section is read back as framed, and checks its text as a manifest.
pub fn section(bytes: &[u8]) {
    let Ok((revision, text)) = embed::parse(bytes) else { return };
    let mut framed = embed::MAGIC.to_vec();
    framed.extend(revision.to_le_bytes());
    framed.extend((text.len() as u32).to_le_bytes());
    framed.extend(text.as_bytes());
    assert_eq!(embed::parse(&framed), Ok((revision, text)));
    assert!(bytes.starts_with(&framed), "the text is the section's own");
    manifest(text.as_bytes());
}

/// Checks that the plan of any federation is consistent and equals that of the model.
pub fn plan(bytes: &[u8]) {
    let world = Choices(bytes).world();
    let mut members = participants(&world);
    let plan = planned(&world, &members);
    members[1..].reverse();
    assert_eq!(everything(&plan), everything(&planned(&world, &members)), "the order of remotes matters");

    let json = plan.to_json();
    assert_eq!(serde_json::from_str::<Value>(&json.to_string()).expect("JSON"), json);
    let admitted: Vec<&str> = plan.admitted().collect();
    assert!(admitted.is_sorted_by(|a, b| a < b), "admitted twice: {admitted:?}");
    assert!(plan.assignments().is_sorted_by(|a, b| a.slot() < b.slot()), "assigned twice");
    for member in &world.members[1..] {
        let refused = plan.is_refused(&member.name);
        assert!(
            refused != admitted.contains(&&*member.name),
            "`{}` is both admitted and refused, or neither",
            member.name
        );
        let assigned = plan.assignments_of(&member.name).len();
        assert!(member.name == plan.host() || assigned == if refused { 0 } else { member.shared.len() });
    }
    let order = plan.bootstrap();
    assert!(order.iter().all(|name| admitted.contains(&&**name)));
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), order.len(), "loaded twice: {order:?}");

    let names: BTreeSet<&str> = world.members.iter().map(|member| &*member.name).collect();
    if names.len() == world.members.len() {
        let (expected, out) = model::plan(&world);
        assert_eq!(plan.refused().iter().map(|one| one.participant.to_string()).collect::<BTreeSet<_>>(), out);
        assert_eq!(assigned(&plan), expected);
    }
}

/// Returns the host and the remotes, read from the text of their manifests.
fn participants(world: &World) -> Vec<Participant> {
    let host = json!({ "manifestVersion": 1, "name": HOST, "shared": world.members[0].shared }).to_string();
    let host = Participant::host(&HostManifest::from_json(&host).expect("a host's manifest"));
    let remote = |member: &Member| {
        let Member { name, loaded, shared } = member;
        let text = json!({
            "manifestVersion": 1, "name": name, "version": "1.0.0", "remoteEntry": "remote", "shared": shared,
        });
        let manifest = RemoteManifest::from_json(&text.to_string()).expect("a remote's manifest");
        Participant::remote(&manifest).loaded(*loaded)
    };
    std::iter::once(host).chain(world.members[1..].iter().map(remote)).collect()
}

fn planned(world: &World, members: &[Participant]) -> Plan {
    let mut live = Live::new();
    for ((consumer, scope, key), (provider, version)) in &world.live {
        live.bind(ShareKey::new(consumer, scope, key), provider, version.clone());
    }
    let excluded = world.excluded.iter().map(|(name, scope, key)| ShareKey::new(name, scope, key)).collect();
    let request = PlanRequest::new(&members[0], &members[1..], world.strategy);
    let host = json!({ "manifestVersion": 1, "name": HOST, "providers": world.providers }).to_string();
    let providers = Providers::of(&HostManifest::from_json(&host).expect("a host's manifest"), &[]);
    resolve(&PlanRequest { live: &live, excluded: &excluded, providers: &providers, ..request })
}

/// Returns the complete content of a plan, including the reason for each candidate.
fn everything(plan: &Plan) -> impl PartialEq + Debug + use<> {
    let why = |key: KeyView| {
        let demands = key.demands.iter();
        let why = demands.map(|demand| plan.explain(&key.scope, &key.key, &demand.participant)).collect();
        (key, why)
    };
    let keys: Vec<(KeyView, Vec<Option<Explanation>>)> = plan.keys().map(why).collect();
    (keys, plan.assignments().to_vec(), plan.refused().to_vec(), plan.diagnostics().to_vec(), plan.bootstrap())
}

fn assigned(plan: &Plan) -> Assigned {
    let entry = |known: &Assignment| {
        let slot = [&known.consumer, &known.scope, &known.key].map(ToString::to_string);
        (slot.into(), (known.provider.to_string(), known.version.clone(), known.satisfied))
    };
    plan.assignments().iter().map(entry).collect()
}

const HOST: &str = "host";
const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", HOST, "gone"];
const KEYS: [&str; 4] = ["charts", "store", "table", "telemetry"];
const SCOPES: [&str; 2] = ["default", "legacy"];
const VERSIONS: [&str; 16] = [
    "0.0.1",
    "0.3.1",
    "0.4.0",
    "1.0.0",
    "1.0.0+1",
    "1.0.0+build",
    "1.1.0",
    "1.2.3",
    "1.3.0-beta.2",
    "1.3.0-rc.1",
    "1.3.0",
    "1.9.0",
    "2.0.0-0",
    "2.0.0",
    "3.0.0-beta.1",
    "18446744073709551615.0.0",
];
const RANGES: [&str; 18] = [
    "*",
    "^1.0",
    "^1.1.0",
    ">=1.1, <3",
    "~1.2.3",
    "^2",
    ">1.2.3",
    "^3.0.0-beta.1",
    "^0.3.1",
    "^0.0.1",
    "<=2.0.0",
    "=1.0.0",
    ">=1.3.0-beta.1, <2.0.0-0",
    "1.*",
    "<1",
    ">=18446744073709551615",
    "=1.3.0-rc.1",
    "~0",
];

/// Bytes as a source of choices; after their end, every choice is the first option.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(first) % count
    }

    fn one_of(&mut self, words: &[&str]) -> String {
        words[self.below(words.len())].to_owned()
    }

    fn slot(&mut self) -> (String, String, String) {
        (self.one_of(&NAMES), self.one_of(&SCOPES), self.one_of(&KEYS))
    }

    fn version(&mut self) -> Version {
        self.one_of(&VERSIONS).parse().expect("a version")
    }

    fn world(&mut self) -> World {
        let strategy = [ShareStrategy::VersionFirst, ShareStrategy::LoadedFirst][self.below(2)];
        let host = self.member(HOST.to_owned());
        let mut members = vec![Member { loaded: true, ..host }];
        for _ in 0..self.below(8) {
            // Most names are unique; the host's name and duplicates are possible.
            let name = NAMES[members.len() - 1].to_owned();
            let name = if self.below(16) == 1 { self.one_of(&NAMES[..8]) } else { name };
            members.push(self.member(name));
        }
        let live: BTreeMap<_, _> =
            (0..self.below(6)).map(|_| (self.slot(), (self.one_of(&NAMES), self.version()))).collect();
        let excluded = (0..self.below(4)).map(|_| self.slot()).collect();
        let granted = |choices: &mut Self| {
            let key = choices.one_of(&KEYS);
            (key, (0..choices.below(4)).map(|_| choices.one_of(&NAMES)).collect())
        };
        let providers = (0..self.below(3)).map(|_| granted(self)).collect();
        World { strategy, members, live, excluded, providers }
    }

    fn member(&mut self, name: String) -> Member {
        let loaded = self.below(4) == 1;
        let mut shared = serde_json::Map::new();
        for _ in 0..self.below(5) {
            let key = self.one_of(&KEYS);
            let switches = self.below(64);
            let on = |bit: usize| switches & (1 << bit) != 0;
            let mut entry = json!({
                "singleton": on(0), "strictVersion": on(1), "eager": on(2),
                "shareScope": SCOPES[usize::from(on(3) && on(4))], "import": !(on(4) && on(5)),
                "version": self.one_of(&VERSIONS),
            });
            match self.below(RANGES.len() + 6) {
                any if any == RANGES.len() => entry["requiredVersion"] = Value::Bool(false),
                range if range < RANGES.len() => entry["requiredVersion"] = RANGES[range].into(),
                _ => {}
            }
            shared.insert(key, entry);
        }
        let text = json!({ "manifestVersion": 1, "name": HOST, "shared": shared }).to_string();
        let read = HostManifest::from_json(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        Member { name, loaded, shared: read.shared }
    }
}
