//! A comparison as text: for the terminal, CSV, LaTeX, Markdown and JSON.

use super::{ComparedRow, Comparison, Difference, Estimate, Kind, LEVEL};
use crate::experiment::outcome::tested_on;
use crate::train::metrics::{column_head, lower_is_better};
use crate::{Error, Result};
use std::fmt::Write;

/// What the caption of an unpaired comparison says.
const PATIENTS_DIFFER: &str = "patients differ between the runs of a row";

/// In what form a comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for a terminal.
    Table,
    /// An array of rows.
    Json,
    /// A line a row and metric.
    Csv,
    /// A table with the rules of the package booktabs.
    Latex,
    /// A table of GitHub's Markdown.
    Markdown,
}

impl Comparison {
    /// The comparison in a form. References stand in tables for people, and in JSON and CSV where `references` asks.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which is a defect of this program.
    pub fn render(&self, format: Format, references: Option<bool>) -> Result<String> {
        Ok(match format {
            Format::Table => self.table(references.unwrap_or(true)),
            Format::Json => {
                let text = serde_json::to_string_pretty(&self.to_json(references.unwrap_or(false)));
                text.map_err(|e| Error::program(format!("cannot write the comparison: {e}")))? + "\n"
            }
            Format::Csv => self.csv(references.unwrap_or(false)),
            Format::Latex => self.latex(references.unwrap_or(true)),
            Format::Markdown => self.markdown(references.unwrap_or(true)),
        })
    }

    fn shown(&self, references: bool) -> Vec<&ComparedRow> {
        let order = [Kind::Reference, Kind::Configuration, Kind::Oracle];
        let of = |kind: &Kind| self.of_kind(*kind).map(|(_, row)| row).collect::<Vec<_>>();
        order.iter().filter(|k| references || **k == Kind::Configuration).flat_map(of).collect()
    }

    /// What the figures are, in one line.
    pub fn caption(&self) -> String {
        let runs: Vec<usize> = self.of_kind(Kind::Configuration).map(|(_, row)| row.runs).collect();
        let (least, most) = (runs.iter().min().unwrap_or(&0), runs.iter().max().unwrap_or(&0));
        let seeds = match (least, most) {
            (_, 1) => String::new(),
            (a, b) if a == b => format!(" · mean ± standard deviation over {a} runs"),
            (a, b) => format!(" · mean ± standard deviation over {a} to {b} runs"),
        };
        let captions = self.captions();
        let shared = captions.first().filter(|(_, caption)| !caption.is_empty() && self.entered().is_none());
        let entered = shared.map_or(String::new(), |(_, caption)| format!(" · {caption}"));
        format!("{} · test, {}{entered}{seeds}", self.objective, self.tested())
    }

    /// Whom the runs were tested on.
    fn tested(&self) -> String {
        match self.unpaired {
            None => tested_on(self.examples, self.patients),
            Some([least, most]) if least == most => format!("{least} examples a run, {PATIENTS_DIFFER}"),
            Some([least, most]) => format!("{least} to {most} examples a run, {PATIENTS_DIFFER}"),
        }
    }

    /// Each configuration with what its runs say of what enters.
    fn captions(&self) -> Vec<(&str, &str)> {
        self.of_kind(Kind::Configuration).map(|(_, row)| (row.name.as_str(), row.caption.as_str())).collect()
    }

    /// What enters in each configuration, where they differ in it: of most in one word, where it is the same of several.
    pub fn entered(&self) -> Option<String> {
        let captions = self.captions();
        if captions.iter().all(|(_, caption)| *caption == captions[0].1) {
            return None;
        }
        let said = |name: &str, caption: &str| match caption.is_empty() {
            true => format!("{name}: not recorded"),
            false => format!("{name}: {caption}"),
        };
        let rows_of = |caption: &str| captions.iter().filter(|(_, other)| *other == caption).count();
        let usual = captions.iter().map(|(_, caption)| *caption).rev().max_by_key(|caption| rows_of(caption));
        let usual = usual.filter(|caption| rows_of(caption) > 1);
        let others = captions.iter().filter(|(_, caption)| Some(*caption) != usual);
        let mut rows: Vec<String> = others.map(|(name, caption)| said(name, caption)).collect();
        rows.extend(usual.map(|caption| said("all others", caption)));
        Some(format!("rows differ in what enters: {}", rows.join("; ")))
    }

    fn heads(&self) -> Vec<String> {
        self.metrics.iter().map(|m| column_head(m)).collect()
    }

    fn is_spread(&self) -> bool {
        self.rows.iter().any(|row| row.runs > 1)
    }

    fn table(&self, references: bool) -> String {
        let rows = self.shown(references);
        let head = self.heads();
        let mark = |row: &ComparedRow, m: &String| if row.best.contains(m) { "*" } else { "" };
        let cells = |row: &&ComparedRow| {
            let cell =
                |(m, e): &(String, Estimate)| format!("{}{}", plain(e, row.kind, self.is_spread()), mark(row, m));
            row.metrics.iter().map(cell).collect::<Vec<_>>()
        };
        let names: Vec<String> = rows.iter().map(|r| r.name.clone()).collect();
        let groups: Vec<Kind> = rows.iter().map(|r| r.kind).collect();
        let mut text = format!("\n{}\n", self.caption());
        aligned(&mut text, &head, &names, &rows.iter().map(cells).collect::<Vec<_>>(), &groups);
        let others: Vec<&&ComparedRow> = rows.iter().filter(|r| r.name != self.rows[self.baseline].name).collect();
        let known = self.rows.iter().any(|row| row.difference.iter().any(|(_, d)| d.low.is_some()));
        if !others.is_empty() && known {
            let base = &self.rows[self.baseline].name;
            let over = if self.is_spread() { " over patients, and over runs where both rows have several" } else { "" };
            let _ =
                writeln!(text, "\nless {base}, the same patients; ±: half a 95 % interval{over}, p by random signs");
            let cells = |row: &&&ComparedRow| row.difference.iter().map(|(_, d)| difference(d)).collect::<Vec<_>>();
            let names: Vec<String> = others.iter().map(|r| r.name.clone()).collect();
            let groups: Vec<Kind> = others.iter().map(|r| r.kind).collect();
            aligned(&mut text, &head, &names, &others.iter().map(cells).collect::<Vec<_>>(), &groups);
        }
        if rows.iter().any(|row| !row.best.is_empty()) {
            let _ = writeln!(
                text,
                "* best, and different from every other configuration at {LEVEL} after Holm's correction"
            );
        }
        self.entered().iter().chain(&self.notes).for_each(|note| text += &format!("{note}\n"));
        let _ = writeln!(text, "→ {}", self.verdict);
        text
    }

    fn csv(&self, references: bool) -> String {
        let mut text = "name,runs,metric,mean,sd,low,high,difference,difference_low,difference_high,p\n".to_owned();
        for row in self.shown(references) {
            for ((metric, e), (_, d)) in row.metrics.iter().zip(&row.difference) {
                let numbers = [Some(e.mean), e.sd, e.low, e.high, Some(d.mean), d.low, d.high, d.p];
                let numbers: Vec<String> = numbers
                    .iter()
                    .map(|v| v.filter(|v| v.is_finite()).map_or(String::new(), |v| v.to_string()))
                    .collect();
                let _ = writeln!(text, "{},{},{},{}", quoted(&row.name), row.runs, quoted(metric), numbers.join(","));
            }
        }
        text
    }

    fn latex(&self, references: bool) -> String {
        let columns = "r".repeat(self.metrics.len());
        let arrow = |m: &String| if lower_is_better(m) { " $\\downarrow$" } else { "" };
        let head: Vec<String> = self.metrics.iter().map(|m| format!("{}{}", tex(m), arrow(m))).collect();
        let mut text = format!("% {}\n% {}\n", self.caption(), self.verdict);
        let _ = writeln!(text, "\\begin{{tabular}}{{l{columns}}}\n\\toprule\n & {} \\\\\n\\midrule", head.join(" & "));
        let rows = self.shown(references);
        for (i, row) in rows.iter().enumerate() {
            if i > 0 && rows[i - 1].kind != row.kind {
                text += "\\midrule\n";
            }
            let cell = |(metric, e): &(String, Estimate)| {
                let spread = match e.sd.filter(|_| row.kind == Kind::Configuration) {
                    Some(sd) => format!(" {{\\scriptsize$\\pm$ {}}}", number(sd)),
                    None => String::new(),
                };
                let mean = number(e.mean);
                let mean = if row.best.contains(metric) { format!("\\textbf{{{mean}}}") } else { mean };
                format!("{mean}{spread}")
            };
            let cells: Vec<String> = row.metrics.iter().map(cell).collect();
            let _ = writeln!(text, "{} & {} \\\\", tex(&row.name), cells.join(" & "));
        }
        text += "\\bottomrule\n\\end{tabular}\n";
        let entered = self.entered().map(|entered| format!("\\par{{\\footnotesize {}\\par}}\n", tex(&entered)));
        text + &entered.unwrap_or_default()
    }

    fn markdown(&self, references: bool) -> String {
        let mut text = format!(
            "{}\n\n| | {} |\n|---|{}\n",
            self.caption(),
            self.heads().join(" | "),
            "---:|".repeat(self.metrics.len())
        );
        for row in self.shown(references) {
            let cell = |(metric, e): &(String, Estimate)| {
                let text = plain(e, row.kind, self.is_spread());
                if row.best.contains(metric) { format!("**{}**", text.trim()) } else { text.trim().to_owned() }
            };
            let cells: Vec<String> = row.metrics.iter().map(cell).collect();
            let _ = writeln!(text, "| {} | {} |", row.name.replace('|', "\\|"), cells.join(" | "));
        }
        let base = &self.rows[self.baseline].name;
        let others: Vec<&ComparedRow> = self.shown(references).into_iter().filter(|r| r.name != *base).collect();
        if others.iter().any(|row| row.difference.iter().any(|(_, d)| d.low.is_some())) {
            let _ = writeln!(
                text,
                "\n| less {} | {} |\n|---|{}",
                base.replace('|', "\\|"),
                self.heads().join(" | "),
                "---:|".repeat(self.metrics.len())
            );
            for row in others {
                let cells: Vec<String> = row.difference.iter().map(|(_, d)| difference(d).trim().to_owned()).collect();
                let _ = writeln!(text, "| {} | {} |", row.name.replace('|', "\\|"), cells.join(" | "));
            }
        }
        let _ = writeln!(text, "\n{}\n", self.verdict);
        self.entered().iter().chain(&self.notes).for_each(|note| text += &format!("{note}\n"));
        text
    }
}

fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.4}") } else { "–".to_owned() }
}

fn plain(e: &Estimate, kind: Kind, spread: bool) -> String {
    match e.sd.filter(|sd| spread && (kind == Kind::Configuration || *sd > 5e-5)) {
        Some(sd) => format!("{} ± {}", number(e.mean), number(sd)),
        None => number(e.mean),
    }
}

/// A difference with half the width of its interval, and its p-value.
fn difference(d: &Difference) -> String {
    let p = match d.p {
        Some(p) if p < 0.001 => " p<.001".to_owned(),
        Some(p) => format!(" p {}", format!("{p:.3}").trim_start_matches('0')),
        None => String::new(),
    };
    match (d.low, d.high) {
        (Some(low), Some(high)) => format!("{:+.4} ±{:.3}{p}", d.mean, (high - low) / 2.0),
        _ => format!("{:+.4}{p}", d.mean),
    }
}

/// A table of right-aligned columns between rules, with one between kinds of rows.
fn aligned(text: &mut String, head: &[String], names: &[String], cells: &[Vec<String>], kinds: &[Kind]) {
    let width = |texts: &mut dyn Iterator<Item = &String>| texts.map(|t| t.chars().count()).max().unwrap_or(0);
    let first = width(&mut names.iter()).max(8);
    let columns = head.iter().enumerate();
    let widths: Vec<usize> =
        columns.map(|(m, name)| width(&mut cells.iter().filter_map(|row| row.get(m)).chain([name])) + 2).collect();
    let rule = "─".repeat(first + widths.iter().sum::<usize>());
    let line = |name: &str, cells: &[String]| {
        let padded = |(cell, w): (&String, &usize)| format!("{cell:>w$}");
        format!("{name:first$}{}\n", cells.iter().zip(&widths).map(padded).collect::<String>())
    };
    *text += &format!("{rule}\n{}{rule}\n", line("", head));
    for (i, (name, row)) in names.iter().zip(cells).enumerate() {
        if i > 0 && kinds[i] != kinds[i - 1] {
            *text += &format!("{}\n", "┈".repeat(rule.chars().count()));
        }
        *text += &line(name, row);
    }
    *text += &format!("{rule}\n");
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

fn tex(text: &str) -> String {
    let escape = |c: char| match c {
        '&' | '%' | '$' | '#' | '_' | '{' | '}' => format!("\\{c}"),
        '\\' => "\\textbackslash{}".to_owned(),
        '~' => "\\textasciitilde{}".to_owned(),
        '^' => "\\textasciicircum{}".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}
