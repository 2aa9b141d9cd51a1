//! How codes are written.

/// An undotted ICD-9 code with its dot: after three characters, after four when it starts with E, none when nothing
/// follows.
///
/// ```
/// use dualk_sdk::data::codes::dotted;
/// assert_eq!([dotted("4280"), dotted("E8490"), dotted("V707"), dotted("486")], ["428.0", "E849.0", "V70.7", "486"]);
/// ```
pub fn dotted(code: &str) -> String {
    let family = if code.starts_with('E') { 4 } else { 3 };
    match code.char_indices().nth(family) {
        Some((at, _)) => format!("{}.{}", &code[..at], &code[at..]),
        None => code.to_owned(),
    }
}

/// A code, then the code without its last character, then without the last two: where vectors are looked up in turn.
///
/// ```
/// use dualk_sdk::data::codes::prefixes;
/// assert_eq!(prefixes("428.21").collect::<Vec<_>>(), ["428.21", "428.2", "428."]);
/// assert_eq!(prefixes("7").collect::<Vec<_>>(), ["7"]);
/// ```
pub fn prefixes(code: &str) -> impl Iterator<Item = &str> {
    let ends = code.char_indices().map(|(at, _)| at).rev().take(2);
    let shorter = ends.map(|end| &code[..end]);
    std::iter::once(code).chain(shorter).filter(|name| !name.is_empty())
}

/// A dotted code without zeros at its end, the form in which tables that went through a spreadsheet agree.
///
/// ```
/// use dualk_sdk::data::codes::without_trailing_zeros;
/// assert_eq!(["493.90", "250.00", "070"].map(without_trailing_zeros), ["493.9", "250", "070"]);
/// ```
pub fn without_trailing_zeros(code: &str) -> &str {
    match code.contains('.') {
        true => code.trim_end_matches('0').trim_end_matches('.'),
        false => code,
    }
}
