//! Listeners that change what they belong to, and the end of a store.

use std::sync::{Weak, mpsc};

use super::*;

static LEFT: Atom<u64> = Atom::new("left", || 0);
static RIGHT: Atom<u64> = Atom::new("right", || 0);
static BOTH: Computed<(u64, u64)> = Computed::new(|cx| Ok((*cx.get(&LEFT)?, *cx.get(&RIGHT)?)));

#[test]
fn set_in_a_listener_is_delivered_after_it() {
    let store = Store::new();
    let log = Arc::new(Mutex::new(Vec::new()));
    let (one, two, setter) = (Arc::clone(&log), Arc::clone(&log), store.clone());
    let _first = store
        .listen(&LEFT, move |v| {
            one.lock().push(("left", *v));
            setter.set(&RIGHT, v).unwrap();
            if *v < 3 {
                setter.set(&LEFT, &(v + 1)).unwrap();
            }
            one.lock().push(("left ends", *v));
        })
        .unwrap();
    let _second = store.listen(&RIGHT, move |v| two.lock().push(("right", *v))).unwrap();
    store.set(&LEFT, &2).unwrap();
    let expected = [("left", 2), ("left ends", 2), ("right", 2), ("left", 3), ("left ends", 3), ("right", 3)];
    assert_eq!(log.lock()[..2], expected[..2]);
    let mut sorted = log.lock().clone();
    sorted.sort_unstable();
    let mut all = expected;
    all.sort_unstable();
    assert_eq!(sorted, all, "each once");
}

#[test]
fn listener_may_drop_itself_and_others() {
    let store = Store::new();
    let (seen, f) = recorder();
    let guards = Arc::new(Mutex::new(Vec::new()));
    let held = Arc::clone(&guards);
    let first = store
        .listen(&LEFT, move |v| {
            f(v);
            // Dropped after the lock: a guard's captures may lock it.
            let guards = std::mem::take(&mut *held.lock());
            drop(guards);
        })
        .unwrap();
    let second = store.listen(&LEFT, |_| panic!("it was dropped before its turn")).unwrap();
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    store.on_error(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    guards.lock().extend([first, second]);
    store.set(&LEFT, &1).unwrap();
    store.set(&LEFT, &2).unwrap();
    assert_eq!((&*seen.lock(), failed.load(Ordering::SeqCst)), (&vec![1], 0));
}

#[test]
fn listener_may_subscribe_and_batch() {
    let store = Store::new();
    let inner = store.clone();
    let (seen, f) = recorder();
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let f = Arc::new(f);
    let _listening = store
        .listen(&LEFT, move |v| {
            let f = Arc::clone(&f);
            let new = inner.subscribe(&BOTH, move |(left, right)| f(&(left * 10 + right))).unwrap();
            let old = keep.lock().replace(new);
            drop(old);
            inner.batch(|| {
                inner.set(&RIGHT, &0).unwrap();
                inner.set(&RIGHT, v).unwrap();
            });
        })
        .unwrap();
    store.set(&LEFT, &1).unwrap();
    assert_eq!(*seen.lock(), [10, 11]);
    store.set(&LEFT, &2).unwrap();
    assert_eq!(seen.lock().last(), Some(&22));
}

#[test]
fn listener_may_close_its_own_store() {
    let store = Store::new();
    let inner = store.clone();
    let (sender, ended) = mpsc::channel();
    let _effect = store.effect(move |cx| {
        cx.get(&LEFT)?;
        let sender = sender.clone();
        Ok(cleanup(move || {
            let _ = sender.send(());
        }))
    });
    let _closing = store.listen(&LEFT, move |_| inner.close()).unwrap();
    let _after = store.listen(&LEFT, |_| panic!("the store is closed")).unwrap();
    store.set(&LEFT, &1).unwrap();
    assert_eq!(ended.try_iter().count(), 2, "before the second run, and at the end");
    assert_eq!(store.get(&LEFT).unwrap_err(), StoreError::Closed);
    assert_eq!(store.set(&LEFT, &1).unwrap_err().code(), "store-closed");
    assert_eq!(store.listen(&LEFT, |_| {}).unwrap_err(), StoreError::Closed);
}

#[test]
fn closed_store_leaves_nothing_behind() {
    let table = Table::new();
    let alive = Arc::new(());
    let notified = Arc::new(AtomicUsize::new(0));
    let (count, held) = (Arc::clone(&notified), Arc::clone(&alive));
    let store = Store::from_cells(table.bind(Consumer {
        all: true,
        notify: notify_fn(move || {
            let _ = &held;
            count.fetch_add(1, Ordering::SeqCst);
        }),
        ..consumer("reader", &[])
    }));
    // Each holds the store, too, as listeners of authors do.
    let callback = || (Arc::clone(&alive), store.clone());
    let (a, b, c, d) = (callback(), callback(), callback(), callback());
    let guards = (
        store.listen(&LEFT, move |_| drop(a.clone())).unwrap(),
        store.subscribe(&BOTH, move |_| drop(b.clone())).unwrap(),
        store
            .on_mount(&RIGHT, move || {
                cleanup({
                    let c = c.clone();
                    move || drop(c)
                })
            })
            .unwrap(),
        store
            .effect(move |cx| {
                let _ = (&d, cx.get(&BOTH)?);
                Ok(None)
            })
            .unwrap(),
    );
    let inner = Arc::downgrade(&store.0);
    store.close();
    drop(store);
    assert!(Weak::upgrade(&inner).is_none(), "no cycle keeps the store");
    assert_eq!(Arc::strong_count(&alive), 1, "its binding, with the notification, and every callback are gone");
    let writer = Store::from_cells(table.bind(Consumer { all: true, ..consumer("writer", &[]) }));
    writer.set(&LEFT, &1).unwrap();
    assert_eq!(notified.load(Ordering::SeqCst), 0);
    drop(guards);
}

#[test]
fn destructors_may_use_the_store() {
    #[derive(Serialize, Deserialize)]
    struct Loud(u64);
    static STORE: std::sync::OnceLock<Store> = std::sync::OnceLock::new();
    static LOUD: Atom<Loud> = Atom::new("loud", || Loud(0));
    impl Drop for Loud {
        fn drop(&mut self) {
            let store = STORE.get().unwrap();
            store.set(&LEFT, &(self.0 + 100)).unwrap();
            store.get(&BOTH).unwrap();
        }
    }
    let store = STORE.get_or_init(Store::new);
    let _listening = (store.listen(&LOUD, |_| {}).unwrap(), store.listen(&BOTH, |_| {}).unwrap());
    store.set(&LOUD, &Loud(1)).unwrap();
    store.set(&LOUD, &Loud(2)).unwrap();
    store.update(&LOUD, |old| Loud(old.0 + 1)).unwrap();
    assert_eq!(store.get(&LOUD).unwrap().0, 3);
}
