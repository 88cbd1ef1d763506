//! Real libraries, tried in a process of their own.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
use std::fs;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::AtomicBool,
    time::Duration,
};

use pulse::{
    failure::{Failure, Stage},
    preflight::{Event, Preflight, Report},
};

use crate::support::{Installation, PATIENCE, libraries, library_file};

fn check(library: &Path, with: &[&PathBuf], installation: &Installation) -> Result<Report, Failure> {
    let with: Vec<_> = with.iter().copied().cloned().collect();
    let preflight = Preflight { program: env!("CARGO_BIN_EXE_pulse").into(), limit: PATIENCE };
    preflight.check(library, &with, Some(&installation.path("host.json")), &AtomicBool::new(false))
}

fn fails(library: &Path, with: &[&PathBuf], installation: &Installation) -> (Stage, String, String) {
    let failure = check(library, with, installation).expect_err("it fails");
    (failure.stage, failure.code, failure.message)
}

#[test]
fn a_good_library_is_taken_stage_by_stage() {
    let report = check(&libraries().analytics, &[], &Installation::new()).expect("a good library");
    let stages: Vec<_> = report.stages.iter().map(|(stage, _)| stage.as_str()).collect();
    assert_eq!(stages, ["load", "init", "new ./analytics-dashboard", "frame ./analytics-dashboard"]);
    let sum: Duration = report.stages.iter().map(|(_, took)| *took).sum();
    assert!(sum <= report.whole && report.unopened.is_empty(), "{report:?}");
}

#[test]
fn what_is_shared_comes_from_whoever_takes_part() {
    let (installation, libraries) = (Installation::new(), libraries());
    let (stage, code, _) = fails(&libraries.peer, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Plan, "no-provider"));
    let report = check(&libraries.peer, &[&libraries.next], &installation).expect("the other has it");
    assert!(report.stages.iter().any(|(stage, _)| stage == "frame ./sum"), "{report:?}");
}

#[test]
fn a_library_that_fails_is_told_as_where_it_runs() {
    let (mut installation, libraries) = (Installation::new(), libraries());
    // Last in line, because nothing comes after it.
    installation.add_edited(&libraries.fixtures, "./hang-frame", "./zang-frame");
    let edited = installation.path(&library_file("pulse_fixtures"));
    let (stage, code, message) = fails(&edited, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Open, "new-panicked"), "{message}");
    assert!(message.contains("the fixture panics in new"), "{message}");
    let (stage, code, _) = fails(&libraries.liar, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Init, "shared-layout"));
    let (stage, code, _) = fails(&installation.path("missing.so"), &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Discover, "library-missing"));
    installation.edit_host(|host| host["grants"]["remoteFixtures"]["fixtures.panic-install"] = "write".into());
    let (stage, code, message) = fails(&libraries.fixtures, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Init, "init-panicked"), "{message}");
}

#[test]
fn the_command_answers_and_exits_as_it_says() {
    let (installation, libraries) = (Installation::new(), libraries());
    let pulse = |args: &[&str], library: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pulse"));
        command.arg("preflight").args(args).arg("--config").arg(installation.path("host.json")).arg(library);
        let Output { status, stdout, stderr } = command.output().expect("pulse starts");
        let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).expect("UTF-8"));
        (status.code(), stdout, stderr)
    };
    let (code, stdout, stderr) = pulse(&[], &libraries.analytics);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.contains("frame ./analytics-dashboard") && stdout.contains("it can be loaded"), "{stdout}");
    let (code, _, stderr) = pulse(&[], &libraries.peer);
    assert!(code == Some(3) && stderr.contains("[no-provider]"), "{code:?} {stderr}");
    let (code, _, stderr) = pulse(&[], &installation.path("missing.so"));
    assert!(code == Some(6) && stderr.contains("[library-missing]"), "{code:?} {stderr}");
    // Its `./hang-frame` never comes back. Nobody watches the process but itself.
    let (code, stdout, _) = pulse(&["--json", "--limit", "500"], &libraries.fixtures);
    let mut events = stdout.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    let Some(Event::Refused(failure)) = events.next_back() else { panic!("{stdout}") };
    assert_eq!((code, failure.code.as_str()), (Some(1), "preflight-hung"), "{failure}");
    let (code, _, stderr) = pulse(&["--limit", "500"], &libraries.fixtures);
    assert!(code == Some(1) && stderr.contains("[preflight-hung]"), "{code:?} {stderr}");
}

/// On Intel's processors the instruction 0xF4 is for the kernel alone.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_library_that_crashes_takes_only_its_own_process_with_it() {
    use object::{Object, ObjectSection};
    let installation = Installation::new();
    let copy = installation.copy(&libraries().bare);
    let mut bytes = fs::read(&copy).expect("libraries can be read");
    let code = {
        let library = object::File::parse(&*bytes).expect("a library");
        library.section_by_name(".text").and_then(|text| text.file_range()).expect("it has code")
    };
    bytes[code.0 as usize..][..code.1 as usize].fill(0xF4);
    fs::write(&copy, bytes).expect("libraries can be written");
    let (stage, code, message) = fails(&copy, &[], &installation);
    assert_eq!((stage, code.as_str()), (Stage::Preflight, "preflight-crashed"), "{message}");
    assert!(message.contains("`load`") && message.contains("segmentation fault (SIGSEGV)"), "{message}");
}
