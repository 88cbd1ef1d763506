//! Remotes that load, and then fail, hang, break the contract or request too much.

use std::{fs, thread};

use egui::{Event, OutputCommand, Pos2};
use pulse::failure::Stage;
use serde_json::json;
use shared_store::{AUTH, Auth, User};

use super::{BAD, GOOD, assert_logged, assert_others_run};
use crate::support::{Headless, Installation, Line, libraries, log, manifest_of};

/// Installs both fixtures, with a host's manifest that `edit` has changed.
fn both(edit: impl FnOnce(&mut serde_json::Value)) -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    installation.add(&libraries().misbehaving);
    installation.edit_host(edit);
    installation
}

/// Starts a shell that shows the good remote and this expose of the bad one.
fn showing(installation: &Installation, expose: &str) -> Headless {
    let mut shell = installation.start();
    shell.show(BAD.0, expose);
    shell.show(GOOD.0, GOOD.1);
    shell
}

/// Waits for a failure in the slot of `expose`, and asserts that the good remote keeps running.
fn slot_fails(shell: &mut Headless, expose: &str, code: &str, part: &str) {
    shell.drive("one slot shows a failure and the other a picture", |shell| {
        shell.slot_failure(BAD.0, expose).is_some() && shell.has_picture(GOOD.0, GOOD.1)
    });
    let failure = shell.slot_failure(BAD.0, expose).expect("the awaited failure");
    assert_eq!(failure.code.as_str(), code, "{failure}");
    assert!(failure.line().contains(part), "`{part}` is not in: {failure}");
    assert_logged(code, part);
    assert_others_run(shell);
}

#[test]
fn panic_in_init() {
    let grant = |host: &mut serde_json::Value| {
        host["grants"] = json!({ BAD.0: { "misbehaving.panic-install": "write" } });
    };
    let mut shell = showing(&both(grant), BAD.1);
    slot_fails(&mut shell, BAD.1, "init-panicked", "the fixture panics in init");
    let failure = shell.failure(BAD.0).expect("the remote has failed");
    assert_eq!(failure.stage, Stage::Init);
    assert!(failure.line().contains("trap.rs:"), "the place of the panic is missing: {failure}");
    assert!(!failure.details.is_empty(), "no backtrace");
    // Retry starts the remote again, and it fails again.
    shell.retry(BAD.0);
    shell.drive("it fails again", |shell| {
        shell.failure(BAD.0).is_some_and(|f| f.code.as_str() == "init-panicked")
    });
}

#[test]
fn error_in_init() {
    let grant = |host: &mut serde_json::Value| {
        host["grants"] = json!({ BAD.0: { "misbehaving.fail-install": "write" } });
    };
    let mut shell = showing(&both(grant), BAD.1);
    slot_fails(&mut shell, BAD.1, "shared-used", "fixture-trap");
}

#[test]
fn shared_crate_used_before_negotiation() {
    let grant = |host: &mut serde_json::Value| {
        host["grants"] = json!({ BAD.0: { "misbehaving.use-store": "write" } });
    };
    let mut shell = showing(&both(grant), BAD.1);
    slot_fails(&mut shell, BAD.1, "shared-used", "`shared-store` was used before it was negotiated");
}

#[test]
fn error_in_init_of_a_remote_without_the_sdk() {
    let installation = both(|_| ());
    installation.place_marker(GOOD.0, "refuse-init");
    let mut shell = showing(&installation, BAD.1);
    shell.drive("the remote without the SDK has failed and the other has a picture", |shell| {
        shell.failure(GOOD.0).is_some() && shell.has_picture(BAD.0, BAD.1)
    });
    let failure = shell.failure(GOOD.0).expect("the awaited failure");
    assert_eq!((failure.code.as_str(), &*failure.summary), ("fixture-refused", "the fixture refuses to start"));
    fs::remove_file(installation.data_of(GOOD.0).join("refuse-init")).expect("it was there");
    shell.retry(GOOD.0);
    shell.drive("it runs after Retry", |shell| shell.has_picture(GOOD.0, GOOD.1));
    assert_others_run(&mut shell);
}

#[test]
fn a_data_folder_that_cannot_be_made() {
    let installation = both(|_| ());
    let folder = installation.write(&format!("data/remotes/{}", BAD.0), "a file in its place");
    let mut shell = showing(&installation, BAD.1);
    slot_fails(&mut shell, BAD.1, "data-dir", &format!("{}; remove what is in the way", folder.display()));
    fs::remove_file(folder).expect("it was there");
    shell.retry(BAD.0);
    shell.drive("it runs after Retry", |shell| shell.has_picture(BAD.0, BAD.1));
}

#[test]
fn panic_in_new() {
    let mut shell = showing(&both(|_| ()), "./panic-new");
    shell.show(BAD.0, "./calm");
    slot_fails(&mut shell, "./panic-new", "new-panicked", "the fixture panics in new");
    let failure = shell.slot_failure(BAD.0, "./panic-new").expect("it has failed");
    assert_eq!(failure.stage, Stage::Open);
    assert!(failure.line().contains("lib.rs:") && !failure.details.is_empty(), "{failure}");
    shell.drive("its other surface has a picture", |shell| shell.has_picture(BAD.0, "./calm"));
    assert!(shell.is_active(BAD.0));
}

#[test]
fn error_in_new() {
    let mut shell = showing(&both(|_| ()), "./fail-new");
    slot_fails(&mut shell, "./fail-new", "fixture-refused", "the fixture refuses to open");
    assert!(shell.is_active(BAD.0));
}

#[test]
fn an_expose_that_the_library_does_not_have() {
    let mut shell = showing(&both(|_| ()), "./absent");
    slot_fails(&mut shell, "./absent", "expose-unknown", "the library has no expose `./absent`");
    let mut shell = showing(&both(|_| ()), "./unheard-of");
    slot_fails(&mut shell, "./unheard-of", "expose-unknown", "./calm");
}

#[test]
fn panic_in_a_frame() {
    let mut shell = showing(&both(|_| ()), "./panic-frame");
    shell.show(BAD.0, "./calm");
    let part = "the fixture panics in a frame; press Restart to start it again, and report this to the plugin's author";
    slot_fails(&mut shell, "./panic-frame", "frame-panicked", part);
    assert!(shell.has_picture(BAD.0, "./panic-frame"), "the last good picture stays");
    assert!(shell.is_active(BAD.0));
    shell.drive("its other surface has a picture", |shell| shell.has_picture(BAD.0, "./calm"));
    assert!(shell.slot_failure(BAD.0, "./calm").is_none());
    // Retry opens a new surface, whose first frame is good.
    shell.retry(BAD.0);
    assert!(shell.slot_failure(BAD.0, "./panic-frame").is_none());
    shell.drive("it has failed again, with a new picture", |shell| {
        shell.has_picture(BAD.0, "./panic-frame") && shell.slot_failure(BAD.0, "./panic-frame").is_some()
    });
}

#[test]
fn panic_while_a_surface_is_dropped() {
    let mut shell = showing(&both(|_| ()), "./panic-drop");
    shell.drive("both have a picture", |shell| {
        shell.has_picture(BAD.0, "./panic-drop") && shell.has_picture(GOOD.0, GOOD.1)
    });
    shell.federation.retry(BAD.0);
    shell.drive("it runs again", |shell| shell.is_active(BAD.0));
    assert_others_run(&mut shell);
    shell.drive("the log names the remote", |_| {
        log().iter().any(|line| {
            let has = |part: &str| line.text.contains(part);
            has("code=retire-panicked ") && has(&format!("remote={} ", BAD.0)) && has("was not closed")
        })
    });
}

#[test]
fn a_frame_that_does_not_return() {
    let installation = both(|_| ());
    let mut shell = showing(&installation, "./hang-frame");
    shell.drive("both are shown", |shell| {
        shell.has_picture(BAD.0, "./hang-frame") && shell.has_picture(GOOD.0, GOOD.1)
    });
    // The picture of the first frame has requested the second, which hangs.
    assert_others_run(&mut shell);
    assert!(shell.has_picture(BAD.0, "./hang-frame"), "the last good picture stays");
    assert!(shell.screen().shows("About to hang"), "{}", shell.describe());
    installation.place_marker(BAD.0, "go-on");
    shell.drive("it keeps running", |shell| shell.screen().shows("Went on"));
    assert!(shell.slot_failure(BAD.0, "./hang-frame").is_none());
}

#[test]
fn a_shell_ends_although_a_remote_hangs() {
    let installation = both(|_| ());
    let mut shell = showing(&installation, "./hang-frame");
    shell.drive("its second frame is requested", |shell| shell.frames(BAD.0, "./hang-frame") > 0);
    shell.frame(Vec::new());
    drop(shell);
    // Thread and library are leaked. The thread may return from its frame without harm.
    installation.place_marker(BAD.0, "go-on");
}

#[test]
fn frames_that_break_a_rule() {
    let manifest = manifest_of(&libraries().no_sdk);
    let names = manifest["exposes"].as_object().expect("exposes").keys();
    let hostile: Vec<&String> = names.filter(|name| name.starts_with("./hostile-")).collect();
    assert!(hostile.len() > 10);
    // Each in its own shell: a remote that fails three times is disabled.
    for expose in hostile {
        let mut installation = Installation::new();
        installation.add(&libraries().no_sdk);
        let mut shell = installation.start();
        shell.show(GOOD.0, expose);
        shell.show(GOOD.0, "./odd");
        shell.show(GOOD.0, GOOD.1);
        shell.drive("the bad frame is refused, and the other surfaces have pictures", |shell| {
            shell.slot_failure(GOOD.0, expose).is_some()
                && shell.frames(GOOD.0, "./odd") > 1
                && shell.has_picture(GOOD.0, GOOD.1)
        });
        let failure = shell.slot_failure(GOOD.0, expose).expect("the awaited failure");
        let code = match expose.trim_start_matches("./hostile-") {
            "kept" => "frame-kept",
            "commands" | "cursor" | "data" | "textures" | "updates" | "vertices" => "frame-quota",
            "free" | "part" | "pixels" | "side" | "texture" => "frame-texture",
            _ => "frame-invalid",
        };
        assert_eq!(failure.code.as_str(), code, "{expose}: {failure}");
        assert!(shell.has_picture(GOOD.0, expose), "{expose}: the last good picture stays");
        assert!(shell.screen().commands.is_empty(), "{expose}: a command of the bad frame was applied");
        assert!(shell.slot_failure(GOOD.0, "./odd").is_none(), "{}", shell.describe());
        assert!(shell.is_active(GOOD.0));
    }
}

#[test]
fn unreadable_accessibility_tree() {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    let mut shell = installation.start();
    shell.show(GOOD.0, "./mute");
    let code = format!("code={} ", "tree-unreadable");
    let own = thread::current().id();
    let logged = || log().iter().filter(|line| line.thread == own && line.text.contains(&code)).count();
    shell.drive("the fault is logged", |_| logged() > 0);
    let frames = shell.frames(GOOD.0, "./mute");
    for x in [20.0, 30.0, 40.0] {
        shell.frame(vec![Event::PointerMoved(Pos2::new(x, 400.0))]);
    }
    shell.drive("it is shown anyway", |shell| shell.frames(GOOD.0, "./mute") > frames);
    assert!(shell.has_picture(GOOD.0, "./mute") && shell.slot_failure(GOOD.0, "./mute").is_none());
    assert_eq!(logged(), 1, "logged more than once");
}

#[test]
fn picture_too_large_costs_only_itself() {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    let mut shell = installation.start();
    shell.show(GOOD.0, "./large");
    let code = format!("code={} ", "picture-too-large");
    let parts = [&*code, "8193×1 texels", "remote=remoteNoSdk "];
    let logged = || log().into_iter().filter(|line| parts.iter().all(|part| line.text.contains(part))).count();
    shell.drive("it is logged", |_| logged() > 0);
    assert!(shell.has_picture(GOOD.0, "./large") && shell.slot_failure(GOOD.0, "./large").is_none());
    assert_eq!(logged(), 1);
}

#[test]
fn surface_that_always_repaints_costs_others_nothing() {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    let mut shell = installation.start();
    shell.show(GOOD.0, "./restless");
    shell.show(GOOD.0, GOOD.1);
    shell.drive("both are shown", |shell| {
        shell.has_picture(GOOD.0, "./restless") && shell.has_picture(GOOD.0, GOOD.1)
    });
    let before = shell.frames(GOOD.0, GOOD.1);
    shell.drive("it has drawn a hundred frames", |shell| shell.frames(GOOD.0, "./restless") > 100);
    assert!(shell.frames(GOOD.0, GOOD.1) <= before + 1, "the other surface was drawn as well");
    // It gets at most one frame per frame of the window.
    let (before, drawn) = (shell.frames(GOOD.0, "./restless"), 20);
    for _ in 0..drawn {
        shell.frame(Vec::new());
    }
    assert!(shell.frames(GOOD.0, "./restless") <= before + drawn);
}

#[test]
fn links_that_are_not_of_the_web() {
    let mut shell = showing(&both(|_| ()), "./links");
    shell.drive("it is shown", |shell| shell.screen().shows("Open"));
    shell.press("Open");
    let is_link = |command: &OutputCommand| matches!(command, OutputCommand::OpenUrl(_));
    shell.drive("a link is opened", |shell| shell.screen().commands.iter().any(is_link));
    let [OutputCommand::OpenUrl(opened)] = &shell.screen().commands[..] else {
        panic!("not one link: {:?}", shell.screen().commands)
    };
    assert_eq!(opened.url, "https://example.org/good", "a link without a user action was opened");
    for (refused, code) in [
        ("file:///etc/hosts", "link-refused"),
        ("javascript:alert(1)", "link-refused"),
        ("a link was not opened", "user-action-missing"),
        ("the clipboard was not written", "user-action-missing"),
        ("16777217 bytes", "clipboard-refused"),
    ] {
        let parts = [refused, &format!("code={code} "), "remote=remoteMisbehaving "];
        assert!(
            log().iter().any(|line| parts.iter().all(|part| line.text.contains(part))),
            "the log does not have {refused}"
        );
    }
}

#[test]
fn atom_missing_from_the_manifest() {
    let mut shell = showing(&both(|_| ()), "./nosy");
    shell.drive("it is shown", |shell| shell.screen().shows("Has no token"));
    assert!(shell.screen().shows("Refused: atom-not-granted"), "{}", shell.describe());
    let store = shell.federation.store().expect("the host has a store");
    assert!(!store.get(&AUTH).expect("the host may read").is_authenticated, "the remote signed itself in");
    for _ in 0..3 {
        let frames = shell.frames(BAD.0, "./nosy");
        shell.press("Again");
        shell.drive("it was drawn again", |shell| shell.frames(BAD.0, "./nosy") > frames);
    }
    let complaints = log()
        .into_iter()
        .filter(|line| line.text.contains("may not read the atom `auth.token`"))
        .collect::<Vec<_>>();
    assert_eq!(complaints.len(), 1, "not one line in the log: {complaints:?}");
    assert!(complaints[0].text.contains("atom-not-granted"), "{complaints:?}");
}

#[test]
fn an_atom_that_is_not_granted() {
    let installation = both(|host| host["grants"] = json!({ GOOD.0: { "auth": "read" } }));
    let mut shell = showing(&installation, BAD.1);
    shell.drive("it is shown", |shell| shell.screen().shows("Not authenticated"));
    assert_others_run(&mut shell);
    assert!(shell.screen().shows("Not authenticated"), "{}", shell.describe());
    let place = format!(": {}:1:", installation.path("host.json").display());
    let warned = |line: &Line| {
        let remedy = format!("put `\"{}\": {{ \"auth\": \"read\" }}` under `grants`", BAD.0);
        ["atom-not-granted", &*remedy, &*place].iter().all(|part| line.text.contains(part))
    };
    assert_eq!(log().iter().filter(|line| warned(line)).count(), 1, "not logged once");
}

#[test]
fn good_remote_sees_changes_and_is_used() {
    let mut shell = showing(&both(|_| ()), BAD.1);
    shell.drive("it is shown", |shell| shell.screen().shows("Not authenticated"));
    let user = User { name: "Ada Lovelace".to_owned(), ..User::default() };
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &Auth { user: Some(user), is_authenticated: true }).expect("the host may write");
    shell.drive("it shows the user", |shell| shell.screen().shows("Viewing as: Ada Lovelace"));
    shell.press("Count");
    shell.drive("it counts", |shell| shell.screen().shows("Counted 1"));
}
