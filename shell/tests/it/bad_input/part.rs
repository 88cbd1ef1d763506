//! Libraries that are still being written, or were cut off.

use std::fs;

use pulse::library;

use crate::support::{Installation, libraries};

#[test]
fn a_library_is_complete_when_all_of_it_is_there() {
    let installation = Installation::new();
    for library in [&libraries().no_sdk, &libraries().misbehaving] {
        let whole = fs::read(library).expect("libraries can be read");
        assert_eq!(library::complete(library).expect("it is"), library::inspect(library).expect("it is"));
        let steps = (0..64).map(|step| whole.len() / 64 * step);
        let ends = [1, 8, 63, 64, 65, 4096].into_iter().flat_map(|n| [n, whole.len() - n]);
        for length in steps.chain(ends) {
            let part = installation.write("part.so", &whole[..length]);
            let error = library::complete(&part).expect_err("a part of it");
            let codes = ["library-not-a-library", "library-damaged", "library-not-a-plugin"];
            assert!(codes.contains(&error.code().as_str()), "{length} of {}: {error}", whole.len());
            // The whole length from the start, as linkers and downloads make files that they fill later.
            let mut filled = whole[..length].to_vec();
            filled.resize(whole.len(), 0);
            let last = whole.iter().rposition(|byte| *byte != 0).unwrap_or_default();
            let complete = library::complete(&installation.write("filled.so", filled));
            assert_eq!(complete.is_ok(), length > last, "{length} of {}", whole.len());
        }
    }
}
