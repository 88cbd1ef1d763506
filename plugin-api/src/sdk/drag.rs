//! Dragging out of a surface and into it, from other remotes' surfaces and from other programs.

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

/// Files that egui code is shown to be held above it.
const MOST_FILES: u32 = 1_000;

/// What was dropped on a surface.
#[derive(Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its MIME type.
    pub mime: String,
    /// It.
    pub data: Vec<u8>,
}

impl Dropped {
    /// The files that it names, when its MIME type is `text/uri-list`.
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

/// What is dragged over a surface and out of it.
#[derive(Default)]
pub(super) struct Drags {
    /// The position of a drag over the surface, and its item, without the data.
    over: Option<(Pos2, Dropped)>,
    /// The number of files in the drag.
    files: u32,
    /// What was dropped in this frame, until somebody takes it.
    dropped: Option<(Pos2, Dropped)>,
    /// Somebody would take what is held, in this frame.
    wanted: bool,
    /// The host was told so.
    told: bool,
    /// The widget that is dragged.
    source: Option<Id>,
    /// What was dragged was dropped in this frame, and taken or not.
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
    /// Takes what the host tells; files are also in `raw`, where egui code looks for them.
    pub(super) fn hear(&mut self, events: &[Event], raw: &mut RawInput) {
        (self.dropped, self.wanted, self.ended) = (None, false, None);
        for event in events {
            let thing = || Dropped { mime: event.text.to_string(), data: event.data.to_vec() };
            match event.kind {
                EventKind::DRAG_OVER => {
                    self.over = Some((event.pos.into(), thing()));
                    self.files = if event.text == URI_LIST { event.span[0].min(MOST_FILES) } else { 0 };
                }
                EventKind::DRAG_LEFT => (self.over, self.told) = (None, false),
                EventKind::DROP => {
                    (self.over, self.told) = (None, false);
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

    /// Tells the host what is dragged from now on, and whether what is held would be taken.
    pub(super) fn tell(&mut self, commands: &mut RVec<Command>) {
        commands.extend(self.started.drain(..));
        let wanted = self.wanted && self.over.is_some();
        if mem::replace(&mut self.told, wanted) != wanted {
            commands.push(Command { flag: wanted, ..Command::new(CommandKind::DRAG_TAKEN) });
        }
    }
}

impl Cx {
    /// Lets people drag `response`, which senses drags, out of this surface: onto drop zones of other remotes and of
    /// this one.
    ///
    /// `bytes` is called once, when the drag begins, and gives what is dragged, of the MIME type `mime`: not
    /// `text/uri-list`, which stands for files that the user takes from another program.
    /// In the frame in which it has come to an end, this says whether it was taken; what moves goes then.
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

    /// Takes what is dropped on `response` and is of one of these MIME types, in the frame in which it is.
    ///
    /// Files of other programs are of the type `text/uri-list`; where a zone takes them, they are in egui's
    /// `hovered_files` and `dropped_files` too; while they are held, only their number is known.
    /// While something is held above it that it would take, the zone is framed.
    /// Of zones within each other, call this for the inner one first.
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
