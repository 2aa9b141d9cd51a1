//! Changes to tables of TOML by dotted keys.

use super::keys::{place, step_into, steps};
use toml::{Table, Value};

/// The value of a dotted key.
pub(super) fn lookup<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let mut steps = steps(key).into_iter();
    let first = table.get(steps.next()?)?;
    steps.try_fold(first, step_into)
}

/// Puts `over` on top of `base`: tables merge, except that a component of another type replaces the whole table.
pub(super) fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new))
                if new.get("type").is_none_or(|t| Some(t) == old.get("type")) =>
            {
                merge(old, new);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// Takes a key out of a table, wherever it is; whether it was there.
pub(super) fn remove(table: &mut Table, key: &str) -> bool {
    let steps = steps(key);
    let Some((last, before)) = steps.split_last() else { return false };
    let Some((first, inner)) = before.split_first() else { return table.remove(*last).is_some() };
    let mut at = table.get_mut(*first);
    for step in inner {
        at = match at {
            Some(Value::Table(table)) => table.get_mut(*step),
            Some(Value::Array(items)) => place(step, items.len()).and_then(|i| items.get_mut(i)),
            _ => None,
        };
    }
    match at {
        Some(Value::Table(table)) => table.remove(*last).is_some(),
        // The others keep their places.
        _ => false,
    }
}

/// Puts a value where the steps lead to.
///
/// # Errors
/// Say what is missing on the way.
pub(super) fn assign(table: &mut Table, steps: &[String], value: Value) -> Result<(), String> {
    let mut root = Value::Table(std::mem::take(table));
    let outcome = assign_inside(&mut root, steps, value);
    if let Value::Table(changed) = root {
        *table = changed;
    }
    outcome
}

fn assign_inside(at: &mut Value, steps: &[String], value: Value) -> Result<(), String> {
    let Some((step, rest)) = steps.split_first() else {
        *at = value;
        return Ok(());
    };
    match at {
        Value::Table(table) => {
            // A component may be written as its name alone.
            if let Some(Value::String(name)) = table.get(step).filter(|_| !rest.is_empty()) {
                let named = Table::from_iter([("type".to_owned(), Value::String(name.clone()))]);
                table.insert(step.clone(), Value::Table(named));
            }
            let entry = table.entry(step.clone()).or_insert_with(|| Value::Table(Table::new()));
            assign_inside(entry, rest, value)
        }
        Value::Array(items) => {
            let length = items.len();
            let item = place(step, length).and_then(|i| items.get_mut(i));
            let missing =
                || format!("there is no item {step}: the list has {length}, counted from 0, or from the end from -1");
            assign_inside(item.ok_or_else(missing)?, rest, value)
        }
        _ => Err(format!("`{step}` is inside a value that is no table")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_out_wherever_they_are() {
        let mut table: Table = toml::from_str("a = 1\nb = { c = 2, d = [{ e = 3, f = 4 }] }").unwrap();
        assert!(remove(&mut table, "b.d[0].e") && remove(&mut table, "a"));
        assert!(!remove(&mut table, "b.d[1].e") && !remove(&mut table, "b.x.y") && !remove(&mut table, "b.d[0]"));
        assert_eq!(table, toml::from_str::<Table>("b = { c = 2, d = [{ f = 4 }] }").unwrap());
    }

    #[test]
    fn another_type_replaces_the_options_of_the_first() {
        let mut base: Table = toml::from_str("e = { type = 'gat', heads = 2 }").unwrap();
        merge(&mut base, toml::from_str("e = { type = 'gcn' }").unwrap());
        assert_eq!(base, toml::from_str::<Table>("e = { type = 'gcn' }").unwrap());
        let mut base: Table = toml::from_str("e = { type = 'gat', heads = 2 }").unwrap();
        merge(&mut base, toml::from_str("e = { heads = 4 }").unwrap());
        assert_eq!(base, toml::from_str::<Table>("e = { type = 'gat', heads = 4 }").unwrap());
    }
}
