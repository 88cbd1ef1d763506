//! The look of the shell for egui: its [`Tokens`](crate::tokens::Tokens) as a style, and a small kit of widgets.
//!
//! The shell is drawn with this kit, so a remote that uses it looks like the shell.
//! A panel has the style by default: egui's own widgets look like the shell's.
//! The kit adds widgets that egui lacks:
//!
//! | widget | functions | role, name | Tab |
//! |---|---|---|---|
//! | buttons | [`primary`], [`secondary`], [`small`], [`quiet`], [`copy_ui`] | `Button`, its text or [`named`](Button::named) | yes |
//! | pills | [`pill_ui`] | `Label` | no |
//! | | [`pill_button`] | `Button` | yes |
//! | cards | [`card_ui`], [`card`], [`paint_card`] | – | no |
//! | | [`choice_card`] | `RadioButton`, selected or not | yes |
//! | strips | [`strip_ui`], [`notice_ui`] | their buttons' | yes |
//! | heads of a table | [`head_ui`] | `Button`, with its order | yes |
//! | states | [`empty_ui`], [`error_ui`], [`middle_card_ui`] | their texts' and buttons' | yes |
//! | | [`progress_ui`] | `ProgressIndicator`, with its value | no |
//! | | [`placeholder`] | – | no |
//! | your own widgets | [`focus_ring`], [`describe`] | your choice | – |
//!
//! Space and Enter press each widget that Tab reaches; while it has the keyboard, it shows a ring of two points in
//! the accent.
//! Lengths are logical points; colours are tokens, in [`Tone`]s whose pairs have a contrast of 4.5:1 in each palette.
//! The widgets read the tokens from the context ([`tokens`]), so a switch between light and dark needs no code.
//! They have no state except that of [`copy_ui`], and neither block nor read files.
//!
//! ```
//! use plugin_api::{egui, theme::{self, ErrorState, Tone}};
//!
//! enum Rows {
//!     Loading(f32),
//!     Failed(String),
//!     Ready(Vec<String>),
//! }
//!
//! /// Returns `true` if the user wants to try again.
//! fn rows_ui(ui: &mut egui::Ui, rows: &Rows) -> bool {
//!     match rows {
//!         Rows::Loading(fraction) => {
//!             theme::progress_ui(ui, "Import progress", *fraction);
//!             false
//!         }
//!         Rows::Failed(message) => {
//!             let error = ErrorState { title: "The rows could not be loaded", message, code: "rows-not-read" };
//!             theme::error_ui(ui, error, |ui| {
//!                 let retry = ui.add(theme::primary("Retry")).clicked();
//!                 theme::copy_ui(ui, theme::secondary("Copy details"), || message.clone());
//!                 retry
//!             })
//!         }
//!         Rows::Ready(rows) if rows.is_empty() => {
//!             theme::empty_ui(ui, "No rows in these days", "Choose a longer range.");
//!             false
//!         }
//!         Rows::Ready(rows) => {
//!             let t = theme::tokens(ui.ctx());
//!             theme::card_ui(ui, |ui| {
//!                 ui.horizontal(|ui| {
//!                     ui.label(theme::strong(&t, "Rows", t.font_size[2]));
//!                     theme::pill_ui(ui, "Complete", Tone::Success);
//!                 });
//!                 for row in rows {
//!                     ui.horizontal(|ui| {
//!                         ui.label(row);
//!                         ui.add(theme::small("Open").named(format!("Open {row}"))).clicked();
//!                     });
//!                 }
//!             });
//!             false
//!         }
//!     }
//! }
//!
//! let ctx = egui::Context::default();
//! theme::apply(&ctx, &plugin_api::tokens::DARK);
//! ctx.run_ui(egui::RawInput::default(), |ui| {
//!     assert!(!rows_ui(ui, &Rows::Loading(0.4)));
//!     assert!(!rows_ui(ui, &Rows::Failed("the file is gone".to_owned())));
//!     assert!(!rows_ui(ui, &Rows::Ready(vec!["Aachen".to_owned()])));
//! });
//! ```
//!
//! `cargo run -p plugin-api --features egui --example gallery` shows every widget in each state.

mod button;
mod card;
mod focus;
mod fonts;
mod node;
mod pill;
mod states;
mod strip;
mod style;
mod table;
mod text;
mod tone;

pub use button::{Button, copy_ui, pill_button, primary, quiet, secondary, small};
pub use card::{card, card_ui, choice_card, paint_card};
pub use focus::focus_ring;
#[cfg(not(feature = "egui-0-36"))]
pub use fonts::found_font;
pub use fonts::{STRONG, families_of, set_fonts, strong_font};
pub use node::describe;
pub use pill::{pill_height, pill_ui, pill_width};
pub use states::{ErrorState, empty_ui, error_ui, middle, middle_card_ui, placeholder, progress_ui};
pub use strip::{framed_strip_ui, notice_ui, strip_text_ui, strip_ui};
pub use style::{apply, color, remember, tokens};
pub use table::{ColumnHead, head_ui, triangle};
pub use text::{caption, caption_ui, line, put, strong};
pub use tone::Tone;
