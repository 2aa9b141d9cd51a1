//! From raw rows to the cohort: how many there were, how many were left out, and why.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Fraction of a step's rows, codes or patients above which a loss is worth a warning.
pub const WORTH_A_WARNING: f64 = 0.05;

/// Steps whose values are codes of diagnoses.
const DIAGNOSES: [&str; 2] = ["diagnoses", "conditions"];

/// How many of the values that were left out most often are named.
pub const NAMED: usize = 10;

/// One step from raw rows to the cohort.
///
/// ```
/// use dualk_sdk::data::Step;
/// let step = Step::new("diagnoses", 200).lost("without an admission", 30).by_rule("second of a pair", 20);
/// assert_eq!((step.kept(), step.lost_part()), (150, 0.15));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "serde")]
pub struct Step {
    /// What is counted, such as `rows of diagnoses_icd` or `patients`.
    pub what: String,
    /// How many there were.
    pub total: u64,
    /// What was left out of them.
    pub left_out: Vec<LeftOut>,
    /// What was kept and is odd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub odd: Vec<Odd>,
}

/// What a step kept although it is odd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "serde")]
pub struct Odd {
    /// What is odd, such as `unknown to the tables of ICD-9-CM`.
    pub what: String,
    /// How many are odd.
    pub count: u64,
    /// The most frequent values that have the shape of codes, with their counts.
    pub most: Vec<(String, u64)>,
    /// The others, which may be anything: shown with `--show-values`, and never written.
    #[serde(skip)]
    pub unnamed: Vec<(String, u64)>,
}

/// What a step left out for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(crate = "serde")]
pub struct LeftOut {
    /// The reason, such as `without an admission`.
    pub why: String,
    /// How many were left out.
    pub count: u64,
    /// Whether it is meant so: a filter, not a loss.
    pub by_rule: bool,
    /// The values that were left out most often and have the shape of codes, with their counts.
    pub most: Vec<(String, u64)>,
    /// The others, which may be anything: shown with `--show-values`, and never written.
    #[serde(skip)]
    pub unnamed: Vec<(String, u64)>,
}

impl Step {
    /// A step that leaves nothing out.
    pub fn new(what: impl Into<String>, total: u64) -> Self {
        Self { what: what.into(), total, left_out: Vec::new(), odd: Vec::new() }
    }

    /// Some are lost.
    pub fn lost(self, why: impl Into<String>, count: u64) -> Self {
        self.leaves(why, count, false, Most::default())
    }

    /// Some are left out as the options or the method want it.
    pub fn by_rule(self, why: impl Into<String>, count: u64) -> Self {
        self.leaves(why, count, true, Most::default())
    }

    /// Some are lost, and these are the values that they had, with their numbers, in any order. `is_code` says which have the
    /// shape of a code of the kind that was expected: the others may be identifiers, and are shown with `--show-values` alone.
    pub fn lost_values<'a>(
        self,
        why: impl Into<String>,
        values: impl IntoIterator<Item = (&'a str, u64)>,
        is_code: impl Fn(&str) -> bool,
    ) -> Self {
        let (count, most) = most_frequent(values, is_code);
        self.leaves(why, count, false, most)
    }

    /// Some are odd but kept.
    pub fn odd(self, what: impl Into<String>, count: u64) -> Self {
        self.keeps(what, count, Most::default())
    }

    /// Some are odd but kept, and these are the values that they had, as of [`Step::lost_values`].
    pub fn odd_values<'a>(
        self,
        what: impl Into<String>,
        values: impl IntoIterator<Item = (&'a str, u64)>,
        is_code: impl Fn(&str) -> bool,
    ) -> Self {
        let (count, most) = most_frequent(values, is_code);
        self.keeps(what, count, most)
    }

    fn keeps(mut self, what: impl Into<String>, count: u64, most: Most) -> Self {
        let Most { codes: most, others: unnamed } = most;
        if count > 0 {
            self.odd.push(Odd { what: what.into(), count, most, unnamed });
        }
        self
    }

    fn leaves(mut self, why: impl Into<String>, count: u64, by_rule: bool, most: Most) -> Self {
        let Most { codes: most, others: unnamed } = most;
        self.left_out.push(LeftOut { why: why.into(), count, by_rule, most, unnamed });
        self
    }

    /// How many are left.
    pub fn kept(&self) -> u64 {
        self.total.saturating_sub(self.left_out.iter().map(|l| l.count).sum())
    }

    /// How many are lost.
    pub fn lost_count(&self) -> u64 {
        self.left_out.iter().filter(|l| !l.by_rule).map(|l| l.count).sum()
    }

    /// Part that is lost, of those that no rule leaves out before; 0 when there were none.
    pub fn lost_part(&self) -> f64 {
        self.lost_count() as f64 / self.total.max(1) as f64
    }

    /// Why some are lost, the largest reason first, with numbers.
    fn reasons(&self) -> String {
        let mut lost: Vec<&LeftOut> = self.left_out.iter().filter(|l| !l.by_rule && l.count > 0).collect();
        lost.sort_by_key(|l| std::cmp::Reverse(l.count));
        lost.iter().map(|l| format!("{} {}", thousands(l.count), l.why)).collect::<Vec<_>>().join(", ")
    }
}

/// The values that are there most often.
#[derive(Default)]
struct Most {
    codes: Vec<(String, u64)>,
    others: Vec<(String, u64)>,
}

/// How many values there are, and those that are there most often.
fn most_frequent<'a>(values: impl IntoIterator<Item = (&'a str, u64)>, is_code: impl Fn(&str) -> bool) -> (u64, Most) {
    let mut most: Vec<(String, u64)> = values.into_iter().map(|(value, n)| (value.to_owned(), n)).collect();
    let count = most.iter().map(|(_, n)| n).sum();
    most.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    most.truncate(NAMED);
    let (codes, others) = most.into_iter().partition(|(value, _)| is_code(value));
    (count, Most { codes, others })
}

/// The values that may be shown, the most frequent first.
fn shown<'a>(most: &'a [(String, u64)], unnamed: &'a [(String, u64)]) -> Vec<&'a (String, u64)> {
    let mut shown: Vec<_> = most.iter().chain(unnamed.iter().filter(|_| crate::error::shows_values())).collect();
    shown.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    shown
}

/// The steps as a table in plain text, a line a reason; empty without steps.
pub fn table(steps: &[Step]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let first = steps.iter().map(|s| s.what.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("{:first$}  {:>11} {:>11} {:>11}  left out, and why\n", "", "read", "left out", "kept");
    for step in steps {
        let gone = step.total - step.kept();
        let _ = write!(text, "{:first$}  {:>11} {:>11} {:>11}", step.what, thousands(step.total), thousands(gone), {
            thousands(step.kept())
        });
        let left_out = step.left_out.iter().filter(|l| l.count > 0);
        let rule = |by_rule: bool| if by_rule { ", by rule" } else { "" };
        let left_out = left_out.map(|l| (l.count, &l.why, rule(l.by_rule), shown(&l.most, &l.unnamed)));
        let odd = step.odd.iter().map(|odd| (odd.count, &odd.what, ", but kept", shown(&odd.most, &odd.unnamed)));
        let mut reasons = left_out.chain(odd).peekable();
        if reasons.peek().is_none() {
            text.push('\n');
        }
        for (i, (count, why, how, most)) in reasons.enumerate() {
            let indent = if i > 0 { first + 37 } else { 0 };
            let part = 100.0 * count as f64 / step.total.max(1) as f64;
            let _ = writeln!(text, "{:indent$}  {} ({part:.1} %) {why}{how}", "", thousands(count));
            for (value, n) in most {
                // Numbers of drugs, or of whatever else, are no codes of the ICD.
                let title = super::icd::title_of(value).filter(|_| DIAGNOSES.contains(&&*step.what));
                let title = title.map(|title| format!("  {title}")).unwrap_or_default();
                let _ = writeln!(text, "{:i$}    {:>7}  {value}{title}", "", thousands(*n), i = first + 37);
            }
        }
    }
    text
}

/// A line for each step that loses more than [`WORTH_A_WARNING`], and for each most of whose kept rows or codes are odd.
pub fn warnings(steps: &[Step]) -> Vec<String> {
    steps.iter().flat_map(|step| large_loss(step).into_iter().chain(mostly_odd(step))).collect()
}

fn large_loss(step: &Step) -> Option<String> {
    let (lost, total) = (thousands(step.lost_count()), thousands(step.total));
    let (part, help) = (100.0 * step.lost_part(), look_at_edition(step, step.lost_count(), step.total));
    let what = &step.what;
    let line = || format!("warning: {part:.1} % of {what} are lost ({lost} of {total}): {}{help}", step.reasons());
    (step.lost_part() > WORTH_A_WARNING).then(line)
}

/// What to do where most diagnoses are lost or unknown: a table, or an option, may say another edition than that of its codes.
fn look_at_edition(step: &Step, count: u64, all: u64) -> &'static str {
    match DIAGNOSES.contains(&&*step.what) && 2 * count > all {
        true => "; look whether the edition is right that the tables or the parser's options say",
        false => "",
    }
}

fn mostly_odd(step: &Step) -> Option<String> {
    let kept = step.kept();
    let odd = step.odd.iter().find(|odd| 2 * odd.count > kept)?;
    let (part, help) = (100.0 * odd.count as f64 / kept.max(1) as f64, look_at_edition(step, odd.count, kept));
    let (number, kept, of, what) = (thousands(odd.count), thousands(kept), &step.what, &odd.what);
    Some(format!("warning: {part:.1} % of {of} that are kept are odd ({number} of {kept}): {what}{help}"))
}

/// Refuses steps that lose more than `limit` of what they read.
///
/// # Errors
/// Names the key `loss_limit`.
pub fn check(steps: &[Step], limit: f64) -> Result<()> {
    let Some(step) = steps.iter().find(|step| step.lost_part() > limit) else { return Ok(()) };
    let message = format!(
        "{:.2} % of {} are lost ({} of {}), more than the {:.2} % that are allowed",
        100.0 * step.lost_part(),
        step.what,
        thousands(step.lost_count()),
        thousands(step.total),
        100.0 * limit
    );
    let mut error = Error::user(message).at_key("loss_limit").help(format!("lost: {}", step.reasons()));
    if let Some(reason) = step.left_out.iter().find(|l| !l.most.is_empty() || !l.unnamed.is_empty()) {
        let shown = shown(&reason.most, &reason.unnamed).into_iter().map(|(value, n)| format!("{value} {n}"));
        let hidden = !reason.unnamed.is_empty() && !crate::error::shows_values();
        let hidden = hidden.then(|| "what is no code: --show-values shows it".to_owned());
        let most: Vec<String> = shown.chain(hidden).collect();
        error = error.help(format!("{}, most often: {}", reason.why, most.join(", ")));
    }
    Err(error.help("mend the tables or the parser's options, or raise the limit"))
}

/// A number with commas between thousands.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        vec![
            Step::new("admissions", 275).by_rule("before 2013", 27),
            Step::new("codes", 2000)
                .lost_values("without an equivalent", [("A", 2), ("B", 90), ("C", 2)], |_| true)
                .lost("empty", 7),
            Step::new("patients", 0),
        ]
    }

    #[test]
    fn losses_have_denominators() {
        let steps = steps();
        assert_eq!(steps.iter().map(Step::kept).collect::<Vec<_>>(), [248, 1899, 0]);
        assert_eq!(steps.iter().map(Step::lost_part).collect::<Vec<_>>(), [0.0, 101.0 / 2000.0, 0.0]);
        assert_eq!(steps[1].left_out[0].most, [("B".into(), 90), ("A".into(), 2), ("C".into(), 2)]);
        let table = table(&steps);
        assert!(table.contains("27 (9.8 %) before 2013, by rule"), "{table}");
        assert!(table.contains("2,000         101       1,899"), "{table}");
        assert!(table.contains("      90  B\n"), "{table}");
    }

    #[test]
    fn what_is_odd_is_named_and_kept() {
        let step = Step::new("diagnoses", 1000).lost("empty", 10);
        let odd = step.clone().odd_values("unknown", [("4280", 1), ("X", 4)], |_| true);
        assert_eq!((odd.kept(), odd.lost_part()), (990, 0.01));
        let text = table(&[odd]);
        assert!(text.contains("5 (0.5 %) unknown, but kept") && text.contains("      4  X\n"), "{text}");
        assert_eq!(step.clone().odd_values("unknown", [], |_| true), step, "nothing odd is nothing to say");
        assert_eq!(step.clone().odd("that differ", 0), step);
        let text = table(&[step.odd("that differ", 20)]);
        assert!(text.contains("20 (2.0 %) that differ, but kept"), "{text}");
    }

    #[test]
    fn only_diagnoses_have_titles_of_the_icd() {
        let step = |what: &str| table(&[Step::new(what, 9).lost_values("unknown", [("4280", 1)], |_| true)]);
        assert!(step("diagnoses").contains("4280  Congestive heart failure"), "{}", step("diagnoses"));
        assert!(step("drugs").contains("4280\n"));
    }

    #[test]
    fn large_losses_warn_and_may_be_refused() {
        let warnings = warnings(&steps());
        let expected = "warning: 5.1 % of codes are lost (101 of 2,000): 94 without an equivalent, 7 empty";
        assert_eq!(warnings, [expected], "what a rule leaves out is no loss");
        assert!(check(&steps(), 0.06).is_ok());
        let error = check(&steps(), 0.05).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        assert!(error.starts_with("`loss_limit`: 5.05 % of codes") && error.contains("most often: B 90"), "{error}");
    }

    #[test]
    fn most_being_odd_warns_once_and_names_no_value() {
        let step = |odd: u64| {
            let step = Step::new("diagnoses", 1010).lost("empty", 10);
            step.odd_values("unknown to the tables of ICD-9-CM", [("I509", odd - 1), ("77120000", 1)], |_| true)
        };
        assert!(warnings(&[step(500)]).is_empty(), "half of them");
        let expected = "warning: 50.1 % of diagnoses that are kept are odd (501 of 1,000): unknown to the tables of \
                        ICD-9-CM; look whether the edition is right that the tables or the parser's options say";
        assert_eq!(warnings(&[step(501)]), [expected]);
        let lost = warnings(&[Step::new("conditions", 10).lost("without an ICD-10 equivalent", 6)]);
        assert!(lost.len() == 1 && lost[0].contains("6 without an ICD-10 equivalent; look whether"), "{lost:?}");
        let rows = warnings(&[Step::new("rows", 3).odd("that differ", 2)]);
        assert_eq!(rows, ["warning: 66.7 % of rows that are kept are odd (2 of 3): that differ"]);
    }

    #[test]
    fn what_has_no_shape_of_a_code_is_counted_and_neither_said_nor_written() {
        let values = [("77120000", 9), ("Z99", 1)];
        let is_code = |value: &str| value.starts_with('Z');
        let step = Step::new("codes", 20).lost_values("unread", values, is_code).odd_values("odd", values, is_code);
        assert_eq!((step.lost_count(), step.odd[0].count), (10, 10));
        assert_eq!(step.left_out[0].unnamed, [("77120000".to_owned(), 9)]);
        let written = serde_json::to_string(&step).unwrap();
        let error = check(std::slice::from_ref(&step), 0.1).unwrap_err().to_string();
        for text in [written, table(&[step]), error] {
            assert!(text.contains("Z99") && !text.contains("7712"), "{text}");
        }
        let error = check(&[Step::new("codes", 2).lost_values("unread", [("7712", 2)], |_| false)], 0.1).unwrap_err();
        assert!(error.to_string().contains("most often: what is no code: --show-values shows it"), "{error}");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
