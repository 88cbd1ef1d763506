//! egui's requests to the platform, as the contract's commands.

use egui::{Context, FullOutput, OutputCommand, ViewportCommand, ViewportId};

use super::{input::ask, picture::rect};
use crate::{
    abi::{Command, CommandKind, Frame, Ime},
    bridge,
};

/// Adds the requests of `output` to the platform to `frame`.
pub(super) fn platform(frame: &mut Frame, ctx: &Context, output: FullOutput) {
    let platform = output.platform_output;
    frame.cursor = bridge::cursor_name(platform.cursor_icon).into();
    frame.wants_keyboard = ctx.egui_wants_keyboard_input();
    frame.ime = platform
        .ime
        .map(|ime| Ime {
            field: rect(ime.rect),
            cursor: rect(ime.cursor_rect),
            purpose: bridge::purpose_to_abi(ime.purpose),
            interrupt: ime.should_interrupt_composition,
        })
        .into();
    let commands = platform.commands.into_iter().map(|command| match command {
        OutputCommand::CopyText(text) => Command { text: text.into(), ..Command::new(CommandKind::COPY_TEXT) },
        OutputCommand::OpenUrl(url) => {
            Command { flag: url.new_tab, text: url.url.into(), ..Command::new(CommandKind::OPEN_URL) }
        }
        #[cfg(not(feature = "egui-0-36"))]
        OutputCommand::TextSelectionSettled(text) => {
            Command { text: text.into(), ..Command::new(CommandKind::SELECTION) }
        }
        OutputCommand::CopyImage(image) => {
            let (size, data) = bridge::image_to_abi(&image);
            Command { size, data, ..Command::new(CommandKind::COPY_IMAGE) }
        }
    });
    frame.commands.extend(commands);
    for command in output.viewport_output.get(&ViewportId::ROOT).into_iter().flat_map(|v| &v.commands) {
        match command {
            ViewportCommand::RequestPaste => frame.commands.push(Command::new(CommandKind::PASTE)),
            // The selection is in this egui, so the request does not cross.
            ViewportCommand::RequestCopy | ViewportCommand::RequestCut => {
                let cut = *command == ViewportCommand::RequestCut;
                ask(ctx, if cut { egui::Event::Cut } else { egui::Event::Copy });
                frame.repaint_after = 0;
            }
            // A surface cannot change the window.
            _ => {}
        }
    }
    if let Some(update) = platform.accesskit_update {
        // Serialising a tree of plain values does not fail; if it did, only accessibility would be missing.
        frame.access = serde_json::to_string(&update).unwrap_or_default().into();
    }
}
