//! Runs the bodies of the fuzz targets on their seeds and on inputs near them.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
#[path = "../fuzz/src/lib.rs"]
mod bodies;

type Body = fn(&[u8]);

const TARGETS: [(&str, Body); 3] =
    [("manifest", bodies::manifest), ("plan", bodies::plan), ("section", bodies::section)];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("seeds").map(|file| file.expect("a seed").path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).expect("a seed")).collect()
}

#[test]
fn every_seed_passes() {
    for (target, body) in TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for seed in seeds {
            body(&seed);
        }
    }
}

proptest! {
    #[test]
    fn mutated_seeds_pass(seed: Index, places in vec((any::<Index>(), any::<u8>()), 0..8), cut: Index) {
        for (target, body) in TARGETS {
            let seeds = seeds(target);
            let mut bytes = seeds[seed.index(seeds.len())].clone();
            for (at, byte) in &places {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            body(&bytes);
            body(&bytes[..cut.index(bytes.len())]);
        }
    }

    #[test]
    fn any_bytes_pass(bytes in vec(any::<u8>(), 0..400)) {
        for (_, body) in TARGETS {
            body(&bytes);
        }
    }
}
