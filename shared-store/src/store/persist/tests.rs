#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;

static RANGE: Atom<u32> = Atom::new("remoteA.Range/x", || 30);
const FILE: &str = "remote%41.%52ange%2fx.json";
const PATIENCE: Duration = Duration::from_mins(1);

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn value_survives_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new();
    let _persisting = store.persist(&RANGE, folder.path()).unwrap();
    assert_eq!(names(folder.path()), [""; 0], "nothing is saved before a change");
    store.set(&RANGE, &90).unwrap();
    store.all_tasks(PATIENCE).unwrap();
    assert_eq!(names(folder.path()), [FILE]);
    store.set(&RANGE, &91).unwrap();
    drop(store);
    let store = Store::new();
    let persisting = store.persist(&RANGE, folder.path()).unwrap();
    assert_eq!((persisting.damage(), *store.get(&RANGE).unwrap()), (None, 91));
    drop(persisting);
    store.set(&RANGE, &92).unwrap();
    store.close();
    let store = Store::new();
    let _persisting = store.persist(&RANGE, folder.path()).unwrap();
    assert_eq!(*store.get(&RANGE).unwrap(), 91, "the persistence had ended");
}

#[test]
fn unusable_file_is_set_aside_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    for (number, (text, code)) in [
        ("", "atom-file-damaged"),
        (r#"{"format":1,"atom":"remoteA.Range/x","value":9"#, "atom-file-damaged"),
        (r#"{"format":1,"atom":"other","value":9}"#, "atom-file-damaged"),
        (r#"{"format":1,"atom":"remoteA.Range/x","value":"nine"}"#, "atom-file-damaged"),
        (r#"{"format":2,"atom":"remoteA.Range/x","value":9}"#, "atom-file-newer"),
    ]
    .into_iter()
    .enumerate()
    {
        fs::write(folder.path().join(FILE), text).unwrap();
        let store = Store::new();
        let reported = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&reported);
        store.on_error(move |error| list.lock().push(error.code()));
        let persisting = store.persist(&RANGE, folder.path()).unwrap();
        assert_eq!(persisting.damage().map(StoreError::code), Some(code), "{text}");
        assert_eq!((&*reported.lock(), *store.get(&RANGE).unwrap()), (&vec![code], 30), "{text}");
        let aside = folder.path().join(format!("{FILE}.damaged-{}", number + 1));
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
        assert!(!folder.path().join(FILE).exists());
    }
}

/// A process that was ended while it wrote leaves a file with a name of its own, complete or not.
#[test]
fn interrupted_write_leaves_the_earlier_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let text = r#"{"format":1,"atom":"remoteA.Range/x","value":9}"#;
    for cut in 0..text.len() {
        fs::write(&file, text).unwrap();
        let (left, mut new) = create(&file).unwrap();
        new.write_all(&text.as_bytes()[..cut]).unwrap();
        new.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
        drop(new);
        let store = Store::new();
        let persisting = store.persist(&RANGE, folder.path()).unwrap();
        assert_eq!((persisting.damage(), *store.get(&RANGE).unwrap()), (None, 9));
        assert!(!left.exists(), "what was left is removed once it is old");
    }
}

#[test]
fn set_value_counts_more_than_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), r#"{"format":1,"atom":"remoteA.Range/x","value":9}"#).unwrap();
    let store = Store::new();
    store.set(&RANGE, &5).unwrap();
    let _persisting = store.persist(&RANGE, folder.path()).unwrap();
    assert_eq!(*store.get(&RANGE).unwrap(), 5);
}

#[test]
fn two_stores_never_mix_values_in_a_file() {
    static TEXT: Atom<String> = Atom::new("text", String::new);
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for letter in ["a", "b"] {
            let folder = folder.path();
            scope.spawn(move || {
                let store = Store::new();
                let persisting = store.persist(&TEXT, folder).unwrap();
                assert_eq!(persisting.damage(), None);
                for length in 1..40 {
                    store.set(&TEXT, &letter.repeat(length * 100)).unwrap();
                    store.all_tasks(PATIENCE).unwrap();
                    let text = fs::read(folder.join("text.json")).unwrap();
                    let saved: Saved = serde_json::from_slice(&text).unwrap();
                    let value = saved.value.unwrap().as_str().unwrap().to_owned();
                    assert!(value.chars().all(|c| value.starts_with(c)), "{value}");
                }
            });
        }
    });
    assert_eq!(names(folder.path()), ["text.json"]);
}

#[test]
fn secret_and_unusable_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new();
    let refused = store.persist(&crate::AUTH_TOKEN, folder.path()).unwrap_err();
    assert_eq!(refused.code(), "atom-secret");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(store.persist(&RANGE, &file).unwrap_err().code(), "atom-file-failed");
}

#[test]
fn failing_save_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new();
    let (sender, reports) = std::sync::mpsc::channel();
    store.on_error(move |error| {
        let _ = sender.send(error.code());
    });
    let place = folder.path().join("gone");
    let _persisting = store.persist(&RANGE, &place).unwrap();
    fs::remove_dir(&place).unwrap();
    store.set(&RANGE, &1).unwrap();
    store.all_tasks(PATIENCE).unwrap();
    assert_eq!(reports.try_iter().collect::<Vec<_>>(), ["atom-file-failed"]);
}
