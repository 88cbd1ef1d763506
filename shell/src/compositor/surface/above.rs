//! What of a surface lies above the window: menus, popups, tooltips, modals.

use egui::{Area, Context, Id, LayerId, Order, Rect, Sense, Shape, Vec2};

/// What of one surface leaves its slot.
pub(super) struct Above {
    id: Id,
    /// How many places took the pointer in the last frame of the window.
    places: usize,
}

impl Above {
    pub(super) fn new(surface: u64) -> Self {
        Self { id: Id::unique(("pulse.surface.above", surface)), places: 0 }
    }

    fn place(&self, at: usize) -> Id {
        self.id.with(at)
    }

    /// Whether `layer` is that of one of the places.
    pub(super) fn has(&self, layer: LayerId) -> bool {
        layer.order == Order::Foreground && (0..self.places).any(|at| layer.id == self.place(at))
    }

    /// Paints above everything that was there before.
    pub(super) fn paint(&self, ctx: &Context, shape: Shape) {
        // In the layer of the topmost place; tooltips take no pointer and have none.
        let id = if self.places == 0 { self.id } else { self.place(self.places - 1) };
        ctx.layer_painter(LayerId::new(Order::Foreground, id)).add(shape);
    }

    /// Takes the pointer in `places`, which are in slot coordinates, from what lies below.
    pub(super) fn show(&mut self, ctx: &Context, places: &[Rect], origin: Vec2) {
        self.places = places.len();
        for (at, place) in places.iter().enumerate() {
            let (id, place) = (self.place(at), place.translate(origin));
            Area::new(id).order(Order::Foreground).fixed_pos(place.min).constrain(false).fade_in(false).show(
                ctx,
                |ui| {
                    ui.set_clip_rect(ctx.viewport_rect());
                    ui.interact(place, id.with("place"), Sense::click_and_drag());
                    ui.expand_to_include_rect(place);
                },
            );
        }
    }
}
