#![expect(clippy::unwrap_used, reason = "tests")]
use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_api::shared::{Grant, SharedCrate};
use serde::{Deserialize, Serialize};

use super::*;
use crate::{Computed, Readonly, Shared};

mod hooks;
mod lifetimes;
mod model;
mod parts;
#[cfg(shuttle)]
mod schedules;
mod threads;

static COUNT: Atom<u64> = Atom::new("count", || 7);

fn consumer(name: &str, grants: &[(&str, bool)]) -> Consumer {
    Consumer {
        name: name.into(),
        grants: grants.iter().map(|(n, write)| Grant { name: (*n).into(), write: *write }).collect(),
        all: false,
        isolated: false,
        notify: notify_fn(|| {}),
    }
}

fn recorder() -> (Arc<Mutex<Vec<u64>>>, impl Fn(&u64) + Send + Sync + 'static) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    (Arc::clone(&seen), move |v: &u64| seen.lock().push(*v))
}

#[test]
fn atom_has_its_default_until_it_is_set() {
    let store = Store::new();
    assert_eq!((*store.get(&COUNT).unwrap(), store.epoch(&COUNT).unwrap()), (7, 0));
    store.set(&COUNT, &8).unwrap();
    assert_eq!((*store.get(&COUNT).unwrap(), store.epoch(&COUNT).unwrap()), (8, 1));
}

#[test]
fn listen_calls_on_change_and_subscribe_also_at_once() {
    let store = Store::new();
    let (listened, f) = recorder();
    let (subscribed, g) = recorder();
    let listening = store.listen(&COUNT, f).unwrap();
    let _subscribing = store.subscribe(&COUNT, g).unwrap();
    store.set(&COUNT, &1).unwrap();
    drop(listening);
    store.set(&COUNT, &2).unwrap();
    assert_eq!(*listened.lock(), [1]);
    assert_eq!(*subscribed.lock(), [7, 1, 2]);
}

#[test]
fn failing_listener_does_not_stop_the_others() {
    let store = Store::new();
    let _bad = store.listen(&COUNT, |_| panic!("a listener fails on purpose")).unwrap();
    let (seen, f) = recorder();
    let _good = store.listen(&COUNT, f).unwrap();
    store.set(&COUNT, &1).unwrap();
    store.set(&COUNT, &2).unwrap();
    assert_eq!(*seen.lock(), [1, 2]);
}

#[test]
fn listener_may_use_the_store() {
    static ECHO: Atom<u64> = Atom::new("echo", || 0);
    let store = Store::new();
    let inner = store.clone();
    let nested = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&nested);
    let _listening = store
        .listen(&COUNT, move |v| {
            inner.set(&ECHO, v).unwrap();
            // Reads, listens, and drops the earlier `Listening`, all inside of a listener.
            assert_eq!(*inner.get(&COUNT).unwrap(), *v);
            *keep.lock() = Some(inner.listen(&COUNT, |_| {}).unwrap());
        })
        .unwrap();
    store.set(&COUNT, &5).unwrap();
    store.set(&COUNT, &6).unwrap();
    assert_eq!(*store.get(&ECHO).unwrap(), 6);
    assert!(nested.lock().is_some());
}

#[test]
fn deliver_runs_listeners_once_for_remote_changes() {
    let table = Table::new();
    let notified = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&notified);
    let reader = Store::from_cells(table.bind(Consumer {
        notify: notify_fn(move || {
            count.fetch_add(1, Ordering::SeqCst);
        }),
        ..consumer("reader", &[("count", false)])
    }));
    let writer = Store::from_cells(table.bind(consumer("writer", &[("count", true)])));
    let (seen, f) = recorder();
    let listening = reader.listen(&COUNT, f).unwrap();
    writer.set(&COUNT, &1).unwrap();
    assert_eq!(notified.load(Ordering::SeqCst), 1, "the reader is notified once");
    assert!(seen.lock().is_empty(), "its listeners wait for `deliver` on its own thread");
    reader.deliver();
    reader.deliver();
    assert_eq!(*seen.lock(), [1]);
    drop((reader, listening));
    writer.set(&COUNT, &2).unwrap();
    assert_eq!(notified.load(Ordering::SeqCst), 1, "a dropped reader is not notified");
}

#[test]
fn only_granted_atoms_can_be_used() {
    static SECRET: Atom<u64> = Atom::new("secret", || 0);
    let table = Table::new();
    let store = Store::from_cells(table.bind(consumer("plugin", &[("count", false)])));
    assert_eq!(*store.get(&COUNT).unwrap(), 7);
    for error in [store.set(&COUNT, &1).unwrap_err(), store.get(&SECRET).map(|_| ()).unwrap_err()] {
        assert_eq!(error.code(), "atom-not-granted");
        assert!(error.to_string().contains("plugin"), "{error}");
    }
    assert_eq!(*store.get(&COUNT).unwrap(), 7);
}

#[test]
fn older_build_reads_values_with_added_fields() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Old {
        name: String,
    }
    #[derive(Serialize, Deserialize)]
    struct New {
        name: String,
        city: String,
    }
    static OLD: Atom<Old> = Atom::new("person", || Old { name: String::new() });
    static NEW: Atom<New> = Atom::new("person", || New { name: String::new(), city: String::new() });
    static WRONG: Atom<Vec<u8>> = Atom::new("person", Vec::new);
    let store = Store::new();
    store.set(&NEW, &New { name: "Ada".into(), city: "London".into() }).unwrap();
    assert_eq!(store.get(&OLD).unwrap().name, "Ada");
    let error = store.get(&WRONG).unwrap_err();
    assert_eq!(error.code(), "atom-decode");
    assert!(error.to_string().contains("let the types agree"), "{error}");
    assert_eq!(store.get(&NEW).unwrap().city, "London");
}

#[test]
fn concurrent_updates_lose_nothing() {
    let table = Table::new();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let store = Store::from_cells(table.bind(consumer(name, &[("count", true)])));
            scope.spawn(move || (0..250).for_each(|_| store.update(&COUNT, |v| v + 1).unwrap()));
        }
    });
    let store = Store::from_cells(table.bind(consumer("e", &[("count", false)])));
    assert_eq!(*store.get(&COUNT).unwrap(), 1_007);
}

#[test]
fn reader_never_sees_old_value_with_new_epoch() {
    let table = Table::new();
    let writer = Store::from_cells(table.bind(consumer("writer", &[("count", true)])));
    let reader = Store::from_cells(table.bind(consumer("reader", &[("count", false)])));
    std::thread::scope(|scope| {
        scope.spawn(|| (1..=2_000).for_each(|v| writer.set(&COUNT, &v).unwrap()));
        let mut reader = reader.reader(&COUNT).unwrap();
        let mut last = 0;
        while last < 2_000 {
            let now = *reader.get().unwrap() % 2_001;
            let now = if now == 7 && last == 0 { 0 } else { now };
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    });
}

#[test]
fn store_used_before_negotiation_is_not_installed() {
    // The process has one facade, and no other test touches it.
    assert_eq!(COUNT.get().unwrap_err(), StoreError::NotInstalled);
    let error = Shared::install(Shared::bundled(consumer("x", &[]))).unwrap_err();
    assert!(error.to_string().contains("before it was negotiated"), "{error}");
    Shared::uninstall();
    Shared::install(Shared::bundled(consumer("x", &[("count", true)]))).unwrap();
    COUNT.set(&3).unwrap();
    assert_eq!(*COUNT.get().unwrap(), 3);
    Shared::uninstall();
    assert_eq!(COUNT.get().unwrap_err(), StoreError::NotInstalled);
}

#[test]
fn equal_values_do_not_notify() {
    static EVEN: Atom<u64> = Atom::new("even", || 0).with_equality(|a, b| a / 2 == b / 2);
    let store = Store::new();
    let (seen, f) = recorder();
    let _listening = store.listen(&COUNT, f).unwrap();
    store.set(&COUNT, &7).unwrap();
    assert_eq!(
        store.epoch(&COUNT).unwrap(),
        1,
        "the initial value is written, for other builds' initial values"
    );
    for value in [8, 8, 9, 9] {
        store.set(&COUNT, &value).unwrap();
    }
    assert_eq!(*seen.lock(), [8, 9]);
    store.set(&EVEN, &1).unwrap();
    assert_eq!(store.epoch(&EVEN).unwrap(), 0, "an equal value is not written");
    store.set(&EVEN, &2).unwrap();
    assert_eq!((*store.get(&EVEN).unwrap(), store.epoch(&EVEN).unwrap()), (2, 1));
}

#[test]
fn reset_sets_the_initial_value() {
    let store = Store::new();
    let (seen, f) = recorder();
    let _listening = store.listen(&COUNT, f).unwrap();
    store.set(&COUNT, &8).unwrap();
    store.reset(&COUNT).unwrap();
    store.reset(&COUNT).unwrap();
    assert_eq!(*seen.lock(), [8, 7]);
}

#[test]
fn two_atoms_of_one_name_share_the_value() {
    static OTHER: Atom<u64> = Atom::new("count", || 0);
    let store = Store::new();
    let (seen, f) = recorder();
    let _listening = store.listen(&OTHER, f).unwrap();
    store.set(&COUNT, &8).unwrap();
    assert_eq!((*store.get(&OTHER).unwrap(), &*seen.lock()), (8, &vec![8]));
}

#[test]
fn epoch_grows_only_with_other_bytes() {
    let table = Table::new();
    let one = Store::from_cells(table.bind(consumer("one", &[("count", true)])));
    let two = Store::from_cells(table.bind(consumer("two", &[("count", true)])));
    one.set(&COUNT, &1).unwrap();
    two.set(&COUNT, &1).unwrap();
    assert_eq!(one.epoch(&COUNT).unwrap(), 1);
}

#[test]
fn reader_follows_other_participants() {
    let table = Table::new();
    let writer = Store::from_cells(table.bind(consumer("writer", &[("count", true)])));
    let reader = Store::from_cells(table.bind(consumer("reader", &[("count", false)])));
    let mut count = reader.reader(&COUNT).unwrap();
    assert_eq!(*count.get().unwrap(), 7);
    writer.set(&COUNT, &8).unwrap();
    assert_eq!(*count.get().unwrap(), 8);
}

#[test]
fn token_is_in_no_debug_text() {
    let store = Store::new();
    let logged = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&logged);
    let _logging = store.log(&crate::AUTH_TOKEN, move |change| log.lock().push(format!("{change:?}"))).unwrap();
    store.set(&crate::AUTH_TOKEN, &Some(crate::Token::new("s3cret"))).unwrap();
    let reader = store.reader(&crate::AUTH_TOKEN).unwrap();
    let texts = [format!("{logged:?}"), format!("{reader:?}"), format!("{store:?}")].concat();
    assert!(texts.contains("auth.token") && !texts.contains("s3cret"), "{texts}");
    let refused = store.get_path::<_, String>(&crate::AUTH_TOKEN, "").unwrap_err();
    assert_eq!(refused.code(), "atom-secret");
    assert_eq!(store.set_path(&crate::AUTH_TOKEN, "", "x").unwrap_err().code(), "atom-secret");
    store.update(&crate::AUTH_TOKEN, |_| None).unwrap();
    assert_eq!(*store.get(&crate::AUTH_TOKEN).unwrap(), None);
}

/// The interface itself checks, for code that does not use this crate's facade.
#[test]
fn cell_of_a_reader_refuses_writes() {
    let table = Table::new();
    let cells = table.bind(consumer("reader", &[("count", false)]));
    let cell = cells.open("count".into()).into_result().map_err(StoreError::from).unwrap();
    let write =
        |expected| cell.write(expected, RSlice::from_slice(b"1")).into_result().map_err(StoreError::from);
    for expected in [ROption::RNone, ROption::RSome(0)] {
        assert_eq!(write(expected).unwrap_err().code(), "atom-not-granted");
    }
    assert!(cell.epoch() == 0 && cell.read().into_result().is_ok_and(|snapshot| snapshot.epoch == 0));
    assert!(cells.open("auth.token".into()).into_result().is_err());
    let copy = cell.clone();
    drop((cells, cell));
    assert_eq!(copy.epoch(), 0, "a cell outlives its binding's handle");
}

#[test]
fn isolated_consumer_has_values_of_its_own() {
    let table = Table::new();
    let bind =
        |isolated| Store::from_cells(table.bind(Consumer { isolated, ..consumer("x", &[("count", true)]) }));
    let (shared, alone) = (bind(false), bind(true));
    alone.set(&COUNT, &1).unwrap();
    assert_eq!(*shared.get(&COUNT).unwrap(), 7);
}
