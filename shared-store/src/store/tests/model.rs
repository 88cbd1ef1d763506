//! Computed values, effects and batches against a naive model.

use std::sync::atomic::AtomicU32;

use proptest::{collection::vec, prelude::*};

use super::*;

/// Creates an atom that lives as long as the program.
fn atom(name: String) -> &'static Atom<u64> {
    Box::leak(Box::new(Atom::new(Box::leak(name.into_boxed_str()), || 0)))
}

static A: Atom<u64> = Atom::new("model.a", || 1);
static B: Atom<u64> = Atom::new("model.b", || 2);
static C: Atom<u64> = Atom::new("model.c", || 3);
static SUM: Computed<u64> = Computed::new(|cx| Ok(cx.get(&A)?.wrapping_add(*cx.get(&B)?)));
static PARITY: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&SUM)? % 2));
/// Reads one of two sources.
static CHOICE: Computed<u64> =
    Computed::new(|cx| if *cx.get(&PARITY)? == 0 { Ok(*cx.get(&C)?) } else { Ok(*cx.get(&SUM)? * 10) });
static TOP: Computed<(u64, u64, u64)> =
    Computed::new(|cx| Ok((*cx.get(&CHOICE)?, *cx.get(&SUM)?, *cx.get(&A)?)));

fn model(values: [u64; 3]) -> (u64, u64, u64) {
    let [a, b, c] = values;
    let sum = a + b;
    (if sum.is_multiple_of(2) { c } else { sum * 10 }, sum, a)
}

#[derive(Clone, Debug)]
enum Action {
    Set(usize, u64),
    Batch(Vec<(usize, u64)>),
    Listen,
    Unlisten,
    Read,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let set = || (0..3_usize, 0..4_u64);
    let action = prop_oneof![
        4 => set().prop_map(|(atom, value)| Action::Set(atom, value)),
        3 => vec(set(), 0..5).prop_map(Action::Batch),
        1 => Just(Action::Listen),
        1 => Just(Action::Unlisten),
        2 => Just(Action::Read),
    ];
    vec(action, 0..40)
}

proptest! {
    #[test]
    fn graph_computes_what_the_model_does(actions in actions()) {
        let store = Store::new();
        let atoms = [&A, &B, &C];
        let mut values = [1, 2, 3];
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut listening = None;
        let mut last = model(values);
        for action in actions {
            let set = |values: &mut [u64; 3], (at, value): (usize, u64)| {
                values[at] = value;
                store.set(atoms[at], &value).unwrap();
            };
            match action {
                Action::Set(at, value) => set(&mut values, (at, value)),
                Action::Batch(sets) => store.batch(|| {
                    for one in sets {
                        set(&mut values, one);
                        assert_eq!(*store.get(&TOP).unwrap(), model(values), "current inside of the batch");
                    }
                }),
                Action::Listen => {
                    let seen = Arc::clone(&seen);
                    listening = Some(store.listen(&TOP, move |v| seen.lock().push(*v)).unwrap());
                }
                Action::Unlisten => listening = None,
                Action::Read => {}
            }
            let now = model(values);
            prop_assert_eq!(*store.get(&TOP).unwrap(), now);
            let expected = if listening.is_some() && now != last { vec![now] } else { vec![] };
            prop_assert_eq!(std::mem::take(&mut *seen.lock()), expected, "once for each change, never between");
            last = now;
        }
    }

    #[test]
    fn wide_graph_has_no_glitch(sets in vec((0..8_usize, 0..3_u64), 1..60)) {
        static ATOMS: std::sync::OnceLock<Vec<&'static Atom<u64>>> = std::sync::OnceLock::new();
        static TOTAL: Computed<u64> = Computed::new(|cx| {
            ATOMS.get().unwrap().iter().try_fold(0, |sum, atom| Ok(sum + *cx.get(*atom)?))
        });
        static TWICE: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&TOTAL)? * 2));
        static BOTH: Computed<(u64, u64)> = Computed::new(|cx| Ok((*cx.get(&TOTAL)?, *cx.get(&TWICE)?)));
        let atoms = ATOMS.get_or_init(|| (0..8).map(|n| atom(format!("wide.{n}"))).collect());
        let store = Store::new();
        let _listening = store.listen(&BOTH, |(once, twice)| assert_eq!(once * 2, *twice)).unwrap();
        let failed = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&failed);
        store.on_error(move |_| { count.fetch_add(1, Ordering::SeqCst); });
        for (at, value) in sets {
            store.set(atoms[at], &value).unwrap();
        }
        prop_assert_eq!(failed.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn computed_runs_only_while_needed() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static LAZY: Computed<u64> = Computed::new(|cx| {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Ok(*cx.get(&A)?)
    });
    let store = Store::new();
    store.set(&A, &5).unwrap();
    assert_eq!(RUNS.load(Ordering::SeqCst), 0, "nothing needs it");
    assert_eq!((*store.get(&LAZY).unwrap(), *store.get(&LAZY).unwrap()), (5, 5));
    assert_eq!(RUNS.load(Ordering::SeqCst), 1, "an unchanged value is read again");
    let listening = store.listen(&LAZY, |_| {}).unwrap();
    store.set(&A, &6).unwrap();
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
    drop(listening);
    store.set(&A, &7).unwrap();
    assert_eq!(RUNS.load(Ordering::SeqCst), 2, "it has no listener");
}

#[test]
fn cycle_is_an_error_and_ends() {
    static LOOP: Atom<bool> = Atom::new("loop", || true);
    static PING: Computed<u64> = Computed::new(|cx| if *cx.get(&LOOP)? { Ok(*cx.get(&PONG)?) } else { Ok(1) });
    static PONG: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&PING)? + 1));
    static UNTRACKED: Computed<u64> = Computed::new(|cx| cx.store().get(&UNTRACKED).map(|v| *v));
    let store = Store::new();
    assert_eq!(store.get(&PONG).unwrap_err().code(), "atom-cycle");
    assert_eq!(store.get(&UNTRACKED).unwrap_err().code(), "atom-cycle");
    let (seen, f) = recorder();
    let _listening = store.listen(&PONG, f).unwrap();
    store.set(&LOOP, &false).unwrap();
    assert_eq!((*store.get(&PONG).unwrap(), &*seen.lock()), (2, &vec![2]));
    store.set(&LOOP, &true).unwrap();
    assert_eq!(store.get(&PING).unwrap_err().code(), "atom-cycle");
    store.set(&LOOP, &false).unwrap();
    assert_eq!(*store.get(&PONG).unwrap(), 2);
}

/// A chain of 1,024 links, each of which reads the one before.
struct Chain;

impl Chain {
    const LINKS: usize = 1_024;

    fn links() -> &'static [Computed<u64>] {
        static LINKS: std::sync::OnceLock<Vec<Computed<u64>>> = std::sync::OnceLock::new();
        LINKS.get_or_init(|| {
            let mut links = Vec::new();
            // A function of a static has no captures, so each link is a function of its own.
            macro_rules! link {
                ($($row:literal)*) => { $(link!(@ $row, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);)* };
                (@ $row:literal, $($column:literal)*) => {
                    $(links.push(Computed::new(link::<{ $row * 16 + $column }>));)*
                };
            }
            link!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
            link!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
            links
        })
    }
}

fn link<const AT: usize>(cx: &mut Tracking<'_>) -> Result<u64, StoreError> {
    match AT {
        0 => Ok(*cx.get(&A)?),
        _ => Ok(*cx.get(&Chain::links()[AT.saturating_sub(1)])? + 1),
    }
}

#[test]
fn deep_chain_needs_no_deep_stack() {
    let store = Store::new();
    let last = &Chain::links()[Chain::LINKS - 1];
    assert_eq!(*store.get(last).unwrap(), Chain::LINKS as u64);
    store.set(&A, &2).unwrap();
    assert_eq!(*store.get(last).unwrap(), Chain::LINKS as u64 + 1);
    let (seen, f) = recorder();
    let listening = store.listen(last, f).unwrap();
    store.set(&A, &3).unwrap();
    assert_eq!(*seen.lock(), [Chain::LINKS as u64 + 2]);
    drop(listening);
}

#[test]
fn failing_computed_is_an_error_and_recovers() {
    static HALF: Computed<u64> = Computed::new(|cx| match *cx.get(&A)? {
        value if value % 2 == 0 => Ok(value / 2),
        value => panic!("{value} is odd"),
    });
    let store = Store::new();
    let error = store.get(&HALF).unwrap_err();
    assert_eq!(error.code(), "atom-panicked");
    assert!(error.to_string().contains("1 is odd"), "{error}");
    let (seen, f) = recorder();
    let _listening = store.listen(&HALF, f).unwrap();
    for value in [4, 5, 6] {
        store.set(&A, &value).unwrap();
    }
    assert_eq!(*seen.lock(), [2, 3]);
}

#[test]
fn panic_in_a_batch_still_delivers() {
    let store = Store::new();
    let (seen, f) = recorder();
    let _listening = store.listen(&A, f).unwrap();
    let inner = store.clone();
    let batch = std::panic::AssertUnwindSafe(|| {
        inner.batch(|| {
            inner.set(&A, &5).unwrap();
            inner.batch(|| inner.set(&A, &6).unwrap());
            std::panic::panic_any("the batch fails on purpose");
        });
    });
    assert!(std::panic::catch_unwind(batch).is_err());
    assert_eq!(*seen.lock(), [6]);
    store.set(&A, &7).unwrap();
    assert_eq!(*seen.lock(), [6, 7], "the batch has ended");
}

#[test]
fn effect_runs_for_what_it_read_last() {
    let store = Store::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let effect = store
        .effect(move |cx| {
            let choice = *cx.get(&CHOICE)?;
            lines.lock().push(format!("run {choice}"));
            let lines = Arc::clone(&lines);
            Ok(cleanup(move || lines.lock().push(format!("clean {choice}"))))
        })
        .unwrap();
    store.batch(|| store.set(&A, &2).and_then(|()| store.set(&C, &9))).unwrap();
    store.set(&C, &9).unwrap();
    store.set(&B, &1).unwrap();
    drop(effect);
    store.set(&A, &9).unwrap();
    assert_eq!(*log.lock(), ["run 30", "clean 30", "run 9", "clean 9", "run 30", "clean 30"]);
}

#[test]
fn failing_effect_is_reported_and_runs_again() {
    let store = Store::new();
    let errors = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&errors);
    store.on_error(move |error| list.lock().push(error.code()));
    let (seen, f) = recorder();
    let _effect = store
        .effect(move |cx| match *cx.get(&A)? {
            2 => Err(StoreError::Busy("on purpose".into())),
            3 => panic!("an effect fails on purpose"),
            value => {
                f(&value);
                Ok(None)
            }
        })
        .unwrap();
    for value in 2..5 {
        store.set(&A, &value).unwrap();
    }
    assert_eq!((&*seen.lock(), &*errors.lock()), (&vec![1, 4], &vec!["store-busy", "atom-panicked"]));
}

#[test]
fn view_follows_its_atom() {
    static VIEW: Readonly<u64> = Readonly::new(&A);
    let store = Store::new();
    let (seen, f) = recorder();
    let _listening = store.subscribe(&VIEW, f).unwrap();
    store.set(&A, &4).unwrap();
    assert_eq!((*store.get(&VIEW).unwrap(), &*seen.lock()), (4, &vec![1, 4]));
}
