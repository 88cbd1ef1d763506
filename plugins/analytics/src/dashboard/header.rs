//! The top of the page: title, viewer, and the choice of the range.

use jiff::civil::Date;
use plugin_api::{
    egui::{
        self, Align, Align2, CornerRadius, Layout, Rect, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder, Vec2,
        pos2, vec2,
    },
    theme::{Tone, describe, focus_ring, line, pill_height, pill_ui, pill_width, put},
};

use super::{
    format,
    palette::{Palette, lines},
};
use crate::report::QuickRange;

const CONTROL_HEIGHT: f32 = 32.0;
const TITLE: &str = "Analytics";

/// Draws title and subtitle, and the badge with the viewer's name: at the right, or below in a narrow window.
pub(super) fn title_ui(ui: &mut Ui, palette: &Palette, as_of: Option<Date>, viewer: Option<&str>) {
    let space = palette.t.space;
    let width = ui.available_width();
    let title = line(ui, TITLE, palette.strong(3), palette.text, width);
    let subtitle = match as_of {
        Some(day) => format!("Flights from New York City, as of {}", format::date(day)),
        None => "Flights from New York City".to_owned(),
    };
    let below = lines(ui, &subtitle, palette.body.clone(), palette.weak, width);
    let (label, pill) = (badge(viewer), pill_height(&palette.t));
    let row = title.size().y.max(pill);
    let room = width - title.size().x - space[3];
    let fits_in_row = pill_width(ui, &label) <= room.max(0.0);
    let badge_row = if fits_in_row { 0.0 } else { space[1] + pill };
    let height = row + space[0] + below.size().y + badge_row;
    let (rect, _) = ui.allocate_exact_size(vec2(width, height), Sense::hover());

    let left = Rect::from_min_size(rect.min, vec2(title.size().x, row));
    palette.describe(ui, left, "title", Role::Heading, TITLE);
    put(ui, title, Align2::LEFT_CENTER, left.left_center(), palette.text);

    let line_below =
        Rect::from_min_size(pos2(rect.left(), rect.top() + row + space[0]), vec2(width, below.size().y));
    palette.describe(ui, line_below, "subtitle", Role::Label, &subtitle);
    put(ui, below, Align2::LEFT_TOP, line_below.min, palette.weak);

    let (room, layout) = if fits_in_row {
        (rect.with_max_y(rect.top() + row), Layout::right_to_left(Align::Center))
    } else {
        (rect.with_min_y(rect.bottom() - pill), Layout::left_to_right(Align::Center))
    };
    let tone = if viewer.is_some() { Tone::Success } else { Tone::Warning };
    pill_ui(&mut ui.new_child(UiBuilder::new().max_rect(room).layout(layout)), &label, tone);
}

fn badge(viewer: Option<&str>) -> String {
    viewer.map_or_else(|| "Not authenticated".to_owned(), |name| format!("Viewing as: {name}"))
}

/// Draws the range selector, and next to or below it the shown `dates`; returns the clicked range.
pub(super) fn range_ui(ui: &mut Ui, palette: &Palette, chosen: QuickRange, dates: &str) -> Option<QuickRange> {
    let width = ui.available_width();
    let padding = palette.t.space[3];
    let measure =
        |text: &str| line(ui, text, palette.body.clone(), palette.text, f32::INFINITY).size().x + 2.0 * padding;
    let full: f32 = QuickRange::ALL.map(|range| measure(format::range(range))).iter().sum();
    let label = if full <= width { format::range } else { format::short_range };
    let widths = QuickRange::ALL.map(|range| measure(label(range)));
    // If the short names are too wide as well, all of them get a little narrower.
    let excess = (widths.iter().sum::<f32>() - width).max(0.0) / widths.len() as f32;
    let widths = widths.map(|width| width - excess);
    let track_width = widths.iter().sum::<f32>().min(width);

    let dates_galley = line(ui, dates, palette.body.clone(), palette.weak, width);
    let fits_in_row = track_width + padding + dates_galley.size().x <= width;
    let gap = palette.t.space[1];
    let height = if fits_in_row { CONTROL_HEIGHT } else { CONTROL_HEIGHT + gap + dates_galley.size().y };
    let (whole, _) = ui.allocate_exact_size(vec2(width, height), Sense::hover());

    let track = Rect::from_min_size(whole.min, vec2(track_width, CONTROL_HEIGHT));
    let mut clicked = None;
    let mut focused = None;
    let radius = palette.control_radius();
    ui.painter().rect(track, radius, palette.card, Stroke::new(1.0, palette.border_strong), StrokeKind::Inside);
    let mut left = track.left();
    for (range, width) in QuickRange::ALL.into_iter().zip(widths) {
        let rect =
            Rect::from_min_size(pos2(left, track.top()), Vec2::new(width, CONTROL_HEIGHT)).intersect(track);
        left += width;
        let response = ui.interact(rect, palette.id(("range", range.days())), Sense::click());
        let selected = range == chosen;
        describe(&response, Role::RadioButton, format::range(range), Some(selected));
        let inside = rect.shrink(3.0);
        let (ground, text) = match (selected, response.hovered()) {
            (true, _) => (palette.accent, palette.on_accent),
            (false, true) => (palette.hover, palette.text),
            (false, false) => (palette.card, palette.text),
        };
        let inner = CornerRadius::same(palette.t.radius[0] as u8 - 2);
        ui.painter().rect_filled(inside, inner, ground);
        let galley = line(ui, label(range), palette.body.clone(), text, inside.width());
        put(ui, galley, Align2::CENTER_CENTER, rect.center(), text);
        if response.has_focus() {
            focused = Some(response.clone());
        }
        if response.on_hover_cursor(egui::CursorIcon::PointingHand).clicked() {
            clicked = Some(range);
        }
    }
    if let Some(response) = focused {
        // Painted last, so that the neighbours do not cover it.
        focus_ring(ui, &response, radius, StrokeKind::Outside);
    }

    if dates.is_empty() {
        return clicked;
    }
    let at = if fits_in_row {
        Align2::RIGHT_CENTER.anchor_size(track.with_max_x(whole.right()).right_center(), dates_galley.size())
    } else {
        Align2::LEFT_BOTTOM.anchor_size(whole.left_bottom(), dates_galley.size())
    };
    palette.describe(ui, at, "dates", Role::Label, dates);
    put(ui, dates_galley, Align2::LEFT_TOP, at.min, palette.weak);
    clicked
}
