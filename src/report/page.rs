//! The frame of a page, and its recurring parts.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

/// The mark in the head of a run's page, which tells it from other files.
pub const GENERATOR: &str = "<meta name=\"generator\" content=\"retrograd report\"/>";

/// A whole page; `generator` is [`GENERATOR`] or empty.
pub(super) fn document(generator: &str, title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                (PreEscaped(generator))
                title { (title) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body { main { h1 { (title) } (body) } }
        }
    };
    printable(&page.into_string())
}

/// Replaces control characters by visible ones: neither HTML nor XML may hold them.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\0'..' ' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}'..'\u{a0}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
        _ => c,
    };
    text.chars().map(shown).collect()
}

/// A heading, a description, and the content below.
pub(super) fn section(heading: &str, what: &str, body: &Markup) -> Markup {
    html! { section { h2 { (heading) } @if !what.is_empty() { p.what { (what) } } (body) } "\n" }
}

/// Content that may be wider than a phone: it scrolls by itself, also by keyboard.
pub(super) fn scroll(label: &str, content: &Markup) -> Markup {
    html! { div.scroll role="region" tabindex="0" aria-label=(label) { (content) } }
}

/// A table: a heading per column, and rows of a heading and cells.
pub(super) fn table<H: Render, N: Render, C: Render>(label: &str, head: &[H], rows: &[(N, Vec<C>)]) -> Markup {
    let table = html! {
        table {
            thead { tr { @for name in head { th scope="col" { (name) } } } }
            tbody { @for (name, cells) in rows { tr { th scope="row" { (name) } @for cell in cells { td { (cell) } } } "\n" } }
        }
    };
    scroll(label, &table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let evil = "<script>\"'&\u{1}\u{7f}é";
        let page = document("", evil, &section(evil, evil, &table(evil, &[evil], &[(evil, vec![evil])])));
        assert_eq!((page.matches("<script").count(), page.matches("&lt;script&gt;&quot;'&amp;␁\u{fffd}é").count()), (0, 8), "{page}");
    }
}
