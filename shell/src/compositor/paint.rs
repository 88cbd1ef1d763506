//! The last good picture of a surface.

use egui::{Context, CursorIcon, Rect, Shape, Vec2, output::IMEOutput};

use super::{
    frame::{CheckedFrame, TextureChange},
    gpu::{Canvas, Gpu},
};

/// A frame whose textures have been applied.
pub(super) struct Picture {
    /// `None` without a `Gpu`: in a trial and in headless tests.
    canvas: Option<Canvas>,
    /// Textures freed by the current frame, which needs them until the next one.
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

    /// Returns the input method's position. An interruption of the composition is requested only once, however often
    /// the picture is shown.
    pub(super) fn ime(&mut self) -> Option<IMEOutput> {
        let ime = self.ime;
        self.ime = ime.map(|ime| IMEOutput { should_interrupt_composition: false, ..ime });
        ime
    }

    /// Returns the rectangles that take the pointer outside of the slot, in slot coordinates.
    pub(super) fn overlays(&self) -> &[Rect] {
        &self.overlays
    }

    /// Replaces the current frame by `frame`: textures and meshes together.
    pub(super) fn show(&mut self, frame: CheckedFrame) {
        self.cursor = frame.cursor;
        self.ime = frame.ime;
        self.overlays = frame.overlays;
        let Some(canvas) = &mut self.canvas else { return };
        self.freed.drain(..).for_each(|texture| canvas.free(texture));
        for update in &frame.textures {
            match update {
                TextureChange::Set { texture, .. } => {
                    self.freed.retain(|freed| freed != texture);
                    canvas.apply(update);
                }
                TextureChange::Free(texture) => self.freed.push(*texture),
            }
        }
        canvas.place(&frame.meshes);
    }

    /// Returns the shape that paints the slot, or the overlays; see [`Canvas::shape`].
    pub(super) fn shape(&self, overlay: bool, clip: Rect, origin: Vec2) -> Option<Shape> {
        self.canvas.as_ref()?.shape(overlay, clip, origin)
    }
}
