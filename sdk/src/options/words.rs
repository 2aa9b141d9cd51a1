//! What serde says of values, in words of those who write manifests.

use std::borrow::Cow;

/// What serde says, in words of TOML and of counting in place of names of types.
pub(crate) fn in_words(message: &str) -> String {
    if message.starts_with("wanted exactly 1 element") {
        return "expected a text".to_owned(); // an empty table, or one of several keys, for one of several names
    }
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let expected = expected_in_words(expected);
    // Fields of a table may be given as a list, too.
    let found = match expected == "a table" && found.starts_with("invalid length ") {
        true => Cow::Borrowed("invalid type: a list"),
        false => found_in_words(found),
    };
    match found.is_empty() {
        true => format!("expected {expected}"),
        false => format!("{found}, expected {expected}"),
    }
}

/// What serde expected. Types of the program are what they are written as: a table, a list, a text.
fn expected_in_words(expected: &str) -> Cow<'_, str> {
    const TABLES: [&str; 5] =
        ["struct ", "enum ", "internally tagged enum ", "adjacently tagged enum ", "struct variant "];
    const LISTS: [&str; 2] = ["tuple struct ", "tuple variant "];
    let begins = |with: &[&str]| with.iter().any(|begin| expected.starts_with(begin));
    let count = ["a tuple of size ", "an array of length "].iter().find_map(|begin| expected.strip_prefix(begin));
    Cow::Borrowed(match expected {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number from 0",
        "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a map" | "map" => "a table",
        "a sequence" | "sequence" => "a list",
        "a string" | "string" | "a borrowed string" | "path string" => "a text",
        // One of several names, where serde looks for a variant.
        "string only" | "string or map" | "map with a single key" => "a text",
        "variant identifier" | "field identifier" => "a name",
        _ if begins(&TABLES) => "a table",
        _ if begins(&LISTS) => "a list",
        other => return count.map_or(Cow::Borrowed(other), |count| Cow::Owned(format!("a list of {count}"))),
    })
}

/// What serde found; nothing where it names what was looked for, and not the value.
fn found_in_words(found: &str) -> Cow<'_, str> {
    if let Some(name) = found.strip_prefix("unknown variant ") {
        return Cow::Owned(format!("unknown name {name}"));
    }
    let Some((problem, value)) = found.split_once(": ") else { return Cow::Borrowed(found) };
    let value = match value {
        "unit variant" | "newtype variant" | "tuple variant" | "struct variant" | "enum" => return Cow::Borrowed(""),
        "map" => Cow::Borrowed("a table"),
        "sequence" => Cow::Borrowed("a list"),
        other => match (other.strip_prefix("string \""), other.strip_prefix("floating point ")) {
            (Some(text), _) => Cow::Owned(format!("text \"{text}")),
            (_, Some(number)) => Cow::Owned(format!("number {number}")),
            _ => Cow::Borrowed(other),
        },
    };
    Cow::Owned(format!("{problem}: {value}"))
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn types_are_told_by_what_they_hold() {
        for (says, expected) in [
            (
                "invalid value: integer `-4`, expected usize",
                "invalid value: integer `-4`, expected a whole number from 0",
            ),
            ("invalid type: string \"x\", expected f64", "invalid type: text \"x\", expected a number"),
            ("invalid type: string \"x\", expected a boolean", "invalid type: text \"x\", expected a boolean"),
            ("invalid type: floating point `1.5`, expected i64", "invalid type: number `1.5`, expected a whole number"),
            ("missing field `path`", "missing field `path`"),
        ] {
            assert_eq!(in_words(says), expected);
        }
    }

    #[test]
    fn types_of_the_program_are_tables_lists_and_texts() {
        for (type_name, word) in [
            ("struct Data", "a table"),
            ("enum Sharing", "a table"),
            ("internally tagged enum SplitOptions", "a table"),
            ("adjacently tagged enum Schedule", "a table"),
            ("a map", "a table"),
            ("map", "a table"),
            ("a sequence", "a list"),
            ("sequence", "a list"),
            ("tuple struct Pair", "a list"),
            ("a tuple of size 2", "a list of 2"),
            ("an array of length 3", "a list of 3"),
            ("path string", "a text"),
            ("a string", "a text"),
            ("string", "a text"),
            ("string or map", "a text"),
            ("variant identifier", "a name"),
            ("true, false or one of the texts `mean`", "true, false or one of the texts `mean`"),
        ] {
            let says = format!("invalid type: integer `3`, expected {type_name}");
            assert_eq!(in_words(&says), format!("invalid type: integer `3`, expected {word}"));
        }
    }

    #[test]
    fn what_was_found_has_no_variants_maps_and_sequences() {
        for (says, expected) in [
            ("invalid type: unit variant, expected string only", "expected a text"),
            ("wanted exactly 1 element, found 0 elements", "expected a text"),
            ("invalid type: map, expected a string", "invalid type: a table, expected a text"),
            ("invalid type: sequence, expected f32", "invalid type: a list, expected a number"),
            ("invalid length 0, expected struct Model with 9 elements", "invalid type: a list, expected a table"),
            ("invalid length 1, expected a tuple of size 2", "invalid length 1, expected a list of 2"),
            ("unknown variant `x`, expected `a` or `b`", "unknown name `x`, expected `a` or `b`"),
            ("unknown variant `x`, expected one of `a`, `b`, `c`", "unknown name `x`, expected one of `a`, `b`, `c`"),
        ] {
            assert_eq!(in_words(says), expected);
        }
    }
}
