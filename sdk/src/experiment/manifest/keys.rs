//! Dotted keys, such as `stage[0].epochs`: names of tables, and places in lists from 0, or from the end by `-1` and so on.

use toml::{Table, Value};

/// The steps of a dotted key.
pub(super) fn steps(key: &str) -> Vec<&str> {
    key.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect()
}

/// Steps of a dotted key at most, as TOML has them: what goes down a key has a call on the stack for each.
const MOST_STEPS: usize = 80;

/// Whether a dotted key has more steps than any may have.
pub(super) fn is_too_deep(key: &str) -> bool {
    key.matches(['.', '[']).count() >= MOST_STEPS
}

/// The steps of a dotted key as somebody wrote it.
///
/// # Errors
/// What is wrong with it: a name that is missing, brackets around no place of a list, or too many steps.
pub(super) fn written(key: &str) -> Result<Vec<&str>, String> {
    if is_too_deep(key) {
        return Err(format!("the key has more than {MOST_STEPS} names and places"));
    }
    let mut found = Vec::new();
    for part in key.split('.') {
        let (name, mut places) = part.split_at(part.find('[').unwrap_or(part.len()));
        match (name.is_empty(), name.contains(']')) {
            (true, _) if key.is_empty() => return Err("there is no key".to_owned()),
            (true, _) => return Err(format!("a name is missing in the key `{key}`")),
            (_, true) => return Err(format!("a `]` in the key `{key}` closes nothing")),
            _ => found.push(name),
        }
        while let Some(rest) = places.strip_prefix('[') {
            let (place, behind) =
                rest.split_once(']').ok_or_else(|| format!("a `[` in the key `{key}` is not closed"))?;
            if place.parse::<isize>().is_err() {
                return Err(format!("`[{place}]` is no place in a list, such as [0] or [-1]"));
            }
            found.push(place);
            places = behind;
        }
        if !places.is_empty() {
            return Err(format!("`{places}` stands behind a `]` in the key `{key}`"));
        }
    }
    Ok(found)
}

/// The last step of a dotted key.
pub(super) fn last(key: &str) -> &str {
    key.rsplit(['.', '[']).next().unwrap_or(key).trim_end_matches(']')
}

/// The key of steps.
pub(super) fn key_of(steps: &[String]) -> String {
    steps.iter().fold(String::new(), |path, step| join(&path, step))
}

/// A key with one more step.
pub(super) fn join(path: &str, step: &str) -> String {
    match (path.is_empty(), step.parse::<isize>()) {
        (_, Ok(index)) => format!("{path}[{index}]"),
        (true, _) => step.to_owned(),
        (false, _) => format!("{path}.{step}"),
    }
}

/// The value of a step inside another.
pub(super) fn step_into<'a>(at: &'a Value, step: &str) -> Option<&'a Value> {
    match at {
        Value::Table(table) => table.get(step),
        Value::Array(items) => items.get(place(step, items.len())?),
        _ => None,
    }
}

/// The place of a step in a list of this length.
pub(super) fn place(step: &str, length: usize) -> Option<usize> {
    let index = step.parse::<isize>().ok()?;
    let place = if index < 0 { length.checked_add_signed(index)? } else { index.unsigned_abs() };
    (place < length).then_some(place)
}

/// The steps with places that are counted from the end of lists counted from the start, where there are such lists.
pub(super) fn from_start(table: &Table, steps: &[&str]) -> Vec<String> {
    let mut at: Option<&Value> = None;
    let mut found = Vec::with_capacity(steps.len());
    for (i, step) in steps.iter().enumerate() {
        let step = match at {
            Some(Value::Array(items)) => place(step, items.len()).map_or_else(|| (*step).to_owned(), |p| p.to_string()),
            _ => (*step).to_owned(),
        };
        at = if i == 0 { table.get(&step) } else { at.and_then(|at| step_into(at, &step)) };
        found.push(step);
    }
    found
}

/// Whether two dotted keys may be one, or one hold the other: a place from the end of a list can be any of its places.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let from_end = |step: &str| step.parse::<isize>().is_ok_and(|place| place < 0);
    steps(a).into_iter().zip(steps(b)).all(|(a, b)| a == b || from_end(a) || from_end(b))
}

/// Whether two dotted keys of different texts may be one.
pub(super) fn may_be_one(a: &str, b: &str) -> bool {
    a != b && steps(a).len() == steps(b).len() && overlap(a, b)
}

/// Whether setting `key` to `value` says what `inner` is: that very key, one inside of it, or one that holds it and has it in the value.
pub(super) fn says(key: &str, value: &Value, inner: &str) -> bool {
    let below = steps(inner).into_iter().skip(steps(key).len());
    overlap(key, inner) && below.clone().try_fold(value, step_into).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_either_end() {
        let found = ["0", "2", "3", "-1", "-3", "-4", "x"].map(|step| place(step, 3));
        assert_eq!(found, [Some(0), Some(2), None, Some(2), Some(0), None, None]);
        let table: Table = toml::from_str("stage = [{ a = 1 }, { a = [5, 6] }]").unwrap();
        let of = |key: &str| key_of(&from_start(&table, &steps(key)));
        assert_eq!(of("stage[-1].a[-2]"), "stage[1].a[0]");
        // What is not there keeps its name.
        for key in ["stage[-3].a", "stage[1].b[-1]", "other[-1]"] {
            assert_eq!(of(key), key);
        }
    }

    #[test]
    fn keys_are_read_as_they_are_meant_or_refused() {
        assert_eq!(written("stage[-1].loss.positive[0][2]").unwrap(), ["stage", "-1", "loss", "positive", "0", "2"]);
        for (key, says) in [
            ("", "no key"),
            ("a..b", "a name is missing"),
            ("[0].a", "a name is missing"),
            ("stage[0.lr", "a `[` in the key `stage[0.lr` is not closed"),
            ("stage[0", "is not closed"),
            ("stage0].lr", "closes nothing"),
            ("stage[one].lr", "`[one]` is no place in a list"),
            ("stage[0]lr", "`lr` stands behind a `]`"),
        ] {
            let wrong = written(key).unwrap_err();
            assert!(wrong.contains(says), "{key}: {wrong}");
        }
        assert_eq!(["stage[0].lr", "a[-2]", "seed"].map(last), ["lr", "-2", "seed"]);
        assert_eq!(written(&vec!["a"; MOST_STEPS].join(".")).unwrap().len(), MOST_STEPS);
        for deep in [vec!["a"; 100_000].join("."), format!("a{}", "[0]".repeat(100_000))] {
            assert!(written(&deep).unwrap_err().contains("more than 80 names and places"));
        }
    }

    #[test]
    fn keys_overlap_where_one_may_hold_the_other() {
        for (a, b, expected) in [
            ("stage[0].lr", "stage[0].lr", true),
            ("stage[0].lr", "stage[1].lr", false),
            ("stage[-1].lr", "stage[1].lr", true),
            ("stage[-1].lr", "stage[1].epochs", false),
            ("stage", "stage[-1].lr", true),
            ("model.head", "model.heads", false),
        ] {
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} {b}");
            assert_eq!(may_be_one(a, b), expected && a.contains("[-1]") && b.contains('['), "{a} {b}");
        }
    }
}
