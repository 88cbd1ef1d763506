//! The last good picture of a surface.

use egui::{Context, CursorIcon, Rect, Shape, Vec2, output::IMEOutput};

use super::{
    frame::{Frame, TextureUpdate},
    gpu::{Canvas, Gpu},
};

/// A frame whose textures have been applied.
pub(super) struct Picture {
    /// None where nobody looks.
    canvas: Option<Canvas>,
    /// Freed by the frame that is shown: needed until the next one.
    freed: Vec<u64>,
    cursor: CursorIcon,
    ime: Option<IMEOutput>,
    overlays: Vec<Rect>,
}

impl Picture {
    pub(super) fn new(ctx: &Context) -> Self {
        Self {
            canvas: Gpu::of(ctx).map(Canvas::new),
            freed: Vec::new(),
            cursor: CursorIcon::Default,
            ime: None,
            overlays: Vec::new(),
        }
    }

    pub(super) fn cursor(&self) -> CursorIcon {
        self.cursor
    }

    /// Where the input method is wanted. That what is being composed is to be given up is said once, however often
    /// the picture is shown.
    pub(super) fn ime(&mut self) -> Option<IMEOutput> {
        let ime = self.ime;
        self.ime = ime.map(|ime| IMEOutput { should_interrupt_composition: false, ..ime });
        ime
    }

    /// What leaves the slot and takes the pointer there, in slot coordinates.
    pub(super) fn overlays(&self) -> &[Rect] {
        &self.overlays
    }

    /// Takes `frame` in place of the one that is shown: textures and meshes together.
    pub(super) fn show(&mut self, frame: Frame) {
        self.cursor = frame.cursor;
        self.ime = frame.ime;
        self.overlays = frame.overlays;
        let Some(canvas) = &mut self.canvas else { return };
        self.freed.drain(..).for_each(|texture| canvas.free(texture));
        for update in &frame.textures {
            match update {
                TextureUpdate::Set { texture, .. } => {
                    self.freed.retain(|freed| freed != texture);
                    canvas.apply(update);
                }
                TextureUpdate::Free(texture) => self.freed.push(*texture),
            }
        }
        canvas.place(&frame.meshes);
    }

    /// What paints what belongs into the slot (false), or what lies above; see [`Canvas::shape`].
    pub(super) fn shape(&self, overlay: bool, clip: Rect, origin: Vec2) -> Option<Shape> {
        self.canvas.as_ref()?.shape(overlay, clip, origin)
    }
}
