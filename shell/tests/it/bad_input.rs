//! Bad files of one remote are reported in its slot and in the log, with a stable code. The shell, the other remotes
//! and the store keep running, and Retry starts the repaired remote.

use std::fs;

use egui::{Event, Pos2};
use plugin_api::{
    abi::ABI_REVISION,
    embed::{HEADER, MAGIC},
};
use serde_json::{Value, json};
use shared_store::{AUTH, Auth, User};

use crate::support::{Headless, Installation, libraries, log, manifest_of};

mod part;
mod running;
// Only Linux unloads libraries.
#[cfg(target_os = "linux")]
mod unload;

/// The bad remote, and its expose that is shown.
const BAD: (&str, &str) = ("remoteMisbehaving", "./calm");
/// The good remote, and its expose that is shown.
const GOOD: (&str, &str) = ("remoteNoSdk", "./triangles");

/// Breaks a good installation of [`BAD`] with `break_it`, and asserts that it fails with `code`. The message must
/// have all `parts` and the installation's folder. Then repairs it and asserts that Retry starts the remote.
fn check(code: &str, parts: &[&str], break_it: impl FnOnce(&mut Installation)) {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    installation.add(&libraries().misbehaving);
    break_it(&mut installation);

    let mut shell = installation.start();
    shell.show(BAD.0, BAD.1);
    shell.show(GOOD.0, GOOD.1);
    shell.drive("one remote has failed and the other has a picture", |shell| {
        shell.failure(BAD.0).is_some() && shell.has_picture(GOOD.0, GOOD.1)
    });
    let failure = shell.failure(BAD.0).expect("the awaited failure");
    let place = installation.folder().to_string_lossy().into_owned();
    assert_eq!(failure.code.as_str(), code, "{failure}");
    for part in parts.iter().copied().chain([&*place]) {
        assert!(failure.line().contains(part), "`{part}` is not in: {failure}");
    }
    assert!(!failure.line().contains('\n'), "more than one line: {failure}");
    assert_logged(code, &place);
    assert_others_run(&mut shell);

    // Removed first: a copy into a named pipe would wait for a reader.
    for path in [installation.path("remoteMisbehaving.json"), installation.path(&library())] {
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
    installation.add(&libraries().misbehaving);
    shell.retry(BAD.0);
    shell.drive("it runs after Retry", |shell| shell.has_picture(BAD.0, BAD.1));
    assert!(shell.failure(BAD.0).is_none(), "{}", shell.describe());
}

fn assert_logged(code: &str, part: &str) {
    let found = log().into_iter().any(|line| {
        line.level == tracing::Level::ERROR
            && line.text.contains(&format!("code={code} "))
            && line.text.contains(part)
    });
    assert!(found, "the log has no error with code={code} and `{part}`");
}

/// Asserts that the good remote runs and draws, and that the store keeps a written value.
fn assert_others_run(shell: &mut Headless) {
    shell.drive("the other remote runs", |shell| shell.is_active(GOOD.0));
    assert!(shell.slot_failure(GOOD.0, GOOD.1).is_none(), "{}", shell.describe());
    let frames = shell.frames(GOOD.0, GOOD.1);
    // Slots are in the order of aliases, so this is the rightmost.
    for x in [1170.0, 1180.0] {
        shell.frame(vec![Event::PointerMoved(Pos2::new(x, 400.0))]);
    }
    shell.drive("the other remote answers the pointer", |shell| shell.frames(GOOD.0, GOOD.1) > frames);
    let user = User { name: "Grace Hopper".to_owned(), ..User::default() };
    let signed_in = Auth { user: Some(user), is_authenticated: true };
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &signed_in).expect("the host may write");
    assert_eq!(*store.get(&AUTH).expect("the host may read"), signed_in);
}

fn library() -> String {
    crate::support::library_file("fixture_misbehaving")
}

/// Returns a function that changes the installed library.
fn with_library(change: impl FnOnce(&mut Vec<u8>)) -> impl FnOnce(&mut Installation) {
    move |installation| {
        let path = installation.path(&library());
        let mut bytes = fs::read(&path).expect("the library is installed");
        change(&mut bytes);
        fs::write(path, bytes).expect("the library can be replaced");
    }
}

/// Returns a function that writes a changed manifest file.
fn with_manifest(change: impl FnOnce(&mut Value)) -> impl FnOnce(&mut Installation) {
    move |installation| {
        let mut manifest = manifest_of(&libraries().misbehaving);
        change(&mut manifest);
        installation.write("remoteMisbehaving.json", manifest.to_string());
    }
}

fn with_manifest_text(text: impl AsRef<[u8]>) -> impl FnOnce(&mut Installation) {
    move |installation| drop(installation.write("remoteMisbehaving.json", text))
}

/// Overwrites every `from` with `to`, which has the same length.
fn overwrite(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let places: Vec<_> =
        bytes.windows(from.len()).enumerate().filter(|(_, w)| *w == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the library has no {:?}", String::from_utf8_lossy(from));
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

/// Returns the manifest's section of a library.
fn section(bytes: &mut [u8]) -> &mut [u8] {
    let mut mark = MAGIC.to_vec();
    mark.extend(ABI_REVISION.to_le_bytes());
    let at = bytes.windows(mark.len()).position(|window| *window == mark).expect("a manifest");
    let length = u32::from_le_bytes(bytes[at + HEADER - 4..at + HEADER].try_into().expect("four bytes"));
    &mut bytes[at..at + HEADER + length as usize]
}

#[test]
fn a_library_that_is_missing() {
    check("library-missing", &["build the remote or correct its location", &library()], |installation| {
        fs::remove_file(installation.path(&library())).expect("it was there");
    });
}

#[test]
fn missing_library_names_every_searched_place() {
    let mut installation = Installation::new();
    installation.add(&libraries().misbehaving);
    fs::remove_file(installation.path(&library())).expect("it was there");
    let mut shell = installation.start();
    shell.show(BAD.0, BAD.1);
    shell.drive("it is missed", |shell| shell.failure(BAD.0).is_some());
    let details = shell.failure(BAD.0).expect("it has failed").details.clone();
    for place in [installation.path(&library()), installation.path("plugins").join(library())] {
        assert!(details.contains(&*place.to_string_lossy()), "{} is not in {details}", place.display());
    }
}

#[test]
fn a_text_file_with_the_name_of_a_library() {
    let text = "This is not a library, however it is called.\n".repeat(20);
    check("library-not-a-library", &["not a library"], with_library(|bytes| *bytes = text.into_bytes()));
    check("library-not-a-library", &["not a library"], with_library(Vec::clear));
    check(
        "library-not-a-library",
        &["not a library"],
        with_library(|bytes| {
            *bytes = b"!<arch>\n".to_vec();
            bytes.extend(b"member.o/       0           0     0     100644  4         `\nabcd");
        }),
    );
}

#[test]
fn a_folder_with_the_name_of_a_library() {
    check("library-not-a-library", &["it is a folder, not a file", "correct its location"], |installation| {
        let path = installation.path(&library());
        fs::remove_file(&path).expect("it was there");
        fs::create_dir(&path).expect("a folder can be made");
    });
}

#[cfg(unix)]
#[test]
fn pipe_device_or_link_loop_as_library() {
    use std::os::unix::fs::symlink;
    let replace = |make: fn(&std::path::Path)| {
        move |installation: &mut Installation| {
            let path = installation.path(&library());
            fs::remove_file(&path).expect("it was there");
            make(&path);
        }
    };
    check(
        "library-unreadable",
        &["cannot be read", "let this user read it"],
        replace(|path| symlink(path, path).expect("links can be made")),
    );
    check(
        "library-not-a-library",
        &["it is a device, not a file"],
        replace(|path| symlink("/dev/zero", path).expect("links can be made")),
    );
    check(
        "library-not-a-library",
        &["it is a named pipe, not a file"],
        replace(|path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.is_ok_and(|made| made.success()));
        }),
    );
    check(
        "library-too-large",
        &["strip its symbols"],
        replace(|path| {
            fs::File::create(path).and_then(|file| file.set_len(3 << 30)).expect("files can be sparse");
        }),
    );
}

#[test]
fn a_truncated_library() {
    check("library-not-a-library", &[], with_library(|bytes| bytes.truncate(10)));
    for part in [30, 60, 100, 5_000] {
        check(
            "library-damaged",
            &["copied only in part", "copy or build it again"],
            with_library(|b| b.truncate(part)),
        );
    }
    check("library-damaged", &["copied only in part"], with_library(|b| b.truncate(b.len() / 2)));
    // An ELF file ends with its section headers, of 64 bytes each.
    if cfg!(target_os = "linux") {
        check("library-damaged", &["copied only in part"], with_library(|b| b.truncate(b.len() - 64)));
        check("library-damaged", &["copied only in part"], with_library(|b| b.truncate(b.len() - 1)));
    }
}

#[test]
fn a_library_for_another_platform() {
    let parts = &["but this shell runs on", std::env::consts::ARCH, "build the remote for this platform"];
    // The header of an ARM library for macOS.
    let mut mac = [0xFEED_FACF_u32, 0x0100_000C, 0, 6, 0, 0, 0, 0].map(u32::to_le_bytes).concat();
    mac.resize(4_096, 0);
    // A library for Windows: the DOS header, which points to the PE header, and the optional header.
    let mut windows = vec![0; 4_096];
    windows[..2].copy_from_slice(b"MZ");
    windows[60] = 64;
    windows[64..68].copy_from_slice(b"PE\0\0");
    windows[68..70].copy_from_slice(&0x8664_u16.to_le_bytes());
    windows[84..86].copy_from_slice(&240_u16.to_le_bytes());
    windows[86..88].copy_from_slice(&0x2022_u16.to_le_bytes());
    windows[88..90].copy_from_slice(&0x020B_u16.to_le_bytes());
    // A universal library for macOS.
    let mut universal = [0xCAFE_BABE_u32, 1, 0x0100_0007, 3, 4_096, 64, 12].map(u32::to_be_bytes).concat();
    universal.resize(8_192, 0);
    if cfg!(target_os = "linux") {
        let other = if cfg!(target_arch = "aarch64") { 62_u16 } else { 183 };
        let machine = with_library(|bytes| bytes[18..20].copy_from_slice(&other.to_le_bytes()));
        check("library-other-platform", parts, machine);
        check("library-other-platform", parts, with_library(|bytes| *bytes = mac));
        check("library-other-platform", parts, with_library(|bytes| *bytes = universal));
        check("library-other-platform", parts, with_library(|bytes| *bytes = windows));
    }
}

#[test]
fn a_library_that_is_no_plugin() {
    let parts = &["not a Pulse plugin", "export!"];
    check(
        "library-not-a-plugin",
        parts,
        with_library(|b| overwrite(b, b".pulse.manifest", b".other.manifest")),
    );
    check("library-not-a-plugin", parts, with_library(|b| overwrite(b, &MAGIC, b"ANOTHER-MANIFEST")));
    check(
        "library-not-a-plugin",
        parts,
        with_library(|b| {
            overwrite(
                b,
                b"_1as_0lib_1header_0root_bmodule_bloader",
                b"_1as_0lib_1header_0root_bmodule_bXXXXXX",
            );
        }),
    );
    let program = std::env::current_exe().expect("this test has a file");
    check("library-not-a-plugin", parts, with_library(|b| *b = fs::read(program).expect("it can be read")));
}

#[test]
fn another_revision_of_the_contract() {
    let other = ABI_REVISION + 1;
    let parts = [format!("revision {other}"), format!("this shell uses revision {ABI_REVISION}")];
    let change = with_library(|bytes| {
        section(bytes)[MAGIC.len()..MAGIC.len() + 4].copy_from_slice(&other.to_le_bytes());
    });
    check("abi-revision", &[&parts[0], &parts[1], "rebuild it"], change);
}

#[test]
fn another_layout_of_the_contract() {
    // The name of a field in the library's description of its layout.
    let field = with_library(|bytes| overwrite(bytes, b"predicted_dt", b"predicted_df"));
    check(
        "abi-layout",
        &["laid out differently: in `FrameInput` there is a field `predicted_df`", "rebuild it"],
        field,
    );
    let header =
        with_library(|bytes| overwrite(bytes, b"abi stable library for Rust", b"ABI stable library for Rust"));
    check("abi-layout", &["laid out differently"], header);
}

#[test]
fn a_manifest_inside_of_the_library_that_is_wrong() {
    let parts = &["the manifest inside the library is invalid", "then build the library again"];
    check("manifest-not-json", parts, with_library(|bytes| section(bytes)[HEADER] = b'?'));
    check(
        "manifest-invalid",
        parts,
        with_library(|bytes| overwrite(section(bytes), b"\"remoteEntry\"", b"\"remoteDoors\"")),
    );
    check("library-damaged", &[], with_library(|bytes| section(bytes)[HEADER - 1] = 0xFF));
    check("library-damaged", &["not UTF-8"], with_library(|bytes| section(bytes)[HEADER + 5] = 0xFF));
}

#[test]
fn a_manifest_that_is_missing_or_unreadable() {
    check("manifest-missing", &["restore it or correct"], |installation| {
        fs::remove_file(installation.path("remoteMisbehaving.json")).expect("it was there");
    });
    check(
        "manifest-unreadable",
        &["cannot be read", "it is a folder, not a file", "correct its location"],
        |installation| {
            let path = installation.path("remoteMisbehaving.json");
            fs::remove_file(&path).expect("it was there");
            fs::create_dir(&path).expect("a folder can be made");
        },
    );
}

#[test]
fn a_manifest_that_is_not_json() {
    check("manifest-not-json", &["(line 2, column"], with_manifest_text("{\n  name: remoteMisbehaving }"));
    check("manifest-not-json", &["line 1"], with_manifest_text(""));
    check("manifest-not-json", &[], with_manifest_text(b"\xFF\xFE{}"));
    check(
        "manifest-too-large",
        &["check that this is the right file"],
        with_manifest_text(vec![b' '; 3 << 20]),
    );
}

#[test]
fn a_manifest_with_unknown_keys() {
    check("manifest-invalid", &["colour"], with_manifest(|manifest| manifest["colour"] = json!("red")));
    let deep = with_manifest(|manifest| manifest["shared"]["shared-store"]["singelton"] = json!(true));
    check("manifest-invalid", &["singelton", "/shared/shared-store"], deep);
}

#[test]
fn a_manifest_with_wrong_types() {
    check("manifest-invalid", &["/exposes"], with_manifest(|manifest| manifest["exposes"] = json!(["./calm"])));
    check("manifest-invalid", &["/name"], with_manifest(|manifest| manifest["name"] = json!(7)));
    check(
        "manifest-invalid",
        &["/atoms/auth"],
        with_manifest(|manifest| manifest["atoms"]["auth"] = json!("own")),
    );
    check(
        "manifest-invalid",
        &["remoteEntry"],
        with_manifest(|manifest| manifest["remoteEntry"] = Value::Null),
    );
    check("manifest-invalid", &[], with_manifest_text("[]"));
}

#[test]
fn a_manifest_with_a_bare_version_as_requirement() {
    let bare = with_manifest(|manifest| manifest["shared"]["shared-store"]["requiredVersion"] = json!("1.2.3"));
    check("manifest-invalid", &["/shared/shared-store/requiredVersion", "=1.2.3", "^1.2.3"], bare);
}

#[test]
fn a_manifest_of_a_later_format() {
    let later = with_manifest(|manifest| manifest["manifestVersion"] = json!(2));
    check("manifest-version", &["manifestVersion 2 is unknown"], later);
}

#[test]
fn a_manifest_of_another_remote() {
    let other = with_manifest(|manifest| manifest["name"] = json!("remoteOther"));
    check("manifest-name", &["remoteMisbehaving", "remoteOther", "correct one of the names"], other);
}

#[test]
fn a_descriptor_that_differs_from_the_manifest() {
    let parts = &["does not match the planned manifest"];
    let version = with_manifest(|manifest| manifest["version"] = json!("1.0.1"));
    check("descriptor-mismatch", &[parts[0], "1.0.1", "1.0.0"], version);
    let expose = with_manifest(|manifest| manifest["exposes"]["./new"] = json!({ "title": "New" }));
    check("descriptor-mismatch", parts, expose);
    let atom = with_manifest(|manifest| manifest["atoms"]["auth.token"] = json!("read"));
    check("descriptor-mismatch", parts, atom);
    // The file and the section agree, and differ from the descriptor in the code.
    check("descriptor-mismatch", &["its code and its section disagree"], |installation| {
        with_manifest(|manifest| manifest["title"] = json!("Misbehavinx"))(installation);
        with_library(|bytes| overwrite(section(bytes), b"\"Misbehaving\"", b"\"Misbehavinx\""))(installation);
    });
}

#[test]
fn a_location_that_is_a_url() {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    installation.configure(BAD.0, "remoteMisbehaving@ftp://example.org/misbehaving.json");
    let mut shell = installation.start();
    shell.show(BAD.0, BAD.1);
    shell.show(GOOD.0, GOOD.1);
    shell.drive("the other remote has a picture", |shell| shell.has_picture(GOOD.0, GOOD.1));
    let failure = shell.failure(BAD.0).expect("it is refused");
    assert_eq!(failure.code.as_str(), "location-unsupported");
    assert!(failure.line().contains("ftp://example.org/misbehaving.json"), "{failure}");
    assert!(failure.line().contains("host.json"), "{failure}");
    assert_others_run(&mut shell);
}

#[test]
fn shared_crate_without_a_matching_version() {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    installation.add_with(&libraries().misbehaving, |manifest| {
        let shared = &mut manifest["shared"]["shared-store"];
        shared["requiredVersion"] = json!("^99");
        shared["strictVersion"] = json!(true);
    });
    let mut shell = installation.start();
    shell.show(BAD.0, BAD.1);
    shell.show(GOOD.0, GOOD.1);
    shell.drive("the other remote has a picture", |shell| shell.has_picture(GOOD.0, GOOD.1));
    let failure = shell.failure(BAD.0).expect("it is refused");
    assert_eq!(failure.stage, pulse::failure::Stage::Plan, "{failure}");
    assert!(failure.line().contains("shared-store") && failure.line().contains("^99"), "{failure}");
    assert_others_run(&mut shell);
}

#[test]
fn library_without_separate_manifest_is_enough() {
    let mut installation = Installation::new();
    installation.copy(&libraries().misbehaving);
    installation.configure(BAD.0, &format!("remoteMisbehaving@{}", library()));
    let mut shell = installation.start();
    shell.show(BAD.0, BAD.1);
    shell.drive("it is shown", |shell| shell.has_picture(BAD.0, BAD.1));
}
