//! A slot on the screen: requests frames from its remote, keeps the last good one, and paints it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use egui::{Context, Id, Pos2, Rect, Response, Sense, Ui, Vec2};
use plugin_api::{abi::FrameInput, bridge, tokens::Tokens};

use super::{Port, Reply, SurfaceHandle, access::Access, paint::Picture};
use telemetry::rate::{Bucket, RateDecision};

use crate::{catalogue::Code, failure::SharedFailure, limits};

mod activation;
mod drag;
mod focus;
mod input;
mod overlays;
mod pending;

use activation::Activation;
use input::InputState;
pub(crate) use overlays::set_reach;
use overlays::{Overlays, reach};
use pending::Pending;

/// Duration of a frame from which it is shown as late.
const SLOW: Duration = Duration::from_millis(50);

/// Longest wait for a surface after the window's look or its size has changed: a picture that is half in the old look
/// is worse than a slightly later one.
const HOLD: Duration = Duration::from_millis(100);

/// Time without an answer after which a surface counts as not responding.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time for which a late frame is shown as such after it has arrived.
const SLOW_SHOWN: Duration = Duration::from_secs(1);

/// Number of frames in the statistics.
const MEASURED: usize = 120;

/// Timeliness of a surface's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Frames come in time.
    Fine,
    /// The last frame took 50 ms or longer, or is being drawn for that long.
    Slow,
    /// The surface has not answered for two seconds.
    NotResponding,
}

/// Settings that all surfaces share in one frame of the window.
#[derive(Clone, Copy)]
pub struct Scene {
    /// Theme tokens.
    pub tokens: Tokens,
    /// End of the window's wait for fresh frames.
    pub deadline: Instant,
}

/// A slot on the screen.
#[expect(clippy::struct_excessive_bools, reason = "the flags are independent facts about the last frame")]
pub struct HostedSurface {
    id: u64,
    name: String,
    /// The remote's name.
    remote: String,
    port: Arc<Port>,
    source: Arc<SurfaceHandle>,
    /// Number of `source` in the order of the port's sources.
    turn: u64,
    /// The picture is still the previous source's.
    renewed: bool,
    access: Access,
    picture: Option<Picture>,
    failure: Option<SharedFailure>,
    /// Time of the request that is not answered yet.
    in_flight: Option<Instant>,
    /// Time at which the surface was last shown.
    began: Instant,
    /// The slot in the current frame of the window, until [`finish`](Self::finish).
    shown: Option<Response>,
    /// Layers that leave the slot.
    overlays: Overlays,
    /// Arrival and duration of the last late frame.
    late: Option<(Instant, Duration)>,
    gone: bool,
    asked: Option<Asked>,
    /// End of the window's wait for a look or size that changed in this frame of the window.
    hold: Option<Instant>,
    /// A changed look or size to request once the frame in flight has arrived.
    next: Option<Asked>,
    /// The surface missed the end of `hold`, and has not answered in time since.
    missed: bool,
    pointer_inside: bool,
    /// Buttons pressed inside, one bit each: all pointer events belong to this surface until every button is up.
    buttons: u8,
    input_state: InputState,
    hover: drag::Hover,
    activation: Activation,
    warnings: Bucket,
    pending: Pending,
    /// Frames received from the remote, and frames of the window that needed none.
    counts: (u64, u64),
    /// Durations of the remote's last frames.
    took: VecDeque<Duration>,
}

/// The conditions under which a frame was requested, apart from events.
#[derive(Clone, Copy, PartialEq)]
struct Asked {
    size: Vec2,
    window: Rect,
    pixels_per_point: f32,
    focused: bool,
    accessibility: bool,
    modifiers: u32,
    tokens: Tokens,
}

impl Asked {
    /// Returns true if a picture for `other` has the look of this scene.
    fn looks_like(&self, other: &Self) -> bool {
        (self.size, self.pixels_per_point, self.tokens) == (other.size, other.pixels_per_point, other.tokens)
    }
}

impl HostedSurface {
    /// Creates a surface `name` of `remote`, with frames from the source behind `port`.
    pub fn new(id: u64, name: String, remote: String, port: Arc<Port>) -> Self {
        Self {
            id,
            access: Access::new(id),
            name,
            remote,
            source: port.source(),
            port,
            turn: 0,
            renewed: false,
            picture: None,
            failure: None,
            in_flight: None,
            began: Instant::now(),
            shown: None,
            overlays: Overlays::new(id),
            late: None,
            gone: false,
            asked: None,
            hold: None,
            next: None,
            missed: false,
            pointer_inside: false,
            buttons: 0,
            input_state: InputState::default(),
            hover: drag::Hover::default(),
            activation: Activation::default(),
            warnings: Bucket::new(limits::WARNINGS, limits::WARNINGS_PER_SECOND),
            pending: Pending::default(),
            counts: (0, 0),
            took: VecDeque::new(),
        }
    }

    /// Returns the id of the surface's pane in the window.
    fn pane(&self) -> Id {
        Id::unique(("pulse.surface", self.id))
    }

    /// Returns the reason why the surface no longer runs; its last good picture may still be shown.
    pub fn failure(&self) -> Option<&SharedFailure> {
        self.failure.as_ref()
    }

    /// Returns `true` if the remote has ended and another surface must be opened.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Returns `true` if a new generation replaces this one in the next frame of the window.
    pub fn is_replaced(&self) -> bool {
        self.port.turn() != self.turn
    }

    /// Returns how long a request has been in flight; `None` if there is no request.
    pub fn waiting(&self) -> Option<Duration> {
        self.in_flight.map(|since| since.elapsed())
    }

    /// Returns the duration of the remote's last frame; `None` before the first.
    pub fn last_took(&self) -> Option<Duration> {
        self.took.back().copied()
    }

    /// Returns the duration of the last late frame, for as long as it is shown as late.
    pub fn late(&self) -> Option<Duration> {
        self.late.filter(|(late, _)| late.elapsed() < SLOW_SHOWN).map(|(_, took)| took)
    }

    /// Returns `true` if there is a picture to show.
    pub fn has_picture(&self) -> bool {
        self.picture.is_some()
    }

    /// Returns the number of frames received from the remote, and of frames of the window that repeated the picture.
    pub fn counts(&self) -> (u64, u64) {
        self.counts
    }

    /// Reports if frames come in time.
    pub fn health(&self) -> Health {
        match self.in_flight.map(|since| since.elapsed()) {
            Some(waited) if waited >= PATIENCE => Health::NotResponding,
            Some(waited) if waited >= SLOW => Health::Slow,
            _ if self.late.is_some_and(|(late, _)| late.elapsed() < SLOW_SHOWN) => Health::Slow,
            _ => Health::Fine,
        }
    }

    /// Returns median and 99th percentile of the durations of the last frames; `None` before the first.
    pub fn frame_times(&self) -> Option<(Duration, Duration)> {
        let mut took: Vec<Duration> = self.took.iter().copied().collect();
        took.sort();
        let last = took.len().checked_sub(1)?;
        Some((took[took.len() / 2], took[(took.len() * 99 / 100).min(last)]))
    }

    /// Wakes the remote ahead of a request: the window has input, so a frame will most likely be needed.
    pub fn wake_ahead(&self) {
        if self.in_flight.is_none() && self.picture.is_some() {
            (self.source.request)(None);
        }
    }

    /// Shows the surface in all of `ui`'s space; call [`finish`](Self::finish) at the end of the window's frame.
    ///
    /// Requests a frame when there is a reason to, without waiting: the window waits at the end of its frame, when
    /// every surface has been asked.
    pub fn ui(&mut self, ui: &mut Ui, scene: &Scene) -> Response {
        let ppp = ui.ctx().pixels_per_point();
        // Whole physical pixels: text stays as sharp as the shell's own.
        let snap = |p: Pos2| Pos2::new((p.x * ppp).round() / ppp, (p.y * ppp).round() / ppp);
        let available = ui.available_rect_before_wrap();
        let slot = Rect::from_min_max(snap(available.min), snap(available.max));
        self.move_focus_out(ui);
        // With a fixed id: the keyboard stays even when the shell shows other widgets before it.
        let response = ui.interact(slot, self.pane(), Sense::click_and_drag().union(Sense::FOCUSABLE));
        ui.advance_cursor_after_rect(slot);
        self.follow(ui.ctx());
        self.route_input(ui, &response, slot);
        if self.failure.is_none() {
            self.ask(ui, &response, slot, scene);
        } else {
            // A later reply may say more about the failure.
            for reply in self.source.mailbox.take().into_iter().filter(Result::is_err) {
                self.arrive(ui.ctx(), reply);
            }
        }
        let clip = ui.clip_rect().intersect(slot);
        if let Some(shape) = self.picture.as_ref().and_then(|p| p.shape(false, clip, slot.min.to_vec2())) {
            ui.painter().with_clip_rect(clip).add(shape);
        }
        self.shown = Some(response.clone());
        response
    }

    /// Ends a frame of the window: waits until `scene`'s deadline for the requested frame, and paints the newest.
    pub fn finish(&mut self, ctx: &Context, scene: &Scene) {
        let Some(response) = self.shown.take() else { return };
        if self.picture.is_some() && self.failure.is_none() {
            self.wait(ctx, scene);
        }
        self.show_waiting(ctx);
        self.paint(ctx, &response);
    }

    /// Waits for the frame requested in this frame of the window: until the deadline for a fresh picture, up to
    /// [`HOLD`] for a changed look or size.
    ///
    /// Each change is waited for once. A surface that is too late is not waited for again until it has answered
    /// faster, so that a hanging one does not slow every frame of a resize.
    fn wait(&mut self, ctx: &Context, scene: &Scene) {
        let hold = self.hold.take();
        let until = hold.map_or(scene.deadline, |until| until.max(scene.deadline));
        while hold.is_some() || self.in_flight.is_some_and(|since| since >= self.began) {
            for reply in self.source.mailbox.take_until(until) {
                self.arrive(ctx, reply);
            }
            match self.next.take_if(|_| self.in_flight.is_none()) {
                // The frame that was in flight has the old look.
                Some(ask) if self.failure.is_none() && Instant::now() < until => self.send(ctx, ask),
                _ => break,
            }
        }
        self.missed |= hold.is_some() && self.in_flight.is_some();
    }

    /// Switches to the newest generation behind the port, if it has changed.
    fn follow(&mut self, ctx: &Context) {
        let Some((turn, source, first)) = self.port.newer_than(self.turn) else { return };
        self.turn = turn;
        self.source = source;
        self.access = Access::new(self.id);
        // The last picture stays until the new source has one; the two share no textures.
        self.renewed = true;
        self.failure = None;
        self.in_flight = None;
        self.late = None;
        self.gone = false;
        self.asked = None;
        self.missed = false;
        self.took.clear();
        if first.is_empty() {
            // Input for the old source means nothing to one that starts without state.
            self.pending.clear();
        }
        for frame in first {
            self.arrive(ctx, Ok(frame));
        }
    }

    /// Receives the replies since the last call, and requests a frame when there is a reason to.
    fn ask(&mut self, ui: &Ui, response: &Response, slot: Rect, scene: &Scene) {
        let now = Instant::now();
        self.began = now;
        (self.hold, self.next) = (None, None);
        for reply in self.source.mailbox.take() {
            self.arrive(ui.ctx(), reply);
        }
        let ask = Asked {
            size: slot.size(),
            window: reach(ui.ctx()).translate(-slot.min.to_vec2()),
            pixels_per_point: ui.ctx().pixels_per_point(),
            focused: owns_keyboard(response),
            accessibility: super::access::is_enabled(ui.ctx(), response.id),
            modifiers: ui.input(|i| bridge::modifiers_to_bits(i.modifiers)),
            tokens: scene.tokens,
        };
        let due = self.source.mailbox.is_due(now);
        let changed = self.asked.is_none_or(|a| Asked { modifiers: ask.modifiers, ..a } != ask);
        if self.asked.is_some_and(|before| !before.looks_like(&ask)) && !self.missed {
            self.hold = Some(now + HOLD);
        }
        let reason = due || changed || !self.pending.is_empty();
        if !reason && self.in_flight.is_none() {
            self.counts.1 += 1;
            return;
        }
        if self.in_flight.is_some() {
            // One frame at a time: changes are requested when it has arrived, and a late frame is not waited for
            // again.
            if due {
                self.source.mailbox.remain_due();
            }
            self.next = self.hold.map(|_| ask);
            return;
        }
        self.send(ui.ctx(), ask);
    }

    /// Schedules a repaint for when the surface becomes late or stops responding. The slot, which shows for how long,
    /// repaints from then on.
    fn show_waiting(&self, ctx: &Context) {
        let Some(waited) = self.waiting() else { return };
        let next = [SLOW, PATIENCE].into_iter().find_map(|limit| limit.checked_sub(waited));
        if let Some(next) = next {
            ctx.request_repaint_after(next);
        }
    }

    /// Returns `true` if another fault of the remote may be logged: a few at once, then at a low rate.
    fn may_warn(&self) -> bool {
        matches!(self.warnings.take(0), RateDecision::Pass | RateDecision::PassAfter(_))
    }

    fn send(&mut self, ctx: &Context, ask: Asked) {
        let (time, predicted_dt) = ctx.input(|i| (i.time, i.predicted_dt));
        let input = FrameInput {
            time,
            predicted_dt,
            size: ask.size.into(),
            window: [ask.window.min.x, ask.window.min.y, ask.window.max.x, ask.window.max.y],
            pixels_per_point: ask.pixels_per_point,
            max_texture_side: limits::ATLAS_SIDE,
            focused: ask.focused,
            accessibility: ask.accessibility,
            modifiers: ask.modifiers,
            tokens: ask.tokens,
            events: self.pending.take().into(),
        };
        self.port.note(&input, self.buttons > 0);
        self.gone = !(self.source.request)(Some(input));
        if !self.gone {
            self.asked = Some(ask);
            self.in_flight = Some(Instant::now());
        }
    }

    fn arrive(&mut self, ctx: &Context, reply: Reply) {
        if self.in_flight.take().is_some_and(|since| since.elapsed() < HOLD) {
            self.missed = false;
        }
        match reply {
            Ok(mut frame) => {
                self.counts.0 += 1;
                if frame.took >= SLOW {
                    self.late = Some((Instant::now(), frame.took.max(self.late().unwrap_or_default())));
                    ctx.request_repaint_after(SLOW_SHOWN);
                }
                if self.took.len() == MEASURED {
                    self.took.pop_front();
                }
                self.took.push_back(frame.took);
                if let Some(delay) = frame.repaint_after {
                    self.source.mailbox.request(delay);
                }
                for command in std::mem::take(&mut frame.commands) {
                    self.apply_command(ctx, &command);
                }
                if std::mem::take(&mut self.renewed) {
                    self.picture = None;
                }
                if self.picture.is_none() || self.is_dragged_over() {
                    // The slot was drawn, and the drag routed, before this answer came.
                    ctx.request_repaint();
                }
                self.input_state.busy = frame.wants_keyboard || !frame.overlays.is_empty();
                if let Some(what) = frame.refused.take()
                    && self.may_warn()
                {
                    tracing::warn!(
                        remote = self.remote,
                        code = Code::PictureTooLarge.as_str(),
                        "{what}, is not shown; the panel keeps running without it; report this to the plugin's author"
                    );
                }
                if let Some(tree) = frame.access.take() {
                    self.access.take(&self.remote, tree);
                }
                self.picture.get_or_insert_with(|| Picture::new(ctx)).show(frame);
            }
            Err(failure) => {
                self.failure = Some(failure);
                // The slot shows it.
                ctx.request_repaint();
            }
        }
    }

    /// Applies everything but the slot itself that depends on this frame's picture.
    fn paint(&mut self, ctx: &Context, response: &Response) {
        let drag_cursor = self.drag_cursor(ctx);
        let Some(picture) = &mut self.picture else { return };
        let origin = response.rect.min.to_vec2();
        let clip = self.overlays.clip(ctx, response.rect, self.pointer_inside);
        if let Some(shape) = picture.shape(true, clip, origin) {
            self.overlays.paint(ctx, shape);
        }
        // A surface that does not answer must not keep the pointer from the shell.
        if self.failure.is_none() && self.in_flight.is_none_or(|since| since.elapsed() < PATIENCE) {
            self.overlays.show(ctx, picture.overlays(), origin);
        }
        if self.pointer_inside {
            ctx.set_cursor_icon(drag_cursor.unwrap_or(picture.cursor()));
        }
        if owns_keyboard(response)
            && let Some(ime) = picture.ime()
        {
            ctx.output_mut(|o| {
                o.ime = Some(egui::output::IMEOutput {
                    rect: ime.rect.translate(origin),
                    cursor_rect: ime.cursor_rect.translate(origin),
                    ..ime
                });
            });
        }
        if self.failure.is_none() {
            self.access.show(ctx, response.id, response.rect, &self.name, owns_keyboard(response));
        }
    }
}

/// Returns `true` if keys are for this surface.
///
/// Unlike [`Response::has_focus`], also while the window is in the background: only a program that drives the window
/// sends keys there.
fn owns_keyboard(response: &Response) -> bool {
    response.ctx.memory(|m| m.has_focus(response.id))
}

#[cfg(test)]
mod tests;
