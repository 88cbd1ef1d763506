//! Builds groups from participants: the offers and demands of each crate.
//!
//! Participants are walked once, in memory order, and every name, version and requirement is looked up once; later
//! steps work on numbers.

use std::collections::BTreeMap;

use super::PlanRequest;
use super::catalogue::{Catalogue, find, participants};
use super::draft::{Draft, LocalNumbers, Row};
use super::group::{Barred, Group};
use super::participant::ShareTerms;
use super::solve::Solver;

/// Returns the solver of `request` with every participant admitted.
pub(super) fn solver(request: &PlanRequest<'_>) -> Solver {
    let (participants, duplicates, reserved) = participants(request);
    // The host is always among them, even if a remote has its name.
    let host = find(&participants, request.host.name()).unwrap_or_default();
    let mut catalogue = Catalogue::new(participants, host);
    let mut drafts = drafts(&mut catalogue);
    add_live(&mut catalogue, request, &mut drafts);
    exclude(&catalogue, request, &mut drafts);
    catalogue.rank_versions();
    drafts.sort_unstable_by_key(|draft| (draft.scope, draft.key));
    let participants = &catalogue.participants;
    let mut places: Vec<Vec<(usize, usize)>> =
        participants.iter().map(|participant| Vec::with_capacity(participant.entries().len())).collect();
    for (group, draft) in drafts.iter().enumerate() {
        for (demand, row) in draft.rows.iter().enumerate() {
            places[row.participant as usize].push((group, demand));
        }
    }
    let mut local = LocalNumbers::new(&catalogue);
    let group = |draft: Draft<'_>| {
        let (offers, demands, levels) = draft.finished(&catalogue, &mut local);
        Group::new((draft.scope.into(), draft.key.into()), offers, demands, levels, host, request.strategy)
    };
    Solver {
        strategy: request.strategy,
        providers: request.providers.clone(),
        groups: drafts.into_iter().map(group).collect(),
        names: participants.iter().map(|participant| participant.shared_name().clone()).collect(),
        loaded: participants.iter().map(|participant| participant.is_loaded()).collect(),
        admitted: vec![true; participants.len()],
        host,
        places,
        causes: BTreeMap::new(),
        duplicates,
        reserved,
    }
}

/// Returns the entries of all participants by scope and key, each group's by participant.
fn drafts<'a>(catalogue: &mut Catalogue<'a>) -> Vec<Draft<'a>> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for participant in 0..catalogue.participants.len() {
        for ShareTerms { scope, key, range, facts } in catalogue.participants[participant].entries() {
            let number = catalogue.number(scope, key);
            if number == drafts.len() {
                drafts.push(Draft::new(scope, key));
            }
            drafts[number].rows.push(Row {
                participant: participant as u32,
                requirement: catalogue.requirement(range, &facts.required),
                own: facts.offer.as_ref().map(|version| catalogue.version(version)),
                singleton: facts.singleton,
                eager: facts.eager,
                strict: facts.strict,
                live: false,
                barred: None,
            });
        }
    }
    drafts
}

/// Adds the copies in use, and binds the participants that use them.
///
/// The bindings of a participant that is being replaced do not count: they end when the new generation runs.
fn add_live<'a>(catalogue: &mut Catalogue<'a>, request: &PlanRequest<'a>, drafts: &mut [Draft<'a>]) {
    // Bindings are sorted by consumer.
    let (mut name, mut consumer) = ("", None);
    for (slot, copy) in request.live.bindings() {
        if *slot.participant != *name {
            (name, consumer) = (&slot.participant, catalogue.find(&slot.participant));
        }
        let replaced = consumer.is_some_and(|consumer| !catalogue.participants[consumer].is_loaded());
        let Some(draft) = catalogue.known(&slot.scope, &slot.key).filter(|_| !replaced) else { continue };
        let draft = &mut drafts[draft];
        let at = draft.in_use.get(copy).copied().unwrap_or_else(|| {
            let version = catalogue.version(&copy.version);
            let provider = catalogue.find(&copy.provider).and_then(|it| draft.row(it));
            let at = provider.filter(|&row| draft.rows[row].own == Some(version)).unwrap_or_else(|| {
                draft.gone.push((copy, version, None));
                draft.rows.len() + draft.gone.len() - 1
            });
            if let Some(row) = draft.rows.get_mut(at) {
                row.live = true;
            }
            draft.in_use.insert(copy, at);
            at
        });
        let row = consumer.and_then(|consumer| draft.row(consumer));
        draft.bound.extend(row.map(|row| (row, at)));
    }
}

/// Marks the offers that others must not use.
fn exclude(catalogue: &Catalogue<'_>, request: &PlanRequest<'_>, drafts: &mut [Draft<'_>]) {
    for draft in &mut *drafts {
        let Some(granted) = request.providers.of_crate(draft.scope, draft.key) else { continue };
        let barred = |name: &str| (!granted.contains(name)).then_some(Barred::NotGranted);
        for row in &mut draft.rows {
            row.barred = barred(catalogue.participants[row.participant as usize].name());
        }
        for (copy, _, gone) in &mut draft.gone {
            *gone = barred(&copy.provider);
        }
    }
    for slot in request.excluded {
        if let Some(draft) = catalogue.known(&slot.scope, &slot.key)
            && let Some(participant) = catalogue.find(&slot.participant)
            && let Some(row) = drafts[draft].row(participant)
        {
            drafts[draft].rows[row].barred = Some(Barred::Unusable);
        }
    }
}
