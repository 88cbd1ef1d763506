//! Drags between surfaces, and of files.

use std::path::{Path, PathBuf};

use egui::{CursorIcon, DroppedFileHandle, HoveredFile, Key};
use plugin_api::abi::{Command, CommandKind};

use super::{
    input::{LEFT, NEITHER, Pair, RIGHT},
    *,
};
use crate::catalogue::Code;

fn drag() -> Command {
    let data = b"Aachen".to_vec().into();
    Command { text: "text/plain".into(), data, ..Command::new(CommandKind::DRAG) }
}

fn takes(flag: bool) -> Command {
    Command { flag, ..Command::new(CommandKind::DRAG_TAKEN) }
}

/// Returns a pair whose left remote drags, with the pointer still over it.
fn dragging() -> Pair {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true)]);
    pair.step(vec![]);
    pair.frame(vec![Event::PointerMoved(LEFT + Vec2::X)]);
    Pair::answer_with(&pair.left, vec![drag()]);
    pair.step(vec![]);
    pair.step(vec![]);
    pair
}

fn find(events: &[abi::Event], kind: EventKind) -> Option<&abi::Event> {
    events.iter().find(|event| event.kind == kind)
}

/// Runs until the drag has ended; returns the result that the source received, and the target's events.
fn outcome(pair: &mut Pair, mut events: Vec<Event>) -> (Option<bool>, Vec<abi::Event>) {
    let (mut ended, mut received) = (None, Vec::new());
    for _ in 0..6 {
        let [left, right] = pair.frame(std::mem::take(&mut events));
        ended = ended.or(find(&left, EventKind::DRAG_ENDED).map(|event| event.pressed));
        received.extend(right);
        for bench in [&pair.left, &pair.right] {
            if bench.surface.waiting().is_some() {
                bench.mailbox.put(Ok(picture()));
            }
        }
    }
    (ended, received)
}

#[test]
fn drag_is_dropped_on_another_remote() {
    let mut pair = dragging();
    assert_eq!(pair.output.cursor_icon, CursorIcon::NoDrop, "no surface accepts it here");
    let [_, right] = pair.frame(vec![Event::PointerMoved(RIGHT)]);
    let kinds: Vec<_> = right.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::DRAG_OVER], "in place of the pointer");
    assert_eq!(
        (&*right[0].text, right[0].data.len()),
        ("text/plain", 0),
        "the data is withheld until the drop"
    );
    assert_eq!(Pos2::from(right[0].pos), Pos2::new(50.0, 100.0));
    Pair::answer_with(&pair.right, vec![takes(true)]);
    pair.step(vec![]);
    pair.step(vec![]);
    assert_eq!(pair.output.cursor_icon, CursorIcon::Grabbing);
    let (ended, received) = outcome(&mut pair, vec![press(RIGHT, false)]);
    let dropped = find(&received, EventKind::DROP).unwrap();
    assert_eq!((&*dropped.text, &dropped.data[..]), ("text/plain", &b"Aachen"[..]));
    assert_eq!(ended, Some(true));
    assert!(find(&received, EventKind::DRAG_LEFT).is_none(), "{received:?}");
}

#[test]
fn drop_waits_for_answer_at_its_position() {
    for taken in [true, false] {
        let mut pair = dragging();
        // Moved there and released in one frame.
        let [_, right] = pair.frame(vec![Event::PointerMoved(RIGHT), press(RIGHT, false)]);
        assert!(find(&right, EventKind::DRAG_OVER).is_some() && find(&right, EventKind::DROP).is_none());
        for _ in 0..5 {
            assert!(find(&pair.frame(vec![])[1], EventKind::DROP).is_none(), "it has not answered");
        }
        Pair::answer_with(&pair.right, vec![takes(taken)]);
        let (ended, received) = outcome(&mut pair, vec![]);
        let expected = if taken { EventKind::DROP } else { EventKind::DRAG_LEFT };
        assert_eq!((ended, find(&received, expected).is_some()), (Some(taken), true), "{received:?}");
    }
}

#[test]
fn drop_outside_of_surfaces_is_refused() {
    let mut pair = dragging();
    pair.frame(vec![Event::PointerMoved(RIGHT)]);
    Pair::answer_with(&pair.right, vec![takes(true)]);
    pair.step(vec![]);
    pair.step(vec![]);
    let (ended, received) = outcome(&mut pair, vec![Event::PointerMoved(NEITHER), press(NEITHER, false)]);
    assert_eq!(ended, Some(false));
    assert!(find(&received, EventKind::DRAG_LEFT).is_some() && find(&received, EventKind::DROP).is_none());
}

#[test]
fn escape_ends_drag_and_reaches_no_remote() {
    let mut pair = dragging();
    pair.frame(vec![Event::PointerMoved(RIGHT)]);
    Pair::answer_with(&pair.right, vec![takes(true)]);
    pair.step(vec![]);
    let modifiers = Modifiers::NONE;
    let escape = Event::Key { key: Key::Escape, physical_key: None, pressed: true, repeat: false, modifiers };
    let [left, _] = pair.step(vec![escape]);
    assert!(!left.contains(&EventKind::KEY) && left.contains(&EventKind::DRAG_ENDED), "{left:?}");
    let (_, received) = outcome(&mut pair, vec![press(RIGHT, false)]);
    assert!(find(&received, EventKind::DROP).is_none());
}

#[test]
fn failure_of_source_ends_its_drag() {
    let mut pair = dragging();
    pair.frame(vec![Event::PointerMoved(RIGHT)]);
    Pair::answer_with(&pair.right, vec![takes(true)]);
    pair.step(vec![]);
    pair.left.mailbox.request(Duration::ZERO);
    pair.frame(vec![]);
    let failure = Failure::new(Stage::Frame, Code::FramePanicked, "raised by the test", "");
    pair.left.mailbox.put(Err(Arc::new(failure)));
    let (_, received) = outcome(&mut pair, vec![]);
    assert!(find(&received, EventKind::DRAG_LEFT).is_some(), "{received:?}");
    let (_, received) = outcome(&mut pair, vec![press(RIGHT, false)]);
    assert!(find(&received, EventKind::DROP).is_none());
}

#[test]
fn drag_needs_button_and_keeps_limits() {
    let mut pair = Pair::new();
    pair.left.mailbox.request(Duration::ZERO);
    pair.frame(vec![]);
    Pair::answer_with(&pair.left, vec![drag()]);
    assert_eq!(outcome(&mut pair, vec![]).0, Some(false), "no button is down");

    for command in [
        Command { data: vec![0; (16 << 20) + 1].into(), ..drag() },
        Command { text: String::new().into(), ..drag() },
        Command { text: "a".repeat(256).into(), ..drag() },
        // Files that the user has not chosen.
        Command { text: "text/uri-list".into(), ..drag() },
        Command { text: "TEXT/URI-List ".into(), ..drag() },
    ] {
        let mut pair = Pair::new();
        pair.step(vec![Event::PointerMoved(LEFT), press(LEFT, true)]);
        pair.step(vec![]);
        pair.frame(vec![Event::PointerMoved(LEFT + Vec2::X)]);
        Pair::answer_with(&pair.left, vec![command]);
        assert_eq!(outcome(&mut pair, vec![]).0, Some(false));
    }
}

#[derive(Debug)]
struct File(PathBuf);

impl egui::DroppedFile for File {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("the test does not read files".to_owned())
    }
}

fn held() -> RawInput {
    let file = HoveredFile { path: Some("/tmp/a b.txt".into()), ..HoveredFile::default() };
    RawInput { hovered_files: vec![file], ..RawInput::default() }
}

fn dropped() -> RawInput {
    let file: DroppedFileHandle = Arc::new(File("/tmp/a b.txt".into()));
    RawInput { dropped_files: vec![file], ..RawInput::default() }
}

/// Holds files over the right remote, which accepts them or not.
fn files_above(taken: bool) -> Pair {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(RIGHT)]);
    pair.step(vec![]);
    pair.input = held();
    let [left, right] = pair.frame(vec![]);
    assert_eq!(left.len(), 0);
    let over = find(&right, EventKind::DRAG_OVER).unwrap();
    assert_eq!((&*over.text, over.span, over.data.len()), ("text/uri-list", [1, 0], 0), "no path yet");
    assert_eq!(pair.files, [0, 1], "the shell shows that it would install them");
    Pair::answer_with(&pair.right, vec![takes(taken)]);
    for _ in 0..2 {
        pair.input = held();
        pair.step(vec![]);
    }
    pair
}

#[test]
fn files_go_to_accepting_surface() {
    let mut pair = files_above(true);
    assert_eq!(pair.files, [0, 0], "the shell has nothing to show");
    pair.input = dropped();
    let [left, right] = pair.frame(vec![]);
    assert!(find(&left, EventKind::DROP).is_none());
    assert_eq!(&find(&right, EventKind::DROP).unwrap().data[..], b"file:///tmp/a%20b.txt\r\n");
    assert_eq!(pair.files, [0, 0]);
}

#[test]
fn refused_files_go_to_shell() {
    let mut pair = files_above(false);
    assert_eq!(pair.files, [0, 1]);
    pair.input = dropped();
    let [_, right] = pair.frame(vec![]);
    assert!(find(&right, EventKind::DRAG_LEFT).is_some() && find(&right, EventKind::DROP).is_none());
    assert_eq!(pair.files, [1, 0]);
    pair.frame(vec![]);
    assert_eq!(pair.files, [0, 0], "once");
}

#[test]
fn files_outside_of_surfaces_go_to_shell_at_once() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerMoved(NEITHER)]);
    pair.input = dropped();
    assert!(pair.frame(vec![]).iter().all(Vec::is_empty));
    assert_eq!(pair.files, [1, 0]);
}

#[test]
fn dropped_files_are_withheld_until_the_answer() {
    for (taken, left_over) in [(true, 0), (false, 1)] {
        let mut pair = Pair::new();
        pair.step(vec![Event::PointerMoved(RIGHT)]);
        pair.step(vec![]);
        pair.input = dropped();
        let [_, right] = pair.frame(vec![]);
        assert!(find(&right, EventKind::DRAG_OVER).is_some());
        assert_eq!(pair.files, [0, 0], "they are withheld");
        Pair::answer_with(&pair.right, vec![takes(taken)]);
        let (mut shell, mut received) = (0, Vec::new());
        for _ in 0..4 {
            received.extend(pair.step(vec![])[1].clone());
            shell += pair.files[0];
        }
        assert_eq!((shell, received.contains(&EventKind::DROP)), (left_over, taken), "{received:?}");
    }
}

#[test]
fn files_without_position_go_to_first_surface() {
    let mut pair = Pair::new();
    pair.step(vec![Event::PointerGone]);
    for _ in 0..3 {
        pair.input = held();
        let [left, right] = pair.step(vec![]);
        assert!(!right.contains(&EventKind::DRAG_OVER), "{left:?} {right:?}");
    }
    let [left, right] = pair.step(vec![]);
    assert_eq!((left.last(), right.last()), (Some(&EventKind::DRAG_LEFT), None), "they were taken away");
}
