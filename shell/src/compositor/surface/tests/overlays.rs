//! Overlays outside of the slot: the owner of the pointer there.

use super::*;

/// Left of the slot, over the shell.
const LEFT_OF_SLOT: Pos2 = Pos2::new(40.0, 120.0);

/// Returns a picture with a popup that reaches out of the slot, to the left.
fn popup() -> CheckedFrame {
    let place = Rect::from_min_max(Pos2::new(-90.0, 40.0), Pos2::new(30.0, 100.0));
    CheckedFrame { overlays: vec![place], ..picture() }
}

/// Returns a bench with the popup open and measured, after a press in the slot.
fn open() -> Bench {
    let mut bench = Bench::settled();
    bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true), press(INSIDE, false)]);
    bench.answer(popup());
    bench.frame(vec![]);
    bench.answer(popup());
    // egui measures an area before it takes the pointer.
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    bench
}

#[test]
fn popup_takes_pointer_outside_of_slot() {
    let mut bench = Bench::settled();
    assert!(
        bench.frame(vec![Event::PointerMoved(LEFT_OF_SLOT), press(LEFT_OF_SLOT, true)]).is_empty(),
        "nothing is open yet"
    );
    bench.frame(vec![press(LEFT_OF_SLOT, false), Event::PointerGone]);

    let mut bench = open();
    let asked = bench.frame(vec![
        Event::PointerMoved(LEFT_OF_SLOT),
        press(LEFT_OF_SLOT, true),
        press(LEFT_OF_SLOT, false),
    ]);
    assert_eq!(
        kinds(&asked[0]),
        [EventKind::POINTER_MOVED, EventKind::POINTER_BUTTON, EventKind::POINTER_BUTTON]
    );
    assert_eq!(Pos2::from(asked[0].events[1].pos), Pos2::new(-60.0, 70.0), "in slot coordinates");
    assert!(bench.ctx.is_pointer_over_egui(), "nothing below the popup gets the pointer");
}

/// Returns `true` if the layer at `pos` is one of the surface's overlays.
fn takes(bench: &Bench, pos: Pos2) -> bool {
    bench.ctx.layer_id_at(pos).is_some_and(|layer| layer.order == egui::Order::Foreground)
}

fn escape() -> Vec<Event> {
    let (key, modifiers) = (egui::Key::Escape, Modifiers::NONE);
    [true, false]
        .map(|pressed| Event::Key { key, physical_key: None, pressed, repeat: false, modifiers })
        .to_vec()
}

#[test]
fn overlays_stay_in_slot_without_user_action() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    bench.frame(vec![]);
    let everything = Rect::from_min_max(Pos2::new(-1e6, -1e6), Pos2::new(1e6, 1e6));
    bench.answer(CheckedFrame { overlays: vec![everything], ..picture() });
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(!takes(&bench, LEFT_OF_SLOT) && !takes(&bench, OUTSIDE));
    let slot = Rect::from_min_max(Pos2::new(100.0, 50.0), Pos2::new(400.0, 300.0));
    assert_eq!(bench.surface.overlays.clip(&bench.ctx, slot, false), slot, "nothing is painted there either");
}

#[test]
fn press_elsewhere_closes_overlays() {
    let mut bench = open();
    assert!(takes(&bench, LEFT_OF_SLOT));
    let asked = bench.frame(vec![Event::PointerMoved(OUTSIDE), press(OUTSIDE, true), press(OUTSIDE, false)]);
    let escapes = asked[0].events.iter().filter(|event| event.text == "Escape").count();
    assert_eq!(escapes, 2, "the remote can close it too: {:?}", asked[0].events);
    bench.answer(popup());
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(!takes(&bench, LEFT_OF_SLOT), "closed, though not by the remote");
    // Until the next user action.
    bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true), press(INSIDE, false)]);
    bench.answer(popup());
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(takes(&bench, LEFT_OF_SLOT));
}

#[test]
fn second_escape_closes_what_first_left_open() {
    let mut bench = open();
    for (stays, keyboard) in [(true, true), (false, false)] {
        bench.frame(escape());
        bench.answer(popup());
        for _ in 0..3 {
            bench.frame(vec![]);
            bench.answer(popup());
        }
        assert_eq!((takes(&bench, LEFT_OF_SLOT), bench.surface.keyboard()), (stays, keyboard));
    }
}

#[test]
fn shell_reserves_part_of_window() {
    let mut bench = open();
    set_reach(&bench.ctx, Rect::from_min_max(Pos2::new(60.0, 0.0), Pos2::new(400.0, 300.0)));
    bench.mailbox.request(Duration::ZERO);
    let asked = bench.frame(vec![]);
    assert_eq!(asked[0].window.map(|edge| edge as i32), [-40, -50, 300, 250], "the remote is notified");
    bench.answer(popup());
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(!takes(&bench, LEFT_OF_SLOT) && takes(&bench, LEFT_OF_SLOT + Vec2::new(40.0, 0.0)));
}

#[test]
fn click_on_popup_outside_of_slot_keeps_keyboard() {
    let mut bench = open();
    let mut kinds_of = |events| {
        let asked = bench.frame(events);
        bench.answer(popup());
        asked.iter().flat_map(kinds).collect::<Vec<_>>()
    };
    kinds_of(vec![Event::PointerMoved(LEFT_OF_SLOT)]);
    assert_eq!(kinds_of(vec![press(LEFT_OF_SLOT, true)]), [EventKind::POINTER_BUTTON]);
    let after = [vec![press(LEFT_OF_SLOT, false)], vec![], vec![Event::Text("a".to_owned())]].map(kinds_of);
    assert_eq!(after.concat(), [EventKind::POINTER_BUTTON, EventKind::TEXT], "no focus event");
}

#[test]
fn popup_of_hanging_remote_takes_no_pointer() {
    let mut bench = open();
    bench.mailbox.request(Duration::ZERO);
    assert_eq!(bench.frame(vec![]).len(), 1, "it is asked, and does not answer");
    bench.surface.in_flight = Instant::now().checked_sub(PATIENCE);
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert_ne!(bench.ctx.layer_id_at(LEFT_OF_SLOT).map(|layer| layer.order), Some(egui::Order::Foreground));
}

#[test]
fn all_surfaces_are_asked_before_any_wait() {
    let (mut first, mut second) = (Bench::settled(), Bench::settled());
    let scene = Scene { tokens: DARK, deadline: Instant::now() + Duration::from_mins(1) };
    let ctx = Context::default();
    let input = RawInput {
        screen_rect: Some(Rect::from_min_size(Pos2::ZERO, Vec2::new(400.0, 300.0))),
        ..RawInput::default()
    };
    let mut output = ctx.run_ui(input, |ui| {
        for (at, bench) in [&mut first, &mut second].into_iter().enumerate() {
            let slot = Rect::from_min_size(Pos2::new(at as f32 * 200.0, 0.0), Vec2::splat(200.0));
            let builder = egui::UiBuilder::new().max_rect(slot).id_salt(at);
            ui.scope_builder(builder, |ui| bench.surface.ui(ui, &scene));
        }
        // Both work now; if one waited for the other, it would wait for a minute.
        for bench in [&first, &second] {
            assert_eq!(bench.asked.lock().len(), 1);
            bench.answer(picture());
        }
        for bench in [&mut first, &mut second] {
            bench.surface.finish(ui.ctx(), &scene);
            assert_eq!(bench.surface.waiting(), None);
        }
    });
    output.textures_delta.clear();
}
