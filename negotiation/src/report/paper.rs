//! Text in columns and colours, wrapped to the width of a terminal.

use std::fmt::Write as _;
use std::mem;

use unicode_width::UnicodeWidthStr;

use crate::text;

/// The layout of text in a terminal or a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextStyle {
    /// Set if the text has ANSI colours.
    pub color: bool,
    /// The width at which lines are wrapped, in columns; `None` for a file or a pipe.
    pub width: Option<usize>,
}

/// The meaning of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanStyle {
    Plain,
    Bold,
    Weak,
    Good,
    Warning,
    Bad,
}

/// A piece of text in one style.
pub(super) type Span = (SpanStyle, String);

/// A cell of a table.
pub(super) type TableCell = Vec<Span>;

/// A text under construction.
pub(super) struct Paper {
    out: String,
    look: TextStyle,
}

/// The least width for a sentence, in columns; narrower text is not wrapped.
const LEAST_ROOM: usize = 24;

impl Paper {
    pub(super) fn new(look: TextStyle) -> Self {
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
        self.line(0, 0, &[(SpanStyle::Bold, text.to_owned())]);
    }

    /// Writes one line from column `start`; text that does not fit continues in column `hang` of the next line.
    pub(super) fn line(&mut self, start: usize, hang: usize, spans: &[Span]) {
        self.out.push_str(&" ".repeat(start));
        self.flow(start, hang, spans);
        self.blank();
    }

    /// Writes rows of cells, with columns as wide as their widest cell; the last cell is wrapped within its column.
    pub(super) fn table<const N: usize>(&mut self, indent: usize, rows: &[[TableCell; N]]) {
        let length = |cell: &TableCell| cell.iter().map(|(_, text)| text.width()).sum::<usize>();
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

    /// Writes `spans` from `column` of the current line.
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

    fn put(&mut self, style: SpanStyle, text: &str) {
        // The text contains names, titles and paths from untrusted manifests.
        let text = text::line(text, usize::MAX);
        let code = match style {
            SpanStyle::Plain => "",
            SpanStyle::Bold => "1",
            SpanStyle::Weak => "2",
            SpanStyle::Good => "32",
            SpanStyle::Warning => "33",
            SpanStyle::Bad => "31",
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
    use super::{Paper, SpanStyle, TextStyle};

    fn check(width: Option<usize>, expected: &str) {
        let mut paper = Paper::new(TextStyle { color: false, width });
        paper.line(
            2,
            4,
            &[
                (SpanStyle::Bad, "code".to_owned()),
                (
                    SpanStyle::Plain,
                    "  words that go on and on and on; and a_very_long_word_that_is_not_cut".to_owned(),
                ),
            ],
        );
        let cell = |text: &str| vec![(SpanStyle::Plain, text.to_owned())];
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
    fn text_is_not_wrapped_without_width_or_room() {
        let unwrapped = "  code  words that go on and on and on; and a_very_long_word_that_is_not_cut\n \
                     a   one two three four five six seven\n bb  -\n";
        check(None, unwrapped);
        check(Some(10), unwrapped);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut paper = Paper::new(TextStyle { color: false, width: Some(80) });
        let cell = |text: &str| vec![(SpanStyle::Plain, text.to_owned())];
        paper.table(0, &[[cell("東京"), cell("a")], [cell("Oslo"), cell("b")]]);
        assert_eq!(paper.into_text(), "東京  a\nOslo  b\n");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let mut paper = Paper::new(TextStyle { color: true, width: Some(30) });
        paper.line(0, 2, &[(SpanStyle::Good, "one two three four five six seven".to_owned())]);
        assert_eq!(
            paper.into_text(),
            "\u{1b}[32mone two three four five six\u{1b}[0m\n  \u{1b}[32mseven\u{1b}[0m\n"
        );
    }
}
