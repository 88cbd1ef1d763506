//! One slot on the screen: asks its remote for frames, keeps the last good one, and paints it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use egui::{Context, Id, Pos2, Rect, Response, Sense, Ui, Vec2};
use plugin_api::{abi::FrameInput, bridge, tokens::Tokens};

use super::{Port, Reply, Source, access::Access, paint::Picture};
use telemetry::rate::{Bucket, Verdict};

use crate::{catalogue::Code, failure::SharedFailure, limits};

mod above;
mod activation;
mod drag;
mod focus;
mod input;
mod pending;

pub(crate) use above::set_reach;
use above::{Above, reach};
use activation::Activation;
use pending::Pending;

/// A frame that takes longer than this is late enough to be told of.
const SLOW: Duration = Duration::from_millis(50);

/// Longest wait, after the window's look or a size has changed, for a surface that has not followed yet: a picture
/// with one half in the old look is worse than one that comes a little later.
const HOLD: Duration = Duration::from_millis(100);

/// A surface that has not answered for so long does not respond.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a late frame is told of after it has arrived.
const SLOW_SHOWN: Duration = Duration::from_secs(1);

/// How many frames the figures are made of.
const MEASURED: usize = 120;

/// Whether frames come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// They do.
    Fine,
    /// The last one took longer than 50 ms, or is still being drawn.
    Slow,
    /// It has been waited for longer than two seconds.
    NotResponding,
}

/// What is the same for all surfaces in one frame of the window.
#[derive(Clone, Copy)]
pub struct Scene {
    /// The look.
    pub tokens: Tokens,
    /// Until when the window waits for fresh frames.
    pub deadline: Instant,
}

/// One slot on the screen.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the last frame")]
pub struct Surface {
    id: u64,
    name: String,
    /// The remote's name.
    remote: String,
    port: Arc<Port>,
    source: Arc<Source>,
    /// Which of the port's sources that is.
    turn: u64,
    /// The picture is still of the source before.
    renewed: bool,
    access: Access,
    picture: Option<Picture>,
    failure: Option<SharedFailure>,
    /// When the frame was asked for that has not come yet.
    in_flight: Option<Instant>,
    /// When it was shown last.
    began: Instant,
    /// Where it is shown in this frame of the window, until that is finished.
    shown: Option<Response>,
    /// What of it leaves the slot.
    above: Above,
    /// Arrival and duration of the last late frame.
    late: Option<(Instant, Duration)>,
    gone: bool,
    asked: Option<Asked>,
    /// Until when the window waits for the look or size that was changed in this frame of it.
    hold: Option<Instant>,
    /// A changed look or size that can be asked for when the frame under way has come.
    next: Option<Asked>,
    /// It was waited for in vain, and has not answered in time since.
    missed: bool,
    pointer_inside: bool,
    /// Those pressed inside, one bit each: all pointer events are this surface's until every button is up.
    buttons: u8,
    hands: input::Hands,
    hover: drag::Hover,
    activation: Activation,
    warnings: Bucket,
    pending: Pending,
    /// Frames taken from the remote, and frames of the window that needed none.
    counts: (u64, u64),
    /// How long the remote took for the last ones.
    took: VecDeque<Duration>,
}

/// What a frame depends on besides events.
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

impl Surface {
    /// Makes a surface called `name`, of `remote`, that gets its frames from what is behind `port`.
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
            above: Above::new(id),
            late: None,
            gone: false,
            asked: None,
            hold: None,
            next: None,
            missed: false,
            pointer_inside: false,
            buttons: 0,
            hands: input::Hands::default(),
            hover: drag::Hover::default(),
            activation: Activation::default(),
            warnings: Bucket::new(limits::WARNINGS, limits::WARNINGS_PER_SECOND),
            pending: Pending::default(),
            counts: (0, 0),
            took: VecDeque::new(),
        }
    }

    /// The surface among the controls of the window.
    fn pane(&self) -> Id {
        Id::unique(("pulse.surface", self.id))
    }

    /// Why it no longer runs; the last good picture may still be there.
    pub fn failure(&self) -> Option<&SharedFailure> {
        self.failure.as_ref()
    }

    /// Whether its remote has ended: another surface has to be opened.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether another generation has taken over that is shown from the next frame of the window on.
    pub fn is_overtaken(&self) -> bool {
        self.port.turn() != self.turn
    }

    /// Since when a frame is waited for, if one is.
    pub fn waiting(&self) -> Option<Duration> {
        self.in_flight.map(|since| since.elapsed())
    }

    /// How long the remote took for the last frame; none before the first.
    pub fn last_took(&self) -> Option<Duration> {
        self.took.back().copied()
    }

    /// Returns how long the last frame took that was late, for as long as that is shown.
    pub fn late(&self) -> Option<Duration> {
        self.late.filter(|(late, _)| late.elapsed() < SLOW_SHOWN).map(|(_, took)| took)
    }

    /// Whether there is a picture to show.
    pub fn has_picture(&self) -> bool {
        self.picture.is_some()
    }

    /// Frames taken from the remote, and frames of the window that showed the picture again.
    pub fn counts(&self) -> (u64, u64) {
        self.counts
    }

    /// Whether frames come in time.
    pub fn health(&self) -> Health {
        match self.in_flight.map(|since| since.elapsed()) {
            Some(waited) if waited >= PATIENCE => Health::NotResponding,
            Some(waited) if waited >= SLOW => Health::Slow,
            _ if self.late.is_some_and(|(late, _)| late.elapsed() < SLOW_SHOWN) => Health::Slow,
            _ => Health::Fine,
        }
    }

    /// Median and 99th percentile of what the remote took for its last frames; none before the first.
    pub fn frame_times(&self) -> Option<(Duration, Duration)> {
        let mut took: Vec<Duration> = self.took.iter().copied().collect();
        took.sort();
        let last = took.len().checked_sub(1)?;
        Some((took[took.len() / 2], took[(took.len() * 99 / 100).min(last)]))
    }

    /// Wakes the remote: there is input for the window, and most likely a frame will be asked for.
    pub fn get_ready(&self) {
        if self.in_flight.is_none() && self.picture.is_some() {
            (self.source.request)(None);
        }
    }

    /// Shows the surface in all of `ui`'s space; [`finish`](Self::finish) belongs to it.
    ///
    /// Asks the remote for a frame when there is a reason to, and does not wait for it: what comes in time for this
    /// frame of the window is waited for at its end, when every surface has been asked.
    pub fn ui(&mut self, ui: &mut Ui, scene: &Scene) -> Response {
        let ppp = ui.ctx().pixels_per_point();
        // Whole physical pixels: text stays as sharp as the shell's own.
        let snap = |p: Pos2| Pos2::new((p.x * ppp).round() / ppp, (p.y * ppp).round() / ppp);
        let available = ui.available_rect_before_wrap();
        let slot = Rect::from_min_max(snap(available.min), snap(available.max));
        self.pass_focus_on(ui);
        // By a name of its own: whatever the shell shows above it, the keyboard stays.
        let response = ui.interact(slot, self.pane(), Sense::click_and_drag().union(Sense::FOCUSABLE));
        ui.advance_cursor_after_rect(slot);
        self.follow(ui.ctx());
        self.route_input(ui, &response, slot);
        if self.failure.is_none() {
            self.ask(ui, &response, slot, scene);
        } else {
            // More may be known of the failure by now.
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

    /// Waits until `scene`'s deadline for the frame that was asked for, and shows what has come, at the end of a
    /// frame of the window.
    pub fn finish(&mut self, ctx: &Context, scene: &Scene) {
        let Some(response) = self.shown.take() else { return };
        if self.picture.is_some() && self.failure.is_none() {
            self.wait(ctx, scene);
        }
        self.show_waiting(ctx);
        self.paint(ctx, &response);
    }

    /// Waits for what was asked for in this frame of the window: a moment for a fresh picture, and up to [`HOLD`] for
    /// one of a changed look or size.
    ///
    /// There is one wait for each change. A surface that does not follow in time is not waited for again until it has
    /// answered faster, so that a hanging one does not slow every frame of a resize.
    fn wait(&mut self, ctx: &Context, scene: &Scene) {
        let hold = self.hold.take();
        let until = hold.map_or(scene.deadline, |until| until.max(scene.deadline));
        while hold.is_some() || self.in_flight.is_some_and(|since| since >= self.began) {
            for reply in self.source.mailbox.take_until(until) {
                self.arrive(ctx, reply);
            }
            match self.next.take_if(|_| self.in_flight.is_none()) {
                // The frame that was under way had the look of before.
                Some(ask) if self.failure.is_none() && Instant::now() < until => self.send(ctx, ask),
                _ => break,
            }
        }
        self.missed |= hold.is_some() && self.in_flight.is_some();
    }

    /// Goes over to the generation that has taken over, if one has: from one frame of the window to the next.
    fn follow(&mut self, ctx: &Context) {
        let Some((turn, source, first)) = self.port.newer_than(self.turn) else { return };
        self.turn = turn;
        self.source = source;
        self.access = Access::new(self.id);
        // The last picture stays until there is one of the new source, whose textures are its own.
        self.renewed = true;
        self.failure = None;
        self.in_flight = None;
        self.late = None;
        self.gone = false;
        self.asked = None;
        self.missed = false;
        self.took.clear();
        if first.is_empty() {
            // What was meant for the old one is not for one that starts from nothing.
            self.pending.clear();
        }
        for frame in first {
            self.arrive(ctx, Ok(frame));
        }
    }

    /// Takes what has come since, and asks for a frame when there is a reason to.
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
            // One frame at a time; what happens meanwhile is asked for when it has arrived, and a late frame
            // is not waited for again.
            if due {
                self.source.mailbox.remain_due();
            }
            self.next = self.hold.map(|_| ask);
            return;
        }
        self.send(ui.ctx(), ask);
    }

    /// Draws the window again when the surface begins to be late, or not to respond. Who shows for how long draws it
    /// from then on.
    fn show_waiting(&self, ctx: &Context) {
        let Some(waited) = self.waiting() else { return };
        let next = [SLOW, PATIENCE].into_iter().find_map(|limit| limit.checked_sub(waited));
        if let Some(next) = next {
            ctx.request_repaint_after(next);
        }
    }

    /// Returns true when a fault of the remote is to be logged: a few, and then only now and then.
    fn may_warn(&self) -> bool {
        matches!(self.warnings.take(0), Verdict::Pass | Verdict::PassAfter(_))
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
                    self.obey(ctx, &command);
                }
                if std::mem::take(&mut self.renewed) {
                    self.picture = None;
                }
                if self.picture.is_none() || self.is_dragged_over() {
                    // What stands in for it has been drawn already, and its own place has not.
                    ctx.request_repaint();
                }
                self.hands.busy = frame.wants_keyboard || !frame.overlays.is_empty();
                if let Some(what) = frame.refused.take()
                    && self.may_warn()
                {
                    tracing::warn!(
                        remote = self.remote,
                        code = Code::PictureTooLarge.as_str(),
                        "{what}, is not shown; the panel keeps running without it; report this to the remote's author"
                    );
                }
                if let Some(tree) = frame.access.take() {
                    self.access.take(&self.remote, tree);
                }
                self.picture.get_or_insert_with(|| Picture::new(ctx)).show(frame);
            }
            Err(failure) => {
                self.failure = Some(failure);
                // The slot says so.
                ctx.request_repaint();
            }
        }
    }

    /// Everything that depends on the picture of this frame, besides the slot itself.
    fn paint(&mut self, ctx: &Context, response: &Response) {
        let drag_cursor = self.drag_cursor(ctx);
        let Some(picture) = &mut self.picture else { return };
        let origin = response.rect.min.to_vec2();
        let clip = self.above.clip(ctx, response.rect, self.pointer_inside);
        if let Some(shape) = picture.shape(true, clip, origin) {
            self.above.paint(ctx, shape);
        }
        // What does not answer must not keep the pointer from the shell.
        if self.failure.is_none() && self.in_flight.is_none_or(|since| since.elapsed() < PATIENCE) {
            self.above.show(ctx, picture.overlays(), origin);
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

/// Whether keys are for this surface.
///
/// Unlike egui's own question, also while the window is in the background: keys arrive there only from somebody
/// who drives it.
fn owns_keyboard(response: &Response) -> bool {
    response.ctx.memory(|m| m.has_focus(response.id))
}

#[cfg(test)]
mod tests;
