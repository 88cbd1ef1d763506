//! Drag and drop: out of a surface and into it, between remotes and from other programs.

use std::{
    fmt::{self, Debug},
    fs, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use abi_stable::std_types::RVec;
use egui::{HoveredFile, Id, LayerId, Pos2, RawInput, Response, Stroke, StrokeKind};

use super::Cx;
use crate::{
    abi::{Command, CommandKind, Event, EventKind},
    bridge::{URI_LIST, files_from_uris},
};

/// Maximum number of files of a drag in egui's `hovered_files`.
const MOST_FILES: u32 = 1_000;

/// The item that was dropped on a surface.
#[derive(Clone, PartialEq, Eq)]
pub struct Dropped {
    /// MIME type of the data.
    pub mime: String,
    /// Content of the item.
    pub data: Vec<u8>,
}

impl Dropped {
    /// Returns the listed files if the MIME type is `text/uri-list`, else an empty list.
    pub fn files(&self) -> Vec<PathBuf> {
        let list = (self.mime == URI_LIST).then(|| String::from_utf8_lossy(&self.data));
        list.map_or_else(Vec::new, |list| files_from_uris(&list))
    }
}

impl Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dropped({}, {} bytes)", self.mime, self.data.len())
    }
}

/// The drags over a surface and out of it.
#[derive(Default)]
pub(super) struct Drags {
    /// Position of the drag over the surface, and its item without the data.
    over: Option<(Pos2, Dropped)>,
    /// Number of files in the drag.
    files: u32,
    /// Position and item of a drop in this frame, until a zone accepts it.
    dropped: Option<(Pos2, Dropped)>,
    /// Set if a zone would accept the drag, in this frame.
    wanted: bool,
    /// Value of `wanted` that was last sent to the host.
    reported: bool,
    /// Id of the widget that is dragged out.
    source: Option<Id>,
    /// Result of a drag out that ended in this frame: accepted or not.
    ended: Option<bool>,
    started: Vec<Command>,
}

#[derive(Debug)]
struct File(PathBuf);

impl egui::DroppedFile for File {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        fs::read(&self.0).map_err(|error| error.to_string())
    }
}

impl Drags {
    /// Handles the host's events; also adds files to `raw`, for code that reads them from egui.
    pub(super) fn on_events(&mut self, events: &[Event], raw: &mut RawInput) {
        (self.dropped, self.wanted, self.ended) = (None, false, None);
        for event in events {
            let thing = || Dropped { mime: event.text.to_string(), data: event.data.to_vec() };
            match event.kind {
                EventKind::DRAG_OVER => {
                    self.over = Some((event.pos.into(), thing()));
                    self.files = if event.text == URI_LIST { event.span[0].min(MOST_FILES) } else { 0 };
                }
                EventKind::DRAG_LEFT => (self.over, self.reported) = (None, false),
                EventKind::DROP => {
                    (self.over, self.reported) = (None, false);
                    let dropped = thing();
                    let handle = |file| Arc::new(File(file)) as egui::DroppedFileHandle;
                    raw.dropped_files.extend(dropped.files().into_iter().map(handle));
                    self.dropped = Some((event.pos.into(), dropped));
                }
                EventKind::DRAG_ENDED => self.ended = Some(event.pressed),
                _ => {}
            }
        }
        let held = if self.over.is_some() { self.files } else { 0 };
        raw.hovered_files.extend((0..held).map(|_| HoveredFile::default()));
    }

    /// Sends the host the drags that started, and any change in whether a zone would accept the drag.
    pub(super) fn send_commands(&mut self, commands: &mut RVec<Command>) {
        commands.extend(self.started.drain(..));
        let wanted = self.wanted && self.over.is_some();
        if mem::replace(&mut self.reported, wanted) != wanted {
            commands.push(Command { flag: wanted, ..Command::new(CommandKind::DRAG_TAKEN) });
        }
    }
}

impl Cx {
    /// Lets the user drag `response`, which senses drags, out of this surface: onto drop zones of this remote and of
    /// others.
    ///
    /// `bytes` is called once, when the drag starts, and returns the content, of the MIME type `mime`. The type must
    /// not be `text/uri-list`, which is for files from other programs.
    /// In the frame in which the drag ends, returns `Some(true)` if a zone accepted the item (remove it then if it
    /// moves), else `Some(false)`. Returns `None` in every other frame.
    ///
    /// ```
    /// use plugin_api::{Cx, egui};
    ///
    /// fn row(ui: &mut egui::Ui, cx: &Cx, city: &str) -> bool {
    ///     let row = ui.add(egui::Label::new(city).sense(egui::Sense::drag()));
    ///     let moved_away = cx.drag(&row, "text/plain", || city.as_bytes().to_vec()) == Some(true);
    ///     moved_away
    /// }
    /// ```
    pub fn drag(&self, response: &Response, mime: &str, bytes: impl FnOnce() -> Vec<u8>) -> Option<bool> {
        let start = response.drag_started().then(|| Command {
            text: mime.into(),
            data: bytes().into(),
            ..Command::new(CommandKind::DRAG)
        });
        let mut drags = self.drags.borrow_mut();
        if let Some(start) = start {
            drags.started.push(start);
            drags.source = Some(response.id);
        }
        if drags.source != Some(response.id) {
            return None;
        }
        let ended = drags.ended.take();
        if ended.is_some() {
            drags.source = None;
        }
        ended
    }

    /// Makes `response` a drop zone for these MIME types; returns the item in the frame in which it is dropped.
    ///
    /// Files of other programs are of the type `text/uri-list`. If a zone accepts them, they are also in egui's
    /// `dropped_files`, and before the drop in `hovered_files`, where only their number is known.
    /// The zone is framed while a drag that it would accept is over it.
    /// For nested zones, call this for the inner one first.
    ///
    /// ```
    /// use plugin_api::{Cx, egui};
    ///
    /// fn basket(ui: &mut egui::Ui, cx: &Cx, cities: &mut Vec<String>) {
    ///     let zone = ui.group(|ui| ui.label("Drop cities here")).response;
    ///     if let Some(city) = cx.drop_zone(&zone, &["text/plain"]) {
    ///         cities.push(String::from_utf8_lossy(&city.data).into_owned());
    ///     }
    /// }
    /// ```
    pub fn drop_zone(&self, response: &Response, mimes: &[&str]) -> Option<Dropped> {
        let ctx = &response.ctx;
        let takes = |(pos, what): &(Pos2, Dropped)| {
            response.enabled()
                && mimes.contains(&what.mime.as_str())
                && response.interact_rect.contains(*pos)
                && ctx.layer_id_at(*pos).unwrap_or(LayerId::background()) == response.layer_id
        };
        let mut drags = self.drags.borrow_mut();
        if let Some((_, dropped)) = drags.dropped.take_if(|dropped| takes(dropped)) {
            return Some(dropped);
        }
        if drags.over.as_ref().is_some_and(takes) && !mem::replace(&mut drags.wanted, true) {
            let visuals = ctx.global_style().visuals.clone();
            let stroke = Stroke::new(2.0, visuals.selection.stroke.color);
            let corners = visuals.widgets.active.corner_radius;
            let painter = ctx.layer_painter(response.layer_id);
            painter.rect_stroke(response.rect, corners, stroke, StrokeKind::Inside);
        }
        None
    }
}
