//! Preflights of real libraries.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::AtomicBool,
    time::Duration,
};

use pulse::{
    failure::{Failure, Stage},
    preflight::{Preflight, Subject, TrialEvent, TrialReport},
};

use crate::support::{Installation, PATIENCE, edited, libraries, library_file};

fn check(library: &Path, with: &[&PathBuf], installation: &Installation) -> Result<TrialReport, Failure> {
    let with = with.iter().copied().cloned().collect();
    let preflight = Preflight { program: PULSE.into(), limit: PATIENCE };
    let subject = Subject { with, host: Some(installation.path("host.json")), ..Subject::new(library) };
    preflight.check(&subject, &AtomicBool::new(false), &mut |_| ())
}

const PULSE: &str = env!("CARGO_BIN_EXE_pulse");

/// Writes a build of `scripted` with this fault into the installation; returns its path.
fn scripted(installation: &Installation, fault: &str) -> PathBuf {
    const NONE: &str = "fault: none                    ";
    let text = format!("{:width$}", format!("fault: {fault}"), width = NONE.len());
    installation.write(&library_file("fixture_scripted"), edited(&libraries().scripted, &[(NONE, &text)]))
}

/// Runs a command; returns exit code, standard output and standard error.
fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("pulse starts");
    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
    (status.code(), stdout, stderr)
}

fn fails(library: &Path, with: &[&PathBuf], installation: &Installation) -> (Stage, String, String) {
    let failure = check(library, with, installation).expect_err("it fails");
    (failure.stage, failure.code.clone().into(), failure.line())
}

#[test]
fn good_library_passes_every_stage() {
    let report = check(&libraries().analytics, &[], &Installation::new()).expect("a good library");
    let stages: Vec<_> = report.stages.iter().map(|(stage, _)| stage.as_str()).collect();
    let expected = ["load", "init", "new ./analytics-dashboard", "frame ./analytics-dashboard", "close"];
    assert_eq!(stages, expected);
    let sum: Duration = report.stages.iter().map(|(_, took)| *took).sum();
    assert!(sum <= report.whole && report.unopened.is_empty(), "{report:?}");
}

#[test]
fn shared_crates_come_from_other_participants() {
    let (installation, libraries) = (Installation::new(), libraries());
    let (stage, code, _) = fails(&libraries.borrower, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Plan, "no-provider"));
    let report = check(&libraries.borrower, &[&libraries.newer_crates], &installation).expect("it is provided");
    let stages: Vec<_> = report.stages.iter().map(|(stage, _)| stage.as_str()).collect();
    assert_eq!(stages, ["provider remoteNewerCrates", "load", "init", "new ./sum", "frame ./sum", "close"]);
}

#[test]
fn preflight_reports_failures_like_the_shell() {
    let (mut installation, libraries) = (Installation::new(), libraries());
    let (stage, code, message) = fails(&scripted(&installation, "panic@new"), &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Open, "new-panicked"), "{message}");
    assert!(message.contains("the fixture panics on command"), "{message}");
    // Its first expose is in the manifest, but not in the library.
    let (stage, code, message) = fails(&libraries.misbehaving, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Open, "expose-unknown"), "{message}");
    let report = check(&scripted(&installation, "fail@new"), &[], &installation).expect("it may open later");
    assert_eq!(report.unopened.len(), 1, "{report:?}");
    assert_eq!(report.unopened[0].code.as_str(), "fixture-refused");
    let (stage, code, _) = fails(&libraries.bad_layout, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Init, "shared-layout"));
    let (stage, code, _) = fails(&installation.path("missing.so"), &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Discover, "library-missing"));
    installation
        .edit_host(|host| host["grants"]["remoteMisbehaving"]["misbehaving.panic-install"] = "write".into());
    let (stage, code, message) = fails(&libraries.misbehaving, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Init, "init-panicked"), "{message}");
}

#[test]
fn command_prints_verdict_and_matching_exit_code() {
    let (installation, libraries) = (Installation::new(), libraries());
    let pulse = |args: &[&str], library: &Path| {
        let mut command = Command::new(PULSE);
        command.arg("preflight").args(args).arg("--config").arg(installation.path("host.json")).arg(library);
        output(&mut command)
    };
    let (code, stdout, stderr) = pulse(&[], &libraries.analytics);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(
        stdout.contains("frame ./analytics-dashboard") && stdout.contains("the library can be loaded"),
        "{stdout}"
    );
    let (code, _, stderr) = pulse(&[], &libraries.borrower);
    assert!(code == Some(3) && stderr.contains("[no-provider]"), "{code:?} {stderr}");
    let (code, _, stderr) = pulse(&[], &installation.path("missing.so"));
    assert!(code == Some(6) && stderr.contains("[library-missing]"), "{code:?} {stderr}");
    assert_eq!(stderr.matches("error:").count(), 1, "the failure is written more than once: {stderr}");
    let hangs = scripted(&installation, "hang@frame");
    let (code, stdout, stderr) = pulse(&["--json", "--limit", "500"], &hangs);
    let events: Vec<TrialEvent> = stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let Some(TrialEvent::Refused(failure)) = events.last() else { panic!("{stdout}") };
    assert_eq!((code, failure.code.as_str()), (Some(1), "preflight-hung"), "{failure}");
    assert!(stderr.contains("[preflight-hung]") && stderr.contains("limit of the trial: 500 ms"), "{stderr}");
    let (code, stdout, _) = pulse(&["--json"], &libraries.analytics);
    assert!(code == Some(0) && stdout.ends_with("{\"preflight\":\"taken\"}\n"), "{stdout}");
    let (code, stdout, _) = pulse(&["--in-process"], &libraries.analytics);
    assert!(code == Some(0) && stdout.ends_with("{\"preflight\":\"taken\"}\n"), "{stdout}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_forged_verdict_does_not_count() {
    let installation = Installation::new();
    let (stage, code, message) = fails(&scripted(&installation, "forge@load"), &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Preflight, "preflight-forged"), "{message}");
}

#[test]
fn a_flood_is_read_and_forgotten() {
    let (installation, cancel) = (Installation::new(), AtomicBool::new(false));
    let preflight = Preflight { program: PULSE.into(), limit: Duration::from_secs(1) };
    let subject = Subject::new(scripted(&installation, "flood@load"));
    let failure = preflight.check(&subject, &cancel, &mut |_| ()).expect_err("the flood never ends");
    assert_eq!(failure.code.as_str(), "preflight-hung", "{failure}");
    assert!(failure.details.len() < 5000, "{}", failure.details.len());
}

#[test]
fn text_of_a_library_is_cut_and_neutralised() {
    let installation = Installation::new();
    let library = scripted(&installation, "shout@init");
    let (code, stdout, stderr) = output(Command::new(PULSE).arg("preflight").arg(&library));
    assert!(code == Some(1) && stdout.is_empty() && stderr.contains("[init-panicked]"), "{code:?}");
    assert!(stderr.len() < 100_000, "{}", stderr.len());
    assert!(stderr.contains("\\u{1b}[31mred\\u{202e}\\u{7}"), "{stderr}");
    assert!(!stderr.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{stderr}");
}

#[test]
fn control_characters_in_file_names_are_escaped() {
    let installation = Installation::new();
    let name = installation.path("a\u{1b}[2J\u{202e}b.json");
    for command in ["inspect", "plan", "preflight", "install"] {
        let (code, stdout, stderr) = output(Command::new(PULSE).arg(command).arg(&name));
        assert_eq!(code, Some(6), "{command} {stderr}");
        let text = stdout + &stderr;
        assert!(text.contains("a\\u{1b}[2J\\u{202e}b.json"), "{command} {text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{command} {text}");
    }
}

#[test]
fn preflight_gets_no_secrets_and_no_user_folders() {
    let installation = Installation::new();
    let library = scripted(&installation, "confess@init");
    let mut command = Command::new(PULSE);
    command.arg("preflight").arg(&library).current_dir(installation.folder());
    command.envs([("PULSE_TOKEN", "t-one"), ("CLOUD_SECRET", "t-two"), ("CHARTS_MODE", "m-quick")]);
    command.env("XDG_DATA_HOME", installation.path("user-data"));
    let (_, _, stderr) = output(&mut command);
    assert!(stderr.contains("[init-panicked]") && stderr.contains("m-quick"), "{stderr}");
    for kept in ["t-one", "t-two", "user-data"] {
        assert!(!stderr.contains(kept), "{stderr}");
    }
    let own = stderr.split("in Ok(\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a folder");
    assert!(!Path::new(own).exists(), "the folder is not removed: {own}");
}

#[test]
#[cfg(target_os = "linux")]
fn no_process_of_a_library_outlives_its_preflight() {
    let installation = Installation::new();
    for (fault, good) in [("spawn@load", true), ("spawn@load exit@new", false)] {
        assert_eq!(check(&scripted(&installation, fault), &[], &installation).is_ok(), good, "{fault}");
        for argument in ["86411", "86412"] {
            assert_eq!(running(argument), [""; 0], "{fault}");
        }
    }
}

/// Returns the command lines of running processes that contain `part`.
#[cfg(target_os = "linux")]
fn running(part: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("there are processes").flatten();
    let lines = processes.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(part)).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn preflight_ends_with_its_parent_process() {
    use std::io::{BufRead, BufReader};
    let installation = Installation::new();
    let library = scripted(&installation, "hang@init");
    let mut command = Command::new(PULSE);
    command
        .args(["preflight", "--json", "--limit", "600000"])
        .arg(&library)
        .stdout(std::process::Stdio::piped());
    let mut child = command.spawn().expect("pulse starts");
    let out = BufReader::new(child.stdout.take().expect("its output"));
    let begun = out.lines().map_while(Result::ok).any(|line| line.contains("init"));
    assert!(begun && running(&library.to_string_lossy()).len() >= 3);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let give_up = std::time::Instant::now() + PATIENCE;
    while !running(&library.to_string_lossy()).is_empty() {
        assert!(std::time::Instant::now() < give_up, "{:?}", running(&library.to_string_lossy()));
        std::thread::yield_now();
    }
}

#[test]
#[cfg(unix)]
fn exit_is_seen_with_ignored_sigchld() {
    let installation = Installation::new();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' CHLD; exec \"$0\" preflight \"$1\"", PULSE]);
    let (code, _, stderr) = output(command.arg(scripted(&installation, "exit3@new")));
    assert!(
        code == Some(1) && stderr.contains("[preflight-exited]") && stderr.contains("status: 3"),
        "{stderr}"
    );
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' CHLD; exec \"$0\" preflight \"$1\"", PULSE]);
    let (code, _, stderr) = output(command.arg(&libraries().analytics));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

#[test]
fn failures_name_the_library_and_not_its_copies() {
    let installation = Installation::new();
    let preflight = Preflight { program: PULSE.into(), limit: PATIENCE };
    for fault in ["segfault@new", "panic@frame"] {
        let library = scripted(&installation, fault);
        let subject = Subject { name: "/own/name.so".into(), ..Subject::new(&library) };
        let failure = preflight.check(&subject, &AtomicBool::new(false), &mut |_| ()).expect_err(fault);
        assert!(!failure.line().contains(&*library.to_string_lossy()), "{failure}");
        assert!(fault != "segfault@new" || failure.line().contains("/own/name.so"), "{failure}");
    }
    // The system's loader names the file that it opened, a copy.
    let library = unlinkable(&installation);
    let subject = Subject { name: "/own/name.so".into(), ..Subject::new(&library) };
    let failure =
        preflight.check(&subject, &AtomicBool::new(false), &mut |_| ()).expect_err("it cannot be loaded");
    assert_eq!(failure.code.as_str(), "library-refused", "{failure}");
    assert!(failure.line().contains("/own/name.so") && !failure.line().contains("pulse-"), "{failure}");
}

/// Writes a library that needs a missing one; returns its path.
fn unlinkable(installation: &Installation) -> PathBuf {
    let bytes = edited(&libraries().no_sdk, &[("libc.so.6\0", "libx.so.6\0")]);
    installation.write(&library_file("fixture_no_sdk"), bytes)
}

/// Writes a copy of `library` whose code is 0xF4 (`hlt`), which on x86-64 only the kernel may execute.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn crashing(library: &Path, installation: &Installation) -> PathBuf {
    use object::{Object, ObjectSection};
    let copy = installation.copy(library);
    let mut bytes = fs::read(&copy).expect("libraries can be read");
    let code = {
        let library = object::File::parse(&*bytes).expect("a library");
        library.section_by_name(".text").and_then(|text| text.file_range()).expect("a section of code")
    };
    bytes[code.0 as usize..][..code.1 as usize].fill(0xF4);
    fs::write(&copy, bytes).expect("libraries can be written");
    copy
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn preflight_catches_crashing_library() {
    let installation = Installation::new();
    let copy = crashing(&libraries().no_sdk, &installation);
    let (stage, code, message) = fails(&copy, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Preflight, "preflight-crashed"), "{message}");
    assert!(message.contains("`load`") && message.contains("segmentation fault (SIGSEGV)"), "{message}");
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_provider_that_crashes_is_named() {
    let installation = Installation::new();
    let provider = crashing(&libraries().newer_crates, &installation);
    let (_, code, message) = fails(&libraries().borrower, &[&provider], &installation);
    assert_eq!(code, "preflight-provider", "{message}");
    assert!(message.contains("`remoteNewerCrates`") && message.contains("SIGSEGV"), "{message}");
}
