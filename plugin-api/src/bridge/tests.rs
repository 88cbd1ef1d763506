use egui::Color32;
use proptest::prelude::*;

use super::*;

fn modifiers() -> impl Strategy<Value = Modifiers> {
    (0_u32..32).prop_map(modifiers_from_bits)
}

fn pos() -> impl Strategy<Value = Pos2> {
    (-4_000_i16..4_000, -4_000_i16..4_000).prop_map(|(x, y)| Pos2::new(x.into(), y.into()))
}

fn key() -> impl Strategy<Value = Key> {
    prop::sample::select(Key::ALL)
}

/// Texels in which transparency has no colour, as in every premultiplied image.
fn image() -> impl Strategy<Value = ColorImage> {
    (1_usize..4, 1_usize..4).prop_flat_map(|size| {
        let texel = prop_oneof![
            any::<[u8; 3]>().prop_map(|[r, g, b]| Color32::from_rgb(r, g, b)),
            Just(Color32::TRANSPARENT),
        ];
        prop::collection::vec(texel, size.0 * size.1)
            .prop_map(move |texels| ColorImage::new([size.0, size.1], texels))
    })
}

fn ime() -> impl Strategy<Value = Egui> {
    let active = prop::option::of((0_usize..20, 1_usize..20).prop_map(|(start, long)| start..start + long));
    let event = prop_oneof![
        (any::<String>(), active)
            .prop_map(|(text, active_range_chars)| ImeEvent::Preedit { text, active_range_chars }),
        any::<String>().prop_map(ImeEvent::Commit),
        (0_usize..99, 0_usize..99)
            .prop_map(|(before_chars, after_chars)| ImeEvent::DeleteSurrounding { before_chars, after_chars }),
    ];
    event.prop_map(Egui::Ime)
}

/// Events of every kind.
fn event() -> impl Strategy<Value = Egui> {
    let phase = || prop::sample::select(&PHASES[..]);
    prop_oneof![
        Just(Egui::Copy),
        Just(Egui::Cut),
        any::<String>().prop_map(Egui::Paste),
        image().prop_map(|image| Egui::PasteImage(Arc::new(image))),
        (pos(), any::<String>()).prop_map(|(pos, text)| Egui::MiddleClickPaste { pos, text }),
        any::<String>().prop_map(Egui::Text),
        (key(), prop::option::of(key()), any::<bool>(), any::<bool>(), modifiers()).prop_map(
            |(key, physical_key, pressed, repeat, modifiers)| {
                Egui::Key { key, physical_key, pressed, repeat, modifiers }
            }
        ),
        modifiers().prop_map(Egui::ModifiersChanged),
        pos().prop_map(Egui::PointerMoved),
        pos().prop_map(|delta| Egui::MouseMoved(delta.to_vec2())),
        Just(Egui::PointerGone),
        (pos(), prop::sample::select(&BUTTONS[..]), any::<bool>(), modifiers()).prop_map(
            |(pos, button, pressed, modifiers)| Egui::PointerButton { pos, button, pressed, modifiers }
        ),
        (0.1_f32..10.0).prop_map(Egui::Zoom),
        (-3.0_f32..3.0).prop_map(Egui::Rotate),
        (prop::sample::select(&UNITS[..]), pos(), phase(), prop::sample::select(&SOURCES[..]), modifiers())
            .prop_map(|(unit, delta, phase, source, modifiers)| {
                Egui::MouseWheel { unit, delta: delta.to_vec2(), phase, source, modifiers }
            }),
        ime(),
        (any::<u64>(), any::<u64>(), phase(), pos(), prop::option::of(0.0_f32..1.0)).prop_map(
            |(device, id, phase, pos, force)| {
                Egui::Touch { device_id: TouchDeviceId(device), id: TouchId(id), phase, pos, force }
            }
        ),
        any::<bool>().prop_map(Egui::WindowFocused),
    ]
}

/// Returns `event` with its position moved by `by`.
fn moved(event: &Egui, by: Vec2) -> Egui {
    let mut event = event.clone();
    match &mut event {
        Egui::PointerMoved(pos)
        | Egui::PointerButton { pos, .. }
        | Egui::MiddleClickPaste { pos, .. }
        | Egui::Touch { pos, .. } => *pos += by,
        _ => {}
    }
    event
}

proptest! {
    #[test]
    fn events_survive_the_crossing(event in event(), origin in pos()) {
        let crossed = event_to_abi(&event, origin.to_vec2()).as_ref().and_then(event_from_abi);
        prop_assert_eq!(crossed, Some(moved(&event, -origin.to_vec2())));
    }

    #[test]
    fn translucent_texels_keep_their_look(texel in any::<[u8; 4]>()) {
        let [r, g, b, a] = texel;
        let image = ColorImage::filled([1, 1], Color32::from_rgba_unmultiplied(r, g, b, a));
        let (size, texels) = image_to_abi(&image);
        let crossed = image_from_abi(size, &texels).expect("texels of this size");
        for (sent, came) in image.pixels[0].to_array().into_iter().zip(crossed.pixels[0].to_array()) {
            prop_assert!(sent.abs_diff(came) <= 1, "{:?} became {:?}", image.pixels, crossed.pixels);
        }
    }

    #[test]
    fn arbitrary_events_do_not_panic(
        (kind, bytes, span) in (0_u32..30, any::<[u8; 6]>(), any::<[u32; 2]>()),
        (pos, value, text) in (any::<[f32; 2]>(), any::<f32>(), any::<String>()),
    ) {
        let [button, unit, phase, source, flags, data] = bytes;
        let _ = event_from_abi(&Event {
            button, unit, phase, source, pos, value, span,
            pressed: flags & 1 != 0,
            text: text.as_str().into(),
            physical: text.as_str().into(),
            data: vec![0; data.into()].into(),
            ..Event::new(EventKind(kind))
        });
    }

    #[test]
    #[cfg(unix)]
    fn paths_survive_the_crossing(names in prop::collection::vec("/[^\0]{0,12}", 0..4)) {
        let paths: Vec<std::path::PathBuf> = names.iter().map(Into::into).collect();
        let list = files_to_uris(paths.iter().map(AsRef::as_ref));
        prop_assert!(list.is_ascii() && !list.contains(' '));
        prop_assert_eq!(files_from_uris(&list), paths);
    }

    #[test]
    fn arbitrary_lists_do_not_panic(list in any::<String>(), tail in "[a-z0-9%/]{0,8}") {
        files_from_uris(&list);
        files_from_uris(&format!("file://{tail}"));
    }
}

#[test]
fn image_with_wrong_size_is_rejected() {
    for (size, bytes) in [([2, 2], 15), ([2, 2], 17), ([u32::MAX; 2], 4), ([0, 0], 4)] {
        assert_eq!(image_from_abi(size, &vec![0; bytes]), None, "{size:?} of {bytes} bytes");
    }
}

#[test]
#[cfg(unix)]
fn lists_of_other_programs_are_read() {
    let list = "# a comment\r\nfile:///a%20b/%C3%BC.txt\nFILE://localhost/c\r\nfile:/d\r\n\
                https://example.org/e\nfile://elsewhere/f\nfile:///%00\nfile:///%zz\nfile:///%4\n";
    assert_eq!(files_from_uris(list), ["/a b/ü.txt", "/c", "/d"].map(std::path::PathBuf::from));
}

#[test]
fn names_of_keys_and_cursors_round_trip() {
    for key in Key::ALL {
        assert_eq!(Key::from_name(key.name()), Some(*key));
    }
    for icon in CursorIcon::ALL {
        assert_eq!(cursor_icon(cursor_name(icon)), icon);
    }
    for purpose in PURPOSES {
        assert_eq!(purpose_from_abi(purpose_to_abi(purpose)), purpose);
    }
}

#[test]
fn unknown_values_are_skipped() {
    assert_eq!(event_from_abi(&Event::new(EventKind(9_999))), None);
    assert_eq!(event_from_abi(&Event { text: "NoSuchKey".into(), ..Event::new(EventKind::KEY) }), None);
    assert_eq!(cursor_icon("no-such-cursor"), CursorIcon::Default);
    assert_eq!(purpose_from_abi(99), IMEPurpose::Normal);
}
