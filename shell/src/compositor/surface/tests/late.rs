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
        old.put(Err(Arc::new(Failure::new(Stage::Frame, Code::FramePanicked, "the test says so", ""))));
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
    new.put(Err(Arc::new(Failure::new(Stage::Frame, Code::FrameKept, "the test says so", ""))));
    bench.frame(vec![]);
    assert_eq!((shown(&bench), bench.surface.failure().is_some()), (CursorIcon::Wait, true));
}

/// Answers every request of `bench` from another thread, each after the one before was looked at.
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
fn a_changed_look_waits_for_the_picture_of_it() {
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
fn a_frame_under_way_is_followed_by_one_of_the_changed_look() {
    let mut bench = Bench::settled();
    bench.mailbox.request(Duration::ZERO);
    assert_eq!(bench.frame(vec![]).len(), 1, "it is under way");
    bench.tokens = DARK;
    bench.mailbox.put(Ok(picture()));
    let answer = answer_later(&bench, 1, CursorIcon::Crosshair);
    // `ask` would take the first answer before it asks: the second one comes in time all the same.
    assert!(bench.frame(vec![])[0].tokens.dark);
    answer.join().unwrap();
    assert_eq!(shown(&bench), CursorIcon::Crosshair);
}

#[test]
fn a_surface_that_does_not_follow_is_waited_for_once() {
    let mut bench = Bench::settled();
    bench.tokens = DARK;
    assert_eq!(bench.frame(vec![]).len(), 1);
    assert!(bench.surface.missed && bench.surface.hold.is_none());
    for size in [200.0, 220.0, 240.0] {
        bench.tokens.space[0] = size;
        let began = bench.surface.began;
        assert!(bench.frame(vec![]).is_empty(), "it still works on the first one");
        assert!(bench.surface.began > began && bench.surface.next.is_none(), "nothing is held for it");
    }
    bench.answer(picture());
    assert_eq!(bench.frame(vec![]).len(), 1, "and then it is asked for what it has missed");
    assert!(bench.surface.missed, "its answer took too long");
    // Until it is once fast enough, on a machine that may be busy.
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
