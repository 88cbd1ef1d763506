#![expect(clippy::unwrap_used, reason = "tests")]
use std::collections::HashMap;

use egui::{Color32, Id, RawInput, Stroke, epaint::Vertex as Corner};
use proptest::prelude::*;

use super::*;

/// A shape that a surface may draw.
#[derive(Clone, Debug)]
enum Thing {
    Block(f32, f32, u8),
    Line(f32, f32),
    Chart(u16, f32),
    Clipped(f32, u8),
    Group(u8, f32),
}

fn thing() -> impl Strategy<Value = Thing> {
    let number = || (0..400_u16).prop_map(|n| f32::from(n) * 1.5);
    prop_oneof![
        8 => (number(), number(), any::<u8>()).prop_map(|(x, y, c)| Thing::Block(x, y, c)),
        4 => (number(), number()).prop_map(|(x, y)| Thing::Line(x, y)),
        1 => (2..80_u16, number()).prop_map(|(points, y)| Thing::Chart(points, y)),
        2 => (number(), any::<u8>()).prop_map(|(x, c)| Thing::Clipped(x, c)),
        1 => (0..50_u8, number()).prop_map(|(count, y)| Thing::Group(count, y)),
    ]
}

fn shape(thing: &Thing) -> ClippedShape {
    let all = Rect::from_min_size(Pos2::ZERO, Vec2::splat(600.0));
    let stroke = Stroke::new(1.5, Color32::from_gray(90));
    let block = |x: f32, y: f32, c: u8| {
        Shape::rect_filled(Rect::from_min_size(Pos2::new(x, y), Vec2::splat(9.0)), 2.0, Color32::from_gray(c))
    };
    match *thing {
        Thing::Block(x, y, c) => ClippedShape::new(all, block(x, y, c)),
        Thing::Line(x, y) => ClippedShape::new(all, Shape::line_segment([Pos2::new(x, y), Pos2::ZERO], stroke)),
        Thing::Chart(points, y) => {
            let points = (0..points).map(|at| Pos2::new(f32::from(at) * 3.0, y + f32::from(at % 7)));
            ClippedShape::new(all, Shape::line(points.collect(), stroke))
        }
        Thing::Clipped(x, c) => {
            ClippedShape::new(Rect::from_min_size(Pos2::new(x, 0.0), Vec2::splat(50.0)), block(x + 5.0, 5.0, c))
        }
        Thing::Group(count, y) => {
            ClippedShape::new(all, Shape::Vec((0..count).map(|at| block(f32::from(at) * 2.0, y, at)).collect()))
        }
    }
}

/// The meshes of a host that accepts every frame.
#[derive(Default)]
struct Host(HashMap<u64, (Vec<Vertex>, Vec<u32>)>);

impl Host {
    /// Returns the corners of all triangles, in the order of painting and with their clip rectangles, and the number
    /// of new meshes.
    fn take(&mut self, meshes: RVec<ClippedMesh>) -> (Vec<([f32; 4], Vertex)>, usize) {
        let (mut now, mut corners, mut new) = (HashMap::new(), Vec::new(), 0);
        for mesh in meshes {
            let triangles = if mesh.kept {
                self.0[&mesh.id].clone()
            } else {
                new += 1;
                (mesh.vertices.to_vec(), mesh.indices.to_vec())
            };
            corners.extend(triangles.1.iter().map(|index| (mesh.clip, triangles.0[*index as usize])));
            assert!(now.insert(mesh.id, triangles).is_none(), "each mesh has a unique id");
        }
        self.0 = now;
        (corners, new)
    }
}

fn ready() -> Context {
    let ctx = Context::default();
    ctx.run_ui(RawInput::default(), |_| ()).textures_delta.clear();
    ctx
}

/// Returns the same corners without reuse of meshes.
fn plain(ctx: &Context, shapes: &[ClippedShape]) -> Vec<([f32; 4], Vertex)> {
    let mut corners = Vec::new();
    for ClippedPrimitive { clip_rect, primitive } in ctx.tessellate(shapes.to_vec(), 1.0) {
        let Primitive::Mesh(mesh) = primitive else { continue };
        let corner = |index: &u32| {
            let Corner { pos, uv, color } = mesh.vertices[*index as usize];
            (rect(clip_rect), Vertex { pos: pos.into(), uv: uv.into(), color: color.to_array() })
        };
        corners.extend(mesh.indices.iter().map(corner));
    }
    corners
}

#[test]
fn paint_callback_is_reported_once() {
    let ctx = ready();
    let rect = Rect::from_min_size(Pos2::ZERO, Vec2::splat(10.0));
    let callback = || Shape::Callback(egui::PaintCallback { rect, callback: Arc::new(()) });
    let mut pictures = Pictures::default();
    assert!(!pictures.take_callback_warning());
    for expected in [true, false] {
        let meshes = pictures.draw(&ctx, vec![ClippedShape::new(rect, callback())], 1, 1.0);
        assert!(meshes.is_empty());
        assert_eq!(pictures.take_callback_warning(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn kept_meshes_paint_the_same_picture(
        start in prop::collection::vec(thing(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(thing()), any::<bool>()), 1..12),
    ) {
        let ctx = ready();
        let (mut pictures, mut host, mut things) = (Pictures::default(), Host::default(), start);
        for (at, new, insert) in changes {
            let shapes: Vec<_> = things.iter().map(shape).collect();
            let inside = shapes.len() / 2;
            let (seen, _) = host.take(pictures.draw(&ctx, shapes.clone(), inside, 1.0));
            prop_assert_eq!(seen, [plain(&ctx, &shapes[..inside]), plain(&ctx, &shapes[inside..])].concat());
            match new {
                Some(new) if insert || things.is_empty() => things.insert(at.index(things.len() + 1), new),
                Some(new) => { let at = at.index(things.len()); things[at] = new; }
                None if things.is_empty() => {}
                None => { things.remove(at.index(things.len())); }
            }
        }
    }
}

#[test]
fn unchanged_chunks_are_not_sent_again() {
    let ctx = ready();
    let (mut pictures, mut host) = (Pictures::default(), Host::default());
    let mut things: Vec<Thing> =
        (0..400_u16).map(|n| Thing::Block(f32::from(n) * 1.7, f32::from(n % 13), 7)).collect();
    let mut draw = |things: &[Thing]| {
        let shapes: Vec<_> = things.iter().map(shape).collect();
        host.take(pictures.draw(&ctx, shapes, usize::MAX, 1.0))
    };
    let all = draw(&things).1;
    assert!(all >= 5, "{all} chunks");
    assert_eq!(draw(&things).1, 0);
    // A new shape in the middle does not affect the chunks before and after it.
    things.insert(200, Thing::Line(3.0, 4.0));
    let new = draw(&things).1;
    assert!((1..=2).contains(&new), "{new} of {all} chunks");
    things.remove(200);
    assert!((1..=2).contains(&draw(&things).1));
}

#[test]
fn change_of_scale_redraws_everything() {
    let ctx = ready();
    let mut pictures = Pictures::default();
    let shapes = || vec![shape(&Thing::Block(1.0, 2.0, 3))];
    let kept = |meshes: RVec<ClippedMesh>| meshes.iter().all(|mesh| mesh.kept);
    assert!(!kept(pictures.draw(&ctx, shapes(), 1, 1.0)));
    assert!(kept(pictures.draw(&ctx, shapes(), 1, 1.0)));
    assert!(!kept(pictures.draw(&ctx, shapes(), 1, 1.25)));
}

const SLOT: Rect = Rect::from_min_max(Pos2::ZERO, Pos2::new(300.0, 200.0));

/// Returns the final place of a window, in a host that is larger than the slot, and the overlays that leave the slot.
fn settled(pos: Pos2, size: Vec2) -> (Rect, RVec<crate::abi::Rect>) {
    let ctx = ready();
    let screen_rect = Some(Rect::from_min_max(Pos2::new(-200.0, -100.0), Pos2::new(600.0, 500.0)));
    let mut places = (Rect::NOTHING, RVec::new());
    for _ in 0..4 {
        let input = RawInput { screen_rect, ..RawInput::default() };
        let mut output = ctx.run_ui(input, |ui| {
            let window = egui::Window::new("Window").default_pos(pos).fixed_size(size);
            let window = window.show(ui.ctx(), |ui| ui.allocate_space(size));
            let popup = egui::Area::new(Id::unique("popup")).order(Order::Foreground).fixed_pos([-150.0, 50.0]);
            popup.show(ui.ctx(), |ui| ui.allocate_space(Vec2::splat(30.0)));
            keep_windows_in(ui.ctx(), SLOT);
            places = (window.unwrap().response.rect, overlays(ui.ctx()));
        });
        output.textures_delta.clear();
    }
    places
}

#[test]
fn windows_stay_in_the_slot_and_popups_leave_it() {
    let (window, overlays) = settled(Pos2::new(-150.0, 190.0), Vec2::new(80.0, 40.0));
    assert!(SLOT.contains_rect(window), "{window:?}");
    assert_eq!((overlays.len(), overlays[0][0]), (1, -150.0));
}

#[test]
fn tall_window_keeps_its_title_in_view() {
    for (top, stays) in [(30.0, 30.0), (-50.0, SLOT.top())] {
        let (window, _) = settled(Pos2::new(20.0, top), Vec2::new(80.0, 300.0));
        assert_eq!(window.y_range().min.to_bits(), f32::to_bits(stays), "{window:?}");
    }
}
