//! Every code that Pulse complains with: what it means, why it happens and what to do.
//!
//! The text is `docs/codes.md`, written for people and compiled in.
//! A code that is not in it is a remote's own.

use std::sync::LazyLock;

use negotiation::manifest::near_miss;

mod code;

pub use code::Code;

const TEXT: &str = include_str!("../../docs/codes.md");

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| parse(TEXT));

/// What there is to say about one code, whatever it is about in a given case.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// Where things of this kind happen.
    pub group: &'static str,
    /// What it means, in a sentence.
    pub meaning: String,
    /// Why it happens.
    pub cause: String,
    /// What to do.
    pub remedy: String,
    /// A command or a part of a file, line by line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<&'static str>,
}

/// Every entry, by group.
pub fn all() -> &'static [Entry] {
    &ENTRIES
}

/// The entry of `code`; none for a code that is a remote's own.
pub fn find(code: &str) -> Option<&'static Entry> {
    let code = Code::find(code)?;
    all().iter().find(|entry| entry.code == code)
}

/// The code that `code` is a near miss of.
pub fn near(code: &str) -> Option<&'static str> {
    let codes: Vec<&'static str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    near_miss(code, &codes)
}

impl Entry {
    /// The entry as text for a terminal of `width` columns; ends with a line break.
    ///
    /// Lines are longer where a word is, and in the example, which is to be copied.
    pub fn render(&self, width: usize) -> String {
        let mut text = format!("{}  ({})\n", self.code, self.group);
        let options = textwrap::Options::new(width)
            .break_words(false)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        let (cause, remedy) = (format!("Cause: {}", self.cause), format!("What to do: {}", self.remedy));
        for paragraph in [&self.meaning, &cause, &remedy] {
            text.extend(["\n", &textwrap::fill(paragraph, &options), "\n"]);
        }
        if let Some(example) = self.example {
            text.push('\n');
            text.extend(example.lines().flat_map(|line| ["    ", line, "\n"]));
        }
        text
    }
}

/// The entries of a text in the form of `docs/codes.md`; what is not in that form is left out.
fn parse(text: &'static str) -> Vec<Entry> {
    let groups = text.split("\n## ").skip(1).filter_map(|group| group.split_once('\n'));
    groups
        .flat_map(|(name, group)| group.split("\n### ").skip(1).filter_map(|text| entry(name, text)))
        .collect()
}

/// One entry: the code, a sentence, the cause, what to do, and perhaps an example.
fn entry(group: &'static str, text: &'static str) -> Option<Entry> {
    let (code, body) = text.split_once('\n')?;
    let code = Code::find(code)?;
    let mut blocks = body.trim().split("\n\n");
    let mut paragraph = |head| {
        // A line of the file is a sentence; a paragraph is for the reader's own width.
        Some(blocks.next()?.strip_prefix(head)?.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let (meaning, cause, remedy) = (paragraph("")?, paragraph("Cause: ")?, paragraph("What to do: ")?);
    let example = match blocks.next() {
        Some(block) => Some(block.strip_prefix("```")?.split_once('\n')?.1.strip_suffix("\n```")?),
        None => None,
    };
    blocks.next().is_none().then_some(Entry { code, group, meaning, cause, remedy, example })
}

#[cfg(test)]
mod tests;
