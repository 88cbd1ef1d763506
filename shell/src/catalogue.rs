//! The catalogue of all codes that Pulse reports: meaning, cause and remedy of each.
//!
//! The text is `docs/codes.md`, written for users and compiled in.
//! A code that is missing from it is a remote's own.

use std::sync::LazyLock;

use negotiation::manifest::near_miss;

mod code;

pub use code::Code;

const TEXT: &str = include_str!("../../docs/codes.md");

static ENTRIES: LazyLock<Vec<CodeDoc>> = LazyLock::new(|| parse(TEXT));

/// The explanation of a code, independent of any single failure.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeDoc {
    /// The code.
    pub code: Code,
    /// The heading of its section.
    pub group: &'static str,
    /// The fault, in one sentence.
    pub meaning: String,
    /// The cause.
    pub cause: String,
    /// The remedy.
    pub remedy: String,
    /// A command or a part of a file, in lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<&'static str>,
}

/// Returns every entry, by group.
pub fn all() -> &'static [CodeDoc] {
    &ENTRIES
}

/// Returns the entry of `code`; `None` for a remote's own code.
pub fn find(code: &str) -> Option<&'static CodeDoc> {
    let code = Code::find(code)?;
    all().iter().find(|entry| entry.code == code)
}

/// Returns the code that `code` is a near miss of.
pub fn near(code: &str) -> Option<&'static str> {
    let codes: Vec<&'static str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    near_miss(code, &codes)
}

impl CodeDoc {
    /// Formats the entry for a terminal of `width` columns; ends with a line break.
    ///
    /// Only long words and the example, which the user copies, exceed that width.
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

/// Parses a text in the form of `docs/codes.md`; skips malformed sections.
fn parse(text: &'static str) -> Vec<CodeDoc> {
    let groups = text.split("\n## ").skip(1).filter_map(|group| group.split_once('\n'));
    groups
        .flat_map(|(name, group)| group.split("\n### ").skip(1).filter_map(|text| entry(name, text)))
        .collect()
}

/// Parses an entry: the code, a sentence, the cause, the remedy, and optionally an example.
fn entry(group: &'static str, text: &'static str) -> Option<CodeDoc> {
    let (code, body) = text.split_once('\n')?;
    let code = Code::find(code)?;
    let mut blocks = body.trim().split("\n\n");
    let mut paragraph = |head| {
        // The file has a sentence on each line; the output is wrapped to the reader's width.
        Some(blocks.next()?.strip_prefix(head)?.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let (meaning, cause, remedy) = (paragraph("")?, paragraph("Cause: ")?, paragraph("What to do: ")?);
    let example = match blocks.next() {
        Some(block) => Some(block.strip_prefix("```")?.split_once('\n')?.1.strip_suffix("\n```")?),
        None => None,
    };
    blocks.next().is_none().then_some(CodeDoc { code, group, meaning, cause, remedy, example })
}

#[cfg(test)]
mod tests;
