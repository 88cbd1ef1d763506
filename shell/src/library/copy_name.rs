//! Names of private copies of libraries; messages replace them by the original names.

use std::{env, path::Path};

/// Returns the prefix of the names of a remote's private copies, with only letters and digits of its alias.
pub(crate) fn stem(alias: &str) -> String {
    alias.chars().filter(char::is_ascii_alphanumeric).take(40).collect()
}

/// Returns the name of the remote's private copy with this number.
pub(crate) fn of(alias: &str, number: u64) -> String {
    format!("{}-{number}{}", stem(alias), env::consts::DLL_SUFFIX)
}

/// Replaces paths of private copies below `folder` by the name that `name` returns for their prefix.
pub(crate) fn replace(text: &str, folder: &Path, name: impl Fn(&str) -> Option<String>) -> String {
    let folder = folder.to_string_lossy();
    let (mut renamed, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(&*folder) {
        let (before, path) = rest.split_at(at);
        renamed.push_str(before);
        let below = &path[folder.len()..];
        let end = below.find(|c: char| c.is_whitespace() || "`'\":;,()".contains(c)).unwrap_or(below.len());
        let file = below[..end].rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = file.strip_suffix(env::consts::DLL_SUFFIX).and_then(|stem| Some(stem.rsplit_once('-')?.0));
        match stem.and_then(&name) {
            Some(own) => renamed.push_str(&own),
            None => renamed.push_str(&path[..folder.len() + end]),
        }
        rest = &below[end..];
    }
    renamed + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_copies_are_renamed() {
        let end = env::consts::DLL_SUFFIX;
        let text =
            format!("dlopen: /tmp/t/pulse-1-x/remoteA-12{end}: no; `/tmp/t/b/remoteB-1{end}`, /tmp/t/note.txt");
        let name = |stem: &str| (stem == "remoteA").then(|| "a.so".to_owned());
        let renamed = replace(&text, Path::new("/tmp/t"), name);
        assert_eq!(renamed, format!("dlopen: a.so: no; `/tmp/t/b/remoteB-1{end}`, /tmp/t/note.txt"));
    }
}
