//! Frames that come when nobody waits for them any more.

use egui::CursorIcon;

use super::*;

/// A generation of the remote that the test plays, and what it is asked.
fn generation() -> (Arc<Source>, Arc<Mailbox>, Arc<Mutex<usize>>) {
    let mailbox = Mailbox::new(Arc::new(|_| {}));
    let asked: Arc<Mutex<usize>> = Arc::default();
    let request = {
        let asked = Arc::clone(&asked);
        move |_| {
            *asked.lock() += 1;
            true
        }
    };
    let source = Source { id: 8, mailbox: Arc::clone(&mailbox), request: Box::new(request) };
    (Arc::new(source), mailbox, asked)
}

/// A frame that can be told from others.
fn marked(cursor: CursorIcon) -> Frame {
    Frame { cursor, ..picture() }
}

fn shown(bench: &Bench) -> CursorIcon {
    bench.surface.picture.as_ref().unwrap().cursor()
}

#[test]
fn a_late_frame_of_an_earlier_generation_is_never_shown() {
    let mut bench = Bench::settled();
    let old = Arc::clone(&bench.mailbox);
    bench.mailbox.request(Duration::ZERO);
    assert_eq!(bench.frame(vec![]).len(), 1, "the old one is asked, and is slow");
    let (source, new, asked) = generation();
    bench.port.take_over(source, vec![marked(CursorIcon::Crosshair)]);
    // It answers after it was overtaken and before the window has drawn again.
    old.put(Ok(marked(CursorIcon::Wait)));
    bench.frame(vec![]);
    assert_eq!(shown(&bench), CursorIcon::Crosshair);
    let count = bench.surface.counts().0;
    for _ in 0..3 {
        old.put(Ok(marked(CursorIcon::Wait)));
        old.put(Err(Arc::new(Failure::new(Stage::Frame, "frame-panicked", "the test says so"))));
        old.request(Duration::ZERO);
        assert!(bench.frame(vec![]).is_empty(), "the old one is not asked again");
        assert_eq!(shown(&bench), CursorIcon::Crosshair);
    }
    assert!(bench.surface.failure().is_none(), "what happened to the old one is of no concern");
    assert_eq!((bench.surface.counts().0, *asked.lock()), (count, 1));
    new.put(Ok(marked(CursorIcon::Alias)));
    bench.frame(vec![]);
    assert_eq!(shown(&bench), CursorIcon::Alias);
}

#[test]
fn a_generation_that_was_overtaken_before_it_was_seen_is_never_shown() {
    let mut bench = Bench::settled();
    let (second, second_mail, second_asked) = generation();
    let (third, _, _) = generation();
    bench.port.take_over(second, vec![marked(CursorIcon::Wait)]);
    second_mail.put(Ok(marked(CursorIcon::Wait)));
    bench.port.take_over(third, vec![marked(CursorIcon::Crosshair)]);
    bench.frame(vec![]);
    bench.frame(vec![]);
    assert_eq!((shown(&bench), *second_asked.lock()), (CursorIcon::Crosshair, 0));
}

#[test]
fn the_old_picture_stays_until_the_new_generation_has_one() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    bench.frame(vec![]);
    bench.answer(marked(CursorIcon::Wait));
    bench.frame(vec![]);
    let (source, new, _) = generation();
    bench.port.take_over(source, vec![]);
    for _ in 0..3 {
        bench.mailbox.put(Ok(marked(CursorIcon::Help)));
        bench.frame(vec![]);
        assert_eq!(shown(&bench), CursorIcon::Wait, "what was there when it was overtaken");
    }
    // A bad frame of the new one is none, and the old picture is still there.
    new.put(Err(Arc::new(Failure::new(Stage::Frame, "frame-kept", "the test says so"))));
    bench.frame(vec![]);
    assert_eq!((shown(&bench), bench.surface.failure().is_some()), (CursorIcon::Wait, true));
}

#[test]
fn slow_mark_has_the_time_of_the_late_frame() {
    let mut bench = Bench::settled();
    for took in [80, 60, 1].map(Duration::from_millis) {
        bench.mailbox.request(Duration::ZERO);
        bench.frame(vec![]);
        bench.answer(Frame { took, ..picture() });
        bench.frame(vec![]);
    }
    assert_eq!(bench.surface.health(), Health::Slow);
    assert_eq!(bench.surface.late(), Some(Duration::from_millis(80)));
}

#[test]
fn hung_surface_does_not_draw_the_window_again() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    bench.frame(vec![]);
    bench.surface.in_flight = Instant::now().checked_sub(PATIENCE);
    (0..3).for_each(|_| drop(bench.frame(vec![])));
    assert!(!bench.ctx.has_requested_repaint());
    assert_eq!(bench.surface.health(), Health::NotResponding);
}

#[test]
fn surfaces_of_one_remote_do_not_get_each_others_frames() {
    let (mut one, mut other) = (Bench::settled(), Bench::settled());
    one.mailbox.request(Duration::ZERO);
    one.frame(vec![]);
    other.answer(marked(CursorIcon::Wait));
    one.frame(vec![]);
    assert_eq!(shown(&one), CursorIcon::Default);
    other.frame(vec![]);
    assert_eq!(shown(&other), CursorIcon::Wait);
}
