//! Libraries that are still being written, or were truncated.

use std::fs;

use pulse::library;

use crate::support::{Installation, libraries};

#[test]
fn a_library_is_complete_when_all_of_it_is_there() {
    let installation = Installation::new();
    for library in [&libraries().no_sdk, &libraries().misbehaving] {
        let bytes = fs::read(library).expect("libraries can be read");
        assert_eq!(
            library::complete(library).expect("a complete file"),
            library::inspect(library).expect("a manifest")
        );
        let steps = (0..64).map(|step| bytes.len() / 64 * step);
        let ends = [1, 8, 63, 64, 65, 4096].into_iter().flat_map(|n| [n, bytes.len() - n]);
        for length in steps.chain(ends) {
            let part = installation.write("part.so", &bytes[..length]);
            let error = library::complete(&part).expect_err("a part of the library");
            let codes = ["library-not-a-library", "library-damaged", "library-not-a-plugin"];
            assert!(codes.contains(&error.code().as_str()), "{length} of {}: {error}", bytes.len());
            // Linkers and downloads create files of the full length and fill them later.
            let mut filled = bytes[..length].to_vec();
            filled.resize(bytes.len(), 0);
            let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default();
            let complete = library::complete(&installation.write("filled.so", filled));
            assert_eq!(complete.is_ok(), length > last, "{length} of {}", bytes.len());
        }
    }
}
