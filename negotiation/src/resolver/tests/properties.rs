//! Properties of every federation.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{HostManifest, Requirement, ShareDecl, ShareStrategy};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use semver::Version;

use super::{host, participant, remote};
use crate::model::{self, Assigned, Member, World};
use crate::resolver::{
    Assignment, KeyView, Live, Outcome, Participant, Plan, PlanRequest, Providers, ShareKey, resolve,
};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "host", "gone"];
const KEYS: [&str; 3] = ["charts", "store", "telemetry"];
const SCOPES: [&str; 2] = ["default", "legacy"];
const VERSIONS: [&str; 10] = [
    "0.3.1",
    "0.4.0",
    "1.0.0",
    "1.0.0+build",
    "1.1.0",
    "1.2.3",
    "1.3.0-rc.1",
    "1.9.0",
    "2.0.0",
    "3.0.0-beta.1",
];
const RANGES: [&str; 11] = [
    "^1.0",
    "^1.1.0",
    ">=1.1, <3",
    "~1.2.3",
    "*",
    "^2",
    ">1.2.3",
    "^3.0.0-beta.1",
    "^0.3.1",
    "<=2.0.0",
    "=1.0.0",
];

fn version() -> impl Strategy<Value = Version> {
    select(&VERSIONS[..]).prop_map(|text| text.parse().unwrap())
}

fn entry() -> impl Strategy<Value = ShareDecl> {
    let required = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Requirement::Any)),
        8 => select(&RANGES[..]).prop_map(|text| Some(Requirement::Range(text.parse().unwrap()))),
    ];
    let flags = [0.3, 0.3, 0.4, 0.2].map(prop::bool::weighted);
    (version(), required, flags, prop::bool::weighted(0.2)).prop_map(
        |(version, required_version, [singleton, eager, strict_version, without], legacy)| ShareDecl {
            version: Some(version),
            required_version,
            singleton,
            eager,
            strict_version,
            import: !without,
            share_scope: SCOPES[usize::from(legacy)].to_owned(),
        },
    )
}

fn shared() -> impl Strategy<Value = BTreeMap<String, ShareDecl>> {
    btree_map(select(&KEYS[..]).prop_map(str::to_owned), entry(), 0..=KEYS.len())
}

/// Generates a federation at its start: no copy is live or excluded.
fn fresh() -> impl Strategy<Value = World> {
    let strategy = select(&[ShareStrategy::VersionFirst, ShareStrategy::LoadedFirst][..]);
    let names = btree_set(select(&NAMES[..]).prop_map(str::to_owned), 0..5);
    let granted = btree_map(select(&KEYS[..]).prop_map(str::to_owned), names, 0..3);
    let providers = prop_oneof![1 => Just(BTreeMap::new()), 1 => granted];
    (strategy, vec(shared(), 1..7), providers).prop_map(|(strategy, shared, providers)| {
        let member = |(at, shared): (usize, BTreeMap<String, ShareDecl>)| Member {
            name: if at == 0 { "host".to_owned() } else { NAMES[at - 1].to_owned() },
            loaded: at == 0,
            shared,
        };
        let members = shared.into_iter().enumerate().map(member).collect();
        World { strategy, members, live: BTreeMap::new(), excluded: BTreeSet::new(), providers }
    })
}

/// Generates a federation at any moment, including unreachable states.
fn any_world() -> impl Strategy<Value = World> {
    let slot = || {
        (select(&NAMES[..]), select(&SCOPES[..]), select(&KEYS[..]))
            .prop_map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
    };
    let copy = (select(&NAMES[..]).prop_map(str::to_owned), version());
    let live = prop_oneof![1 => Just(BTreeMap::new()), 1 => btree_map(slot(), copy, 0..6)];
    (fresh(), vec(any::<bool>(), 7), live, btree_set(slot(), 0..3)).prop_map(
        |(mut world, loaded, live, excluded)| {
            for (member, loaded) in world.members.iter_mut().skip(1).zip(loaded) {
                member.loaded = loaded;
            }
            World { live, excluded, ..world }
        },
    )
}

fn participants(world: &World) -> Vec<Participant> {
    let remote = |member: &Member| {
        Participant::remote(&remote(&member.name, member.shared.clone())).loaded(member.loaded)
    };
    let host = Participant::host(&host(world.members[0].shared.clone()));
    std::iter::once(host).chain(world.members[1..].iter().map(remote)).collect()
}

fn plan(world: &World) -> Plan {
    plan_in_order(world, &participants(world))
}

fn plan_in_order(world: &World, members: &[Participant]) -> Plan {
    let mut live = Live::new();
    for ((consumer, scope, key), (provider, version)) in &world.live {
        live.bind(ShareKey::new(consumer, scope, key), provider, version.clone());
    }
    let excluded: BTreeSet<ShareKey> =
        world.excluded.iter().map(|(name, scope, key)| ShareKey::new(name, scope, key)).collect();
    let request = PlanRequest::new(&members[0], &members[1..], world.strategy);
    resolve(&PlanRequest { live: &live, excluded: &excluded, providers: &providers(world), ..request })
}

fn providers(world: &World) -> Providers {
    let host = host(BTreeMap::new());
    Providers::of(&HostManifest { providers: world.providers.clone(), ..host }, &[])
}

fn assigned(plan: &Plan) -> Assigned {
    let slot =
        |known: &Assignment| (known.consumer.to_string(), known.scope.to_string(), known.key.to_string());
    let copy = |known: &Assignment| (known.provider.to_string(), known.version.clone(), known.satisfied);
    plan.assignments().iter().map(|known| (slot(known), copy(known))).collect()
}

/// Returns `true` if the consumer is loaded and keeps its copy regardless of the other rules.
fn is_bound(world: &World, known: &Assignment) -> bool {
    let slot = (known.consumer.to_string(), known.scope.to_string(), known.key.to_string());
    let loaded = world.members.iter().any(|member| member.loaded && *member.name == *known.consumer);
    loaded && world.live.contains_key(&slot)
}

fn refused(plan: &Plan) -> BTreeSet<String> {
    plan.refused().iter().map(|refusal| refusal.participant.to_string()).collect()
}

/// Returns the copies in use after the plan is carried out, and the participants in that state.
fn carried_out(plan: &Plan, members: &[Participant]) -> (Live, Vec<Participant>) {
    let mut live = Live::new();
    live.bind_assigned(plan, plan.host());
    plan.admitted().for_each(|name| live.bind_assigned(plan, name));
    let loaded = |member: &Participant| member.clone().loaded(!plan.is_refused(member.name()));
    (live, members.iter().map(loaded).collect())
}

/// Returns the complete content of a plan, including the reasons.
fn everything(plan: &Plan) -> (serde_json::Value, Vec<String>) {
    let of_key = |key: KeyView| {
        let explained =
            key.demands.iter().map(|demand| plan.explain(&key.scope, &key.key, &demand.participant));
        format!("{key:?} {:?}", explained.collect::<Vec<_>>())
    };
    let refused = plan.refused().iter().map(|refusal| format!("{refusal:?}"));
    (plan.to_json(), plan.keys().map(of_key).chain(refused).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn plan_equals_the_plan_of_the_model(world in any_world()) {
        let plan = plan(&world);
        let (expected, out) = model::plan(&world);
        prop_assert_eq!(refused(&plan), out);
        prop_assert_eq!(assigned(&plan), expected);
    }

    #[test]
    fn order_of_remotes_does_not_matter(world in any_world(), shuffle in vec(any::<Index>(), 8)) {
        let members = participants(&world);
        let mut shuffled = members.clone();
        for (at, with) in shuffle.iter().enumerate().take(members.len().saturating_sub(1)) {
            let with = 1 + with.index(members.len() - 1);
            shuffled.swap(1 + at, with);
        }
        prop_assert_eq!(everything(&plan_in_order(&world, &members)), everything(&plan_in_order(&world, &shuffled)));
    }

    /// Strictness applies to singletons. For another crate, even a strict participant falls back to its own copy in
    /// any version, as the vectors of the specification require.
    #[test]
    fn strict_demand_of_admitted_remote_is_satisfied(world in any_world()) {
        let plan = plan(&world);
        for known in plan.assignments() {
            let member = world.members.iter().find(|member| *member.name == *known.consumer).unwrap();
            let strict = member.shared[&*known.key].strict_version;
            let excepted = !known.singleton || *known.consumer == *plan.host() || is_bound(&world, known);
            prop_assert!(known.satisfied || !strict || excepted, "{:?}", known);
            prop_assert!(known.satisfied || known.singleton || known.is_own_copy() || is_bound(&world, known));
        }
        for member in world.members.iter().filter(|member| !refused(&plan).contains(&member.name)) {
            prop_assert_eq!(plan.assignments_of(&member.name).len(), member.shared.len());
        }
    }

    /// A participant that was bound to another copy before the singleton was declared is excepted.
    #[test]
    fn singleton_has_one_provider_in_its_scope(world in any_world()) {
        let plan = plan(&world);
        let mut providers = BTreeMap::new();
        for known in plan.assignments().iter().filter(|known| known.singleton && !is_bound(&world, known)) {
            let copy = (known.provider.clone(), known.version.clone());
            let first = providers.entry((known.scope.clone(), known.key.clone())).or_insert(copy.clone());
            prop_assert_eq!(&*first, &copy);
        }
    }

    #[test]
    fn plan_without_refused_remotes_is_the_same(world in any_world()) {
        // Copies in use would not be planned again.
        let world = World { live: BTreeMap::new(), ..world };
        let members = participants(&world);
        let first = plan_in_order(&world, &members);
        let admitted: Vec<Participant> =
            members.into_iter().filter(|member| member.name() == first.host() || !first.is_refused(member.name())).collect();
        let second = plan_in_order(&world, &admitted);
        prop_assert_eq!(first.assignments(), second.assignments());
        let mut refused_first = refused(&first);
        refused_first.retain(|name| name == first.host());
        prop_assert_eq!(refused_first, refused(&second));
    }

    /// A refused remote may be admitted once the others run: they keep their copies, so it displaces none (`host:`,
    /// `a: store 0.3.1 ^1 strict`, `b: store noimport * singleton`). No running participant changes.
    #[test]
    fn executed_plan_is_stable(world in fresh()) {
        let members = participants(&world);
        let mut plan = plan_in_order(&world, &members);
        for round in 0.. {
            let (live, members) = carried_out(&plan, &members);
            let request = PlanRequest::new(&members[0], &members[1..], world.strategy);
            let again = resolve(&PlanRequest { live: &live, providers: &providers(&world), ..request });
            let mut kept = assigned(&again);
            kept.retain(|slot, _| assigned(&plan).contains_key(slot));
            prop_assert_eq!(assigned(&plan), kept);
            prop_assert!(plan.admitted().all(|name| !again.is_refused(name)));
            if (assigned(&plan), refused(&plan)) == (assigned(&again), refused(&again)) {
                break;
            }
            prop_assert!(!plan.is_compatible(), "a compatible plan changes nothing");
            prop_assert!(round < 2 * members.len(), "the plan does not converge");
            plan = again;
        }
    }

    #[test]
    fn unrelated_remote_changes_no_assignment(world in any_world()) {
        let before = plan(&world);
        let mut members = participants(&world);
        members.push(participant("zz: unrelated 1.0.0 singleton strict; elsewhere 1.0.0 in=elsewhere"));
        let after = plan_in_order(&world, &members);
        let mut assigned_after = assigned(&after);
        assigned_after.retain(|(consumer, _, _), _| consumer != "zz");
        prop_assert_eq!(assigned(&before), assigned_after);
        prop_assert_eq!(refused(&before), refused(&after));
        prop_assert_eq!(before.diagnostics(), after.diagnostics());
    }

    #[test]
    fn late_joiners_change_no_running_assignment(world in fresh(), late in vec(shared(), 0..3)) {
        let members = participants(&world);
        let first = plan_in_order(&world, &members);
        let (live, mut members) = carried_out(&first, &members);
        members.extend(late.into_iter().enumerate().map(|(at, shared)| {
            Participant::remote(&remote(&format!("late{at}"), shared))
        }));
        let request = PlanRequest::new(&members[0], &members[1..], world.strategy);
        let second = resolve(&PlanRequest { live: &live, providers: &providers(&world), ..request });
        for known in first.assignments() {
            let now = second.assignment(&known.consumer, &known.scope, &known.key).unwrap();
            prop_assert_eq!((&now.provider, &now.version), (&known.provider, &known.version));
        }
    }

    /// A loaded participant that already uses such a copy is excepted.
    #[test]
    fn participant_without_grant_never_provides(world in any_world()) {
        let plan = plan(&world);
        for known in plan.assignments().iter().filter(|known| !known.is_own_copy() && !is_bound(&world, known)) {
            prop_assert!(model::may_provide(&world, &known.key, &known.provider), "{:?}", known);
        }
    }

    #[test]
    fn explanation_agrees_with_the_plan(world in any_world()) {
        let plan = plan(&world);
        for key in plan.keys() {
            for demand in key.demands {
                let why = plan.explain(&key.scope, &key.key, &demand.participant).unwrap();
                prop_assert_eq!(&why.outcome, &demand.outcome);
                prop_assert_eq!(why.candidates.len(), key.offers.len());
                let won: Vec<_> = why.candidates.iter().filter(|one| one.chosen).collect();
                let known = plan.assignment(&demand.participant, &key.scope, &key.key);
                prop_assert!(why.candidates.iter().all(|one| !one.reason.is_empty()));
                if let Some(known) = known {
                    prop_assert_eq!(won.len(), 1);
                    prop_assert_eq!((&won[0].provider, &won[0].version), (&known.provider, &known.version));
                    let uses = matches!(why.outcome, Outcome::Uses { satisfied, .. } if satisfied == known.satisfied);
                    prop_assert!(uses);
                }
            }
        }
    }

    #[test]
    fn every_refusal_has_a_message(world in any_world()) {
        let plan = plan(&world);
        for refusal in plan.refused() {
            prop_assert!(!refusal.causes.is_empty());
            for cause in &refusal.causes {
                prop_assert_eq!(&cause.participant, &refusal.participant);
                let words = format!("`{}`", refusal.participant);
                prop_assert!(cause.message().contains(&words) && cause.message().contains(": "), "{}", cause);
            }
        }
        let mut found: Vec<_> = plan.diagnostics().iter().map(|one| (one.code, &one.participant, &one.scope, &one.key)).collect();
        let all = found.len();
        found.dedup();
        prop_assert_eq!(found.len(), all, "a diagnostic is repeated");
    }

    #[test]
    fn providers_are_loaded_first(world in any_world()) {
        let plan = plan(&world);
        let order = plan.bootstrap();
        let provides: BTreeSet<_> = plan.assignments().iter()
            .filter(|known| !known.is_own_copy() && !known.live)
            .map(|known| known.provider.clone())
            .filter(|name| world.members[1..].iter().any(|member| *member.name == **name && !member.loaded))
            .collect();
        prop_assert_eq!(order.len(), provides.len());
        prop_assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), provides);
    }
}
