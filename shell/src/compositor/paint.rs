//! The last good picture of a surface, in the window's own textures and coordinates.

use std::{collections::BTreeMap, sync::Arc};

use egui::{
    Context, CursorIcon, Id, LayerId, Order, Rect, Shape, TextureHandle, Ui, Vec2,
    epaint::{ImageData, Mesh},
    output::IMEOutput,
};

use super::frame::{Frame, TextureUpdate};

/// A frame whose textures have been applied.
pub(super) struct Picture {
    name: String,
    textures: BTreeMap<u64, TextureHandle>,
    /// Freed by the frame that is shown: needed until the next one.
    freed: Vec<u64>,
    meshes: Vec<Painted>,
    /// Where the vertices of `meshes` have been moved to.
    origin: Vec2,
    cursor: CursorIcon,
    ime: Option<IMEOutput>,
}

struct Painted {
    /// In slot coordinates.
    clip: Rect,
    overlay: bool,
    /// In window coordinates.
    mesh: Arc<Mesh>,
}

impl Picture {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            textures: BTreeMap::new(),
            freed: Vec::new(),
            meshes: Vec::new(),
            origin: Vec2::ZERO,
            cursor: CursorIcon::Default,
            ime: None,
        }
    }

    pub(super) fn cursor(&self) -> CursorIcon {
        self.cursor
    }

    pub(super) fn ime(&self) -> Option<IMEOutput> {
        self.ime
    }

    /// Takes `frame` in place of the one that is shown: textures and meshes together.
    pub(super) fn show(&mut self, ctx: &Context, frame: Frame) {
        for id in std::mem::take(&mut self.freed) {
            self.textures.remove(&id);
        }
        for update in frame.textures {
            self.apply(ctx, update);
        }
        self.meshes = frame
            .meshes
            .into_iter()
            .filter_map(|mesh| {
                // The validator has seen to it that there is one.
                let texture_id = self.textures.get(&mesh.texture)?.id();
                let triangles = &mesh.triangles;
                let (indices, vertices) = (triangles.indices.clone(), triangles.vertices.clone());
                let mesh_ = Mesh { indices, vertices, texture_id };
                Some(Painted { clip: mesh.clip, overlay: mesh.overlay, mesh: Arc::new(mesh_) })
            })
            .collect();
        self.origin = Vec2::ZERO;
        self.cursor = frame.cursor;
        self.ime = frame.ime;
    }

    fn apply(&mut self, ctx: &Context, update: TextureUpdate) {
        match update {
            TextureUpdate::Set { texture, pos: Some(pos), image, options } => {
                if let Some(handle) = self.textures.get_mut(&texture) {
                    handle.set_partial(pos, ImageData::from(image), options);
                }
            }
            TextureUpdate::Set { texture, pos: None, image, options } => {
                self.freed.retain(|freed| *freed != texture);
                if let Some(handle) = self.textures.get_mut(&texture) {
                    handle.set(image, options);
                } else {
                    let name = format!("{} {texture}", self.name);
                    self.textures.insert(texture, ctx.load_texture(name, image, options));
                }
            }
            TextureUpdate::Free(texture) => self.freed.push(texture),
        }
    }

    /// Paints into `slot`; layers above the background may leave it.
    pub(super) fn paint(&mut self, ui: &Ui, id: Id, slot: Rect) {
        let origin = slot.min.to_vec2();
        let moved = origin - self.origin;
        if moved != Vec2::ZERO {
            for painted in &mut self.meshes {
                Arc::make_mut(&mut painted.mesh).translate(moved);
            }
            self.origin = origin;
        }
        let inside = ui.painter().with_clip_rect(ui.clip_rect().intersect(slot));
        let above = ui.ctx().layer_painter(LayerId::new(Order::Foreground, id));
        for Painted { clip, overlay, mesh } in &self.meshes {
            let painter = if *overlay { &above } else { &inside };
            let clip = clip.translate(origin).intersect(painter.clip_rect());
            if clip.is_positive() {
                painter.with_clip_rect(clip).add(Shape::Mesh(Arc::clone(mesh)));
            }
        }
    }
}
