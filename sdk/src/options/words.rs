//! What serde says of values, in words of those who write manifests.

/// What serde says, with the number that it expected in place of the name of a type.
pub(crate) fn in_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let expected = match expected {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number from 0",
        "isize" | "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        other => other,
    };
    format!("{found}, expected {expected}")
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
            ("invalid type: string \"x\", expected f64", "invalid type: string \"x\", expected a number"),
            ("invalid type: string \"x\", expected a boolean", "invalid type: string \"x\", expected a boolean"),
            ("missing field `path`", "missing field `path`"),
        ] {
            assert_eq!(in_words(says), expected);
        }
    }
}
