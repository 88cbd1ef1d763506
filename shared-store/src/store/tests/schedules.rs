//! The store under many schedules of its threads; see `sync`.

use shuttle::{check_random, thread};

use super::*;

static X: Atom<u64> = Atom::new("x", || 0);
static Y: Atom<u64> = Atom::new("y", || 0);
static LEFT: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&X)? + 1));
static RIGHT: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&X)? + 1));
static BOTH: Computed<(u64, u64, u64)> =
    Computed::new(|cx| Ok((*cx.get(&LEFT)?, *cx.get(&RIGHT)?, *cx.get(&Y)?)));
/// Reads one of two sources.
static EITHER: Computed<u64> = Computed::new(|cx| match *cx.get(&Y)? {
    0 => Ok(0),
    _ => Ok(*cx.get(&LEFT)?),
});

const SCHEDULES: usize = 20_000;

#[test]
fn last_change_is_delivered_in_each_schedule() {
    check_random(
        || {
            let store = Store::new();
            let last = Arc::new(std::sync::Mutex::new((1, 1, 0)));
            let seen = Arc::clone(&last);
            let _listening = store
                .listen(&BOTH, move |now| {
                    assert_eq!(now.0, now.1, "values of one moment");
                    *seen.lock().unwrap() = *now;
                })
                .unwrap();
            let errors = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&errors);
            store.on_error(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            let threads: Vec<_> = [(&X, 2), (&Y, 3)]
                .into_iter()
                .map(|(atom, value)| {
                    let store = store.clone();
                    thread::spawn(move || {
                        store.set(atom, &1).unwrap();
                        store.get(&BOTH).unwrap();
                        store.set(atom, &value).unwrap();
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!((*last.lock().unwrap(), errors.load(Ordering::SeqCst)), ((3, 3, 3), 0));
        },
        SCHEDULES,
    );
}

#[test]
fn listener_misses_nothing_after_it_began() {
    check_random(
        || {
            let store = Store::new();
            let writer = store.clone();
            let thread = thread::spawn(move || {
                for value in [1, 2] {
                    writer.set(&Y, &value).unwrap();
                    writer.set(&X, &value).unwrap();
                }
            });
            let last = Arc::new(std::sync::Mutex::new(None));
            let seen = Arc::clone(&last);
            let _listening = store.subscribe(&EITHER, move |now| *seen.lock().unwrap() = Some(*now)).unwrap();
            drop(store.listen(&BOTH, |_| {}).unwrap());
            thread.join().unwrap();
            assert_eq!((*store.get(&EITHER).unwrap(), *last.lock().unwrap()), (3, Some(3)));
        },
        SCHEDULES,
    );
}

#[test]
fn hooks_alternate_in_each_schedule() {
    check_random(
        || {
            let store = Store::new();
            let active = Arc::new(AtomicUsize::new(0));
            let (up, down) = (Arc::clone(&active), Arc::clone(&active));
            let _hooks = (
                store.on_start(&X, move || assert_eq!(up.fetch_add(1, Ordering::SeqCst), 0)).unwrap(),
                store.on_stop(&X, move || assert_eq!(down.fetch_sub(1, Ordering::SeqCst), 1)).unwrap(),
            );
            store.on_error(|error| panic!("{error}"));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let store = store.clone();
                    thread::spawn(move || {
                        for _ in 0..2 {
                            drop(store.listen(&LEFT, |_| {}).unwrap());
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(active.load(Ordering::SeqCst), 0);
        },
        SCHEDULES,
    );
}

#[test]
fn close_ends_everything_in_each_schedule() {
    check_random(
        || {
            let store = Store::new();
            let alive = Arc::new(());
            let held = Arc::clone(&alive);
            let listening = store.listen(&BOTH, move |_| drop(Arc::clone(&held))).unwrap();
            let (writer, listener, kept) = (store.clone(), store.clone(), Arc::clone(&alive));
            let threads = [
                thread::spawn(move || {
                    let _ = writer.batch(|| writer.set(&X, &1).and_then(|()| writer.set(&Y, &1)));
                }),
                thread::spawn(move || {
                    let _ = listener.effect(move |cx| {
                        let _ = (&kept, cx.get(&BOTH)?);
                        Ok(None)
                    });
                }),
            ];
            store.close();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(Arc::strong_count(&alive), 1);
            drop(listening);
        },
        SCHEDULES,
    );
}
