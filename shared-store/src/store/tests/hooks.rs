//! Hooks, mounts, tasks and logs.

use std::{ops::ControlFlow, sync::mpsc, time::Duration};

use super::*;

static FEED: Atom<u64> = Atom::new("feed", || 0);
static DOUBLE: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&FEED)? * 2));

const PATIENCE: Duration = Duration::from_mins(1);
const NEVER: Duration = Duration::from_hours(1);

type Log = Arc<Mutex<Vec<&'static str>>>;

/// Adds a hook of each kind that writes into the log.
fn hooked(store: &Store) -> (Log, [Listening; 3]) {
    let log = Log::default();
    let line = |text| {
        let log = Arc::clone(&log);
        move || log.lock().push(text)
    };
    let (mount, unmount) = (line("mount"), line("unmount"));
    let hooks = [
        store.on_start(&FEED, line("start")).unwrap(),
        store.on_stop(&FEED, line("stop")).unwrap(),
        store
            .on_mount(&FEED, move || {
                mount();
                cleanup(unmount.clone())
            })
            .unwrap(),
    ];
    (log, hooks)
}

#[test]
fn source_stays_mounted_for_the_delay() {
    let store = Store::new();
    store.set_unmount_delay(NEVER);
    let (log, _hooks) = hooked(&store);
    let first = store.listen(&FEED, |_| {}).unwrap();
    let second = store.listen(&DOUBLE, |_| {}).unwrap();
    drop(first);
    assert_eq!(*log.lock(), ["start", "mount"], "the computed value listens");
    drop(second);
    let again = store.listen(&FEED, |_| {}).unwrap();
    assert_eq!(*log.lock(), ["start", "mount", "stop", "start"]);
    drop(again);
    store.close();
    assert_eq!(*log.lock(), ["start", "mount", "stop", "start", "stop", "unmount"]);
}

#[test]
fn unmount_follows_the_delay() {
    let store = Store::new();
    store.set_unmount_delay(Duration::from_millis(1));
    let (sender, ended) = mpsc::channel();
    let _hook = store
        .on_mount(&FEED, move || {
            let sender = sender.clone();
            cleanup(move || sender.send(std::thread::current().name().map(str::to_owned)).unwrap())
        })
        .unwrap();
    drop(store.listen(&FEED, |_| {}).unwrap());
    assert_eq!(ended.recv_timeout(PATIENCE).unwrap().as_deref(), Some("store"));
}

#[test]
fn mount_hook_sets_what_subscribers_see() {
    let store = Store::new();
    let setter = store.clone();
    let _hook = store
        .on_mount(&FEED, move || {
            setter.set(&FEED, &5).unwrap();
            None
        })
        .unwrap();
    let (seen, f) = recorder();
    let _listening = store.subscribe(&FEED, f).unwrap();
    assert_eq!(*seen.lock(), [5]);
}

#[test]
fn kept_mount_needs_no_listener() {
    let store = Store::new();
    store.set_unmount_delay(Duration::ZERO);
    let (log, _hooks) = hooked(&store);
    let kept = store.keep_mount(&DOUBLE).unwrap();
    drop(store.listen(&FEED, |_| {}).unwrap());
    assert_eq!(*log.lock(), ["start", "mount"]);
    drop(kept);
    assert_eq!(*log.lock(), ["start", "mount", "stop", "unmount"]);
}

#[test]
fn hooks_of_set_see_each_other() {
    let store = Store::new();
    let double = store.on_set(&FEED, |new| Intercept::Change(new * 2)).unwrap();
    let _small = store.on_set(&FEED, |new| if *new > 10 { Intercept::Veto } else { Intercept::Keep }).unwrap();
    store.set(&FEED, &3).unwrap();
    store.set(&FEED, &6).unwrap();
    assert_eq!(*store.get(&FEED).unwrap(), 6, "12 is vetoed");
    store.update(&FEED, |_| 2).unwrap();
    assert_eq!(*store.get(&FEED).unwrap(), 4);
    drop(double);
    store.set_path(&FEED, "", &9).unwrap();
    assert_eq!(*store.get(&FEED).unwrap(), 9);
    let _broken = store.on_set(&FEED, |_| panic!("a hook fails on purpose")).unwrap();
    assert_eq!(store.set(&FEED, &1).unwrap_err().code(), "atom-panicked");
    assert_eq!(*store.get(&FEED).unwrap(), 9);
}

#[test]
fn vetoed_notification_reaches_computed_values() {
    let store = Store::new();
    let veto = store.on_notify(&FEED, |_| ControlFlow::Break(())).unwrap();
    let ((seen, f), (doubled, g)) = (recorder(), recorder());
    let _listening = (store.listen(&FEED, f).unwrap(), store.listen(&DOUBLE, g).unwrap());
    store.set(&FEED, &3).unwrap();
    drop(veto);
    store.set(&FEED, &4).unwrap();
    assert_eq!((&*seen.lock(), &*doubled.lock()), (&vec![4], &vec![6, 8]));
}

#[test]
fn quiet_means_no_task_and_nothing_queued() {
    let store = Store::new();
    store.all_tasks(Duration::ZERO).unwrap();
    let task = store.start_task();
    assert_eq!(store.all_tasks(Duration::ZERO).unwrap_err().code(), "store-busy");
    let inner = store.clone();
    let busy = Arc::new(Mutex::new(None));
    let result = Arc::clone(&busy);
    let _listening = store
        .listen(&FEED, move |_| *result.lock() = Some(inner.all_tasks(Duration::ZERO).unwrap_err().code()))
        .unwrap();
    drop(task);
    store.set(&FEED, &1).unwrap();
    assert_eq!(*busy.lock(), Some("store-busy"), "a listener runs");
    store.all_tasks(Duration::ZERO).unwrap();
}

#[test]
fn log_has_old_and_new_value() {
    let store = Store::new();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&lines);
    let _logging = store.log(&FEED, move |change| list.lock().push(change.clone())).unwrap();
    store.set(&FEED, &1).unwrap();
    store.set(&FEED, &2).unwrap();
    let change = |epoch, old: &str, new: &str| {
        let (old, new) = (Some(old.to_owned()), Some(new.to_owned()));
        AtomChange { name: "feed", epoch, old, new }
    };
    assert_eq!(*lines.lock(), [change(1, "0", "1"), change(2, "1", "2")]);
}
