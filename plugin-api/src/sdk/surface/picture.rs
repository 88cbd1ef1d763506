//! What egui has drawn, as the contract's meshes and textures.

use abi_stable::std_types::RVec;
use egui::{
    Context, FullOutput, LayerId, Order, Rect, TextureId,
    epaint::{ClippedPrimitive, ClippedShape, ImageData, Primitive, textures::TextureFilter},
};

use crate::abi::{ClippedMesh, TextureUpdate, Vertex};

/// How many shapes lie in background layers: egui paints them first.
pub(super) fn background_shapes(ctx: &Context) -> usize {
    let mut layers: Vec<LayerId> =
        ctx.memory(|m| m.layer_ids().filter(|l| l.order == Order::Background).collect());
    if !layers.contains(&LayerId::background()) {
        layers.push(LayerId::background());
    }
    ctx.graphics(|g| layers.iter().filter_map(|l| g.get(*l)).map(|list| list.all_entries().len()).sum())
}

/// Rectangles of visible layers above the background that take the pointer.
pub(super) fn overlays(ctx: &Context) -> RVec<crate::abi::Rect> {
    ctx.memory(|m| {
        m.layer_ids()
            .filter(|l| matches!(l.order, Order::Middle | Order::Foreground) && m.areas().is_visible(l))
            .filter_map(|l| m.area_rect(l.id))
            .map(rect)
            .collect()
    })
}

pub(super) fn rect(r: Rect) -> crate::abi::Rect {
    [r.min.x, r.min.y, r.max.x, r.max.y]
}

pub(super) fn push_meshes(
    out: &mut RVec<ClippedMesh>,
    ctx: &Context,
    shapes: Vec<ClippedShape>,
    ppp: f32,
    overlay: bool,
) {
    for ClippedPrimitive { clip_rect, primitive } in ctx.tessellate(shapes, ppp) {
        // Paint callbacks are code of this image; they do not cross.
        let Primitive::Mesh(mesh) = primitive else { continue };
        let TextureId::Managed(texture) = mesh.texture_id else { continue };
        out.push(ClippedMesh {
            id: 0,
            kept: false,
            clip: rect(clip_rect),
            texture,
            overlay,
            indices: mesh.indices.into(),
            vertices: bytemuck::cast_vec::<_, Vertex>(mesh.vertices).into(),
        });
    }
}

pub(super) fn texture_updates(output: &mut FullOutput) -> RVec<TextureUpdate> {
    let delta = &mut output.textures_delta;
    let mut updates = RVec::new();
    // The order between textures is of no consequence; the order within one is kept.
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
            pos: [0; 2],
            size: [0; 2],
            pixels: RVec::new(),
        });
    }
    updates
}
