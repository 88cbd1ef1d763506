//! Members, paths, and updates by builds that know less.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Old {
    name: String,
    office: OldPlace,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct OldPlace {
    city: String,
}

static OLD: Atom<Old> =
    Atom::new("person", || Old { name: "Ada".into(), office: OldPlace { city: "London".into() } });
static RAW: Atom<Json> = Atom::new("person", || Json::Null);

#[test]
fn update_keeps_fields_of_later_builds() {
    let store = Store::new();
    let later = json!({ "name": "Ada", "age": 36, "office": { "city": "London", "zone": [1, 2] }, "tags": {} });
    store.set(&RAW, &later).unwrap();
    store.update(&OLD, |old| Old { name: "Eve".into(), ..old.clone() }).unwrap();
    let expected =
        json!({ "name": "Eve", "age": 36, "office": { "city": "London", "zone": [1, 2] }, "tags": {} });
    assert_eq!(*store.get(&RAW).unwrap(), expected);
    store.set_key(&OLD, "name", "Bob").unwrap();
    store.set_path(&OLD, "/office/city", "Paris").unwrap();
    let expected =
        json!({ "name": "Bob", "age": 36, "office": { "city": "Paris", "zone": [1, 2] }, "tags": {} });
    assert_eq!(*store.get(&RAW).unwrap(), expected);
    let replaced = Old { name: "Eve".into(), office: OldPlace { city: "Rome".into() } };
    store.set(&OLD, &replaced).unwrap();
    assert_eq!(*store.get(&RAW).unwrap(), json!({ "name": "Eve", "office": { "city": "Rome" } }));
}

#[test]
fn update_follows_a_renamed_field() {
    #[derive(Serialize, Deserialize)]
    struct Renamed {
        #[serde(alias = "name")]
        full_name: String,
    }
    static RENAMED: Atom<Renamed> = Atom::new("person", || Renamed { full_name: String::new() });
    let store = Store::new();
    store.set(&RAW, &json!({ "name": "Ada", "age": 36 })).unwrap();
    store.update(&RENAMED, |old| Renamed { full_name: format!("{} L.", old.full_name) }).unwrap();
    assert_eq!(*store.get(&RAW).unwrap(), json!({ "full_name": "Ada L.", "age": 36 }));
    assert_eq!(store.get(&RENAMED).unwrap().full_name, "Ada L.");
}

#[test]
fn removed_map_entry_stays_removed() {
    static SIZES: Atom<BTreeMap<String, u32>> = Atom::new("sizes", BTreeMap::new);
    let store = Store::new();
    store.set(&SIZES, &BTreeMap::from([("a".into(), 1), ("b".into(), 2)])).unwrap();
    store
        .update(&SIZES, |old| old.iter().filter(|(k, _)| *k != "a").map(|(k, v)| (k.clone(), *v)).collect())
        .unwrap();
    assert_eq!(*store.get(&SIZES).unwrap(), BTreeMap::from([("b".into(), 2)]));
}

#[test]
fn unknown_variant_is_a_typed_error() {
    #[derive(Serialize, Deserialize, Clone, Debug)]
    enum Mode {
        Light,
    }
    static MODE: Atom<Mode> = Atom::new("mode", || Mode::Light);
    static TEXT: Atom<String> = Atom::new("mode", String::new);
    static SHOWN: Computed<String> = Computed::new(|cx| Ok(format!("{:?}", cx.get(&MODE)?)));
    let store = Store::new();
    let _listening = store.listen(&SHOWN, |_| {}).unwrap();
    store.set(&TEXT, &"Sepia".into()).unwrap();
    let errors = [
        store.get(&MODE).unwrap_err(),
        store.get(&SHOWN).unwrap_err(),
        store.update(&MODE, Mode::clone).unwrap_err(),
        store.reader(&MODE).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.code() == "atom-decode"), "{errors:?}");
    assert_eq!(*store.get(&TEXT).unwrap(), "Sepia", "nothing was written");
    store.reset(&MODE).unwrap();
    assert_eq!(*store.get(&SHOWN).unwrap(), "Light");
}

#[test]
fn result_that_does_not_fit_is_not_written() {
    let store = Store::new();
    let before = store.get(&OLD).unwrap();
    for (path, code) in [
        ("/name", "atom-decode"),
        ("", "atom-decode"),
        ("/office", "atom-decode"),
        ("/office/city/x", "atom-path"),
        ("/none/x", "atom-path"),
        ("name", "atom-path"),
    ] {
        assert_eq!(store.set_path(&OLD, path, &7).unwrap_err().code(), code, "{path}");
    }
    assert_eq!((store.get(&OLD).unwrap(), store.epoch(&OLD).unwrap()), (before, 0));
    assert_eq!(store.get_path::<_, u32>(&OLD, "/name").unwrap_err().code(), "atom-decode");
    assert_eq!(store.get_path::<_, u32>(&OLD, "/none").unwrap(), None);
}

#[test]
fn paths_reach_arrays_and_odd_names() {
    static TREE: Atom<Json> = Atom::new("tree", || json!({ "a/b": { "~": [1, 2] } }));
    let store = Store::new();
    store.set_path(&TREE, "/a~1b/~0/0", &7).unwrap();
    store.set_path(&TREE, "/a~1b/~0/-", &3).unwrap();
    assert_eq!(*store.get(&TREE).unwrap(), json!({ "a/b": { "~": [7, 2, 3] } }));
    assert_eq!(store.set_path(&TREE, "/a~1b/~0/9", &7).unwrap_err().code(), "atom-path");
    store.set_key(&TREE, "a/b", &1).unwrap();
    assert_eq!(*store.get(&TREE).unwrap(), json!({ "a/b": 1 }));
}

#[test]
fn listener_of_keys_ignores_other_keys() {
    let store = Store::new();
    let names = Arc::new(Mutex::new(Vec::new()));
    let cities = Arc::clone(&names);
    let list = Arc::clone(&names);
    let _keys =
        store.listen_keys(&OLD, &["name", "age"], move |old| list.lock().push(old.name.clone())).unwrap();
    let _paths = store
        .listen_paths(&OLD, &["/office/city"], move |old| cities.lock().push(old.office.city.clone()))
        .unwrap();
    store.set_path(&OLD, "/office/city", "Paris").unwrap();
    store.set_key(&OLD, "name", "Eve").unwrap();
    store.set_key(&OLD, "other", "x").unwrap();
    store.set_key(&OLD, "age", &36).unwrap();
    assert_eq!(
        *names.lock(),
        ["Paris", "Eve", "Eve"],
        "the last one for a member that this build does not know"
    );
}

#[test]
fn concurrent_keys_lose_nothing() {
    static COUNTS: Atom<BTreeMap<String, u64>> = Atom::new("counts", BTreeMap::new);
    let table = Table::new();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let store = Store::from_cells(table.bind(consumer(name, &[("counts", true)])));
            scope.spawn(move || (1..=100_u64).for_each(|v| store.set_key(&COUNTS, name, &v).unwrap()));
        }
    });
    let store = Store::from_cells(table.bind(consumer("e", &[("counts", false)])));
    assert_eq!(store.get(&COUNTS).unwrap().values().copied().collect::<Vec<_>>(), [100; 4]);
}
