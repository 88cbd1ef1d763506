//! Frames that arrive late: of older generations, and after a changed look.

use egui::CursorIcon;

use super::*;

/// Returns a generation played by the test, its mailbox, and the number of its requests.
fn generation() -> (Arc<SurfaceHandle>, Arc<Mailbox>, Arc<Mutex<usize>>) {
    let mailbox = Mailbox::new(Arc::new(|_| {}));
    let asked: Arc<Mutex<usize>> = Arc::default();
    let request = {
        let asked = Arc::clone(&asked);
        move |_| {
            *asked.lock() += 1;
            true
        }
    };
    let source = SurfaceHandle { id: 8, mailbox: Arc::clone(&mailbox), request: Box::new(request) };
    (Arc::new(source), mailbox, asked)
}

/// Returns a frame marked by its cursor.
fn marked(cursor: CursorIcon) -> CheckedFrame {
    CheckedFrame { cursor, ..picture() }
}

fn shown(bench: &Bench) -> CursorIcon {
    bench.surface.picture.as_ref().unwrap().cursor()
}

#[test]
fn late_frame_of_old_generation_is_never_shown() {
    let mut bench = Bench::settled();
    let old = Arc::clone(&bench.mailbox);
    bench.mailbox.request(Duration::ZERO);
    assert_eq!(bench.frame(vec![]).len(), 1, "the old generation is asked, and is slow");
    let (source, new, asked) = generation();
    bench.port.replace_source(source, vec![marked(CursorIcon::Crosshair)]);
    // It answers after it was replaced and before the window has drawn again.
    old.put(Ok(marked(CursorIcon::Wait)));
    bench.frame(vec![]);
    assert_eq!(shown(&bench), CursorIcon::Crosshair);
    let count = bench.surface.counts().0;
    for _ in 0..3 {
        old.put(Ok(marked(CursorIcon::Wait)));
        old.put(Err(Arc::new(Failure::new(Stage::Frame, Code::FramePanicked, "raised by the test", ""))));
        old.request(Duration::ZERO);
        assert!(bench.frame(vec![]).is_empty(), "the old generation is not asked again");
        assert_eq!(shown(&bench), CursorIcon::Crosshair);
    }
    assert!(bench.surface.failure().is_none(), "failures of the old generation are ignored");
    assert_eq!((bench.surface.counts().0, *asked.lock()), (count, 1));
    new.put(Ok(marked(CursorIcon::Alias)));
    bench.frame(vec![]);
    assert_eq!(shown(&bench), CursorIcon::Alias);
}

#[test]
fn generation_replaced_before_drawing_is_never_shown() {
    let mut bench = Bench::settled();
    let (second, second_mail, second_asked) = generation();
    let (third, _, _) = generation();
    bench.port.replace_source(second, vec![marked(CursorIcon::Wait)]);
    second_mail.put(Ok(marked(CursorIcon::Wait)));
    bench.port.replace_source(third, vec![marked(CursorIcon::Crosshair)]);
    bench.frame(vec![]);
    bench.frame(vec![]);
    assert_eq!((shown(&bench), *second_asked.lock()), (CursorIcon::Crosshair, 0));
}

#[test]
fn old_picture_stays_until_new_generation_draws() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    bench.frame(vec![]);
    bench.answer(marked(CursorIcon::Wait));
    bench.frame(vec![]);
    let (source, new, _) = generation();
    bench.port.replace_source(source, vec![]);
    for _ in 0..3 {
        bench.mailbox.put(Ok(marked(CursorIcon::Help)));
        bench.frame(vec![]);
        assert_eq!(shown(&bench), CursorIcon::Wait, "the last picture before the replacement");
    }
    // An invalid frame of the new generation does not replace the picture.
    new.put(Err(Arc::new(Failure::new(Stage::Frame, Code::FrameKept, "raised by the test", ""))));
    bench.frame(vec![]);
    assert_eq!((shown(&bench), bench.surface.failure().is_some()), (CursorIcon::Wait, true));
}

/// Answers the next requests of `bench` from another thread, the last one with `mark`.
fn answer_later(bench: &Bench, answers: usize, mark: CursorIcon) -> std::thread::JoinHandle<()> {
    let (asked, mailbox) = (Arc::clone(&bench.asked), Arc::clone(&bench.mailbox));
    let before = asked.lock().len();
    std::thread::spawn(move || {
        for answer in 1..=answers {
            while asked.lock().len() < before + answer {
                std::thread::yield_now();
            }
            mailbox.put(Ok(if answer == answers { marked(mark) } else { picture() }));
        }
    })
}

#[test]
fn changed_look_waits_for_its_picture() {
    let mut bench = Bench::settled();
    for (tokens, mark) in [(DARK, CursorIcon::Crosshair), (LIGHT, CursorIcon::Alias)] {
        bench.tokens = tokens;
        let answer = answer_later(&bench, 1, mark);
        assert_eq!(bench.frame(vec![])[0].tokens, tokens);
        answer.join().unwrap();
        assert_eq!(shown(&bench), mark, "in the same frame of the window");
    }
}

#[test]
fn frame_in_flight_is_followed_by_changed_look() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    assert_eq!(bench.frame(vec![]).len(), 1, "it is in flight");
    bench.tokens = DARK;
    bench.mailbox.put(Ok(picture()));
    let answer = answer_later(&bench, 1, CursorIcon::Crosshair);
    // `ask` takes the first answer before it sends the request, and the second answer still comes in time.
    assert!(bench.frame(vec![])[0].tokens.dark);
    answer.join().unwrap();
    assert_eq!(shown(&bench), CursorIcon::Crosshair);
}

#[test]
fn hanging_surface_is_waited_for_once() {
    let mut bench = Bench::settled();
    bench.tokens = DARK;
    assert_eq!(bench.frame(vec![]).len(), 1);
    assert!(bench.surface.missed && bench.surface.hold.is_none());
    for size in [200.0, 220.0, 240.0] {
        bench.tokens.space[0] = size;
        let began = bench.surface.began;
        assert!(bench.frame(vec![]).is_empty(), "it still works on the first one");
        assert!(bench.surface.began > began && bench.surface.next.is_none(), "the window does not wait for it");
    }
    bench.answer(picture());
    assert_eq!(bench.frame(vec![]).len(), 1, "then the missed look is requested");
    assert!(bench.surface.missed, "its answer took too long");
    // Until one answer is fast enough: the machine may be busy.
    while bench.surface.missed {
        bench.answer(picture());
        bench.frame(vec![]);
        bench.mailbox.request(Duration::ZERO);
        bench.frame(vec![]);
    }
}

#[test]
fn slow_mark_has_the_time_of_the_late_frame() {
    let mut bench = Bench::settled();
    for took in [80, 60, 1].map(Duration::from_millis) {
        bench.mailbox.request(Duration::ZERO);
        bench.frame(vec![]);
        bench.answer(CheckedFrame { took, ..picture() });
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
fn surfaces_of_one_remote_keep_frames_apart() {
    let (mut one, mut other) = (Bench::settled(), Bench::settled());
    one.mailbox.request(Duration::ZERO);
    one.frame(vec![]);
    other.answer(marked(CursorIcon::Wait));
    one.frame(vec![]);
    assert_eq!(shown(&one), CursorIcon::Default);
    other.frame(vec![]);
    assert_eq!(shown(&other), CursorIcon::Wait);
}
