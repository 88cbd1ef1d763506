//! What egui asks of the platform, as the contract's commands.

use egui::{Context, FullOutput, OutputCommand};

use super::picture::rect;
use crate::{
    abi::{Command, CommandKind, Frame, Ime},
    bridge,
};

/// Adds to `frame` what `output` asks of the platform.
pub(super) fn platform(frame: &mut Frame, ctx: &Context, output: FullOutput) {
    let platform = output.platform_output;
    frame.cursor = bridge::cursor_name(platform.cursor_icon).into();
    frame.wants_keyboard = ctx.egui_wants_keyboard_input();
    frame.ime = platform
        .ime
        .map(|ime| Ime { field: rect(ime.rect), cursor: rect(ime.cursor_rect), purpose: 0, interrupt: false })
        .into();
    let commands = platform.commands.into_iter().filter_map(|command| {
        let (kind, flag, text) = match command {
            OutputCommand::CopyText(text) => (CommandKind::COPY_TEXT, false, text),
            OutputCommand::OpenUrl(url) => (CommandKind::OPEN_URL, url.new_tab, url.url),
            #[cfg(not(feature = "egui-0-36"))]
            OutputCommand::TextSelectionSettled(text) => (CommandKind::SELECTION, false, text),
            OutputCommand::CopyImage(_) => return None,
        };
        Some(Command { flag, text: text.into(), ..Command::new(kind) })
    });
    frame.commands.extend(commands);
    if let Some(update) = platform.accesskit_update {
        // Serialising a tree of plain values does not fail; without it the surface is merely not accessible.
        frame.access = serde_json::to_string(&update).unwrap_or_default().into();
    }
}
