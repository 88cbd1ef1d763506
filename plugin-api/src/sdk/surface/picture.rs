//! egui's output as the contract's meshes and textures.

use std::{iter::Peekable, mem, sync::Arc, vec::IntoIter};

use abi_stable::std_types::RVec;
use egui::{
    AreaState, Context, FullOutput, LayerId, Order, Pos2, Rect, Shape, TextureId, Vec2,
    emath::TSTransform,
    epaint::{
        ClippedPrimitive, ClippedShape, FontsView, ImageData, Primitive, TessellationOptions,
        textures::{TextureFilter, TextureWrapMode},
    },
};

use crate::abi::{ClippedMesh, TextureUpdate, Vertex};

/// Maximum number of shapes in a chunk.
const CHUNK: usize = 256;

/// Number of points above which a shape is a separate chunk.
const LARGE: usize = 32;

/// Number of chunks of the previous frame that are searched for an equal one.
const REACH: usize = 64;

/// The last picture of a surface, so that only changed parts are tessellated and sent again.
///
/// The shapes of a frame are cut into chunks at places that depend on the shapes alone: at a change of the clip
/// rectangle, around large shapes, and after shapes that are picked by their position.
/// Therefore a change in one place does not affect the chunks before and after it, for any number of new shapes.
#[derive(Default)]
pub(super) struct Pictures {
    basis: Option<Basis>,
    /// Chunks of the last frame, in order: inside the slot, and overlays.
    chunks: [Vec<Chunk>; 2],
    /// Id of the last new mesh.
    last: u64,
    callbacks: Callbacks,
}

/// Paint callbacks that were left out.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Callbacks {
    #[default]
    None,
    Met,
    Reported,
}

/// The inputs of meshes, apart from shapes.
#[derive(PartialEq)]
struct Basis {
    pixels_per_point: f32,
    options: TessellationOptions,
    atlas: [usize; 2],
}

struct Chunk {
    shapes: Vec<ClippedShape>,
    /// Id, clip rectangle and texture of each mesh.
    meshes: Vec<(u64, Rect, u64)>,
}

impl Pictures {
    /// Returns the meshes of `shapes`; the first `inside` shapes belong into the slot, the others to overlays.
    pub(super) fn draw(
        &mut self,
        ctx: &Context,
        mut shapes: Vec<ClippedShape>,
        inside: usize,
        pixels_per_point: f32,
    ) -> RVec<ClippedMesh> {
        let basis = Basis {
            pixels_per_point,
            options: ctx.tessellation_options(|options| *options),
            atlas: ctx.fonts(|fonts: &FontsView<'_>| fonts.font_image_size()),
        };
        if self.basis.as_ref() != Some(&basis) {
            self.basis = Some(basis);
            self.chunks = Default::default();
        }
        let overlays = shapes.split_off(inside.min(shapes.len()));
        let mut out = RVec::new();
        for (layer, shapes) in [shapes, overlays].into_iter().enumerate() {
            let before = mem::take(&mut self.chunks[layer]);
            let mut before = before.into_iter().map(Some).collect::<Vec<_>>();
            let (mut at, overlay) = (0, layer > 0);
            for shapes in Cut(shapes.into_iter().peekable()) {
                let same = before.iter_mut().enumerate().skip(at).take(REACH).find_map(|(index, chunk)| {
                    let chunk = chunk.take_if(|chunk| is_same(&chunk.shapes, &shapes))?;
                    Some((index, chunk))
                });
                let chunk = match same {
                    Some((index, chunk)) => {
                        at = index + 1;
                        out.extend(chunk.meshes.iter().map(|mesh| kept(*mesh, overlay)));
                        chunk
                    }
                    None => self.tessellate(ctx, shapes, pixels_per_point, overlay, &mut out),
                };
                self.chunks[layer].push(chunk);
            }
        }
        out
    }

    /// Returns `true` once, after a paint callback was left out.
    pub(super) fn take_callback_warning(&mut self) -> bool {
        let met = self.callbacks == Callbacks::Met;
        if met {
            self.callbacks = Callbacks::Reported;
        }
        met
    }

    fn tessellate(
        &mut self,
        ctx: &Context,
        shapes: Vec<ClippedShape>,
        pixels_per_point: f32,
        overlay: bool,
        out: &mut RVec<ClippedMesh>,
    ) -> Chunk {
        let mut meshes = Vec::new();
        for ClippedPrimitive { clip_rect, primitive } in ctx.tessellate(shapes.clone(), pixels_per_point) {
            // Paint callbacks are code of this image; they do not cross.
            let Primitive::Mesh(mesh) = primitive else {
                if self.callbacks == Callbacks::None {
                    self.callbacks = Callbacks::Met;
                }
                continue;
            };
            let TextureId::Managed(texture) = mesh.texture_id else { continue };
            self.last += 1;
            meshes.push((self.last, clip_rect, texture));
            out.push(ClippedMesh {
                id: self.last,
                kept: false,
                clip: rect(clip_rect),
                texture,
                overlay,
                indices: mesh.indices.into(),
                vertices: bytemuck::cast_vec::<_, Vertex>(mesh.vertices).into(),
            });
        }
        Chunk { shapes, meshes }
    }
}

fn kept((id, clip, texture): (u64, Rect, u64), overlay: bool) -> ClippedMesh {
    let (indices, vertices) = (RVec::new(), RVec::new());
    ClippedMesh { id, kept: true, clip: rect(clip), texture, overlay, indices, vertices }
}

/// An iterator that cuts shapes into chunks.
struct Cut(Peekable<IntoIter<ClippedShape>>);

impl Iterator for Cut {
    type Item = Vec<ClippedShape>;

    fn next(&mut self) -> Option<Vec<ClippedShape>> {
        let first = self.0.next()?;
        let mut chunk = vec![first];
        while let Some(next) = self.0.peek()
            && let Some(last) = chunk.last()
            && last.clip_rect == next.clip_rect
            && chunk.len() < CHUNK
            && !is_end(&last.shape)
            && !is_large(&last.shape)
            && !is_large(&next.shape)
            && let Some(next) = self.0.next()
        {
            chunk.push(next);
        }
        Some(chunk)
    }
}

/// Returns `true` if a chunk ends with this shape: one in 32, by its position.
fn is_end(shape: &Shape) -> bool {
    let Pos2 { x, y } = match shape {
        Shape::Text(text) => text.pos,
        Shape::Rect(rect) => rect.rect.min,
        Shape::LineSegment { points: [from, _], .. } => *from,
        _ => return false,
    };
    let mixed = (u64::from(x.to_bits()) << 32 | u64::from(y.to_bits())).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed >> 59 == 0
}

/// Returns `true` if a shape is a separate chunk, such as the line of a chart, over which a cursor moves.
fn is_large(shape: &Shape) -> bool {
    match shape {
        Shape::Path(path) => path.points.len() > LARGE,
        #[cfg(not(feature = "egui-0-36"))]
        Shape::Band(band) => band.points.len() > LARGE,
        Shape::Mesh(mesh) => mesh.vertices.len() > LARGE,
        Shape::Vec(shapes) => shapes.len() > LARGE || shapes.iter().any(is_large),
        _ => false,
    }
}

fn is_same(before: &[ClippedShape], now: &[ClippedShape]) -> bool {
    before.len() == now.len()
        && before.iter().zip(now).all(|(before, now)| {
            #[cfg(not(feature = "egui-0-36"))]
            let moved = before.transform_after_tessellation != now.transform_after_tessellation;
            #[cfg(feature = "egui-0-36")]
            let moved = false;
            !moved && before.clip_rect == now.clip_rect && is_same_shape(&before.shape, &now.shape)
        })
}

fn is_same_shape(before: &Shape, now: &Shape) -> bool {
    match (before, now) {
        // egui returns the same value for an equal layout, and comparing the contents would be slow.
        (Shape::Text(a), Shape::Text(b)) => {
            Arc::ptr_eq(&a.galley, &b.galley)
                && (a.pos, a.underline, a.fallback_color, a.override_text_color)
                    == (b.pos, b.underline, b.fallback_color, b.override_text_color)
                && (a.opacity_factor, a.angle) == (b.opacity_factor, b.angle)
        }
        (Shape::Vec(a), Shape::Vec(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same_shape(a, b))
        }
        (before, now) => before == now,
    }
}

/// Returns the number of shapes in layers that belong into the slot: egui paints them first.
pub(super) fn inside_shapes(ctx: &Context) -> usize {
    let inside = [Order::Background, Order::Middle];
    let mut layers: Vec<LayerId> =
        ctx.memory(|m| m.layer_ids().filter(|l| inside.contains(&l.order)).collect());
    if !layers.contains(&LayerId::background()) {
        layers.push(LayerId::background());
    }
    ctx.graphics(|g| layers.iter().filter_map(|l| g.get(*l)).map(|list| list.all_entries().len()).sum())
}

/// Returns `true` if a visible layer floats above the background.
pub(super) fn floats(ctx: &Context) -> bool {
    let floating = [Order::Middle, Order::Foreground];
    ctx.memory(|m| m.layer_ids().any(|l| floating.contains(&l.order) && m.areas().is_visible(&l)))
}

/// Returns the rectangles of visible layers that may leave the slot and capture the pointer: menus, popups, modals.
///
/// A modal captures it everywhere, which is more than its area in egui.
pub(super) fn overlays(ctx: &Context) -> RVec<crate::abi::Rect> {
    let everywhere = ctx.content_rect();
    ctx.memory(|m| {
        let place =
            |l: LayerId| if m.top_modal_layer() == Some(l) { Some(everywhere) } else { m.area_rect(l.id) };
        m.layer_ids()
            .filter(|l| l.order == Order::Foreground && m.areas().is_visible(l))
            .filter_map(place)
            .map(rect)
            .collect()
    })
}

/// Moves windows that extend beyond `slot` back into it; called at the end of a pass.
///
/// egui keeps them in the complete window of the host, which popups may use.
pub(super) fn keep_windows_in(ctx: &Context, slot: Rect) {
    let windows: Vec<LayerId> =
        ctx.memory(|m| m.layer_ids().filter(|l| l.order == Order::Middle && m.areas().is_visible(l)).collect());
    for layer in windows {
        let Some(state) = AreaState::load(ctx, layer.id) else { continue };
        let now = state.rect();
        // A window that is larger than the slot stays at a place that shows its title.
        let [x, y] = <[f32; 2]>::from(slot.size() - now.size())
            .map(|room| if room < 0.0 { f32::INFINITY } else { room });
        let most = Vec2::new(x, y);
        let min = now.min.clamp(slot.min, slot.min + most);
        // While the user drags a window, its state follows the pointer; the transform corrects only the picture.
        ctx.set_transform_layer(layer, TSTransform::from_translation(min - now.min));
        #[cfg(not(feature = "egui-0-36"))]
        if min != now.min && !ctx.input(|i| i.pointer.any_down()) {
            let mut state = state;
            state.set_left_top_pos(min);
            ctx.memory_mut(|m| m.areas_mut().set_state(layer, state));
            ctx.request_repaint();
        }
    }
}

pub(super) fn rect(r: Rect) -> crate::abi::Rect {
    [r.min.x, r.min.y, r.max.x, r.max.y]
}

pub(super) fn texture_updates(output: &mut FullOutput) -> RVec<TextureUpdate> {
    let delta = &mut output.textures_delta;
    let mut updates = RVec::new();
    // The order between textures has no effect; the order of the updates of a texture is kept.
    #[expect(clippy::iter_over_hash_type)]
    for (id, deltas) in delta.set.drain() {
        let TextureId::Managed(texture) = id else { continue };
        for delta in deltas {
            let ImageData::Color(image) = &delta.image;
            let [x, y] = delta.pos.unwrap_or_default();
            updates.push(TextureUpdate {
                texture,
                free: false,
                partial: delta.pos.is_some(),
                nearest: delta.options.magnification == TextureFilter::Nearest,
                nearest_small: delta.options.minification == TextureFilter::Nearest,
                wrap: match delta.options.wrap_mode {
                    TextureWrapMode::ClampToEdge => 0,
                    TextureWrapMode::Repeat => 1,
                    TextureWrapMode::MirroredRepeat => 2,
                },
                pos: [x as u32, y as u32],
                size: image.size.map(|side| side as u32),
                pixels: bytemuck::cast_slice(&image.pixels).to_vec().into(),
            });
        }
    }
    #[expect(clippy::iter_over_hash_type)]
    for id in delta.free.drain() {
        let TextureId::Managed(texture) = id else { continue };
        updates.push(TextureUpdate {
            texture,
            free: true,
            partial: false,
            nearest: false,
            nearest_small: false,
            wrap: 0,
            pos: [0; 2],
            size: [0; 2],
            pixels: RVec::new(),
        });
    }
    updates
}

#[cfg(test)]
mod tests;
