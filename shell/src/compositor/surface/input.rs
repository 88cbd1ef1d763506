//! What the window tells a surface, and what the surface asks of the platform.

use egui::{Context, Event, EventFilter, FocusDirection, Rect, Response, Ui, accesskit::Action};
use plugin_api::{
    abi::{self, CommandKind, EventKind},
    bridge,
};

use super::{Surface, owns_keyboard};

impl Surface {
    pub(super) fn obey(&self, ctx: &Context, command: &abi::Command) {
        let text = command.text.as_str();
        match command.kind {
            CommandKind::COPY_TEXT => ctx.copy_text(text.to_owned()),
            CommandKind::OPEN_URL if is_web(text) => {
                ctx.open_url(egui::OpenUrl { url: text.to_owned(), new_tab: command.flag });
            }
            CommandKind::OPEN_URL => {
                tracing::warn!(
                    remote = self.name,
                    url = text,
                    code = "link-refused",
                    "a link was not opened, because only those with http, https and mailto are; tell the remote's \
                     author"
                );
            }
            CommandKind::FOCUS_LEFT => ctx.memory_mut(|m| {
                m.move_focus(if command.flag { FocusDirection::Next } else { FocusDirection::Previous });
            }),
            CommandKind::SELECTION => ctx.output_mut(|o| {
                o.commands.push(egui::OutputCommand::TextSelectionSettled(text.to_owned()));
            }),
            _ => {}
        }
    }

    pub(super) fn route_input(&mut self, ui: &Ui, response: &Response, slot: Rect) {
        let origin = slot.min.to_vec2();
        let inside = response.contains_pointer() || self.above.contains_pointer(ui.ctx());
        let focused = owns_keyboard(response);
        if focused {
            // Tab and arrows are the remote's; Escape gives the keyboard back to the shell.
            let filter =
                EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape: false };
            ui.memory_mut(|m| m.set_focus_lock_filter(response.id, filter));
        }
        let mut grab = false;
        ui.input(|i| {
            for event in &i.events {
                let mine = match event {
                    Event::PointerMoved(_) | Event::Touch { .. } => inside || self.buttons > 0,
                    Event::PointerButton { pressed: true, .. } => {
                        self.buttons += u8::from(inside);
                        grab |= inside;
                        inside
                    }
                    Event::PointerButton { pressed: false, .. } => {
                        let held = self.buttons > 0;
                        self.buttons = self.buttons.saturating_sub(1);
                        held
                    }
                    Event::MouseWheel { .. } | Event::Zoom(_) => inside,
                    Event::Copy
                    | Event::Cut
                    | Event::Paste(_)
                    | Event::Text(_)
                    | Event::Key { .. }
                    | Event::Ime(_) => focused,
                    Event::AccessKitActionRequest(request) => {
                        if let Some(request) = self.access.action(request) {
                            // Within the shell, the keyboard is the surface's.
                            grab |= request.action == Action::Focus && !focused;
                            self.pending
                                .extend(bridge::event_to_abi(&Event::AccessKitActionRequest(request), origin));
                        }
                        false
                    }
                    _ => false,
                };
                if mine {
                    self.pending.extend(bridge::event_to_abi(event, origin));
                }
            }
        });
        let inside = inside || self.buttons > 0;
        if self.pointer_inside && !inside {
            self.pending.push(abi::Event::new(EventKind::POINTER_GONE));
        }
        self.pointer_inside = inside;
        if grab {
            response.request_focus();
            self.grabbed = true;
        } else if response.gained_focus() && !std::mem::take(&mut self.grabbed) {
            // Tab led here: on to the first control, or to the last.
            let shift = ui.input(|i| i.modifiers.shift);
            let modifiers = if shift { abi::modifiers::SHIFT } else { 0 };
            let tab = abi::Event { text: "Tab".into(), modifiers, ..abi::Event::new(EventKind::KEY) };
            self.pending.push(abi::Event { pressed: true, ..tab.clone() });
            self.pending.push(tab);
        }
    }
}

/// Whether a remote may open this: not `file:` or a scheme that starts a program.
pub(super) fn is_web(url: &str) -> bool {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https" | "mailto")
}
