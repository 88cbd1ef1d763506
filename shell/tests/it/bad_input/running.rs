//! Remotes that load, and then fail, hang, lie or ask for too much.

use std::fs;

use egui::{Event, OutputCommand, Pos2};
use pulse::failure::Stage;
use serde_json::json;
use shared_store::{AUTH, Auth, User};

use super::{BAD, GOOD, assert_logged, others_go_on};
use crate::support::{Headless, Installation, Line, libraries, log, manifest_of};

/// Both fixtures, with the host's manifest as `edit` leaves it.
fn both(edit: impl FnOnce(&mut serde_json::Value)) -> Installation {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    installation.add(&libraries().misbehaving);
    installation.edit_host(edit);
    installation
}

/// A shell that shows the good remote and this expose of the bad one.
fn showing(installation: &Installation, expose: &str) -> Headless {
    let mut shell = installation.start();
    shell.show(BAD.0, expose);
    shell.show(GOOD.0, GOOD.1);
    shell
}

/// Waits for a failure in the slot of `expose`, and looks that it is alone.
fn slot_fails(shell: &mut Headless, expose: &str, code: &str, says: &str) {
    shell.drive("one slot says what failed and the other is seen", |shell| {
        shell.slot_failure(BAD.0, expose).is_some() && shell.has_picture(GOOD.0, GOOD.1)
    });
    let failure = shell.slot_failure(BAD.0, expose).expect("it has just been seen");
    assert_eq!(failure.code.as_str(), code, "{failure}");
    assert!(failure.line().contains(says), "`{says}` is not in: {failure}");
    assert_logged(code, says);
    others_go_on(shell);
}

#[test]
fn panic_in_init() {
    let grant = |host: &mut serde_json::Value| {
        host["grants"] = json!({ BAD.0: { "misbehaving.panic-install": "write" } });
    };
    let mut shell = showing(&both(grant), BAD.1);
    slot_fails(&mut shell, BAD.1, "init-panicked", "the fixture panics in init");
    let failure = shell.failure(BAD.0).expect("the whole remote has failed");
    assert_eq!(failure.stage, Stage::Init);
    assert!(failure.line().contains("trap.rs:"), "where it panicked: {failure}");
    assert!(!failure.details.is_empty(), "a backtrace");
    // Retry starts it anew, and it fails anew.
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
fn a_shared_crate_that_is_used_before_it_was_negotiated() {
    let grant = |host: &mut serde_json::Value| {
        host["grants"] = json!({ BAD.0: { "misbehaving.use-store": "write" } });
    };
    let mut shell = showing(&both(grant), BAD.1);
    slot_fails(&mut shell, BAD.1, "shared-used", "`shared-store` was used before it was negotiated");
}

#[test]
fn error_in_init_of_a_remote_without_the_sdk() {
    let installation = both(|_| ());
    installation.tell(GOOD.0, "refuse-init");
    let mut shell = showing(&installation, BAD.1);
    shell.drive("the bare remote has failed and the other is seen", |shell| {
        shell.failure(GOOD.0).is_some() && shell.has_picture(BAD.0, BAD.1)
    });
    let failure = shell.failure(GOOD.0).expect("it has just been seen");
    assert_eq!((failure.code.as_str(), &*failure.summary), ("fixture-refused", "the fixture refuses to start"));
    fs::remove_file(installation.data_of(GOOD.0).join("refuse-init")).expect("it was there");
    shell.retry(GOOD.0);
    shell.drive("it runs after Retry", |shell| shell.has_picture(GOOD.0, GOOD.1));
    others_go_on(&mut shell);
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
    shell.drive("another surface of it is seen", |shell| shell.has_picture(BAD.0, "./calm"));
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
    let says = "the fixture panics in a frame; press Restart to start it again, and report this to the plugin's author";
    slot_fails(&mut shell, "./panic-frame", "frame-panicked", says);
    assert!(shell.has_picture(BAD.0, "./panic-frame"), "the last good picture stays");
    assert!(shell.is_active(BAD.0));
    shell.drive("another surface of it is seen", |shell| shell.has_picture(BAD.0, "./calm"));
    assert!(shell.slot_failure(BAD.0, "./calm").is_none());
    // Retry makes a new surface, which is good for one frame.
    shell.retry(BAD.0);
    assert!(shell.slot_failure(BAD.0, "./panic-frame").is_none());
    shell.drive("it has failed again, with a new picture", |shell| {
        shell.has_picture(BAD.0, "./panic-frame") && shell.slot_failure(BAD.0, "./panic-frame").is_some()
    });
}

#[test]
fn panic_while_a_surface_is_dropped() {
    let mut shell = showing(&both(|_| ()), "./panic-drop");
    shell.drive("both are seen", |shell| {
        shell.has_picture(BAD.0, "./panic-drop") && shell.has_picture(GOOD.0, GOOD.1)
    });
    shell.federation.retry(BAD.0);
    shell.drive("it runs again", |shell| shell.is_active(BAD.0));
    others_go_on(&mut shell);
    shell.drive("the log says which remote it was", |_| {
        log().iter().any(|line| {
            let says = |part: &str| line.text.contains(part);
            says("code=retire-panicked ") && says(&format!("remote={} ", BAD.0)) && says("was not closed")
        })
    });
}

#[test]
fn a_frame_that_does_not_return() {
    let installation = both(|_| ());
    let mut shell = showing(&installation, "./hang-frame");
    shell.drive("both are seen", |shell| {
        shell.has_picture(BAD.0, "./hang-frame") && shell.has_picture(GOOD.0, GOOD.1)
    });
    // Its second frame was asked for with the picture of the first.
    others_go_on(&mut shell);
    assert!(shell.has_picture(BAD.0, "./hang-frame"), "the last good picture stays");
    assert!(shell.screen().says("About to hang"), "{}", shell.describe());
    installation.tell(BAD.0, "go-on");
    shell.drive("it goes on", |shell| shell.screen().says("Went on"));
    assert!(shell.slot_failure(BAD.0, "./hang-frame").is_none());
}

#[test]
fn a_shell_ends_although_a_remote_hangs() {
    let installation = both(|_| ());
    let mut shell = showing(&installation, "./hang-frame");
    shell.drive("its second frame is on its way", |shell| shell.frames(BAD.0, "./hang-frame") > 0);
    shell.frame(Vec::new());
    drop(shell);
    // Its thread and library were left as they are; it goes on, and nothing comes of it.
    installation.tell(BAD.0, "go-on");
}

#[test]
fn frames_that_break_a_rule() {
    let manifest = manifest_of(&libraries().no_sdk);
    let names = manifest["exposes"].as_object().expect("it exposes something").keys();
    let hostile: Vec<&String> = names.filter(|name| name.starts_with("./hostile-")).collect();
    assert!(hostile.len() > 10);
    // One at a time, each in a shell of its own: a remote that fails three times is disabled.
    for expose in hostile {
        let mut installation = Installation::new();
        installation.add(&libraries().no_sdk);
        let mut shell = installation.start();
        shell.show(GOOD.0, expose);
        shell.show(GOOD.0, "./odd");
        shell.show(GOOD.0, GOOD.1);
        shell.drive("it was found out, and the others are seen", |shell| {
            shell.slot_failure(GOOD.0, expose).is_some()
                && shell.frames(GOOD.0, "./odd") > 1
                && shell.has_picture(GOOD.0, GOOD.1)
        });
        let failure = shell.slot_failure(GOOD.0, expose).expect("it was found out");
        let code = match expose.trim_start_matches("./hostile-") {
            "kept" => "frame-kept",
            "commands" | "cursor" | "data" | "textures" | "updates" | "vertices" => "frame-quota",
            "free" | "part" | "pixels" | "side" | "texture" => "frame-texture",
            _ => "frame-invalid",
        };
        assert_eq!(failure.code.as_str(), code, "{expose}: {failure}");
        assert!(shell.has_picture(GOOD.0, expose), "{expose}: the last good picture stays");
        assert!(shell.screen().commands.is_empty(), "{expose}: nothing of a bad frame is obeyed");
        assert!(shell.slot_failure(GOOD.0, "./odd").is_none(), "{}", shell.describe());
        assert!(shell.is_active(GOOD.0));
    }
}

#[test]
fn a_tree_that_nobody_can_read() {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    let mut shell = installation.start();
    shell.show(GOOD.0, "./mute");
    let code = format!("code={} ", "tree-unreadable");
    let told = || log().into_iter().filter(|line| line.text.contains(&code)).count();
    shell.drive("it is told of", |_| told() > 0);
    let frames = shell.frames(GOOD.0, "./mute");
    for x in [20.0, 30.0, 40.0] {
        shell.frame(vec![Event::PointerMoved(Pos2::new(x, 400.0))]);
    }
    shell.drive("it is shown all the same", |shell| shell.frames(GOOD.0, "./mute") > frames);
    assert!(shell.has_picture(GOOD.0, "./mute") && shell.slot_failure(GOOD.0, "./mute").is_none());
    assert_eq!(told(), 1, "once, not in each frame");
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
fn a_surface_that_is_never_content_costs_others_nothing() {
    let mut installation = Installation::new();
    installation.add(&libraries().no_sdk);
    let mut shell = installation.start();
    shell.show(GOOD.0, "./restless");
    shell.show(GOOD.0, GOOD.1);
    shell.drive("both are seen", |shell| {
        shell.has_picture(GOOD.0, "./restless") && shell.has_picture(GOOD.0, GOOD.1)
    });
    let before = shell.frames(GOOD.0, GOOD.1);
    shell.drive("a hundred frames of it", |shell| shell.frames(GOOD.0, "./restless") > 100);
    assert!(shell.frames(GOOD.0, GOOD.1) <= before + 1, "the other one has nothing new");
    // Nor does it get more than one frame for each of the window's.
    let (before, drawn) = (shell.frames(GOOD.0, "./restless"), 20);
    for _ in 0..drawn {
        shell.frame(Vec::new());
    }
    assert!(shell.frames(GOOD.0, "./restless") <= before + drawn);
}

#[test]
fn links_that_are_not_of_the_web() {
    let mut shell = showing(&both(|_| ()), "./links");
    shell.drive("it is seen", |shell| shell.screen().says("Open"));
    shell.press("Open");
    let is_link = |command: &OutputCommand| matches!(command, OutputCommand::OpenUrl(_));
    shell.drive("a link is opened", |shell| shell.screen().commands.iter().any(is_link));
    let [OutputCommand::OpenUrl(opened)] = &shell.screen().commands[..] else {
        panic!("one link: {:?}", shell.screen().commands)
    };
    assert_eq!(opened.url, "https://example.org/good", "and nothing that was not asked for by the user");
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
            "the log does not say that {refused}"
        );
    }
}

#[test]
fn an_atom_that_was_not_asked_for() {
    let mut shell = showing(&both(|_| ()), "./nosy");
    shell.drive("it is seen", |shell| shell.screen().says("Has no token"));
    assert!(shell.screen().says("Refused: atom-not-granted"), "{}", shell.describe());
    let store = shell.federation.store().expect("the host has a store");
    assert!(!store.get(&AUTH).expect("the host may read").is_authenticated, "nobody signs in but the host");
    for _ in 0..3 {
        let frames = shell.frames(BAD.0, "./nosy");
        shell.press("Again");
        shell.drive("it was drawn again", |shell| shell.frames(BAD.0, "./nosy") > frames);
    }
    let complaints = log()
        .into_iter()
        .filter(|line| line.text.contains("may not read the atom `auth.token`"))
        .collect::<Vec<_>>();
    assert_eq!(complaints.len(), 1, "one line in the log: {complaints:?}");
    assert!(complaints[0].text.contains("atom-not-granted"), "{complaints:?}");
}

#[test]
fn an_atom_that_is_not_granted() {
    let installation = both(|host| host["grants"] = json!({ GOOD.0: { "auth": "read" } }));
    let mut shell = showing(&installation, BAD.1);
    shell.drive("it is seen", |shell| shell.screen().says("Not authenticated"));
    others_go_on(&mut shell);
    assert!(shell.screen().says("Not authenticated"), "{}", shell.describe());
    let place = format!(": {}:1:", installation.path("host.json").display());
    let warned = |line: &Line| {
        let remedy = format!("put `\"{}\": {{ \"auth\": \"read\" }}` under `grants`", BAD.0);
        ["atom-not-granted", &*remedy, &*place].iter().all(|part| line.text.contains(part))
    };
    assert_eq!(log().iter().filter(|line| warned(line)).count(), 1, "the log says so, once");
}

#[test]
fn a_good_remote_is_told_of_changes_and_is_used() {
    let mut shell = showing(&both(|_| ()), BAD.1);
    shell.drive("it is seen", |shell| shell.screen().says("Not authenticated"));
    let user = User { name: "Ada Lovelace".to_owned(), ..User::default() };
    let store = shell.federation.store().expect("the host has a store");
    store.set(&AUTH, &Auth { user: Some(user), is_authenticated: true }).expect("the host may write");
    shell.drive("it says who is signed in", |shell| shell.screen().says("Viewing as: Ada Lovelace"));
    shell.press("Count");
    shell.drive("it counts", |shell| shell.screen().says("Counted 1"));
}
