//! Text in columns and colours, wrapped to the width of a terminal.

use std::fmt::Write as _;
use std::mem;

use unicode_width::UnicodeWidthStr;

use crate::text;

/// How text is laid out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Whether there are ANSI colours.
    pub color: bool,
    /// Where lines are wrapped, in columns; nowhere for a file or a pipe.
    pub width: Option<usize>,
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Bold,
    Weak,
    Good,
    Warning,
    Bad,
}

/// A piece of text in one style.
pub(super) type Span = (Style, String);

/// A cell of a table.
pub(super) type Cell = Vec<Span>;

/// Text in the making.
pub(super) struct Paper {
    out: String,
    look: Look,
}

/// Fewer columns than this are no room for a sentence.
const LEAST_ROOM: usize = 24;

impl Paper {
    pub(super) fn new(look: Look) -> Self {
        Self { out: String::new(), look }
    }

    pub(super) fn into_text(self) -> String {
        self.out
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.blank();
        self.line(0, 0, &[(Style::Bold, text.to_owned())]);
    }

    /// One line, from column `start` on; what does not fit goes on in column `hang` of the next.
    pub(super) fn line(&mut self, start: usize, hang: usize, spans: &[Span]) {
        self.out.push_str(&" ".repeat(start));
        self.flow(start, hang, spans);
        self.blank();
    }

    /// Rows of cells, the columns as wide as their widest cell; the last one is wrapped within its column.
    pub(super) fn table<const N: usize>(&mut self, indent: usize, rows: &[[Cell; N]]) {
        let length = |cell: &Cell| cell.iter().map(|(_, text)| text.width()).sum::<usize>();
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = length(cell).max(*width);
            }
        }
        for row in rows {
            let mut column = indent;
            self.out.push_str(&" ".repeat(indent));
            for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
                if at + 1 == N {
                    self.flow(column, column, cell);
                } else {
                    for (style, text) in cell {
                        self.put(*style, text);
                    }
                    self.out.push_str(&" ".repeat(width - length(cell) + 2));
                    column += width + 2;
                }
            }
            self.blank();
        }
    }

    /// Writes `spans`, the line being written up to `column`.
    fn flow(&mut self, mut column: usize, hang: usize, spans: &[Span]) {
        let limit = self.look.width.filter(|width| hang + LEAST_ROOM <= *width).unwrap_or(usize::MAX);
        for (style, text) in spans {
            let mut piece = String::new();
            for (at, word) in text.split(' ').enumerate() {
                let (space, length) = (usize::from(at > 0), word.width());
                if column > hang && length > 0 && column + space + length > limit {
                    self.put(*style, mem::take(&mut piece).trim_end());
                    while self.out.ends_with(' ') {
                        self.out.pop();
                    }
                    self.out.push('\n');
                    self.out.push_str(&" ".repeat(hang));
                    column = hang;
                } else if space == 1 {
                    piece.push(' ');
                    column += 1;
                }
                piece.push_str(word);
                column += length;
            }
            self.put(*style, &piece);
        }
    }

    fn put(&mut self, style: Style, text: &str) {
        // Names, titles and paths of others are part of it.
        let text = text::line(text, usize::MAX);
        let code = match style {
            Style::Plain => "",
            Style::Bold => "1",
            Style::Weak => "2",
            Style::Good => "32",
            Style::Warning => "33",
            Style::Bad => "31",
        };
        if self.look.color && !code.is_empty() && !text.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(self.out, "\u{1b}[{code}m{text}\u{1b}[0m");
        } else {
            self.out.push_str(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Look, Paper, Style};

    fn check(width: Option<usize>, expected: &str) {
        let mut paper = Paper::new(Look { color: false, width });
        paper.line(
            2,
            4,
            &[
                (Style::Bad, "code".to_owned()),
                (
                    Style::Plain,
                    "  words that go on and on and on; and a_very_long_word_that_is_not_cut".to_owned(),
                ),
            ],
        );
        let cell = |text: &str| vec![(Style::Plain, text.to_owned())];
        paper.table(1, &[[cell("a"), cell("one two three four five six seven")], [cell("bb"), cell("-")]]);
        assert_eq!(paper.into_text(), expected);
    }

    #[test]
    fn lines_are_wrapped_with_a_hanging_indent() {
        check(
            Some(30),
            "  code  words that go on and\n    on and on; and\n    a_very_long_word_that_is_not_cut\n \
             a   one two three four five\n     six seven\n bb  -\n",
        );
    }

    #[test]
    fn nothing_is_wrapped_where_there_is_no_width_or_no_room() {
        let whole = "  code  words that go on and on and on; and a_very_long_word_that_is_not_cut\n \
                     a   one two three four five six seven\n bb  -\n";
        check(None, whole);
        check(Some(10), whole);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut paper = Paper::new(Look { color: false, width: Some(80) });
        let cell = |text: &str| vec![(Style::Plain, text.to_owned())];
        paper.table(0, &[[cell("東京"), cell("a")], [cell("Oslo"), cell("b")]]);
        assert_eq!(paper.into_text(), "東京  a\nOslo  b\n");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut paper = Paper::new(Look { color: true, width: Some(30) });
        paper.line(0, 2, &[(Style::Good, "one two three four five six seven".to_owned())]);
        assert_eq!(
            paper.into_text(),
            "\u{1b}[32mone two three four five six\u{1b}[0m\n  \u{1b}[32mseven\u{1b}[0m\n"
        );
    }
}
