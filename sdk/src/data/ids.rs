//! Identifiers of patients and admissions: integers as they are, texts by number.

use super::tables::{self, Fault, Row, Rows, not_an_integer};
use crate::error::value;
use crate::{Error, Result};
use std::collections::HashMap;

/// What identifies patients, or admissions, in a source: the column of one table decides whether identifiers are integers,
/// which stand for themselves, or texts, which are numbered from 1 in the order of their first appearance.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    /// Nothing while identifiers are integers.
    texts: Option<Texts>,
}

#[derive(Debug, Clone, Default)]
struct Texts {
    numbers: HashMap<String, i64>,
    names: Vec<String>,
}

impl Ids {
    /// From the column of a data set that has them all: integers when the first row has one; then all others must. They are
    /// texts where one has zeros before it, as `007` and `7` are two patients.
    ///
    /// # Errors
    /// Names the first row that has none, or another.
    pub fn of(rows: &Rows<'_>, column: &str) -> Result<(Self, Vec<i64>)> {
        let cells = || -> Result<_> { Ok(rows.texts(column)?.map(|text| text.map(str::trim).unwrap_or_default())) };
        let are_integers = cells()?.next().and_then(integer).is_some() && cells()?.all(|text| !has_zeros(text));
        let mut texts = (!are_integers).then(Texts::default);
        let mut numbers = Vec::with_capacity(rows.len());
        for (i, text) in cells()?.enumerate() {
            if text.is_empty() {
                return Err(rows.error(i, format!("the column `{}` holds no identifier", rows.called(column))));
            }
            numbers.push(match (&mut texts, integer(text)) {
                (Some(texts), _) => texts.number(text),
                (None, Some(number)) => number,
                (None, None) => {
                    let help = "the first identifier of this column is an integer, and the others must be";
                    return Err(rows.error(i, not_an_integer(rows.called(column), Some(text))).help(help));
                }
            });
        }
        Ok((Self { texts }, numbers))
    }

    /// From a column of any table: integers when each cell is one as it is usually written, so that `007` and `7` stay
    /// two patients. `None` for rows that have no identifier.
    ///
    /// # Errors
    /// When the column was not asked for.
    pub fn where_given(rows: &Rows<'_>, column: &str) -> Result<(Self, Vec<Option<i64>>)> {
        let cells =
            || -> Result<_> { Ok(rows.texts(column)?.map(|text| text.map(str::trim).filter(|t| !t.is_empty()))) };
        if cells()?.flatten().all(|text| integer(text).is_some()) {
            return Ok((Self::default(), cells()?.map(|text| text.and_then(integer)).collect()));
        }
        let mut texts = Texts::default();
        let numbers = cells()?.map(|text| text.map(|text| texts.number(text))).collect();
        Ok((Self { texts: Some(texts) }, numbers))
    }

    /// Identifiers that are texts, whatever they look like, given one by one.
    pub fn texts() -> Self {
        Self { texts: Some(Texts::default()) }
    }

    /// The number of an identifier, which may be new.
    pub fn add(&mut self, text: &str) -> i64 {
        self.texts.get_or_insert_default().number(text)
    }

    /// The same once all identifiers were given [one by one](Self::add), and what stands for the number of each, from 1 on: the
    /// integers that they are, where all are written as these usually are, else their numbers.
    ///
    /// ```
    /// use dualk_sdk::data::Ids;
    /// let mut ids = Ids::texts();
    /// assert_eq!(["70", "9", "70"].map(|text| ids.add(text)), [1, 2, 1]);
    /// let (ids, numbers) = ids.settled();
    /// assert_eq!((ids.are_integers(), numbers), (true, vec![70, 9]));
    /// ```
    pub fn settled(self) -> (Self, Vec<i64>) {
        let names = self.texts.as_ref().map(|texts| texts.names.as_slice()).unwrap_or_default();
        let integers: Option<Vec<i64>> = names.iter().map(|name| integer(name)).collect();
        let numbers = (1..=names.len() as i64).collect();
        integers.map_or_else(|| (self, numbers), |integers| (Self::default(), integers))
    }

    /// Whether they are integers.
    pub fn are_integers(&self) -> bool {
        self.texts.is_none()
    }

    /// The number of an identifier of another table; `None` when it is empty or unknown.
    ///
    /// # Errors
    /// Says what is wrong where integers are expected and there is none.
    pub fn find(&self, column: &str, text: Option<&str>) -> Result<Option<i64>, String> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        match &self.texts {
            Some(texts) => Ok(texts.numbers.get(text).copied()),
            None if has_zeros(text) => Err(zeros(column, text)),
            None => integer(text).map(Some).ok_or_else(|| not_an_integer(column, Some(text))),
        }
    }

    /// The numbers of a column of another table; `None` where nothing is written, or what nobody has.
    ///
    /// # Errors
    /// Names the first row that has a text where identifiers are integers.
    pub fn column(&self, rows: &Rows<'_>, column: &str) -> Result<Vec<Option<i64>>> {
        let find = |(i, text)| self.find(rows.called(column), text).map_err(|message| rows.error(i, message));
        rows.texts(column)?.enumerate().map(find).collect()
    }

    /// The names of some identifiers; none when they are integers.
    pub fn names(&self, numbers: &[i64]) -> Vec<String> {
        let Some(texts) = &self.texts else { return Vec::new() };
        let name = |&n: &i64| usize::try_from(n - 1).ok().and_then(|at| texts.names.get(at)).cloned();
        numbers.iter().map(|n| name(n).unwrap_or_else(|| n.to_string())).collect()
    }

    /// How an identifier is written in the source.
    pub fn name(&self, number: i64) -> String {
        self.names(&[number]).pop().unwrap_or_else(|| number.to_string())
    }

    /// Refuses integers for what must not repeat, such as admissions: the first row that has an identifier again.
    ///
    /// # Errors
    /// Names the row, the identifier and the line that had it first.
    pub fn each_once(&self, rows: &Rows<'_>, numbers: &[i64], what: &str) -> Result<()> {
        self.none_twice(rows, numbers.iter().copied().map(Some), what)
    }

    /// The same of another table, whose rows need not have an identifier that is known: of a [column](Self::column).
    ///
    /// # Errors
    /// As of [`each_once`](Self::each_once).
    pub fn each_known_once(&self, rows: &Rows<'_>, numbers: &[Option<i64>], what: &str) -> Result<()> {
        self.none_twice(rows, numbers.iter().copied(), what)
    }

    fn none_twice(
        &self,
        rows: &Rows<'_>,
        numbers: impl ExactSizeIterator<Item = Option<i64>>,
        what: &str,
    ) -> Result<()> {
        let mut first = HashMap::with_capacity(numbers.len());
        for (i, number) in numbers.enumerate().filter_map(|(i, number)| Some((i, number?))) {
            if let Some(before) = first.insert(number, i) {
                let place = rows.line(before).map_or(String::new(), |line| format!(", first on line {line}"));
                return Err(self.twice(rows, i, number, what, &place));
            }
        }
        Ok(())
    }

    fn twice(&self, rows: &Rows<'_>, i: usize, number: i64, what: &str, place: &str) -> Error {
        rows.error(i, format!("the {what} {} occurs twice{place}", value(self.name(number))))
    }
}

impl Row<'_> {
    /// The number of an identifier; `None` when it is empty or unknown.
    ///
    /// # Errors
    /// When there is a text, or an integer with zeros before it, where identifiers are integers.
    pub fn id(&self, column: usize, ids: &Ids) -> Result<Option<i64>, Fault> {
        if ids.are_integers() {
            let number = self.optional_integer(column)?;
            return match number.is_some() && !is_plain(self.bytes(column)) {
                true => Err(self.fault(column, zeros(self.called(column), self.text(column)))),
                false => Ok(number),
            };
        }
        ids.find(self.called(column), Some(self.text(column))).map_err(|message| self.fault(column, message))
    }
}

impl Texts {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        self.names.push(text.to_owned());
        let number = self.names.len() as i64;
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

/// An integer as it is usually written, by pandas too: `7` and `7.0`, and not `007`.
fn integer(text: &str) -> Option<i64> {
    tables::integer(Some(text)).filter(|_| is_plain(text.as_bytes()))
}

/// Whether an integer is written as it usually is, without zeros or a plus before it.
fn is_plain(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    text == b"0" || text == b"0.0" || matches!(digits.first(), Some(b'1'..=b'9'))
}

/// Whether a text is an integer that is not written as it usually is.
fn has_zeros(text: &str) -> bool {
    !is_plain(text.as_bytes()) && tables::integer(Some(text)).is_some()
}

fn zeros(column: &str, text: &str) -> String {
    let what = "must hold an integer without zeros or a plus before it, as other identifiers of the kind have none";
    format!("the column `{column}` {what}, found {}", value(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tables::Table;

    fn read<T>(cells: &str, read: impl Fn(&Rows<'_>) -> Result<T>) -> Result<T> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, format!("id,x\n{cells}")).unwrap();
        let table = Table::at(&path, &["id"]).unwrap();
        read(&table.read().unwrap())
    }

    fn ids(cells: &str) -> (Ids, Vec<i64>) {
        read(cells, |rows| Ids::of(rows, "id")).unwrap()
    }

    #[test]
    fn integers_stand_for_themselves() {
        let (ids, numbers) = ids("7,\n -3,\n7,\n");
        assert_eq!((ids.are_integers(), numbers), (true, vec![7, -3, 7]));
        assert_eq!(ids.find("id", Some("12")), Ok(Some(12)));
        assert_eq!(ids.find("id", Some("12.0")), Ok(Some(12)), "as pandas writes it");
        assert_eq!(self::ids("7.0,\n8,\n").1, [7, 8]);
        assert_eq!(ids.find("id", None), Ok(None));
        assert!(ids.find("id", Some("seven")).unwrap_err().contains("must hold an integer"));
        assert!(ids.names(&[7]).is_empty());
    }

    #[test]
    fn texts_are_numbered_and_named() {
        for cells in ["A-1,\n7,\nA-1,\n", "007,\n7,\n007,\n"] {
            let (ids, numbers) = ids(cells);
            let (_, lenient) = read(cells, |rows| Ids::where_given(rows, "id")).unwrap();
            assert_eq!((numbers, lenient), (vec![1, 2, 1], vec![Some(1), Some(2), Some(1)]));
            let first = cells.split(',').next().unwrap();
            assert_eq!(ids.names(&[2, 1]), ["7", first]);
            assert_eq!([ids.find("id", Some("7")), ids.find("id", Some("nobody"))], [Ok(Some(2)), Ok(None)]);
        }
    }

    #[test]
    fn texts_that_are_all_integers_may_become_these() {
        let settled = |texts: [&str; 3]| {
            let mut ids = Ids::texts();
            for text in texts {
                ids.add(text);
            }
            let (ids, numbers) = ids.settled();
            (ids.are_integers(), numbers)
        };
        assert_eq!(settled(["70", "-3", "70"]), (true, vec![70, -3]));
        for other in ["007", "A-1", "+7"] {
            assert_eq!(settled(["70", other, "70"]), (false, vec![1, 2]), "{other}");
        }
        assert_eq!(Ids::default().settled().1, [0i64; 0]);
    }

    #[test]
    fn zeros_before_an_integer_tell_patients_apart() {
        let (ids, numbers) = ids("10,\n007,\n7,\n0,\n");
        assert_eq!((numbers, ids.names(&[1, 2, 3])), (vec![1, 2, 3, 4], vec!["10".into(), "007".into(), "7".into()]));
        let (ids, numbers) = self::ids("10,\n0,\n7.0,\n");
        assert_eq!((ids.are_integers(), numbers), (true, vec![10, 0, 7]));
        for other in ["007", "+7", "-07", "00"] {
            let error = ids.find("id", Some(other)).unwrap_err();
            assert!(error.contains("without zeros or a plus"), "{other}: {error}");
            let error = read(&format!("{other},\n"), |rows| ids.column(rows, "id")).unwrap_err().to_string();
            assert!(error.contains("t.csv:2") && error.contains("without zeros"), "{error}");
        }
    }

    #[test]
    fn what_is_there_twice_is_named_with_its_first_line() {
        let again = |cells: &str| {
            read(cells, |rows| {
                let ids = Ids::where_given(rows, "id")?.0;
                ids.each_known_once(rows, &ids.column(rows, "id")?, "patient")
            })
        };
        again("7,\n,\n8,\n,\n").unwrap();
        for cells in ["7,\n,\n8,\n7,\n", "A,\n,\nB,\nA,\n"] {
            let error = again(cells).unwrap_err().to_string();
            assert!(error.contains("occurs twice, first on line 2") && error.contains("t.csv:5"), "{error}");
        }
    }

    #[test]
    fn a_text_among_integers_is_a_mistake_in_a_data_set_and_none_elsewhere() {
        let error = read("7,\nA-1,\n", |rows| Ids::of(rows, "id").map(drop)).unwrap_err().to_string();
        assert!(error.contains("must hold an integer, found") && error.contains("t.csv:3"), "{error}");
        let error = read("7,\n,\n", |rows| Ids::of(rows, "id").map(drop)).unwrap_err().to_string();
        assert!(error.contains("holds no identifier") && error.contains("t.csv:3"), "{error}");
        let (ids, numbers) = read("7,\n,\nA-1,\n", |rows| Ids::where_given(rows, "id")).unwrap();
        assert_eq!((ids.names(&[1, 2]), numbers), (vec!["7".into(), "A-1".into()], vec![Some(1), None, Some(2)]));
    }
}
