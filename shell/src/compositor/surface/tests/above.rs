//! What leaves the slot: who gets the pointer there.

use super::*;

/// Left of the slot, where the shell has something of its own.
const BESIDE: Pos2 = Pos2::new(40.0, 120.0);

/// A picture with a popup from the slot to over what is beside it.
fn popup() -> Frame {
    let place = Rect::from_min_max(Pos2::new(-90.0, 40.0), Pos2::new(30.0, 100.0));
    Frame { overlays: vec![place], ..picture() }
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
fn a_popup_gets_the_pointer_where_it_leaves_the_slot() {
    let mut bench = Bench::settled();
    assert!(
        bench.frame(vec![Event::PointerMoved(BESIDE), press(BESIDE, true)]).is_empty(),
        "nothing is open yet"
    );
    bench.frame(vec![press(BESIDE, false), Event::PointerGone]);

    let mut bench = open();
    let asked = bench.frame(vec![Event::PointerMoved(BESIDE), press(BESIDE, true), press(BESIDE, false)]);
    assert_eq!(
        kinds(&asked[0]),
        [EventKind::POINTER_MOVED, EventKind::POINTER_BUTTON, EventKind::POINTER_BUTTON]
    );
    assert_eq!(Pos2::from(asked[0].events[1].pos), Pos2::new(-60.0, 70.0), "as seen from the slot");
    assert!(bench.ctx.is_pointer_over_egui(), "and nothing below it does");
}

/// The layer at a place beside the slot is one of the surface's.
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
fn nothing_leaves_the_slot_without_a_user_action() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    bench.frame(vec![]);
    let everything = Rect::from_min_max(Pos2::new(-1e6, -1e6), Pos2::new(1e6, 1e6));
    bench.answer(Frame { overlays: vec![everything], ..picture() });
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(!takes(&bench, BESIDE) && !takes(&bench, OUTSIDE));
    let slot = Rect::from_min_max(Pos2::new(100.0, 50.0), Pos2::new(400.0, 300.0));
    assert_eq!(bench.surface.above.clip(&bench.ctx, slot, false), slot, "nor is anything painted there");
}

#[test]
fn a_press_elsewhere_closes_what_lies_above() {
    let mut bench = open();
    assert!(takes(&bench, BESIDE));
    let asked = bench.frame(vec![Event::PointerMoved(OUTSIDE), press(OUTSIDE, true), press(OUTSIDE, false)]);
    let escapes = asked[0].events.iter().filter(|event| event.text == "Escape").count();
    assert_eq!(escapes, 2, "the remote may close it as well: {:?}", asked[0].events);
    bench.answer(popup());
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(!takes(&bench, BESIDE), "though the remote has not");
    // Until the next user action.
    bench.frame(vec![Event::PointerMoved(INSIDE), press(INSIDE, true), press(INSIDE, false)]);
    bench.answer(popup());
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(takes(&bench, BESIDE));
}

#[test]
fn a_second_escape_closes_what_the_first_has_not() {
    let mut bench = open();
    for (stays, keyboard) in [(true, true), (false, false)] {
        bench.frame(escape());
        bench.answer(popup());
        for _ in 0..3 {
            bench.frame(vec![]);
            bench.answer(popup());
        }
        assert_eq!((takes(&bench, BESIDE), bench.surface.keyboard()), (stays, keyboard));
    }
}

#[test]
fn the_shell_keeps_a_part_of_the_window() {
    let mut bench = open();
    set_reach(&bench.ctx, Rect::from_min_max(Pos2::new(60.0, 0.0), Pos2::new(400.0, 300.0)));
    bench.mailbox.request(Duration::ZERO);
    let asked = bench.frame(vec![]);
    assert_eq!(asked[0].window.map(|edge| edge as i32), [-40, -50, 300, 250], "the remote knows");
    bench.answer(popup());
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(!takes(&bench, BESIDE) && takes(&bench, BESIDE + Vec2::new(40.0, 0.0)));
}

#[test]
fn a_click_on_a_popup_beside_the_slot_keeps_the_keyboard() {
    let mut bench = open();
    let mut kinds_of = |events| {
        let asked = bench.frame(events);
        bench.answer(popup());
        asked.iter().flat_map(kinds).collect::<Vec<_>>()
    };
    kinds_of(vec![Event::PointerMoved(BESIDE)]);
    assert_eq!(kinds_of(vec![press(BESIDE, true)]), [EventKind::POINTER_BUTTON]);
    let after = [vec![press(BESIDE, false)], vec![], vec![Event::Text("a".to_owned())]].map(kinds_of);
    assert_eq!(after.concat(), [EventKind::POINTER_BUTTON, EventKind::TEXT], "and no word of the focus");
}

#[test]
fn a_popup_of_a_remote_that_does_not_answer_takes_nothing() {
    let mut bench = open();
    bench.mailbox.request(Duration::ZERO);
    assert_eq!(bench.frame(vec![]).len(), 1, "it is asked, and does not answer");
    bench.surface.in_flight = Instant::now().checked_sub(PATIENCE);
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert_ne!(bench.ctx.layer_id_at(BESIDE).map(|layer| layer.order), Some(egui::Order::Foreground));
}

#[test]
fn every_surface_is_asked_before_any_is_waited_for() {
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
        // Both are at work now; one that waited for the other would wait for a minute.
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
