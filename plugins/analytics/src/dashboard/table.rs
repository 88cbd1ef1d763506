//! The table of carriers, sorted by the clicked column.

use std::cmp::Ordering;

use plugin_api::{
    egui::{self, Align, Align2, Rect, Role, Sense, Stroke, Ui, WidgetInfo, accesskit::SortDirection, vec2},
    theme::{ColumnHead, head_ui, line, paint_card, put},
};
use serde::{Deserialize, Serialize};

use super::{format, palette::Palette};
use crate::report::Carrier;

const ROW: f32 = 34.0;
const HEAD: f32 = 32.0;

/// The order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sort {
    column: Column,
    descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Column {
    Carrier,
    Flights,
    OnTime,
    Delay,
    Cancelled,
}

impl Default for Sort {
    fn default() -> Self {
        Self { column: Column::Flights, descending: true }
    }
}

impl Sort {
    /// Returns the order after a click: the sorted column reverses; names start ascending, numbers descending.
    fn click(self, column: Column) -> Self {
        let descending = if self.column == column { !self.descending } else { column != Column::Carrier };
        Self { column, descending }
    }

    fn compare(self, a: &Carrier, b: &Carrier) -> Ordering {
        let name = || a.name.cmp(&b.name);
        let number = |of: fn(&Carrier) -> Option<f64>| match (of(a), of(b)) {
            (Some(x), Some(y)) => self.direct(x.total_cmp(&y)),
            // Missing values sort last in both directions.
            (x, y) => y.is_some().cmp(&x.is_some()),
        };
        match self.column {
            Column::Carrier => self.direct(name()),
            Column::Flights => self.direct(a.totals.flights.cmp(&b.totals.flights)).then_with(name),
            Column::OnTime => number(|carrier| carrier.totals.on_time_share()).then_with(name),
            Column::Delay => number(|carrier| carrier.totals.average_delay()).then_with(name),
            Column::Cancelled => self.direct(a.totals.cancelled().cmp(&b.totals.cancelled())).then_with(name),
        }
    }

    fn head(self, column: Column, width: f32) -> ColumnHead<'static> {
        let name = column.title();
        let direction = if self.descending { SortDirection::Descending } else { SortDirection::Ascending };
        ColumnHead {
            name,
            // A narrow column has no room for the full name.
            text: if column == Column::Delay && width < 76.0 { "Delay" } else { name },
            align: if column == Column::Carrier { Align::Min } else { Align::Max },
            sorted: (self.column == column).then_some(direction),
        }
    }

    fn direct(self, ordering: Ordering) -> Ordering {
        if self.descending { ordering.reverse() } else { ordering }
    }
}

impl Column {
    const ALL: [Self; 5] = [Self::Carrier, Self::Flights, Self::OnTime, Self::Delay, Self::Cancelled];

    fn title(self) -> &'static str {
        match self {
            Self::Carrier => "Carrier",
            Self::Flights => "Flights",
            Self::OnTime => "On time",
            Self::Delay => "Avg delay",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Returns the text of a cell; `wide` if there is room for more than the number.
    fn text(self, carrier: &Carrier, wide: bool) -> String {
        let totals = &carrier.totals;
        match self {
            Self::Carrier => carrier.name.clone(),
            Self::Flights => format::count(totals.flights),
            Self::OnTime => format::percent(totals.on_time_share(), 1),
            Self::Delay => format::minutes(totals.average_delay()),
            Self::Cancelled if wide => format::cancelled(totals),
            Self::Cancelled => format::count(totals.cancelled()),
        }
    }
}

/// Returns the height of the card for `rows` rows.
pub(super) fn height(palette: &Palette, rows: usize) -> f32 {
    2.0 * palette.t.space[3] + title_height(palette) + HEAD + ROW * rows as f32
}

fn title_height(palette: &Palette) -> f32 {
    palette.t.font_size[2] * 1.3 + palette.t.space[1]
}

/// Draws the card and its rows; a click on a column's name changes `sort`.
pub(super) fn table_ui(ui: &mut Ui, palette: &Palette, carriers: &[Carrier], sort: &mut Sort) {
    let size = vec2(ui.available_width(), height(palette, carriers.len()));
    let (card, _) = ui.allocate_exact_size(size, Sense::hover());
    paint_card(ui, card);
    let inner = card.shrink(palette.t.space[3]);
    let title = line(ui, "Carriers", palette.strong(2), palette.text, inner.width());
    let rect = put(ui, title, Align2::LEFT_TOP, inner.min, palette.text);
    palette.describe(ui, rect, "table-title", Role::Heading, "Carriers");

    let columns = layout(palette, inner.x_range());
    let wide = inner.width() >= 560.0;
    let top = inner.top() + title_height(palette);
    for (column, range) in Column::ALL.into_iter().zip(&columns) {
        let rect = Rect::from_x_y_ranges(*range, top..=top + HEAD);
        if head_ui(ui, rect, palette.id(("column", column.title())), sort.head(column, rect.width())).clicked()
        {
            *sort = sort.click(column);
        }
    }
    let mut rows: Vec<_> = carriers.iter().collect();
    rows.sort_by(|a, b| sort.compare(a, b));
    for (index, carrier) in rows.into_iter().enumerate() {
        let top = top + HEAD + ROW * index as f32;
        let row = Rect::from_x_y_ranges(inner.x_range(), top..=top + ROW);
        row_ui(ui, palette, row, &columns, carrier, wide);
    }
}

/// Returns the columns from left to right: the name has the space that the numbers leave.
fn layout(palette: &Palette, whole: egui::Rangef) -> [egui::Rangef; 5] {
    let gap = palette.t.space[1];
    let numbers = match whole.span() {
        ..440.0 => [54.0, 54.0, 60.0, 68.0],
        ..520.0 => [56.0, 56.0, 62.0, 68.0],
        ..560.0 => [72.0; 4],
        ..760.0 => [84.0, 84.0, 84.0, 124.0],
        _ => [132.0, 132.0, 132.0, 148.0],
    };
    let [flights, on_time, delay, cancelled] = numbers;
    let name = whole.span() - numbers.iter().sum::<f32>() - 4.0 * gap;
    let widths = [name, flights, on_time, delay, cancelled];
    let mut left = whole.min;
    widths.map(|width| {
        let range = egui::Rangef::new(left, left + width.max(0.0));
        left = range.max + gap;
        range
    })
}

fn row_ui(
    ui: &mut Ui,
    palette: &Palette,
    row: Rect,
    columns: &[egui::Rangef; 5],
    carrier: &Carrier,
    wide: bool,
) {
    let response = ui.interact(row, palette.id(("carrier", &carrier.name)), Sense::hover());
    response.widget_info(|| {
        let text = |column: Column| column.text(carrier, true);
        let spoken = format!(
            "{}: {} flights, {} on time, {} average delay, {} cancelled",
            carrier.name,
            text(Column::Flights),
            text(Column::OnTime),
            text(Column::Delay),
            text(Column::Cancelled),
        );
        WidgetInfo::labeled(Role::Row, true, spoken)
    });
    let line_above = Stroke::new(1.0, palette.border);
    ui.painter().hline(row.x_range(), row.top(), line_above);
    if response.hovered() {
        let ground = row.expand2(vec2(palette.t.space[1], 0.0)).with_min_y(row.top() + 1.0);
        ui.painter().rect_filled(ground, palette.control_radius(), palette.hover);
    }
    let mut shortened = false;
    for (column, range) in Column::ALL.into_iter().zip(columns) {
        let cell = Rect::from_x_y_ranges(*range, row.y_range());
        let galley = line(ui, column.text(carrier, wide), palette.body.clone(), palette.text, cell.width());
        let (anchor, at) = match column {
            Column::Carrier => (Align2::LEFT_CENTER, cell.left_center()),
            _ => (Align2::RIGHT_CENTER, cell.right_center()),
        };
        shortened |= galley.elided;
        put(ui, galley, anchor, at, palette.text);
    }
    if shortened {
        response.on_hover_text(&carrier.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Totals;

    fn carrier(name: &str, flights: i64, departed: i64, on_time: i64) -> Carrier {
        Carrier {
            name: name.to_owned(),
            totals: Totals { flights, departed, on_time, departure_delay: flights },
        }
    }

    fn order(sort: Sort) -> String {
        let mut rows = [
            carrier("A", 10, 10, 9),
            carrier("C", 30, 20, 15),
            carrier("B", 30, 30, 12),
            carrier("D", 5, 0, 0),
        ];
        rows.sort_by(|a, b| sort.compare(a, b));
        rows.map(|row| row.name).concat()
    }

    #[test]
    fn clicks_choose_a_column_then_reverse_it() {
        let flights = Sort::default();
        assert_eq!(order(flights), "BCAD");
        let less = flights.click(Column::Flights);
        assert_eq!(order(less), "DABC");
        let name = less.click(Column::Carrier);
        assert_eq!(order(name), "ABCD");
        assert_eq!(order(name.click(Column::Carrier)), "DCBA");
        assert_eq!(order(name.click(Column::OnTime)), "ACBD");
    }

    #[test]
    fn missing_values_sort_last_in_both_directions() {
        let most = Sort::default().click(Column::Delay);
        assert!(order(most).ends_with('D'));
        assert!(order(most.click(Column::Delay)).ends_with('D'));
    }
}
