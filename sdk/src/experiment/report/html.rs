//! The frame of a page, and small pieces of HTML.

use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// The colour that a name of the style sheet stands for on a light page.
pub fn light(name: &str) -> &'static str {
    let rest = STYLE.split_once(&format!("--{name}: ")).map_or("", |(_, rest)| rest);
    rest.split([';', ' ', '}']).next().unwrap_or_default()
}

/// What says that a page is of this program, up to its version.
const MARK: &str = "<meta name=\"generator\" content=\"dualk ";

/// Whether a file that begins so is a page of this program.
pub fn is_page(start: &[u8]) -> bool {
    start.starts_with(b"<!doctype html>") && start.windows(MARK.len()).any(|part| part == MARK.as_bytes())
}

/// A page with a navigation over its sections: identifier, title and contents of each.
pub fn page(title: &str, about: &str, sections: &[(&str, &str, String)]) -> String {
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         {MARK}{2}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{0}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#found\">To the results</a>\n<header><h1>{0}</h1>\n<p class=\"soft\">{1}</p></header>\n",
        escape(title),
        escape(about),
        env!("CARGO_PKG_VERSION")
    );
    let shown = || sections.iter().filter(|(_, _, contents)| !contents.is_empty());
    text += "<nav aria-label=\"Sections\"><ul>";
    shown().for_each(|(id, title, _)| {
        let _ = write!(text, "<li><a href=\"#{id}\">{}</a></li>", escape(title));
    });
    text += "</ul></nav>\n<main>\n";
    for (id, title, contents) in shown() {
        let _ = write!(text, "<section id=\"{id}\">\n<h2>{}</h2>\n{contents}</section>\n", escape(title));
    }
    text + "</main>\n</body>\n</html>\n"
}

/// A table whose first column names the rows. It scrolls by itself where it is wider than the page.
pub fn table(head: &[String], rows: &[Vec<String>]) -> String {
    let classes = vec![""; rows.len()];
    let escaped = |row: &Vec<String>| row.iter().map(|cell| escape(cell)).collect();
    table_of(
        &head.iter().map(|h| escape(h)).collect::<Vec<_>>(),
        &rows.iter().map(escaped).collect::<Vec<_>>(),
        &classes,
    )
}

/// The same of texts, which begin on the left.
pub fn texts(head: &[String], rows: &[Vec<String>]) -> String {
    table(head, rows)
        .replace("<td>", "<td class=\"left\">")
        .replace("<th scope=\"col\">", "<th scope=\"col\" class=\"left\">")
}

/// The same of cells that are HTML, with a class for each row.
pub fn table_of(head: &[String], rows: &[Vec<String>], classes: &[&str]) -> String {
    let mut text =
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"table\"><table><thead><tr>".to_owned();
    head.iter().for_each(|cell| {
        let _ = write!(text, "<th scope=\"col\">{cell}</th>");
    });
    text += "</tr></thead><tbody>\n";
    for (row, class) in rows.iter().zip(classes) {
        text += &match *class {
            "" => "<tr>".to_owned(),
            class => format!("<tr class=\"{class}\">"),
        };
        for (i, cell) in row.iter().enumerate() {
            text += &match i {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            };
        }
        text += "</tr>\n";
    }
    text + "</tbody></table></div>\n"
}

/// A paragraph.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// Text inside of HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
