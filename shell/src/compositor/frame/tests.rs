//! The rules for frames: accepted, refused, and harmless for any bytes.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::{fs, path::Path};

use abi_stable::std_types::ROption;
use plugin_api::abi::{ClippedMesh, Command, CommandKind, Ime, NEVER, Vertex};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::catalogue::Code;

#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
#[path = "../../../fuzz/src/frames.rs"]
mod frames;

mod trees;

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

/// Expects `frame`, as the second one of a surface, to be refused with a message that contains `expected`, without an
/// effect on later frames.
fn refused(frame: abi::Frame, expected: &str) {
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(good()).unwrap();
    let before = validator.sizes.clone();
    let error = validator.accept(frame).expect_err(expected).to_string();
    assert!(error.contains(expected), "`{error}` does not contain `{expected}`");
    assert_eq!(validator.sizes, before, "{expected}");
    validator.accept(good()).unwrap();
}

/// Expects `frame` to be accepted as the second one of a surface.
fn accepted(frame: abi::Frame) -> CheckedFrame {
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(good()).unwrap();
    validator.accept(frame).unwrap()
}

#[test]
fn good_frame_is_accepted_unchanged() {
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
    refused(with(|f| f.meshes[0].texture = 2), "a mesh with texture 2, which does not exist");
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
fn infinite_rectangles_are_clamped() {
    let frame = accepted(with(|f| f.meshes[0].clip = [f32::NEG_INFINITY, 0.0, f32::INFINITY, f32::MAX]));
    let clip = frame.meshes[0].clip;
    assert!(clip.is_finite() && clip.width() > 100_000.0, "{clip}");
}

#[test]
fn quotas_are_enforced() {
    refused(with(|f| f.meshes = vec![triangle(1); 9].into()), "9 meshes");
    let many = |f: &mut abi::Frame| f.meshes[0].vertices = vec![f.meshes[0].vertices[0]; 65].into();
    refused(with(many), "65 vertices");
    refused(with(|f| f.meshes[0].indices = vec![0; 99].into()), "99 indices");
    let command = Command { text: "x".into(), ..Command::new(CommandKind(77)) };
    refused(with(|f| f.commands = vec![command.clone(); 5].into()), "5 commands");
    let long = Command { text: "x".repeat(101).into(), ..command };
    refused(with(|f| f.commands = vec![long].into()), "commands of 101 bytes");
    refused(with(|f| f.cursor = "x".repeat(65).into()), "a text of 65 bytes");
    refused(with(|f| f.access = "x".repeat(65).into()), "a text of 65 bytes");
    refused(with(|f| f.textures = (2..6).map(|id| texture(id, [1, 1])).collect()), "5 textures");
    let parts = (0..7).map(|_| part(1, [0, 0], [1, 1])).collect();
    refused(with(|f| f.textures = parts), "too many changes of textures");
    // Little is left at the end, but all of it would be held until the frame is shown.
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
    refused(one(abi::TextureUpdate { size: [u32::MAX; 2], ..texture(2, [1, 1]) }), "with 4 bytes");
    refused(one(abi::TextureUpdate { size: [1 << 31; 2], ..texture(2, [0, 0]) }), "with 0 bytes");
    refused(one(texture(2, [0, 4])), "without texels");
    refused(one(part(1, [0, 0], [0, 4])), "without texels");
    refused(one(abi::TextureUpdate { size: [2, 2], ..texture(2, [2, 1]) }), "texture 2 of 2×2 with 8 bytes");
    refused(one(part(2, [0, 0], [1, 1])), "a part of texture 2, which does not exist");
    refused(one(part(1, [1, 0], [8, 1])), "a part of texture 1 outside of it");
    refused(one(part(1, [0, 8], [1, 1])), "a part of texture 1 outside of it");
    refused(one(part(1, [u32::MAX, 0], [2, 1])), "a part of texture 1 outside of it");
    refused(one(free(2)), "it frees texture 2, which does not exist");
    refused(with(|f| f.textures = vec![free(1), free(1)].into()), "it frees texture 1, which does not exist");
    let after = vec![free(1), part(1, [0, 0], [1, 1])];
    refused(with(|f| f.textures = after.into()), "a part of texture 1, which does not exist");
    let frame = accepted(one(part(1, [7, 7], [1, 1])));
    assert!(matches!(frame.textures[0], TextureChange::Set { texture: 1, pos: Some([7, 7]), .. }));
}

#[test]
fn picture_too_large_costs_only_itself() {
    let mut validator = Validator::new(QUOTA, SIDE);
    let frame = validator.accept(with(|f| f.textures.push(texture(2, [17, 40])))).unwrap();
    let TextureChange::Set { texture: 2, pos: None, image, .. } = &frame.textures[1] else {
        panic!("{frame:?}")
    };
    assert_eq!(image.size, [1, 1], "a placeholder, however large the picture is");
    assert_eq!(frame.refused.as_deref(), Some("a picture of 17×40 texels, of at most 16 a side"));
    // The remote knows only the size that it has set.
    let changes = vec![part(2, [16, 39], [1, 1]), part(2, [0, 0], [17, 40])];
    let frame = validator.accept(with(|f| f.textures = changes.into())).unwrap();
    assert_eq!((frame.textures.len(), frame.refused), (0, None));
    let outside = validator.accept(with(|f| f.textures = vec![part(2, [16, 39], [2, 1])].into()));
    assert!(outside.unwrap_err().to_string().contains("outside of it"));
    // A smaller one with that id is shown, and parts of it.
    let changes = vec![texture(2, [4, 4]), part(2, [1, 1], [1, 1])];
    let frame = validator.accept(with(|f| f.textures = changes.into())).unwrap();
    assert_eq!(frame.textures.len(), 2);
}

#[test]
fn surfaces_of_a_remote_share_its_quota() {
    let held = Held::default();
    let surface = || Validator::new(QUOTA, SIDE).sharing(&held);
    let large = || with(|f| f.textures = vec![texture(1, [16, 16])].into());
    let (mut one, mut other) = (surface(), surface());
    one.accept(large()).unwrap();
    let full = other.accept(large()).unwrap_err();
    assert!(full.to_string().contains("512 texels in all panels"), "{full}");
    other.accept(good()).unwrap();
    let many = |f: &mut abi::Frame| f.meshes[0].vertices = vec![f.meshes[0].vertices[0]; 62].into();
    let full = other.accept(with(many)).unwrap_err();
    assert!(full.to_string().contains("65 vertices"), "{full}");
    // A surface that is dropped, or frees textures, releases its share.
    one.accept(with(|f| f.textures = vec![texture(1, [8, 8])].into())).unwrap();
    other.accept(large()).unwrap();
    drop(other);
    one.accept(large()).unwrap();
    one.accept(with(many)).unwrap();
    // Another remote has its own quota.
    Validator::new(QUOTA, SIDE).accept(large()).unwrap();
}

#[test]
fn overlays_take_pointer_only_where_painted() {
    let popup = |clip, color| {
        let corner = |x, y| Vertex { pos: [x, y], uv: [0.5; 2], color };
        let vertices = vec![corner(10.0, 10.0), corner(30.0, 10.0), corner(10.0, 40.0)].into();
        ClippedMesh { overlay: true, clip, vertices, ..triangle(1) }
    };
    let overlays = |mesh: ClippedMesh| {
        let everywhere = [-1e6, -1e6, 1e6, 1e6];
        accepted(with(|f| {
            f.meshes.push(mesh);
            f.overlays = vec![everywhere, [0.0, 0.0, 5.0, 5.0], [20.0, 0.0, 99.0, 99.0]].into();
        }))
        .overlays
    };
    let rect = |left, top, right, bottom| Rect::from_min_max(Pos2::new(left, top), Pos2::new(right, bottom));
    let all = [-1e6, -1e6, 1e6, 1e6];
    assert_eq!(overlays(popup(all, [9; 4])), [rect(10.0, 10.0, 30.0, 40.0), rect(20.0, 10.0, 30.0, 40.0)]);
    assert_eq!(overlays(popup([0.0, 0.0, 15.0, 99.0], [9; 4])), [rect(10.0, 10.0, 15.0, 40.0)]);
    assert_eq!(overlays(popup(all, [0; 4])), [], "nothing is visible");
    assert_eq!(overlays(ClippedMesh { overlay: false, ..popup(all, [9; 4]) }), []);
    let many = with(|f| {
        f.meshes.push(popup(all, [9; 4]));
        f.overlays = (0..1_000_u16).map(|n| [0.0, 0.0, 11.0 + f32::from(n), 99.0]).collect();
    });
    assert_eq!(accepted(many).overlays.len(), QUOTA.overlays, "the topmost ones");
}

#[test]
fn freed_texture_lasts_for_its_frame() {
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(good()).unwrap();
    validator.accept(with(|f| f.textures = vec![free(1)].into())).unwrap();
    let late = validator.accept(with(|f| f.textures = vec![].into())).unwrap_err();
    assert!(late.to_string().contains("texture 1, which does not exist"), "{late}");
    // Its id may be used again, even in the frame that frees it.
    validator.accept(good()).unwrap();
    validator.accept(with(|f| f.textures = vec![free(1), texture(1, [2, 2])].into())).unwrap();
    assert_eq!(validator.sizes[&1], [2, 2]);
}

#[test]
fn unknown_values_are_skipped() {
    let frame = accepted(with(|f| {
        f.cursor = "hologram".into();
        f.commands = vec![Command { flag: true, text: "?".into(), ..Command::new(CommandKind(4_000)) }].into();
    }));
    assert_eq!(frame.cursor, egui::CursorIcon::Default);
    assert_eq!(frame.meshes.len(), 1);
}

#[test]
fn distant_vertices_are_clamped() {
    for far in [1e10, 1e38, f32::MAX, -1e38, f32::MIN] {
        let frame = accepted(with(|f| {
            f.meshes[0].vertices[1] = Vertex { pos: [far; 2], uv: [far; 2], ..f.meshes[0].vertices[1] }
        }));
        let vertex = frame.meshes[0].triangles.vertices[1];
        assert_eq!((vertex.pos.x, vertex.uv.y), (FAR.copysign(far), FAR.copysign(far)));
        // Moved to the slot, scaled to pixels and multiplied with another coordinate, it is still finite.
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

/// Returns `mesh` with an id, and the mesh by which the next frame keeps it.
fn named(id: u64, mesh: ClippedMesh) -> (ClippedMesh, ClippedMesh) {
    let kept = ClippedMesh { indices: vec![].into(), vertices: vec![].into(), kept: true, id, ..mesh.clone() };
    (ClippedMesh { id, ..mesh }, kept)
}

#[test]
fn kept_mesh_is_from_previous_frame_only() {
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
        assert_eq!((after.meshes[0].overlay, after.meshes[0].texture), (true, 1), "the texture is kept too");
    }
    let gone = validator.accept(frame(vec![kept.clone(), kept.clone()])).unwrap_err();
    assert!(gone.to_string().contains("two meshes with the id 5"), "{gone}");
    let unknown = validator.accept(frame(vec![ClippedMesh { id: 0, ..kept.clone() }])).unwrap_err();
    assert_eq!(unknown.code(), Code::FrameKept);
    // A refused frame does not count: the mesh is still that of the accepted one before.
    validator.accept(frame(vec![kept.clone()])).unwrap();
    // A frame without the mesh drops it.
    validator.accept(frame(vec![])).unwrap();
    assert_eq!(validator.accept(frame(vec![kept.clone()])).unwrap_err().code(), Code::FrameKept);
    // Another surface, or another generation of this one, has its own validator without the mesh.
    let mut other = Validator::new(QUOTA, SIDE);
    other.accept(good()).unwrap();
    assert_eq!(other.accept(frame(vec![kept.clone()])).unwrap_err().code(), Code::FrameKept);
    // It cannot be kept either once its texture is freed.
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(abi::Frame { meshes: vec![first].into(), ..good() }).unwrap();
    validator.accept(abi::Frame { textures: vec![free(1)].into(), ..frame(vec![kept.clone()]) }).unwrap();
    assert_eq!(validator.accept(frame(vec![kept])).unwrap_err().code(), Code::FrameTexture);
}

#[test]
fn kept_meshes_count_like_others() {
    let corner = triangle(1).vertices[0];
    let large = |id| named(id, ClippedMesh { vertices: vec![corner; 30].into(), ..triangle(1) });
    let [(a, kept_a), (b, kept_b), (c, _)] = [large(1), large(2), large(3)];
    let mut validator = Validator::new(QUOTA, SIDE);
    validator.accept(with(|f| f.meshes = vec![a, b].into())).unwrap();
    let frame = with(|f| f.meshes = vec![kept_a.clone(), kept_b.clone(), c].into());
    assert_eq!(validator.accept(frame).unwrap_err().code(), Code::FrameQuota);
    validator.accept(with(|f| f.meshes = vec![kept_b, kept_a].into())).unwrap();
}

#[test]
fn each_kind_of_rule_has_a_code() {
    for (frame, code) in [
        (with(|f| f.meshes[0].indices[2] = 3), Code::FrameInvalid),
        (with(|f| f.meshes[0].kept = true), Code::FrameKept),
        (with(|f| f.meshes = vec![triangle(1); 9].into()), Code::FrameQuota),
        (with(|f| f.textures = vec![free(2)].into()), Code::FrameTexture),
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
fn fuzz_seeds_pass() {
    let seen: Vec<_> = seeds().iter().map(|seed| frames::frame(seed)).collect();
    assert!(seen.iter().any(|seen| seen.kept > 1 && seen.refused > 0), "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn validator_agrees_with_model(bytes in vec(any::<u8>(), 0..600)) {
        frames::frame(&bytes);
    }

    #[test]
    fn mutated_seeds_pass(seed: Index, places in vec((any::<Index>(), any::<u8>()), 0..8)) {
        let mut bytes = seed.get(&seeds()).clone();
        for (at, byte) in places {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        frames::frame(&bytes);
    }
}

#[test]
fn property_test_covers_good_and_bad_frames() {
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
