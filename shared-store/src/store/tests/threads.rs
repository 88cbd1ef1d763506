//! Many threads, atoms, and listeners that come and go.

use std::sync::{Barrier, OnceLock};

use super::*;

const THREADS: usize = 16;
const ATOMS: usize = 64;
const ROUNDS: usize = 300;

fn atoms() -> &'static [Atom<u64>] {
    static ATOM_LIST: OnceLock<Vec<Atom<u64>>> = OnceLock::new();
    let name = |n: usize| -> &'static str { Box::leak(format!("stress.{n}").into_boxed_str()) };
    ATOM_LIST.get_or_init(|| (0..ATOMS).map(|n| Atom::new(name(n), || 0)).collect())
}

static PAIR: Computed<(u64, u64)> = Computed::new(|cx| {
    let first = *cx.get(&atoms()[0])?;
    Ok((first, *cx.get(&SAME)?))
});
/// The same atom on another way: each view of both must agree.
static SAME: Computed<u64> = Computed::new(|cx| Ok(*cx.get(&atoms()[0])?));
static ALL: Computed<u64> =
    Computed::new(|cx| atoms().iter().try_fold(0_u64, |sum, atom| Ok(sum.wrapping_add(*cx.get(atom)?))));

#[test]
fn threads_with_changing_listeners_end_consistent() {
    let store = Store::new();
    let torn = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&torn);
    let _pair = store
        .listen(&PAIR, move |(a, b)| {
            count.fetch_add(usize::from(a != b), Ordering::SeqCst);
        })
        .unwrap();
    let last = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&last);
    let _all = store.listen(&ALL, move |sum| *seen.lock() = *sum).unwrap();
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                let mut number = thread as u64;
                let mut random = move |below: usize| {
                    number =
                        number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (number >> 33) as usize % below
                };
                let mut listening = Vec::new();
                for round in 0..ROUNDS {
                    let atom = &atoms()[random(ATOMS)];
                    match random(6) {
                        0 => listening.push(store.listen(atom, |_| {}).unwrap()),
                        1 => {
                            let (inner, other) = (store.clone(), &atoms()[random(ATOMS)]);
                            let f = move |v: &u64| {
                                if v.is_multiple_of(7) {
                                    inner.set(other, &(v + 1)).unwrap();
                                }
                            };
                            listening.push(store.subscribe(atom, f).unwrap());
                        }
                        2 => drop(listening.pop()),
                        3 => store.batch(|| {
                            store.set(atom, &(round as u64)).unwrap();
                            store.update(&atoms()[0], |v| v + 1).unwrap();
                        }),
                        4 => {
                            let (a, b) = *store.get(&PAIR).unwrap();
                            assert_eq!(a, b, "one view has one value of an atom");
                        }
                        _ => store.set(atom, &(round as u64)).unwrap(),
                    }
                }
            });
        }
    });
    store.all_tasks(std::time::Duration::from_mins(1)).unwrap();
    let sum = atoms().iter().map(|atom| *store.get(atom).unwrap()).fold(0, u64::wrapping_add);
    assert_eq!((*store.get(&ALL).unwrap(), *last.lock()), (sum, sum), "the last change was delivered");
    assert_eq!(torn.load(Ordering::SeqCst), 0, "no listener saw two moments at once");
}

#[test]
fn change_while_another_thread_delivers_arrives() {
    static GATE: Atom<u64> = Atom::new("gate", || 0);
    let store = Store::new();
    let (entered, leave) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (here, there) = (Arc::clone(&entered), Arc::clone(&leave));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&seen);
    let _listening = store
        .listen(&GATE, move |v| {
            list.lock().push((*v, std::thread::current().id()));
            if *v == 1 {
                here.wait();
                there.wait();
            }
        })
        .unwrap();
    let delivering = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            store.set(&GATE, &1).unwrap();
            std::thread::current().id()
        });
        entered.wait();
        store.set(&GATE, &2).unwrap();
        assert_eq!(seen.lock().len(), 1, "it is queued, and this thread does not wait");
        leave.wait();
        thread.join().unwrap()
    });
    assert_eq!(*seen.lock(), [(1, delivering), (2, delivering)]);
}
