use std::path::PathBuf;

use negotiation::manifest::{HostManifest, MAX_MANIFEST_BYTES};
use plugin_api::{abi::RemoteError, shared::InstallError};
use shared_store::{StoreError, api::Fault};

use super::*;

#[test]
fn docs_explain_exactly_the_codes() {
    let headings = TEXT.lines().filter(|line| line.starts_with("### ")).count();
    assert_eq!(all().len(), headings, "each heading is a code and begins a well-formed entry");
    let mut codes: Vec<_> = all().iter().map(|entry| entry.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, Code::ALL);
    for group in all().chunk_by(|a, b| a.group == b.group) {
        assert!(group.is_sorted_by_key(|entry| entry.code.as_str()), "{}", group[0].group);
    }
}

#[test]
fn code_is_its_word_in_kebab_case() {
    for code in Code::ALL {
        let word = code.as_str();
        assert_eq!(Code::find(word), Some(*code));
        assert!(word.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase())));
        assert!(word.len() < crate::limits::CODE, "{word}");
    }
}

#[test]
fn codes_of_other_crates_keep_their_words() {
    use negotiation::resolver::DiagnosticCode::*;
    for code in [
        Conflict,
        DuplicateName,
        HostUnsatisfied,
        NameReserved,
        NoProvider,
        NotShared,
        NotSingleton,
        OwnCopy,
        ProviderNotGranted,
        ProviderRefused,
        SeparateScopes,
        SharedKeySimilar,
        VersionMismatch,
        VersionMismatchStrict,
    ] {
        assert_eq!(Code::from(code).as_str(), code.as_str());
    }
    for code in delivery::ErrorCode::ALL {
        assert_eq!(Code::from(*code).as_str(), code.as_str());
    }
    for text in ["", "{", r#"{"manifestVersion": 9}"#, &" ".repeat(MAX_MANIFEST_BYTES + 1)] {
        let error = HostManifest::from_json(text).expect_err("invalid manifest");
        assert_eq!(Code::from(&error).as_str(), error.code());
    }
    let (key, version, provider, difference) = Default::default();
    let layout = InstallError::Layout { key, version, provider, difference };
    for error in [InstallError::Used { key: "" }, InstallError::Missing { key: "" }, layout] {
        assert_eq!(Code::from(&error).as_str(), error.code());
    }
    let store = |code: &str| StoreError::from(Fault { code: code.into(), message: "".into() }).code();
    let (atom, message) = (String::new, String::new);
    let words = [
        RemoteError::EXPOSE_UNKNOWN,
        StoreError::NotInstalled.code(),
        StoreError::NotShared.code(),
        StoreError::Closed.code(),
        StoreError::Busy(String::new()).code(),
        StoreError::Cycle { at: String::new() }.code(),
        StoreError::Panicked { what: String::new(), at: String::new(), message: String::new() }.code(),
        StoreError::Path { atom: String::new(), path: String::new(), message: String::new() }.code(),
        StoreError::Secret { atom: String::new(), what: "" }.code(),
        StoreError::FileDamaged { atom: String::new(), message: String::new(), aside: PathBuf::new() }.code(),
        StoreError::FileNewer { atom: String::new(), format: 2, aside: PathBuf::new() }.code(),
        StoreError::FileFailed { atom: String::new(), message: String::new(), file: PathBuf::new() }.code(),
        peers::JoinError::Unsafe { path: PathBuf::new(), problem: "" }.code(),
        peers::JoinError::Failed { what: "", path: PathBuf::new(), error: std::io::Error::other("") }.code(),
        store(Fault::NOT_GRANTED),
        store(Fault::CONFLICT),
        store(Fault::REFUSED),
        StoreError::Decode { atom: atom(), message: message() }.code(),
        StoreError::Encode { atom: atom(), message: message() }.code(),
    ];
    assert!(words.iter().all(|word| Code::find(word).is_some()), "{words:?}");
}

#[test]
fn entry_parts_are_sentences() {
    for CodeDoc { code, group, meaning, cause, remedy, example } in all() {
        assert!(!group.is_empty(), "{code}");
        for part in [meaning, cause, remedy] {
            assert!(part.ends_with('.') && part.len() > 10, "{code}: {part}");
            let first = part.chars().next().unwrap_or_default();
            assert!(first.is_uppercase() || first == '`', "{code}: {part}");
        }
        assert_eq!(meaning.matches(". ").count(), 0, "one sentence: {code}: {meaning}");
        assert!(example.is_none_or(|text| !text.trim().is_empty() && !text.contains("```")), "{code}");
    }
}

#[test]
fn examples_of_json_are_json() {
    let begin = |text: &&str| text.starts_with('{');
    for example in all().iter().filter_map(|entry| entry.example).filter(begin) {
        assert!(serde_json::from_str::<serde_json::Value>(example).is_ok(), "{example}");
    }
}

#[test]
fn only_codes_of_pulse_are_found() {
    let entry = find("library-missing").expect("known code");
    assert_eq!((entry.code, entry.group), (Code::LibraryMissing, "Libraries"));
    assert_eq!(find("fixture-refused"), None);
}

#[test]
fn near_miss_is_found() {
    for (miss, meant) in [
        ("version-missmatch", "version-mismatch"),
        ("Library_Missing", "library-missing"),
        ("auth-time-out", "auth-timeout"),
        ("manifest-invald", "manifest-invalid"),
    ] {
        assert_eq!(near(miss), Some(meant), "{miss}");
    }
    assert_eq!(near("fixture-refused"), None);
    assert_eq!(near(""), None);
}

#[test]
fn text_is_wrapped_to_terminal_width() {
    let entry = CodeDoc {
        code: Code::Output,
        group: "Places",
        meaning: "It means this.".to_owned(),
        cause: "One two three four five six seven.".to_owned(),
        remedy: "Nothing.".to_owned(),
        example: Some("pulse --help\npulse plan"),
    };
    let expected = "\
output  (Places)

It means this.

Cause: One two three
four five six seven.

What to do: Nothing.

    pulse --help
    pulse plan
";
    assert_eq!(entry.render(20), expected);
}

#[test]
fn wrapping_keeps_every_word() {
    for entry in all() {
        let words: Vec<String> = entry.render(usize::MAX).split_whitespace().map(str::to_owned).collect();
        for width in [0, 1, 20, 79, 120] {
            let text = entry.render(width);
            assert!(text.split_whitespace().eq(words.iter().map(String::as_str)), "{}", entry.code);
            let prose = text.lines().skip(1).take_while(|line| !line.starts_with("    "));
            let narrow = |line: &str| line.chars().count() <= width || !line.contains(' ');
            assert!(prose.into_iter().all(narrow), "{width} columns:\n{text}");
        }
    }
}

#[test]
fn entry_serializes_as_json() {
    let entry = find("conflict").expect("known code");
    let json = serde_json::to_value(entry).expect("entries serialize");
    assert_eq!(json["code"], "conflict");
    let keys: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["cause", "code", "group", "meaning", "remedy"]);
}

#[test]
fn malformed_section_is_skipped() {
    let check = |text: &'static str, entries: usize| assert_eq!(parse(text).len(), entries, "{text}");
    check("# T\n\n## G\n\n### output\n\nM.\n\nCause: C.\n\nWhat to do: R.\n", 1);
    check("# T\n\n## G\n\nText.\n\n### output\n\nM.\n\nCause: C.\n\nWhat to do: R.\n\n```sh\nx\n```\n", 1);
    check("# T\n\n## G\n\n### output\n\nM.\n\nCause: C.\n", 0);
    check("# T\n\n## G\n\n### output\n\nM.\n\nWhat to do: R.\n\nCause: C.\n", 0);
    check("# T\n\n## G\n\n### output\n\nM.\n\nCause: C.\n\nWhat to do: R.\n\nMore.\n", 0);
    check("# T\n\n## G\n\n### output\n\nM.\n\nCause: C.\n\nWhat to do: R.\n\n```sh\nx\n```\n\nMore.\n", 0);
}
