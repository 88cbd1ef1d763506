//! Routes the window's input to a surface, and applies the surface's commands to the platform.

use egui::{
    Context, Event, EventFilter, Key, LayerId, Modifiers, Pos2, Rect, Response, TouchDeviceId, TouchId,
    TouchPhase, Ui, Vec2, ViewportCommand, accesskit::Action,
};
use plugin_api::{
    abi::{self, CommandKind, EventKind},
    bridge,
};

use super::{
    HostedSurface, Overlays,
    activation::{Activation, Privilege},
    focus, owns_keyboard,
};
use crate::{catalogue::Code, limits, links};

/// Input state of a surface: buttons, fingers, scrolling and the keyboard.
#[derive(Default)]
pub(super) struct InputState {
    /// Buttons pressed outside, one bit each: the pointer belongs to the widget or surface that has them.
    elsewhere: u8,
    /// Fingers that came down in this surface.
    fingers: Vec<(TouchDeviceId, TouchId)>,
    /// `true` if the current scrolling began in this surface, `false` if outside.
    scrolls: Option<bool>,
    /// The last pass in which the surface was shown.
    pass: u64,
    /// The surface owned the keyboard in the last frame.
    pub(super) keyboard: bool,
    /// A control of the remote has the focus, or an overlay is open.
    pub(super) busy: bool,
    /// Escape was pressed, and the remote has not answered yet.
    escaped: bool,
    /// Tab moved the focus past the last control (`true`) or before the first (`false`).
    pub(super) leaving: Option<bool>,
    /// The pass in which Shift+Tab moved the focus out of the surface.
    pub(super) left: Option<u64>,
}

impl HostedSurface {
    /// Applies a command of the remote, if the rules for it allow that.
    #[expect(clippy::collapsible_match, reason = "a guard that fails would make the next arm apply")]
    pub(super) fn apply_command(&mut self, ctx: &Context, command: &abi::Command) {
        let text = command.text.as_str();
        match command.kind {
            CommandKind::COPY_TEXT => {
                if self.may_copy(text.len(), limits::CLIPBOARD_TEXT)
                    && self.consume_activation(Privilege::Clipboard)
                {
                    ctx.copy_text(text.to_owned());
                }
            }
            CommandKind::COPY_IMAGE => {
                if self.may_copy(command.data.len(), limits::CLIPBOARD_IMAGE)
                    && let Some(image) = bridge::image_from_abi(command.size, &command.data)
                    && self.consume_activation(Privilege::Clipboard)
                {
                    ctx.copy_image(image);
                }
            }
            CommandKind::OPEN_URL => match links::address(text) {
                Some(url) => {
                    if self.consume_activation(Privilege::Link) {
                        ctx.open_url(egui::OpenUrl { url, new_tab: command.flag });
                    }
                }
                None if self.may_warn() => tracing::warn!(
                    remote = self.remote,
                    url = negotiation::text::line(text, limits::LOCATION),
                    code = Code::LinkRefused.as_str(),
                    "a link was not opened, because only addresses of at most 8 KiB with http, https and mailto are; \
                     report this to the plugin's author"
                ),
                None => {}
            },
            CommandKind::FOCUS_LEFT => {
                self.input_state.leaving = Some(command.flag);
                ctx.request_repaint();
            }
            CommandKind::SELECTION => {
                if self.may_copy(text.len(), limits::SELECTION) && self.consume_activation(Privilege::Selection)
                {
                    ctx.output_mut(|o| {
                        o.commands.push(egui::OutputCommand::TextSelectionSettled(text.to_owned()));
                    });
                }
            }
            // The clipboard may hold anything: only the surface that the user works in may read it.
            CommandKind::PASTE if self.input_state.keyboard => {
                if self.consume_activation(Privilege::Paste) {
                    ctx.send_viewport_cmd(ViewportCommand::RequestPaste);
                }
            }
            CommandKind::PASTE if self.may_warn() => {
                tracing::warn!(
                    remote = self.remote,
                    code = Code::PasteRefused.as_str(),
                    "the clipboard was not read, because only the surface with the keyboard may ask for it; report \
                     this to the plugin's author"
                );
            }
            CommandKind::DRAG => self.begin_drag(ctx, command),
            CommandKind::DRAG_TAKEN => self.note_taken(ctx, command.flag),
            _ => {}
        }
    }

    /// Consumes the user action in this surface for `what`; logs and returns `false` if there is none.
    fn consume_activation(&mut self, what: Privilege) -> bool {
        let allowed = self.activation.consume(what, self.buttons > 0);
        if !allowed && self.may_warn() {
            let what = match what {
                Privilege::Link => "a link was not opened",
                Privilege::Clipboard => "the clipboard was not written",
                Privilege::Selection => "the selection was not written",
                Privilege::Paste => "the clipboard was not read",
            };
            tracing::warn!(
                remote = self.remote,
                code = Code::UserActionMissing.as_str(),
                "{what}, because it needs a user action in the panel in the last 5 s that has not been used for it \
                 yet; report this to the plugin's author"
            );
        }
        allowed
    }

    fn may_copy(&self, bytes: usize, limit: usize) -> bool {
        let fits = bytes <= limit;
        if !fits && self.may_warn() {
            tracing::warn!(
                remote = self.remote,
                code = Code::ClipboardRefused.as_str(),
                "the clipboard was not written, because the remote copies {bytes} bytes, of at most {limit}; copy \
                 less, or report this to the plugin's author"
            );
        }
        fits
    }

    pub(super) fn route_input(&mut self, ui: &Ui, response: &Response, slot: Rect) {
        let origin = slot.min.to_vec2();
        let pass = ui.ctx().cumulative_pass_nr();
        if self.input_state.pass + 1 < pass {
            // Buttons that were down when the surface was last shown have been released elsewhere.
            self.release_buttons();
            self.overlays.close();
            self.activation = Activation::default();
            self.input_state = InputState { busy: self.input_state.busy, ..InputState::default() };
        }
        self.input_state.pass = pass;
        self.route_drag(ui, response, slot);
        // The surface with the press keeps the keyboard. egui takes it after a click outside of the widget, and
        // overlays are outside of the slot.
        if self.input_state.keyboard && self.buttons > 0 && ui.input(|i| i.pointer.any_released()) {
            response.request_focus();
        }
        let focused = owns_keyboard(response);
        let tab = self.enter_by_tab(ui, response);
        if focused {
            // Escape too: it may close something in the remote.
            let filter =
                EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape: true };
            ui.memory_mut(|m| m.set_focus_lock_filter(response.id, filter));
        }
        let (events, latest) = ui.input(|i| (i.events.clone(), i.pointer.latest_pos()));
        let covered = is_covered(ui, response);
        let overlays = &self.overlays;
        let at = |pos: Pos2| reaches(ui, response, overlays, pos) && !(covered && latest == Some(pos));
        let here = latest.is_some_and(at);
        let scrolling = Self::takes_scrolling(ui, here);
        let (mut grab, mut moved, mut acted, mut elsewhere) = (false, false, false, false);
        let mut escapes = 0;
        for (nr, event) in events.iter().enumerate() {
            let state = &mut self.input_state;
            let mine = match event {
                Event::PointerMoved(pos) => {
                    moved = self.buttons > 0 || state.elsewhere == 0 && at(*pos);
                    moved
                }
                Event::PointerButton { pos, button, pressed: true, .. } => {
                    // Pointer capture: one owner for all buttons.
                    let mine = self.buttons > 0 || state.elsewhere == 0 && at(*pos);
                    grab |= mine;
                    *(if mine { &mut self.buttons } else { &mut state.elsewhere }) |= 1 << *button as u8;
                    mine
                }
                Event::PointerButton { button, pressed: false, .. } => {
                    let bit = 1 << *button as u8;
                    let mine = self.buttons & bit != 0;
                    self.buttons &= !bit;
                    state.elsewhere &= !bit;
                    mine
                }
                Event::Touch { device_id, id, phase, pos, .. } => {
                    state.touched((*device_id, *id), *phase, at(*pos))
                }
                Event::MouseWheel { phase, .. } => state.scrolled(*phase, here),
                Event::Zoom(_) | Event::Rotate(_) => here,
                Event::MouseMoved(_) => self.buttons > 0 || state.elsewhere == 0 && here,
                Event::MiddleClickPaste { pos, .. } => self.buttons > 0 && at(*pos),
                Event::ModifiersChanged(_) => focused || self.pointer_inside,
                // Keys up to the Tab that moved the focus here are the shell's.
                Event::Key { .. } if tab.is_some_and(|tab| nr <= tab) => false,
                Event::Key { key, pressed, repeat, modifiers, .. } => {
                    let escape = *pressed && *key == Key::Escape && *modifiers == Modifiers::NONE;
                    state.escaped |= focused && escape;
                    escapes += u32::from(escape && !repeat);
                    focused || scrolling && focus::scrolls(*key)
                }
                Event::Copy
                | Event::Cut
                | Event::Paste(_)
                | Event::PasteImage(_)
                | Event::Text(_)
                | Event::Ime(_)
                | Event::WindowFocused(_) => focused,
                Event::AccessKitActionRequest(request) => {
                    if let Some(request) = self.access.action(request) {
                        // A focused node needs the shell's keyboard focus on the surface.
                        grab |= request.action == Action::Focus && !focused;
                        acted |= self.activation.note(event);
                        self.pending
                            .extend(bridge::event_to_abi(&Event::AccessKitActionRequest(request), origin));
                    }
                    false
                }
                Event::PointerGone => false,
            };
            elsewhere |= !mine && is_press(event);
            if mine {
                acted |= self.activation.note(event);
                self.pending.extend(bridge::event_to_abi(event, origin));
            }
        }
        if !ui.input(|i| i.pointer.any_down()) {
            self.input_state.elsewhere = 0;
            self.release_buttons();
        }
        self.follow_pointer(here, latest.filter(|_| !moved), origin);
        if elsewhere {
            self.dismiss();
        }
        if acted {
            self.overlays.open();
        }
        self.escape(response, focused, escapes);
        self.route_focus(ui, response, grab);
    }

    fn route_focus(&mut self, ui: &Ui, response: &Response, grab: bool) {
        if grab {
            response.request_focus();
        }
        if self.input_state.escaped {
            let asked = self.pending.iter().any(|event| event.kind == EventKind::KEY && event.text == "Escape");
            if asked || self.in_flight.is_some() {
                ui.ctx().request_repaint();
            } else {
                self.input_state.escaped = false;
                if !self.input_state.busy {
                    response.surrender_focus();
                }
            }
        }
        let keyboard = owns_keyboard(response);
        if std::mem::replace(&mut self.input_state.keyboard, keyboard) != keyboard {
            self.pending.push(abi::Event { pressed: keyboard, ..abi::Event::new(EventKind::FOCUS) });
            if !keyboard && self.buttons == 0 {
                self.dismiss();
            }
        }
    }

    /// Updates `pointer_inside`, and synthesises events for a pointer that entered or left without one; `rests` is
    /// its position if it has not moved.
    fn follow_pointer(&mut self, here: bool, rests: Option<Pos2>, origin: Vec2) {
        let inside = self.buttons > 0 || self.input_state.elsewhere == 0 && here;
        if self.pointer_inside && !inside {
            self.pending.push(abi::Event::new(EventKind::POINTER_GONE));
        } else if let (false, true, Some(pos)) = (self.pointer_inside, inside, rests) {
            // The pointer did not move: whatever covered the surface has gone.
            self.pending.extend(bridge::event_to_abi(&Event::PointerMoved(pos), origin));
        }
        self.pointer_inside = inside;
    }

    /// Closes overlays that stay open after Escape: the key always leads out of a panel.
    fn escape(&mut self, response: &Response, focused: bool, presses: u32) {
        for _ in 0..presses {
            if self.overlays.takes() && (self.overlays.escape() || !focused) {
                self.overlays.close();
                response.surrender_focus();
            }
        }
    }

    /// Closes the overlays, and sends the remote an Escape so that it closes them too.
    fn dismiss(&mut self) {
        if self.overlays.close() {
            let escape = abi::Event { text: "Escape".into(), ..abi::Event::new(EventKind::KEY) };
            self.pending.push(abi::Event { pressed: true, ..escape.clone() });
            self.pending.push(escape);
        }
    }

    /// Sends the missing releases of buttons that the remote still takes for pressed.
    fn release_buttons(&mut self) {
        for button in (0..8).filter(|button| self.buttons & (1 << button) != 0) {
            self.pending.push(abi::Event {
                button,
                pos: [-1.0; 2],
                ..abi::Event::new(EventKind::POINTER_BUTTON)
            });
        }
        self.buttons = 0;
    }
}

impl InputState {
    /// Tracks a finger; returns `true` if it came down in this surface.
    fn touched(&mut self, finger: (TouchDeviceId, TouchId), phase: TouchPhase, here: bool) -> bool {
        let known = self.fingers.iter().position(|known| *known == finger);
        match (phase, known) {
            (TouchPhase::Start, None) if here => self.fingers.push(finger),
            (TouchPhase::Start, None) => return false,
            (TouchPhase::End | TouchPhase::Cancel, Some(at)) => {
                self.fingers.swap_remove(at);
            }
            _ => return known.is_some(),
        }
        true
    }

    /// Tracks scrolling, which stays in the surface where it began; returns `true` if that is this one.
    fn scrolled(&mut self, phase: TouchPhase, here: bool) -> bool {
        match phase {
            TouchPhase::Start => *self.scrolls.insert(here),
            TouchPhase::Move => self.scrolls.unwrap_or(here),
            TouchPhase::End | TouchPhase::Cancel => self.scrolls.take().unwrap_or(here),
        }
    }
}

/// Returns `true` if `pos` in the window hits the surface of `response`, or one of its `overlays`.
pub(super) fn reaches(ui: &Ui, response: &Response, overlays: &Overlays, pos: Pos2) -> bool {
    let layer = ui.ctx().layer_id_at(pos).unwrap_or(LayerId::background());
    overlays.has(layer) || response.layer_id == layer && response.rect.intersect(ui.clip_rect()).contains(pos)
}

/// Returns `true` if a clickable widget of the shell covers the surface below the pointer.
fn is_covered(ui: &Ui, response: &Response) -> bool {
    ui.ctx().viewport(|v| {
        let top = v.hits.click.filter(|top| top.id != response.id && top.layer_id == response.layer_id);
        top.is_some_and(|top| v.hits.contains_pointer.iter().any(|widget| widget.id == top.id))
    })
}

fn is_press(event: &Event) -> bool {
    matches!(event, Event::PointerButton { pressed: true, .. } | Event::Touch { phase: TouchPhase::Start, .. })
}
