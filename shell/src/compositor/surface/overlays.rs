//! Overlays: layers of a surface above the window (menus, popups, tooltips, modals).
//!
//! They leave the slot only while the user works in the surface, like a popup with a grab: from a user action in the
//! surface until a press elsewhere, the loss of the keyboard, or a second Escape. Otherwise they are clipped to the
//! slot, which takes the pointer there anyway. The shell reserves a part of the window for itself ([`set_reach`]).

use egui::{Area, Context, Id, LayerId, Order, Rect, Sense, Shape, Vec2};

/// Overlays of one surface.
pub(super) struct Overlays {
    id: Id,
    /// The user works in the surface, so overlays may leave the slot.
    open: bool,
    /// Number of overlays that took the pointer in the last frame of the window.
    places: usize,
    /// Number of overlays at the last Escape.
    escaped: Option<usize>,
}

/// Sets the part of the window that surfaces may cover, until the next call.
pub(crate) fn set_reach(ctx: &Context, reach: Rect) {
    ctx.data_mut(|data| data.insert_temp(Id::unique("pulse.surface.reach"), reach));
}

/// Returns the part of the window that surfaces may cover.
pub(super) fn reach(ctx: &Context) -> Rect {
    let reach = ctx.data(|data| data.get_temp(Id::unique("pulse.surface.reach")));
    reach.map_or(ctx.content_rect(), |reach: Rect| reach.intersect(ctx.content_rect()))
}

impl Overlays {
    pub(super) fn new(surface: u64) -> Self {
        Self { id: Id::unique(("pulse.surface.overlays", surface)), open: false, places: 0, escaped: None }
    }

    fn place(&self, at: usize) -> Id {
        self.id.with(at)
    }

    /// Lets the overlays leave the slot, after a user action in the surface.
    pub(super) fn open(&mut self) {
        (self.open, self.escaped) = (true, None);
    }

    /// Confines the overlays to the slot; returns `true` if any took the pointer.
    pub(super) fn close(&mut self) -> bool {
        (self.open, self.escaped) = (false, None);
        std::mem::take(&mut self.places) > 0
    }

    /// Records an Escape; closes the overlays and returns `true` if the previous Escape closed none.
    pub(super) fn escape(&mut self) -> bool {
        let stay = self.places > 0 && self.escaped.is_some_and(|before| self.places >= before);
        if stay {
            self.close();
        } else {
            self.escaped = Some(self.places).filter(|places| *places > 0);
        }
        stay
    }

    /// Returns `true` while overlays take the pointer.
    pub(super) fn takes(&self) -> bool {
        self.places > 0
    }

    /// Returns `true` if `layer` is one of the overlays.
    pub(super) fn has(&self, layer: LayerId) -> bool {
        layer.order == Order::Foreground && (0..self.places).any(|at| layer.id == self.place(at))
    }

    /// Returns the clip rectangle of the overlays: tooltips leave the slot while the pointer is `inside` the surface.
    pub(super) fn clip(&self, ctx: &Context, slot: Rect, inside: bool) -> Rect {
        if self.open || inside { reach(ctx) } else { slot.intersect(reach(ctx)) }
    }

    /// Paints `shape` above everything painted so far.
    pub(super) fn paint(&self, ctx: &Context, shape: Shape) {
        // In the layer of the topmost overlay; tooltips take no pointer and have no layer.
        let id = if self.places == 0 { self.id } else { self.place(self.places - 1) };
        ctx.layer_painter(LayerId::new(Order::Foreground, id)).add(shape);
    }

    /// Takes the pointer from everything below `places`, which are in slot coordinates.
    pub(super) fn show(&mut self, ctx: &Context, places: &[Rect], origin: Vec2) {
        let reach = reach(ctx);
        let places = places.iter().map(|place| place.translate(origin).intersect(reach));
        let places: Vec<Rect> = places.filter(|place| self.open && place.is_positive()).collect();
        self.places = places.len();
        for (at, place) in places.into_iter().enumerate() {
            let id = self.place(at);
            Area::new(id).order(Order::Foreground).fixed_pos(place.min).constrain(false).fade_in(false).show(
                ctx,
                |ui| {
                    ui.set_clip_rect(reach);
                    ui.interact(place, id.with("place"), Sense::click_and_drag());
                    ui.expand_to_include_rect(place);
                },
            );
        }
    }
}
