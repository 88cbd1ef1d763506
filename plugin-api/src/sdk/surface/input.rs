//! The host's input, converted to egui's.

use egui::{Context, Id, Pos2, RawInput, Rect, ViewportId};

use crate::{
    abi::{Event, EventKind, FrameInput},
    bridge,
};

/// Returns `true` if an event is a user action that may scroll or move the focus.
pub(super) fn is_user_action(event: &Event) -> bool {
    let idle = [
        EventKind::POINTER_MOVED,
        EventKind::POINTER_GONE,
        EventKind::MOTION,
        EventKind::MODIFIERS,
        EventKind::FOCUS,
        EventKind::IME_ENABLED,
        EventKind::DRAG_OVER,
        EventKind::DRAG_LEFT,
    ];
    !idle.contains(&event.kind)
}

/// Returns the id of the events that the surface itself has queued.
fn queue_id() -> Id {
    Id::NULL.with("pulse.asked")
}

/// Queues `event` for the surface's egui, for its next frame.
pub(super) fn ask(ctx: &Context, event: egui::Event) {
    ctx.data_mut(|data| data.get_temp_mut_or_default::<Vec<egui::Event>>(queue_id()).push(event));
}

fn take_queued(ctx: &Context) -> Vec<egui::Event> {
    ctx.data_mut(|data| data.remove_temp(queue_id())).unwrap_or_default()
}

pub(super) fn raw_input(ctx: &Context, input: &FrameInput) -> RawInput {
    let [left, top, right, bottom] = input.window;
    let mut events: Vec<egui::Event> = take_queued(ctx);
    events.extend(input.events.iter().filter_map(bridge::event_from_abi));
    let mut raw = RawInput {
        screen_rect: Some(Rect::from_min_max(Pos2::new(left, top), Pos2::new(right, bottom))),
        max_texture_side: Some(input.max_texture_side as usize),
        time: Some(input.time),
        predicted_dt: input.predicted_dt,
        focused: input.focused,
        system_theme: Some(if input.tokens.dark { egui::Theme::Dark } else { egui::Theme::Light }),
        events,
        ..RawInput::default()
    };
    // egui derives the modifiers from events, and after a click elsewhere there may be no event.
    // Sent only on a change, because egui draws another frame after every event.
    let modifiers = bridge::modifiers_from_bits(input.modifiers);
    let sent = input.events.iter().any(|event| event.kind == EventKind::MODIFIERS);
    if !sent && ctx.input(|i| i.modifiers) != modifiers {
        raw.events.insert(0, egui::Event::ModifiersChanged(modifiers));
    }
    if let Some(viewport) = raw.viewports.get_mut(&ViewportId::ROOT) {
        viewport.native_pixels_per_point = Some(input.pixels_per_point);
        viewport.focused = Some(input.focused);
    }
    raw
}
