//! The page of a comparison or a sweep.

use super::{Chart, Series, escape, page, paragraph, table_of};
use crate::experiment::compare::{ComparedRow, Comparison, Format, Kind};
use crate::train::RESAMPLES;
use crate::train::metrics::{column_head, lower_is_better};
use std::fmt::Write;

impl Comparison {
    /// A page without outside resources.
    pub fn html(&self, title: &str) -> String {
        let sections = [
            ("found", "What was found", self.found()),
            ("differences", "Differences, patient by patient", self.differences()),
            ("recall", "Recall at k", self.recall()),
            ("rows", "Rows", self.row_section()),
            ("notes", "How to read it", self.reading()),
            ("copy", "To copy", self.to_copy()),
        ];
        page(title, &self.caption(), &sections)
    }

    fn ordered(&self) -> Vec<&ComparedRow> {
        let of = |kind| self.of_kind(kind).map(|(_, row)| row);
        of(Kind::Reference).chain(of(Kind::Configuration)).chain(of(Kind::Oracle)).collect()
    }

    fn found(&self) -> String {
        let head: Vec<String> = ["".to_owned(), "runs".to_owned()]
            .into_iter()
            .chain(self.metrics.iter().map(|m| escape(&column_head(m))))
            .collect();
        let cells = |row: &&ComparedRow| {
            let cell = |(metric, e): &(String, crate::experiment::compare::Estimate)| {
                let mean = if e.mean.is_finite() { format!("{:.4}", e.mean) } else { "–".to_owned() };
                let mean = if row.best.contains(metric) { format!("<strong>{mean}</strong>") } else { mean };
                let sd =
                    e.sd.filter(|_| row.kind == Kind::Configuration).map_or(String::new(), |sd| format!(" ± {sd:.4}"));
                let interval =
                    e.low.zip(e.high).map_or(String::new(), |(l, h)| format!("<small>{l:.3} – {h:.3}</small>"));
                format!("{mean}{sd}{interval}")
            };
            [escape(&row.name), row.runs.to_string()].into_iter().chain(row.metrics.iter().map(cell)).collect()
        };
        let rows = self.ordered();
        let class = |row: &&ComparedRow| match row.kind {
            Kind::Configuration => "",
            Kind::Reference | Kind::Oracle => "oracle",
        };
        let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
        let classes: Vec<&str> = rows.iter().map(class).collect();
        let table = table_of(&head, &cells, &classes);
        let entered = self.entered().map(|entered| paragraph(&entered)).unwrap_or_default();
        format!("<p class=\"verdict\">{}</p>\n{table}{entered}", escape(&self.verdict))
    }

    /// For each metric that is a mean over patients, the differences to the baseline as intervals.
    fn differences(&self) -> String {
        let base = &self.rows[self.baseline];
        let mut out = String::new();
        for (m, metric) in self.metrics.iter().enumerate() {
            let others: Vec<&ComparedRow> = self.ordered().into_iter().filter(|row| row.name != base.name).collect();
            let ends = others.iter().filter_map(|r| Some([r.difference[m].1.low?, r.difference[m].1.high?])).flatten();
            let reach = ends.map(f64::abs).fold(0.0, f64::max);
            if reach == 0.0 {
                continue;
            }
            let _ = writeln!(out, "<h3>{} less that of {}</h3>", escape(&column_head(metric)), escape(&base.name));
            let place = |v: f64| 50.0 + 46.0 * v / reach;
            let row = |row: &&ComparedRow| {
                let d = &row.difference[m].1;
                let bar = d.low.zip(d.high).map_or(String::new(), |(low, high)| {
                    format!(
                        "<div class=\"bar\" aria-hidden=\"true\"><u style=\"left:50%\"></u><i style=\"left:{:.2}%;width:{:.2}%\"></i><b style=\"left:{:.2}%\"></b></div>",
                        place(low),
                        place(high) - place(low),
                        place(d.mean)
                    )
                });
                let interval = d.low.zip(d.high).map_or("–".to_owned(), |(l, h)| format!("{l:+.4} to {h:+.4}"));
                let p =
                    d.p.map_or("–".to_owned(), |p| if p < 0.001 { "&lt; .001".to_owned() } else { format!("{p:.3}") });
                vec![escape(&row.name), format!("{:+.4}", d.mean), interval, p, bar]
            };
            let rows: Vec<Vec<String>> = others.iter().map(row).collect();
            let sides = if lower_is_better(metric) { "better · worse" } else { "worse · better" };
            let head = ["", "difference", "95 % interval", "p", sides].map(str::to_owned);
            out += &table_of(&head, &rows, &vec![""; rows.len()]);
        }
        out
    }

    fn recall(&self) -> String {
        let at = |name: &str| name.strip_prefix("R@").and_then(|k| k.parse::<f64>().ok());
        let series = |(i, row): (usize, &&ComparedRow)| {
            let points: Vec<(f64, f64)> = row.metrics.iter().filter_map(|(m, e)| Some((at(m)?, e.mean))).collect();
            let dashed = row.kind != Kind::Configuration;
            (points.len() > 1).then(|| Series { name: row.name.clone(), points, colour: i, dashed })
        };
        // More lines than colours are no chart any more.
        let rows: Vec<&ComparedRow> = self.ordered();
        let (configurations, others): (Vec<&ComparedRow>, Vec<&ComparedRow>) =
            rows.into_iter().partition(|row| row.kind == Kind::Configuration);
        let shown: Vec<&ComparedRow> = configurations.into_iter().chain(others).take(6).collect();
        let series: Vec<Series> = shown.iter().enumerate().filter_map(series).collect();
        if series.is_empty() {
            return String::new();
        }
        let chart = Chart {
            title: format!("Recall at k on test, {}", self.objective),
            x: "k, number of codes predicted".into(),
            series,
            part: true,
            ..Chart::default()
        };
        chart.figure().map(|figure| format!("<div class=\"charts\">{figure}</div>\n")).unwrap_or_default()
    }

    fn row_section(&self) -> String {
        let head = ["", "runs", "parameters", "seconds", "valid", "folders"].map(str::to_owned);
        let row = |row: &ComparedRow| {
            let valid = row
                .valid
                .iter()
                .find(|(m, _)| *m == self.primary)
                .map_or("–".to_owned(), |(m, v)| format!("{} {v:.4}", escape(m)));
            let folder = |f: &std::path::PathBuf| {
                f.file_name().map(|n| format!("<code>{}</code>", escape(&n.to_string_lossy()))).unwrap_or_default()
            };
            let folders = row.folders.iter().map(folder).collect::<Vec<_>>().join("<br>");
            vec![
                escape(&row.name),
                row.runs.to_string(),
                row.parameters.to_string(),
                format!("{:.0}", row.seconds),
                valid,
                folders,
            ]
        };
        let rows: Vec<Vec<String>> = self.of_kind(Kind::Configuration).map(|(_, r)| row(r)).collect();
        table_of(&head, &rows, &vec![""; rows.len()])
    }

    fn reading(&self) -> String {
        let draws = self.draws;
        let differ = if self.unpaired.is_some() { "seeds and patients" } else { "the seed" };
        let paired = format!(
            "Small figures are 95 % bootstrap intervals over patients ({draws} draws); differences are paired by \
             patient, and their intervals are over seeds too where both rows have several runs. P-values are by random signs ({draws} \
             draws), conditional on these trained models; those of configurations are corrected by Holm's method over them, those of \
             simple baselines and oracles are not, and the line at the top corrects its own over the rows that it picks from. Areas \
             under curves have intervals of {RESAMPLES} draws and no p-values. "
        );
        let mut out = paragraph(&format!(
            "Rows have the names that manifests give them, or what differs between these. ± is the standard deviation over runs, \
             which differ in {differ} alone. {}↓: less is better. Bold is best and different from every other configuration at .05.",
            if self.unpaired.is_some() { "" } else { paired.as_str() }
        ));
        self.notes.iter().for_each(|note| out += &paragraph(note));
        out
    }

    fn to_copy(&self) -> String {
        let forms = [("LaTeX (booktabs)", Format::Latex), ("Markdown", Format::Markdown), ("CSV", Format::Csv)];
        let block = |(name, format): &(&str, Format)| {
            let text = self.render(*format, None).unwrap_or_default();
            format!("<details><summary>{name}</summary><pre>{}</pre></details>\n", escape(&text))
        };
        forms.iter().map(block).collect()
    }
}
