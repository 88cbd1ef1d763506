//! Benchmarks of the store: reads and writes, listeners, and graphs of computed values.
//!
//! `cargo xtask bench -- store`, or `cargo bench -p shared-store --bench store`.
//! `bench/nanostores/run.mjs` does the same work in JavaScript, under the same names.
//! Two stores over one table are two participants: their only connection is the interface that crosses between
//! libraries, called through its function table as in a remote.
#![expect(clippy::unwrap_used, reason = "the atoms in this file are granted and fit their types")]

use std::{hint::black_box, sync::OnceLock, time::Duration};

use criterion::Criterion;
use plugin_api::shared::{Consumer, notify_fn};
use shared_store::{AUTH, Atom, Auth, Computed, Listening, Store, StoreError, Tracking, User, bundled::Table};

/// Sources of the wide graphs.
const WIDTH: usize = 1_000;

static COUNT: Atom<u64> = Atom::new("count", || 0);
static DOUBLE: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&COUNT)? * 2));
static SUM: Computed<u64> =
    Computed::new(|cx| atoms().iter().try_fold(0, |sum, atom| Ok(sum + *cx.get(atom)?)));

fn main() {
    let mut criterion = Criterion::default()
        .configure_from_args()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    reads(&mut criterion);
    writes(&mut criterion);
    graphs(&mut criterion);
    criterion.final_summary();
}

/// Returns the views of two participants.
fn participants() -> (Store, Store) {
    let table = Table::new();
    let bind = |name: &str| {
        let (name, grants, notify) = (name.into(), Vec::new().into(), notify_fn(|| {}));
        Store::from_cells(table.bind(Consumer { name, grants, all: true, isolated: false, notify }))
    };
    (bind("host"), bind("remote"))
}

fn signed_in(number: u64) -> Auth {
    let user = User {
        id: number.to_string(),
        name: "Ada Lovelace".into(),
        role: "engineer".into(),
        email: Some("ada@example.org".into()),
    };
    Auth { user: Some(user), is_authenticated: true }
}

fn reads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store/read");
    let (host, remote) = participants();
    host.set(&AUTH, &signed_in(1)).unwrap();
    let mut reader = remote.reader(&AUTH).unwrap();
    group.bench_function("unchanged Auth of another participant, reader", |b| {
        b.iter(|| black_box(reader.get().unwrap()).is_authenticated);
    });
    group.bench_function("unchanged Auth of another participant, get", |b| {
        b.iter(|| black_box(remote.get(&AUTH).unwrap()));
    });
    group.bench_function("unchanged computed, get", |b| b.iter(|| black_box(remote.get(&DOUBLE).unwrap())));
    group.finish();
}

fn writes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store/set");
    let mut number = 0;
    let mut next = move || {
        number += 1;
        number
    };
    let store = Store::new();
    group.bench_function("u64, no listener", |b| b.iter(|| store.set(&COUNT, &next()).unwrap()));
    let listen = |store: &Store| store.listen(&COUNT, |value| _ = black_box(*value)).unwrap();
    let one = listen(&store);
    group.bench_function("u64, 1 listener", |b| b.iter(|| store.set(&COUNT, &next()).unwrap()));
    group.bench_function("equal u64, 1 listener", |b| {
        store.set(&COUNT, &0).unwrap();
        b.iter(|| store.set(&COUNT, &0).unwrap());
    });
    drop(one);
    let many: Vec<_> = (0..1_000).map(|_| listen(&store)).collect();
    group.bench_function("u64, 1,000 listeners", |b| b.iter(|| store.set(&COUNT, &next()).unwrap()));
    drop(many);

    let (host, remote) = participants();
    let _listening = remote
        .listen(&AUTH, |auth| {
            black_box(auth.is_authenticated);
        })
        .unwrap();
    let states = [signed_in(1), signed_in(2)];
    group.bench_function("Auth, 1 listener in another participant", |b| {
        b.iter(|| {
            host.set(&AUTH, &states[next() as usize % 2]).unwrap();
            remote.deliver();
        });
    });
    group.finish();
}

/// Computed values that read one atom, and one that reads them all.
mod diamond {
    use super::{Computed, OnceLock, StoreError, Tracking, WIDTH};

    pub(super) fn sides() -> &'static [Computed<u64>] {
        static SIDES: OnceLock<Vec<Computed<u64>>> = OnceLock::new();
        SIDES.get_or_init(|| (0..WIDTH).map(|_| Computed::new(side)).collect())
    }

    fn side(cx: &mut Tracking<'_>) -> Result<u64, StoreError> {
        Ok(*cx.get(&super::COUNT)? + 1)
    }

    pub(super) static BOTTOM: Computed<u64> =
        Computed::new(|cx| sides().iter().try_fold(0, |sum, side| Ok(sum + *cx.get(side)?)));
}

fn atoms() -> &'static [Atom<u64>] {
    static ATOMS: OnceLock<Vec<Atom<u64>>> = OnceLock::new();
    let name = |number: usize| -> &'static str { Box::leak(format!("atom.{number}").into_boxed_str()) };
    ATOMS.get_or_init(|| (0..WIDTH).map(|number| Atom::new(name(number), || 0)).collect())
}

fn graphs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store/graph");
    let mut number = 0;
    let mut next = move || {
        number += 1;
        number
    };
    let listen = |store: &Store, source: &'static Computed<u64>| -> Listening {
        store.listen(source, |value| _ = black_box(*value)).unwrap()
    };
    let store = Store::new();
    let bottom = listen(&store, &diamond::BOTTOM);
    group.bench_function("diamond of 1,000", |b| b.iter(|| store.set(&COUNT, &next()).unwrap()));
    drop(bottom);
    let _sum = listen(&store, &SUM);
    group.bench_function("batch of 1,000 sets, 1 computed", |b| {
        b.iter(|| {
            let value = next();
            store.batch(|| {
                for atom in atoms() {
                    store.set(atom, &value).unwrap();
                }
            });
        });
    });
    group.finish();
}
