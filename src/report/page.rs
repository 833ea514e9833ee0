//! The frame of a page, and its recurring parts. Sentences come as plain text and are escaped here.

use super::svg::escape;

/// What pages of runs say of themselves at their head, so that they can be told from other files.
pub const GENERATOR: &str = "<meta name=\"generator\" content=\"retrograd report\"/>";

/// A whole page.
pub(super) fn document(title: &str, body: &str) -> String {
    whole(title, "", include_str!("page.css"), body)
}

/// A page of runs.
pub(super) fn run_document(title: &str, body: &str) -> String {
    whole(title, GENERATOR, concat!(include_str!("page.css"), include_str!("run.css")), body)
}

fn whole(title: &str, head: &str, style: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n{head}<title>{title}</title>\n<style>\n{style}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// A heading, what is to be looked at, and what belongs below it.
pub(super) fn section(heading: &str, what: &str, body: &str) -> String {
    format!("<section>\n<h2>{}</h2>\n{}{body}</section>\n", escape(heading), paragraph("what", what))
}

/// Nothing, if there is nothing to say.
pub(super) fn paragraph(class: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p class=\"{class}\">{}</p>\n", escape(text)) }
}

/// A paragraph in which `what is between backticks` is code.
pub(super) fn prose(class: &str, text: &str) -> String {
    let parts: Vec<String> =
        text.split('`').enumerate().map(|(i, part)| if i % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) }).collect();
    format!("<p class=\"{class}\">{}</p>\n", parts.concat())
}

/// A picture, or a table, and under it what is seen.
pub(super) fn figure(label: &str, content: &str, sentences: &[String]) -> String {
    let seen: Vec<String> = sentences.iter().filter(|s| !s.is_empty()).map(|s| escape(s)).collect();
    format!("<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n", scroll(label, content), seen.join(" "))
}

/// What may be wider than a phone scrolls by itself, by keyboard too.
pub(super) fn scroll(label: &str, content: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">\n{content}</div>\n", escape(label))
}

/// A table of finished cells: a heading to each column, and rows of a heading and cells.
pub(super) fn table(head: &[String], rows: &[(String, Vec<String>)]) -> String {
    let columns: String = head.iter().map(|h| format!("<th scope=\"col\">{h}</th>")).collect();
    let rows: String = rows.iter().map(|(name, cells)| format!("<tr><th scope=\"row\">{name}</th>{}</tr>\n", cells.concat())).collect();
    format!("<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
}

/// A cell of plain text.
pub(super) fn cell(text: &str) -> String {
    format!("<td>{}</td>", escape(text))
}
