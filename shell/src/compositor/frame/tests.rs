//! What a remote may send, what it may not, and that nothing it sends does harm.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fs, path::Path};

use abi_stable::std_types::ROption;
use plugin_api::abi::{ClippedMesh, Command, CommandKind, Ime, NEVER, Vertex};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
#[path = "../../../fuzz/src/frames.rs"]
mod frames;

use frames::{QUOTA, SIDE};

fn texture(id: u64, size: [u32; 2]) -> abi::TextureUpdate {
    abi::TextureUpdate {
        texture: id,
        free: false,
        partial: false,
        nearest: false,
        nearest_small: false,
        wrap: 0,
        pos: [0; 2],
        size,
        pixels: vec![200; (size[0] * size[1] * 4) as usize].into(),
    }
}

fn part(id: u64, pos: [u32; 2], size: [u32; 2]) -> abi::TextureUpdate {
    abi::TextureUpdate { partial: true, pos, ..texture(id, size) }
}

fn free(id: u64) -> abi::TextureUpdate {
    abi::TextureUpdate { free: true, ..texture(id, [0; 2]) }
}

fn triangle(texture: u64) -> ClippedMesh {
    let corner = |x, y| Vertex { pos: [x, y], uv: [0.5; 2], color: [255; 4] };
    ClippedMesh {
        id: 0,
        kept: false,
        clip: [0.0, 0.0, 9.0, 9.0],
        texture,
        overlay: false,
        indices: vec![0, 1, 2].into(),
        vertices: vec![corner(0.0, 0.0), corner(9.0, 0.0), corner(0.0, 9.0)].into(),
    }
}

fn good() -> abi::Frame {
    abi::Frame {
        meshes: vec![triangle(1)].into(),
        textures: vec![texture(1, [8, 8])].into(),
        cursor: "pointer".into(),
        repaint_after: NEVER,
        ..abi::Frame::default()
    }
}

fn with(change: impl FnOnce(&mut abi::Frame)) -> abi::Frame {
    let mut frame = good();
    change(&mut frame);
    frame
}

/// Expects `frame`, as the second one of a surface, to be refused with a message that says `expected`, and
/// the surface to go on as if it had not been.
fn refused(frame: abi::Frame, expected: &str) {
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(good()).unwrap();
    let before = validator.sizes.clone();
    let error = validator.accept(frame).expect_err(expected).to_string();
    assert!(error.contains(expected), "`{error}` does not say `{expected}`");
    assert_eq!(validator.sizes, before, "{expected}");
    validator.accept(good()).unwrap();
}

/// Expects `frame` to be accepted as the second one of a surface.
fn accepted(frame: abi::Frame) -> Frame {
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(good()).unwrap();
    validator.accept(frame).unwrap()
}

#[test]
fn a_good_frame_is_taken_over_as_it_is() {
    let frame = accepted(with(|f| {
        f.commands = vec![Command { text: "copied".into(), ..Command::new(CommandKind::COPY_TEXT) }].into();
        f.overlays = vec![[1.0, 2.0, 3.0, 4.0]].into();
        f.ime = ROption::RSome(Ime {
            field: [0.0, 0.0, 50.0, 10.0],
            cursor: [5.0, 0.0, 6.0, 10.0],
            purpose: 0,
            interrupt: false,
        });
        f.wants_keyboard = true;
        f.repaint_after = 1_500;
        f.meshes[0].overlay = true;
    }));
    let mesh = &frame.meshes[0];
    assert_eq!((mesh.texture, mesh.overlay, &mesh.triangles.indices[..]), (1, true, &[0, 1, 2][..]));
    assert_eq!(mesh.clip, Rect::from_min_max(Pos2::ZERO, Pos2::new(9.0, 9.0)));
    assert_eq!(
        (mesh.triangles.vertices[1].pos, mesh.triangles.vertices[1].color),
        (Pos2::new(9.0, 0.0), Color32::WHITE)
    );
    assert_eq!(frame.overlays, [Rect::from_min_max(Pos2::new(1.0, 2.0), Pos2::new(3.0, 4.0))]);
    assert_eq!(frame.commands[0].text, "copied");
    assert_eq!(frame.cursor, egui::CursorIcon::PointingHand);
    assert_eq!(frame.ime.unwrap().rect.max, Pos2::new(50.0, 10.0));
    assert!(frame.wants_keyboard);
    assert_eq!(frame.repaint_after, Some(Duration::from_nanos(1_500)));
    assert_eq!(accepted(good()).repaint_after, None);
}

#[test]
fn meshes_are_checked() {
    refused(with(|f| f.meshes[0].indices[2] = 3), "index 3 of 3 vertices");
    refused(with(|f| f.meshes[0].indices[0] = u32::MAX), "index 4294967295");
    refused(with(|f| f.meshes[0].vertices = vec![].into()), "index 2 of 0 vertices");
    refused(with(|f| f.meshes[0].indices.push(0)), "4 indices do not make triangles");
    refused(with(|f| f.meshes[0].texture = 2), "a mesh with texture 2, which there is not");
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        refused(with(|f| f.meshes[0].vertices[1].pos[1] = wrong), "not a finite number");
        refused(with(|f| f.meshes[0].vertices[2].uv[0] = wrong), "not a finite number");
    }
    refused(with(|f| f.meshes[0].clip[3] = f32::NAN), "a rectangle that is not a number");
    refused(with(|f| f.overlays.push([f32::NAN; 4])), "a rectangle that is not a number");
    let nan = Ime { field: [0.0; 4], cursor: [f32::NAN; 4], purpose: 0, interrupt: false };
    refused(with(|f| f.ime = ROption::RSome(nan)), "a rectangle that is not a number");
}

#[test]
fn rectangles_without_end_are_brought_within_reach() {
    let frame = accepted(with(|f| f.meshes[0].clip = [f32::NEG_INFINITY, 0.0, f32::INFINITY, f32::MAX]));
    let clip = frame.meshes[0].clip;
    assert!(clip.is_finite() && clip.width() > 100_000.0, "{clip}");
}

#[test]
fn quotas_are_kept() {
    refused(with(|f| f.meshes = vec![triangle(1); 9].into()), "9 meshes");
    let many = |f: &mut abi::Frame| f.meshes[0].vertices = vec![f.meshes[0].vertices[0]; 65].into();
    refused(with(many), "65 vertices");
    refused(with(|f| f.meshes[0].indices = vec![0; 99].into()), "99 indices");
    refused(with(|f| f.overlays = vec![[0.0; 4]; 9].into()), "9 layers");
    let command = Command { text: "x".into(), ..Command::new(CommandKind(77)) };
    refused(with(|f| f.commands = vec![command.clone(); 5].into()), "5 commands");
    let long = Command { text: "x".repeat(101).into(), ..command };
    refused(with(|f| f.commands = vec![long].into()), "commands of 101 bytes");
    refused(with(|f| f.cursor = "x".repeat(65).into()), "a text of 65 bytes");
    refused(with(|f| f.access = "x".repeat(65).into()), "a text of 65 bytes");
    refused(with(|f| f.textures = (2..6).map(|id| texture(id, [1, 1])).collect()), "5 textures");
    let parts = (0..7).map(|_| part(1, [0, 0], [1, 1])).collect();
    refused(with(|f| f.textures = parts), "changes of textures without end");
    // No more is left at the end, but all of it would be held until the frame is shown.
    refused(with(|f| f.textures = vec![texture(1, [16, 9]); 3].into()), "changes of 432 texels");
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(good()).unwrap();
    validator.accept(with(|f| f.textures = vec![texture(2, [16, 16])].into())).unwrap();
    let full = validator.accept(with(|f| f.textures = vec![texture(3, [16, 16])].into())).unwrap_err();
    assert!(full.to_string().contains("textures of 576 texels"), "{full}");
}

#[test]
fn textures_are_checked() {
    let one = |update: abi::TextureUpdate| with(|f| f.textures = vec![update].into());
    refused(one(texture(2, [17, 1])), "over 16 a side");
    refused(one(abi::TextureUpdate { size: [u32::MAX; 2], ..texture(2, [1, 1]) }), "over 16 a side");
    refused(one(texture(2, [0, 4])), "without texels");
    refused(one(part(1, [0, 0], [0, 4])), "without texels");
    refused(one(abi::TextureUpdate { size: [2, 2], ..texture(2, [2, 1]) }), "texture 2 of 2×2 with 8 bytes");
    refused(one(part(2, [0, 0], [1, 1])), "a part of texture 2, which there is not");
    refused(one(part(1, [1, 0], [8, 1])), "a part of texture 1 outside of it");
    refused(one(part(1, [0, 8], [1, 1])), "a part of texture 1 outside of it");
    refused(one(part(1, [u32::MAX, 0], [2, 1])), "a part of texture 1 outside of it");
    refused(one(free(2)), "it frees texture 2, which there is not");
    refused(with(|f| f.textures = vec![free(1), free(1)].into()), "it frees texture 1, which there is not");
    let after = vec![free(1), part(1, [0, 0], [1, 1])];
    refused(with(|f| f.textures = after.into()), "a part of texture 1, which there is not");
    let frame = accepted(one(part(1, [7, 7], [1, 1])));
    assert!(matches!(frame.textures[0], TextureUpdate::Set { texture: 1, pos: Some([7, 7]), .. }));
}

#[test]
fn a_freed_texture_serves_for_one_more_frame() {
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(good()).unwrap();
    validator.accept(with(|f| f.textures = vec![free(1)].into())).unwrap();
    let late = validator.accept(with(|f| f.textures = vec![].into())).unwrap_err();
    assert!(late.to_string().contains("texture 1, which there is not"), "{late}");
    // Its name may be used again, in the frame that frees it too.
    validator.accept(good()).unwrap();
    validator.accept(with(|f| f.textures = vec![free(1), texture(1, [2, 2])].into())).unwrap();
    assert_eq!(validator.sizes[&1], [2, 2]);
}

#[test]
fn what_a_host_does_not_know_is_skipped() {
    let frame = accepted(with(|f| {
        f.cursor = "hologram".into();
        f.commands = vec![Command { flag: true, text: "?".into(), ..Command::new(CommandKind(4_000)) }].into();
    }));
    assert_eq!(frame.cursor, egui::CursorIcon::Default);
    assert_eq!(frame.meshes.len(), 1);
}

#[test]
fn numbers_that_are_far_away_are_brought_within_reach() {
    for far in [1e10, 1e38, f32::MAX, -1e38, f32::MIN] {
        let frame = accepted(with(|f| {
            f.meshes[0].vertices[1] = Vertex { pos: [far; 2], uv: [far; 2], ..f.meshes[0].vertices[1] }
        }));
        let vertex = frame.meshes[0].triangles.vertices[1];
        assert_eq!((vertex.pos.x, vertex.uv.y), (FAR.copysign(far), FAR.copysign(far)));
        // Moved to the slot, scaled to pixels and multiplied with another of its kind, it is still a number.
        assert!(((vertex.pos.x + 1e6) * 16.0 * vertex.pos.y * 16.0).is_finite());
    }
    let near = accepted(with(|f| f.meshes[0].vertices[1].pos = [-FAR, FAR]));
    assert_eq!(near.meshes[0].triangles.vertices[1].pos, Pos2::new(-FAR, FAR));
}

#[test]
fn no_sum_of_times_overflows() {
    let frame = accepted(with(|f| f.repaint_after = NEVER - 1));
    assert_eq!(frame.repaint_after, Some(Duration::from_hours(24)));
    assert_eq!(accepted(with(|f| f.repaint_after = 0)).repaint_after, Some(Duration::ZERO));
}

#[test]
fn commands_are_checked() {
    let bytes = |n: usize| Command { data: vec![1; n].into(), ..Command::new(CommandKind::DRAG) };
    assert_eq!(accepted(with(|f| f.commands = vec![bytes(50); 2].into())).commands[1].data.len(), 50);
    refused(with(|f| f.commands = vec![bytes(50), bytes(51)].into()), "commands of 101 bytes");
    let image = |size, n| Command { size, ..Command { kind: CommandKind::COPY_IMAGE, ..bytes(n) } };
    assert_eq!(accepted(with(|f| f.commands = vec![image([3, 2], 24)].into())).commands[0].size, [3, 2]);
    for wrong in [image([3, 2], 23), image([0, 0], 0), image([0, 9], 0), image([1 << 31, 1 << 31], 0)] {
        refused(with(|f| f.commands = vec![wrong].into()), "an image of");
    }
}

/// `mesh` under this name, and what its next frame says to keep it.
fn named(id: u64, mesh: ClippedMesh) -> (ClippedMesh, ClippedMesh) {
    let said = ClippedMesh { indices: vec![].into(), vertices: vec![].into(), kept: true, id, ..mesh.clone() };
    (ClippedMesh { id, ..mesh }, said)
}

#[test]
fn a_kept_mesh_is_the_one_of_the_frame_before_and_of_no_other() {
    let (first, kept) = named(5, triangle(1));
    let frame =
        |meshes: Vec<ClippedMesh>| abi::Frame { meshes: meshes.into(), textures: vec![].into(), ..good() };
    let mut validator = Validator::new(QUOTA, SIDE);
    let before = validator.accept(abi::Frame { meshes: vec![first.clone()].into(), ..good() }).unwrap();
    let moved = ClippedMesh { clip: [1.0, 2.0, 3.0, 4.0], overlay: true, texture: 77, ..kept.clone() };
    for _ in 0..3 {
        let after = validator.accept(frame(vec![moved.clone()])).unwrap();
        assert!(Arc::ptr_eq(&before.meshes[0].triangles, &after.meshes[0].triangles), "nothing is copied");
        assert_eq!(after.meshes[0].clip.min, Pos2::new(1.0, 2.0));
        assert_eq!(
            (after.meshes[0].overlay, after.meshes[0].texture),
            (true, 1),
            "its texture is the kept one"
        );
    }
    let gone = validator.accept(frame(vec![kept.clone(), kept.clone()])).unwrap_err();
    assert!(gone.to_string().contains("two meshes with the name 5"), "{gone}");
    let unheard = validator.accept(frame(vec![ClippedMesh { id: 0, ..kept.clone() }])).unwrap_err();
    assert_eq!(unheard.code(), "frame-kept");
    // A refused frame is none: the mesh is still that of the frame before.
    validator.accept(frame(vec![kept.clone()])).unwrap();
    // One frame without it, and it is gone.
    validator.accept(frame(vec![])).unwrap();
    assert_eq!(validator.accept(frame(vec![kept.clone()])).unwrap_err().code(), "frame-kept");
    // Another surface, or another generation of this one, has a validator of its own, and nothing of it.
    let mut other = Validator::new(QUOTA, SIDE);
    other.accept(good()).unwrap();
    assert_eq!(other.accept(frame(vec![kept.clone()])).unwrap_err().code(), "frame-kept");
    // With its texture freed, it is no longer to be had either.
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(abi::Frame { meshes: vec![first].into(), ..good() }).unwrap();
    validator.accept(abi::Frame { textures: vec![free(1)].into(), ..frame(vec![kept.clone()]) }).unwrap();
    assert_eq!(validator.accept(frame(vec![kept])).unwrap_err().code(), "frame-texture");
}

#[test]
fn kept_meshes_count_as_much_as_others() {
    let corner = triangle(1).vertices[0];
    let large = |id| named(id, ClippedMesh { vertices: vec![corner; 30].into(), ..triangle(1) });
    let [(a, kept_a), (b, kept_b), (c, _)] = [large(1), large(2), large(3)];
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(with(|f| f.meshes = vec![a, b].into())).unwrap();
    let frame = with(|f| f.meshes = vec![kept_a.clone(), kept_b.clone(), c].into());
    assert_eq!(validator.accept(frame).unwrap_err().code(), "frame-quota");
    validator.accept(with(|f| f.meshes = vec![kept_b, kept_a].into())).unwrap();
}

#[test]
fn each_kind_of_rule_has_a_code() {
    for (frame, code) in [
        (with(|f| f.meshes[0].indices[2] = 3), "frame-invalid"),
        (with(|f| f.meshes[0].kept = true), "frame-kept"),
        (with(|f| f.meshes = vec![triangle(1); 9].into()), "frame-quota"),
        (with(|f| f.textures = vec![free(2)].into()), "frame-texture"),
    ] {
        let mut validator = Validator::new(QUOTA, SIDE);
        validator.accept(good()).unwrap();
        assert_eq!(validator.accept(frame).unwrap_err().code(), code);
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/frame");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_seed_of_the_fuzz_target_passes() {
    let seen: Vec<_> = seeds().iter().map(|seed| frames::frame(seed)).collect();
    assert!(seen.iter().any(|seen| seen.kept > 1 && seen.refused > 0), "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_validator_takes_what_the_rules_allow_and_nothing_else(bytes in vec(any::<u8>(), 0..600)) {
        frames::frame(&bytes);
    }

    #[test]
    fn what_is_near_a_seed_passes(seed: Index, places in vec((any::<Index>(), any::<u8>()), 0..8)) {
        let mut bytes = seed.get(&seeds()).clone();
        for (at, byte) in places {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        frames::frame(&bytes);
    }
}

#[test]
fn the_property_test_sees_both_good_and_bad_frames() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut all = frames::Seen::default();
    for _ in 0..500 {
        let seen = frames::frame(&vec(any::<u8>(), 0..600).new_tree(&mut runner).unwrap().current());
        all.accepted += seen.accepted;
        all.refused += seen.refused;
        all.meshes += seen.meshes;
        all.kept += seen.kept;
    }
    let share = all.accepted * 100 / (all.accepted + all.refused);
    assert!((20..80).contains(&share) && all.meshes > 300 && all.kept > 10, "{all:?}");
}

mod trees {
    use egui::accesskit::{
        Node, NodeId, Rect as Bounds, Role, TextPosition, TextSelection, TreeId, TreeInfo, TreeUpdate,
    };
    use egui_kittest::kittest;
    use proptest::prelude::*;

    use super::super::tree::{self, sound};

    fn update(root: u64, nodes: Vec<(u64, Node)>) -> TreeUpdate {
        TreeUpdate {
            nodes: nodes.into_iter().map(|(id, node)| (NodeId(id), node)).collect(),
            tree: Some(TreeInfo::new(NodeId(root))),
            tree_id: TreeId::ROOT,
            focus: NodeId(root),
        }
    }

    fn node(role: Role, children: &[u64]) -> Node {
        let mut node = Node::new(role);
        node.set_children(children.iter().map(|id| NodeId(*id)).collect::<Vec<_>>());
        node
    }

    fn run(text: &str) -> Node {
        let mut node = Node::new(Role::TextRun);
        node.set_value(text);
        node.set_character_lengths(
            text.chars().map(|c| u8::try_from(c.len_utf8()).unwrap()).collect::<Vec<_>>(),
        );
        node.set_bounds(Bounds { x0: 0.0, y0: 0.0, x1: 9.0, y1: 9.0 });
        node
    }

    fn ids(update: &TreeUpdate) -> Vec<u64> {
        update.nodes.iter().map(|(id, _)| id.0).collect()
    }

    #[test]
    fn a_good_tree_stays_as_it_is() {
        let mut field = node(Role::TextInput, &[3, 4]);
        let end = TextPosition { node: NodeId(4), character_index: 2 };
        field.set_text_selection(TextSelection { anchor: end, focus: end });
        let (mut first, mut second) = (run("Grä"), run("ce"));
        first.set_next_on_line(NodeId(4));
        second.set_previous_on_line(NodeId(3));
        let good = update(1, vec![(1, node(Role::Window, &[2])), (2, field), (3, first), (4, second)]);
        assert_eq!(sound(good.clone()), Some(good));
    }

    #[test]
    fn a_number_that_is_none_costs_only_what_it_is_for() {
        let mut slider = node(Role::Slider, &[]);
        slider.set_label("How many");
        slider.set_numeric_value(2.0);
        slider.set_max_numeric_value(f64::INFINITY);
        slider.set_bounds(Bounds { x0: 0.0, y0: 0.0, x1: f64::NAN, y1: 9.0 });
        let sent = serde_json::to_string(&update(1, vec![(1, node(Role::Window, &[2])), (2, slider)])).unwrap();
        let tree = tree::read(&sent).unwrap();
        let slider = &tree.nodes[1].1;
        assert_eq!((slider.label(), slider.numeric_value()), (Some("How many"), Some(2.0)));
        assert_eq!((slider.max_numeric_value(), slider.bounds()), (None, None));
        for hostile in ["", "null", "{\"nodes\":", "{\"nodes\":null}", "{\"nodes\":[null,[]]}", "[[[]]]", "7"] {
            assert!(tree::read(hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn the_trees_of_egui_stay_as_they_are() {
        let ctx = egui::Context::default();
        ctx.enable_accesskit();
        let mut text = "Größe\nand wörds that are wrapped when the field is narrow".to_owned();
        let mut last = None;
        for _ in 0..3 {
            let mut output = ctx.run_ui(egui::RawInput::default(), |ui| {
                ui.heading("A heading");
                ui.horizontal(|ui| (ui.label("Name"), ui.button("Press"), ui.checkbox(&mut true, "On")));
                ui.add(egui::TextEdit::multiline(&mut text).desired_width(80.0)).request_focus();
                ui.collapsing("More", |ui| ui.label("hidden"));
            });
            output.textures_delta.clear();
            last = output.platform_output.accesskit_update;
        }
        let tree = last.unwrap();
        let by_id = |update: TreeUpdate| update.nodes.into_iter().collect::<std::collections::BTreeMap<_, _>>();
        let sound = by_id(sound(tree.clone()).unwrap());
        assert!(sound.values().filter(|node| node.role() == Role::TextRun).count() > 3);
        assert_eq!(sound, by_id(tree));
    }

    #[test]
    fn what_is_no_tree_is_left_out() {
        let twice = vec![
            (1, node(Role::Window, &[2, 2, 3])),
            (2, node(Role::Group, &[3])),
            (3, node(Role::Label, &[])),
        ];
        assert_eq!(ids(&sound(update(1, twice)).unwrap()), [1, 2, 3]);
        let circle = vec![(1, node(Role::Window, &[2])), (2, node(Role::Group, &[1, 2, 9]))];
        let circle = sound(update(1, circle)).unwrap();
        assert!(circle.nodes[1].1.children().is_empty(), "{circle:?}");
        let orphan = vec![(1, node(Role::Window, &[])), (2, node(Role::Label, &[]))];
        assert_eq!(ids(&sound(update(1, orphan)).unwrap()), [1]);
        assert!(sound(update(7, vec![(1, node(Role::Window, &[]))])).is_none());
        assert!(sound(TreeUpdate { tree: None, ..update(1, vec![(1, node(Role::Window, &[]))]) }).is_none());
        let deep = (0..5_000).map(|id| (id, node(Role::Group, &[id + 1]))).collect();
        assert!(sound(update(0, deep)).unwrap().nodes.len() < 500);
        let all: Vec<u64> = (1..90_000).collect();
        let wide = all.iter().map(|id| (*id, node(Role::Label, &[]))).chain([(0, node(Role::Window, &all))]);
        assert_eq!(sound(update(0, wide.collect())).unwrap().nodes.len(), 20_000);
    }

    #[test]
    fn text_that_contradicts_itself_is_a_label() {
        let mut short = run("Grä");
        short.set_character_lengths([1, 1, 1]);
        let mut around = run("round");
        around.set_next_on_line(NodeId(3));
        let mut field = node(Role::TextInput, &[2, 3]);
        let outside = TextPosition { node: NodeId(3), character_index: 6 };
        field.set_text_selection(TextSelection { anchor: outside, focus: outside });
        let tree = sound(update(1, vec![(1, field), (2, short), (3, around)])).unwrap();
        assert_eq!(tree.nodes[1].1.role(), Role::Label);
        assert_eq!((tree.nodes[2].1.role(), tree.nodes[2].1.next_on_line()), (Role::TextRun, None));
        assert_eq!(tree.nodes[0].1.text_selection(), None);
    }

    prop_compose! {
        fn some_node()(
            role in prop::sample::select(vec![Role::Group, Role::Label, Role::TextInput, Role::TextRun]),
            children in prop::collection::vec(0..8_u64, 0..4),
            value in prop::option::of("[aä€]{0,3}"),
            lengths in prop::option::of(prop::collection::vec(0..4_u8, 0..4)),
            bounded: bool,
            grafted in prop::bool::weighted(0.1),
            line in (prop::option::of(0..8_u64), prop::option::of(0..8_u64)),
            selection in prop::option::of((0..8_u64, 0..4_usize, 0..8_u64, 0..4_usize)),
        ) -> Node {
            // Runs are leaves mostly, so that some are good.
            let mut made = match (&value, lengths) {
                (Some(text), None) if role == Role::TextRun => run(text),
                (_, lengths) => {
                    let mut made = node(role, &children);
                    made.set_character_lengths(lengths.unwrap_or_default());
                    made
                }
            };
            if let Some(text) = value {
                made.set_value(text);
            }
            if bounded {
                made.set_bounds(Bounds { x0: 0.0, y0: 0.0, x1: 9.0, y1: 9.0 });
            }
            if grafted {
                made.set_tree_id(TreeId::ROOT);
            }
            if let Some(id) = line.0 {
                made.set_next_on_line(NodeId(id));
            }
            if let Some(id) = line.1 {
                made.set_previous_on_line(NodeId(id));
            }
            if let Some((anchor, from, focus, to)) = selection {
                made.set_text_selection(TextSelection {
                    anchor: TextPosition { node: NodeId(anchor), character_index: from },
                    focus: TextPosition { node: NodeId(focus), character_index: to },
                });
            }
            made
        }
    }

    /// Reads all of a tree, as assistive technology does.
    fn read(node: &kittest::AccessKitNode<'_>) -> usize {
        if node.supports_text_ranges() {
            let range = node.document_range();
            let mut text = String::new();
            range.write_text(&mut text).unwrap();
            for position in [range.start(), range.end()].into_iter().chain(node.text_selection_focus()) {
                let _ = (position.to_global_usv_index(), position.to_global_utf16_index());
                let _ = (position.forward_to_line_end(), position.backward_to_line_start());
            }
            let _ = range.bounding_boxes();
        }
        let _ = (node.label(), node.value());
        node.children().map(|child| read(&child)).sum::<usize>() + 1
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_sound_can_be_read(
            first in prop::collection::vec((0..8_u64, some_node()), 0..10),
            second in prop::collection::vec((0..8_u64, some_node()), 0..10),
        ) {
            let mut updates = [first, second].into_iter().filter_map(|nodes| sound(update(0, nodes)));
            if let Some(first) = updates.next() {
                let count = first.nodes.len();
                let mut state = kittest::State::new(first);
                prop_assert_eq!(read(&state.root()), count);
                for next in updates {
                    state.update(next);
                    read(&state.root());
                }
            }
        }
    }
}
