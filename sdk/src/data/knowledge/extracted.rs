//! Triples that were extracted from text, as `diagnosis-kg` has them.

use crate::data::codes::dotted;
use crate::data::tables::{lines, text};
use crate::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// The form in which names are compared: lower case, letters and digits, single blanks.
pub(super) fn plain(name: &str) -> String {
    let spaced: String = name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names by which tuples call the disease of their heading.
fn aliases(heading: &str) -> Vec<String> {
    let mut names = vec![plain(heading)];
    if let Some((before, rest)) = heading.split_once('(') {
        names.push(plain(before));
        names.extend(rest.split_once(')').map(|(inside, _)| plain(inside)));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The code that the first field of a heading begins with, dotted, and what else stands there. ICD-9 has three digits, V and two, or
/// E and three, then up to two more; a code of ICD-10 is the whole field. A field without a code is a part of the name.
fn leading_code(field: &str) -> (Option<String>, &str) {
    let digits = |from: usize| field[from..].bytes().take_while(u8::is_ascii_digit).count();
    let family = if field.starts_with('E') { 4 } else { 3 };
    let letter = usize::from(field.starts_with(['V', 'E']));
    let whole = letter + digits(letter);
    if (family..=family + 2).contains(&whole) {
        let behind = if whole == family && field[whole..].starts_with('.') { digits(whole + 1) } else { 0 };
        match behind {
            0 => return (Some(dotted(&field[..whole])), &field[whole..]),
            1 | 2 => return (Some(field[..=whole + behind].to_owned()), &field[whole + 1 + behind..]),
            _ => {}
        }
    }
    let mut chars = field.chars();
    let begins =
        chars.next().is_some_and(|c| c.is_ascii_uppercase()) && chars.next().is_some_and(|c| c.is_ascii_digit());
    match begins && chars.all(|c| c.is_ascii_alphanumeric() || c == '.') {
        true if field.contains('.') => (Some(field.to_owned()), ""),
        true => (Some(dotted(field)), ""),
        false => (None, field),
    }
}

/// The names by which tuples call the disease of a heading, and its code: that which it begins with, else that of a name.
fn disease(field: Option<&str>, name: &str, codes: &HashMap<String, String>) -> (Vec<String>, Option<String>) {
    let (code, rest) = field.map_or((None, ""), leading_code);
    let mut names = if rest.is_empty() { Vec::new() } else { aliases(&format!("{rest} {name}")) };
    let full = names.len();
    names.extend(aliases(name));
    // What is written before a name makes it another disease: the code of the bare name is that of a more general one.
    let own = if full > 0 { &names[..full] } else { &names[..] };
    let code = code.or_else(|| own.iter().find_map(|name| codes.get(name).cloned()));
    (names, code)
}

/// Reads head, relation and tail of every tuple. Names that `codes` knows become codes, and so does what a tuple calls the
/// disease of its heading when that has a code; the other names are lower-cased.
///
/// # Errors
/// Name the line that is neither heading nor tuple.
pub(super) fn read(path: &Path, codes: &HashMap<String, String>) -> Result<Vec<[String; 3]>> {
    let mut triples = Vec::new();
    let mut about: (Vec<String>, Option<String>) = (Vec::new(), None);
    for (number, written) in lines(&text(path)?) {
        match line(written).map_err(|e| e.at_line(path, number))? {
            Line::Tuple([head, relation, tail]) => {
                let entity = |name: &str| {
                    let name = plain(name);
                    let heading = || about.1.clone().filter(|_| about.0.contains(&name));
                    codes.get(&name).cloned().or_else(heading).unwrap_or_else(|| name.clone())
                };
                let (head, tail) = (entity(&head), entity(&tail));
                if !head.is_empty() && !tail.is_empty() {
                    triples.push([head, plain(&relation).replace(' ', "_"), tail]);
                }
            }
            Line::Heading(field, name) => about = disease(field, name, codes),
        }
    }
    Ok(triples)
}

/// What a line says.
enum Line<'a> {
    /// Head, relation and tail.
    Tuple([String; 3]),
    /// The disease of the tuples below: what stands before its name, such as its code, and the name.
    Heading(Option<&'a str>, &'a str),
}

fn line(written: &str) -> Result<Line<'_>> {
    if written.starts_with([' ', '\t']) {
        let wrong = || Error::user("expected a tuple such as ('head', 'RELATION', 'tail')");
        return tuple(written.trim()).map(Line::Tuple).ok_or_else(wrong);
    }
    let parts: Vec<&str> = written.split('#').map(str::trim).collect();
    match parts[..] {
        [name, _] => Ok(Line::Heading(None, name)),
        [field, name, _] => Ok(Line::Heading(Some(field), name)),
        _ => Err(Error::user("expected a heading such as `Disease # Topic`").help("tuples are indented")),
    }
}

/// Refuses a line that is neither heading nor tuple.
pub(super) fn check_line(written: &str) -> Result<()> {
    line(written).map(drop)
}

/// The three texts of a tuple as Python writes it.
fn tuple(line: &str) -> Option<[String; 3]> {
    let mut rest = line.strip_prefix('(')?;
    let mut texts = Vec::new();
    while texts.len() < 3 {
        rest = rest.trim_start().trim_start_matches(',').trim_start();
        let quote = rest.chars().next().filter(|c| *c == '\'' || *c == '"')?;
        let (mut text, mut end, mut escaped) = (String::new(), None, false);
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                _ if escaped => {
                    text.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                _ if c == quote => {
                    end = Some(at + c.len_utf8());
                    break;
                }
                _ => text.push(c),
            }
        }
        texts.push(text);
        rest = &rest[end?..];
    }
    (rest.trim() == ")").then_some(())?;
    texts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_read_as_python_writes_them() {
        let read = |line| tuple(line).map(|t| t.join("|"));
        assert_eq!(read("('a', 'R', 'b')").unwrap(), "a|R|b");
        assert_eq!(read(r#"('it', "ISN'T", 'q\'s "x"')"#).unwrap(), r#"it|ISN'T|q's "x""#);
        assert_eq!(read("('a', 'R')"), None);
        assert_eq!(read("('a', 'R', 'b', 'c')"), None);
        assert_eq!(read("('a', 'R', 'b"), None);
    }

    // The forms of wiki_triples.txt, those without a dot, those of ICD-10, and what is none.
    #[test]
    fn headings_begin_with_codes() {
        let cases = [
            ("002", "002", ""),
            ("V70", "V70", ""),
            ("428.0", "428.0", ""),
            ("567.23,", "567.23", ","),
            ("567,", "567", ","),
            ("376.2*", "376.2", "*"),
            ("249Secondary", "249", "Secondary"),
            ("E885.9", "E885.9", ""),
            ("E8859", "E885.9", ""),
            ("V707", "V70.7", ""),
            ("30113", "301.13", ""),
            ("428.", "428", "."),
            ("E11.9", "E11.9", ""),
            ("I50.22", "I50.22", ""),
            ("A001", "A00.1", ""),
        ];
        for (field, code, rest) in cases {
            assert_eq!(leading_code(field), (Some(code.to_owned()), rest), "{field}");
        }
        for field in ["Vesicovaginal", "Ectopic", "", "12", "123456", "428.123", "é1"] {
            assert_eq!(leading_code(field), (None, field));
        }
    }

    #[test]
    fn names_of_a_disease_become_its_code() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("triples.txt");
        let text = "Cyclothymia (cyclothymic disorder) # Overview\n\t('Cyclothymia', 'IS A', 'Rare Mood Disorder')\n\n\
                    1915#Brain tumour # Causes\n\t('Brain tumour', 'HAS', 'Cyclothymia (cyclothymic disorder)')\n";
        std::fs::write(&path, text).unwrap();
        let codes = HashMap::from([("cyclothymia cyclothymic disorder".to_owned(), "301.13".to_owned())]);
        let triples: Vec<String> = read(&path, &codes).unwrap().iter().map(|t| t.join("|")).collect();
        assert_eq!(triples, ["301.13|is_a|rare mood disorder", "191.5|has|301.13"]);
        // What is written behind a code belongs to the name, and so does a field without a code.
        let text = "567.23,#Peritonitis # Causes\n\t('Peritonitis', 'HAS', 'x')\n249Secondary#diabetes # T\n\
                    \t('Secondary Diabetes', 'HAS', 'Diabetes')\nVesicovaginal#fistula # T\n\
                    \t('Fistula', 'HAS', 'Vesicovaginal fistula')\nRapid#cyclothymia # T\n\t('Rapid cyclothymia', 'HAS', 'x')\n";
        std::fs::write(&path, text).unwrap();
        let codes = [("cyclothymia", "301.13"), ("rapid cyclothymia", "301.14")];
        let codes = HashMap::from(codes.map(|(name, code)| (name.to_owned(), code.to_owned())));
        let triples: Vec<String> = read(&path, &codes).unwrap().iter().map(|t| t.join("|")).collect();
        let expected = ["567.23|has|x", "249|has|249", "fistula|has|vesicovaginal fistula", "301.14|has|x"];
        assert_eq!(triples, expected);
        std::fs::write(&path, "no heading\n").unwrap();
        assert!(read(&path, &codes).unwrap_err().to_string().contains("triples.txt:1"));
    }
}
