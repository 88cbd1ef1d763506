//! What the window tells a surface, and what the surface asks of the platform.

use egui::{
    Context, Event, EventFilter, Key, LayerId, Modifiers, Pos2, Rect, Response, TouchDeviceId, TouchId,
    TouchPhase, Ui, Vec2, ViewportCommand, accesskit::Action,
};
use plugin_api::{
    abi::{self, CommandKind, EventKind},
    bridge,
};

use super::{
    Above, Surface,
    activation::{Activation, Purchase},
    focus, owns_keyboard,
};
use crate::{catalogue::Code, limits, links};

/// What is going on between the window's input and a surface.
#[derive(Default)]
pub(super) struct Hands {
    /// Buttons that were pressed elsewhere: the pointer belongs to whoever has them.
    elsewhere: u8,
    /// Fingers that came down in this surface.
    fingers: Vec<(TouchDeviceId, TouchId)>,
    /// Where the scrolling that goes on began: in this surface or not.
    scrolls: Option<bool>,
    /// The last pass in which the surface was shown.
    pass: u64,
    /// The surface owned the keyboard in the last frame.
    pub(super) keyboard: bool,
    /// A control of the remote has the focus, or something lies open above it.
    pub(super) busy: bool,
    /// Escape was pressed, and the remote has not answered yet.
    escaped: bool,
    /// Tab has led out of the surface, forwards or backwards.
    pub(super) leaving: Option<bool>,
    /// The pass in which Shift and Tab led out of the surface.
    pub(super) left: Option<u64>,
}

impl Surface {
    #[expect(clippy::collapsible_match, reason = "a guard that buys something would make the next arm apply")]
    pub(super) fn obey(&mut self, ctx: &Context, command: &abi::Command) {
        let text = command.text.as_str();
        match command.kind {
            CommandKind::COPY_TEXT => {
                if self.may_copy(text.len(), limits::CLIPBOARD_TEXT) && self.pays(Purchase::Clipboard) {
                    ctx.copy_text(text.to_owned());
                }
            }
            CommandKind::COPY_IMAGE => {
                if self.may_copy(command.data.len(), limits::CLIPBOARD_IMAGE)
                    && let Some(image) = bridge::image_from_abi(command.size, &command.data)
                    && self.pays(Purchase::Clipboard)
                {
                    ctx.copy_image(image);
                }
            }
            CommandKind::OPEN_URL => match links::address(text) {
                Some(url) => {
                    if self.pays(Purchase::Link) {
                        ctx.open_url(egui::OpenUrl { url, new_tab: command.flag });
                    }
                }
                None if self.may_warn() => tracing::warn!(
                    remote = self.remote,
                    url = negotiation::text::line(text, limits::LOCATION),
                    code = Code::LinkRefused.as_str(),
                    "a link was not opened, because only addresses of at most 8 KiB with http, https and mailto are; \
                     report this to the remote's author"
                ),
                None => {}
            },
            CommandKind::FOCUS_LEFT => {
                self.hands.leaving = Some(command.flag);
                ctx.request_repaint();
            }
            CommandKind::SELECTION => {
                if self.may_copy(text.len(), limits::SELECTION) && self.pays(Purchase::Selection) {
                    ctx.output_mut(|o| {
                        o.commands.push(egui::OutputCommand::TextSelectionSettled(text.to_owned()));
                    });
                }
            }
            // The clipboard may hold anything: it is for the surface that the user works with.
            CommandKind::PASTE if self.hands.keyboard => {
                if self.pays(Purchase::Paste) {
                    ctx.send_viewport_cmd(ViewportCommand::RequestPaste);
                }
            }
            CommandKind::PASTE if self.may_warn() => {
                tracing::warn!(
                    remote = self.remote,
                    code = Code::PasteRefused.as_str(),
                    "the clipboard was not read, because only the surface with the keyboard may ask for it; report this \
                     to the remote's author"
                );
            }
            CommandKind::DRAG => self.begin_drag(ctx, command),
            CommandKind::DRAG_TAKEN => self.note_taken(ctx, command.flag),
            _ => {}
        }
    }

    /// Returns true when a user action in this surface pays for `what`; otherwise logs that none does.
    fn pays(&mut self, what: Purchase) -> bool {
        let paid = self.activation.buy(what, self.buttons > 0);
        if !paid && self.may_warn() {
            let what = match what {
                Purchase::Link => "a link was not opened",
                Purchase::Clipboard => "the clipboard was not written",
                Purchase::Selection => "the selection was not written",
                Purchase::Paste => "the clipboard was not read",
            };
            tracing::warn!(
                remote = self.remote,
                code = Code::UserActionMissing.as_str(),
                "{what}, because the user has not pressed anything in the panel in the last 5 s that was not used for it \
                 already; report this to the remote's author"
            );
        }
        paid
    }

    fn may_copy(&self, bytes: usize, limit: usize) -> bool {
        let fits = bytes <= limit;
        if !fits && self.may_warn() {
            tracing::warn!(
                remote = self.remote,
                code = Code::ClipboardRefused.as_str(),
                "the clipboard was not written, because what the remote copies has {bytes} bytes, of at most {limit}; \
                 copy less, or report this to the remote's author"
            );
        }
        fits
    }

    pub(super) fn route_input(&mut self, ui: &Ui, response: &Response, slot: Rect) {
        let origin = slot.min.to_vec2();
        let pass = ui.ctx().cumulative_pass_nr();
        if self.hands.pass + 1 < pass {
            // What was pressed when the surface was last shown has been let go of elsewhere.
            self.let_go();
            self.above.close();
            self.activation = Activation::default();
            self.hands = Hands { busy: self.hands.busy, ..Hands::default() };
        }
        self.hands.pass = pass;
        self.route_drag(ui, response, slot);
        // Whoever has the press keeps the keyboard. egui takes it from whom is clicked beside, and what of a surface
        // leaves the slot is beside it.
        if self.hands.keyboard && self.buttons > 0 && ui.input(|i| i.pointer.any_released()) {
            response.request_focus();
        }
        let focused = owns_keyboard(response);
        let tab = self.lead_in(ui, response);
        if focused {
            // Escape, too: it may close something of the remote's.
            let filter =
                EventFilter { tab: true, horizontal_arrows: true, vertical_arrows: true, escape: true };
            ui.memory_mut(|m| m.set_focus_lock_filter(response.id, filter));
        }
        let (events, latest) = ui.input(|i| (i.events.clone(), i.pointer.latest_pos()));
        let covered = is_covered(ui, response);
        let above = &self.above;
        let at = |pos: Pos2| reaches(ui, response, above, pos) && !(covered && latest == Some(pos));
        let here = latest.is_some_and(at);
        let scrolling = Self::takes_scrolling(ui, here);
        let (mut grab, mut moved, mut acted, mut elsewhere) = (false, false, false, false);
        let mut escapes = 0;
        for (nr, event) in events.iter().enumerate() {
            let hands = &mut self.hands;
            let mine = match event {
                Event::PointerMoved(pos) => {
                    moved = self.buttons > 0 || hands.elsewhere == 0 && at(*pos);
                    moved
                }
                Event::PointerButton { pos, button, pressed: true, .. } => {
                    // Whoever has one button has the others.
                    let mine = self.buttons > 0 || hands.elsewhere == 0 && at(*pos);
                    grab |= mine;
                    *(if mine { &mut self.buttons } else { &mut hands.elsewhere }) |= 1 << *button as u8;
                    mine
                }
                Event::PointerButton { button, pressed: false, .. } => {
                    let bit = 1 << *button as u8;
                    let mine = self.buttons & bit != 0;
                    self.buttons &= !bit;
                    hands.elsewhere &= !bit;
                    mine
                }
                Event::Touch { device_id, id, phase, pos, .. } => {
                    hands.touched((*device_id, *id), *phase, at(*pos))
                }
                Event::MouseWheel { phase, .. } => hands.scrolled(*phase, here),
                Event::Zoom(_) | Event::Rotate(_) => here,
                Event::MouseMoved(_) => self.buttons > 0 || hands.elsewhere == 0 && here,
                Event::MiddleClickPaste { pos, .. } => self.buttons > 0 && at(*pos),
                Event::ModifiersChanged(_) => focused || self.pointer_inside,
                // The key that led here is the shell's.
                Event::Key { .. } if tab.is_some_and(|tab| nr <= tab) => false,
                Event::Key { key, pressed, repeat, modifiers, .. } => {
                    let escape = *pressed && *key == Key::Escape && *modifiers == Modifiers::NONE;
                    hands.escaped |= focused && escape;
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
                        // Within the shell, the keyboard is the surface's.
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
            self.hands.elsewhere = 0;
            self.let_go();
        }
        self.follow_pointer(here, latest.filter(|_| !moved), origin);
        if elsewhere {
            self.dismiss();
        }
        if acted {
            self.above.open();
        }
        self.escape(response, focused, escapes);
        self.route_focus(ui, response, grab);
    }

    fn route_focus(&mut self, ui: &Ui, response: &Response, grab: bool) {
        if grab {
            response.request_focus();
        }
        if self.hands.escaped {
            let asked = self.pending.iter().any(|event| event.kind == EventKind::KEY && event.text == "Escape");
            if asked || self.in_flight.is_some() {
                ui.ctx().request_repaint();
            } else {
                self.hands.escaped = false;
                if !self.hands.busy {
                    response.surrender_focus();
                }
            }
        }
        let keyboard = owns_keyboard(response);
        if std::mem::replace(&mut self.hands.keyboard, keyboard) != keyboard {
            self.pending.push(abi::Event { pressed: keyboard, ..abi::Event::new(EventKind::FOCUS) });
            if !keyboard && self.buttons == 0 {
                self.dismiss();
            }
        }
    }

    /// Notes whether the pointer is inside, and reports where it came from or went without an event; `rests` is its place
    /// where it has not moved.
    fn follow_pointer(&mut self, here: bool, rests: Option<Pos2>, origin: Vec2) {
        let inside = self.buttons > 0 || self.hands.elsewhere == 0 && here;
        if self.pointer_inside && !inside {
            self.pending.push(abi::Event::new(EventKind::POINTER_GONE));
        } else if let (false, true, Some(pos)) = (self.pointer_inside, inside, rests) {
            // It was there already when what kept it away has gone.
            self.pending.extend(bridge::event_to_abi(&Event::PointerMoved(pos), origin));
        }
        self.pointer_inside = inside;
    }

    /// Closes what lies open above the window where Escape has not: the key that always leads out of a panel.
    fn escape(&mut self, response: &Response, focused: bool, presses: u32) {
        for _ in 0..presses {
            if self.above.takes() && (self.above.escape() || !focused) {
                self.above.close();
                response.surrender_focus();
            }
        }
    }

    /// Closes what lies open above the window, and lets the remote close it too, with Escape.
    fn dismiss(&mut self) {
        if self.above.close() {
            let escape = abi::Event { text: "Escape".into(), ..abi::Event::new(EventKind::KEY) };
            self.pending.push(abi::Event { pressed: true, ..escape.clone() });
            self.pending.push(escape);
        }
    }

    /// Tells the remote that buttons are up of which nobody was told.
    fn let_go(&mut self) {
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

impl Hands {
    /// A finger is the surface's in which it came down.
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

    /// What began in the surface stays there until it ends, wherever the pointer is.
    fn scrolled(&mut self, phase: TouchPhase, here: bool) -> bool {
        match phase {
            TouchPhase::Start => *self.scrolls.insert(here),
            TouchPhase::Move => self.scrolls.unwrap_or(here),
            TouchPhase::End | TouchPhase::Cancel => self.scrolls.take().unwrap_or(here),
        }
    }
}

/// Whether what is at `pos` in the window is the surface that `response` is of, or what of it lies `above`.
pub(super) fn reaches(ui: &Ui, response: &Response, above: &Above, pos: Pos2) -> bool {
    let layer = ui.ctx().layer_id_at(pos).unwrap_or(LayerId::background());
    above.has(layer) || response.layer_id == layer && response.rect.intersect(ui.clip_rect()).contains(pos)
}

/// Whether something of the shell's lies above the surface where the pointer is, and takes what is pressed there.
fn is_covered(ui: &Ui, response: &Response) -> bool {
    ui.ctx().viewport(|v| {
        let top = v.hits.click.filter(|top| top.id != response.id && top.layer_id == response.layer_id);
        top.is_some_and(|top| v.hits.contains_pointer.iter().any(|widget| widget.id == top.id))
    })
}

fn is_press(event: &Event) -> bool {
    matches!(event, Event::PointerButton { pressed: true, .. } | Event::Touch { phase: TouchPhase::Start, .. })
}
