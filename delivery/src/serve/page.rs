//! The page that a browser shows.

use std::fmt::Write as _;

use hyper::body::Bytes;

use super::DevCatalogue;

/// Returns a page with the remotes on offer, and the lines for a host's manifest.
pub(super) fn html(catalogue: &DevCatalogue, url: &str) -> Bytes {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Pulse development server</title>\n\
         <style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }\n\
         table { border-collapse: collapse } td, th { text-align: left; padding: 0.2rem 1.5rem 0.2rem 0 }</style>\n\
         <h1>Pulse development server</h1>\n",
    );
    if catalogue.remotes.is_empty() {
        page.push_str("<p>No remote has been built yet.</p>\n");
    } else {
        page.push_str("<table>\n<tr><th>Remote<th>Version<th>Platform<th>SHA-256\n");
    }
    let mut lines = String::new();
    for offer in catalogue.remotes.values() {
        let about = &offer.newest.about;
        let name = escape(&about.name);
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"/{}\">{name}</a><td>{}<td>{}<td><code>{}</code>",
            escape(&super::path_of(&about.name, "manifest.json")),
            escape(&about.version.to_string()),
            about.platform,
            about.library.sha256.short()
        );
        let _ = writeln!(lines, "\"{name}\": \"{name}@{url}\"");
    }
    if !lines.is_empty() {
        let _ = write!(
            page,
            "</table>\n<p>In the <code>remotes</code> of a host's manifest:\n<pre>{lines}</pre>\n"
        );
    }
    page.push_str("<p><a href=\"/pulse-dev.json\">The list as JSON</a>\n");
    page.into()
}

/// Escapes text of a manifest for HTML.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}
