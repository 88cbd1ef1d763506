//! What a host tells of input, as egui takes it.

use egui::{Context, LayerId, Pos2, RawInput, Rect, ViewportId};

use crate::{
    abi::{Event, EventKind, FrameInput, modifiers},
    bridge,
};

/// Whether an event says where to look, or what has the focus, from now on.
pub(super) fn is_deed(event: &Event) -> bool {
    let idle = [EventKind::POINTER_MOVED, EventKind::POINTER_GONE, EventKind::FOCUS, EventKind::IME_ENABLED];
    !idle.contains(&event.kind)
}

/// Whether Tab leads out of the last control (true) or, with Shift, out of the first (false).
///
/// Decided before the pass: egui itself would go round to the other end.
pub(super) fn tab_leads_out(ctx: &Context, input: &FrameInput) -> Option<bool> {
    let tab = input.events.iter().find(|e| e.kind == EventKind::KEY && e.pressed && e.text == "Tab")?;
    let forward = tab.modifiers & modifiers::SHIFT == 0;
    let focused = ctx.memory(egui::Memory::focused)?;
    let edge = ctx.viewport(|v| {
        let widgets = v.prev_pass.widgets.get_layer(LayerId::background());
        let mut controls = widgets.filter(|w| w.enabled && w.sense.is_focusable()).map(|w| w.id);
        if forward { controls.last() } else { controls.next() }
    });
    (edge == Some(focused)).then_some(forward)
}

pub(super) fn raw_input(ctx: &Context, input: &FrameInput) -> RawInput {
    let [left, top, right, bottom] = input.window;
    let mut raw = RawInput {
        screen_rect: Some(Rect::from_min_max(Pos2::new(left, top), Pos2::new(right, bottom))),
        max_texture_side: Some(input.max_texture_side as usize),
        time: Some(input.time),
        predicted_dt: input.predicted_dt,
        focused: input.focused,
        system_theme: Some(if input.tokens.dark { egui::Theme::Dark } else { egui::Theme::Light }),
        events: input.events.iter().filter_map(bridge::event_from_abi).collect(),
        ..RawInput::default()
    };
    // egui takes the modifiers from events; after a click elsewhere there may be none.
    // Only a change of them: egui draws another frame after every event.
    let modifiers = bridge::modifiers_from_bits(input.modifiers);
    if ctx.input(|i| i.modifiers) != modifiers {
        raw.events.insert(0, egui::Event::ModifiersChanged(modifiers));
    }
    if let Some(viewport) = raw.viewports.get_mut(&ViewportId::ROOT) {
        viewport.native_pixels_per_point = Some(input.pixels_per_point);
        viewport.focused = Some(input.focused);
    }
    raw
}
