//! `report.html`: results, curves and configuration of a run on one page without outside resources.

use super::flow_figure;
use super::outcome::{Outcome, StageOutcome, TrainedStage};
use crate::data::Step;
use crate::train::EpochRecord;
use std::fmt::Write;

const STYLE: &str = "
:root{--ink:#1d2433;--soft:#667085;--line:#d8dde6;--page:#fff;--card:#f7f8fa;--a:#2563a8;--b:#b45309}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--soft:#9aa4b5;--line:#39414f;--page:#14181f;--card:#1c222b;--a:#7db4ee;--b:#f0a95c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.1rem;margin-top:2rem}p.sub{color:var(--soft);margin-top:.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid var(--ink)}tr.model td{font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(18rem,1fr));gap:1rem}
figure{margin:0;background:var(--card);border-radius:8px;padding:.8rem}figcaption{font-size:.85rem;color:var(--soft)}
svg{width:100%;height:auto}text{fill:var(--soft);font:11px system-ui,sans-serif}
pre{background:var(--card);padding:1rem;overflow:auto;border-radius:8px;font-size:.8rem}";

/// The page of a run; `manifest` is the resolved one, `flow` leads from tables to cohort.
pub(super) fn html(outcome: &Outcome, history: &[EpochRecord], manifest: &str, flow: &[Step]) -> String {
    let name = escape(&outcome.name);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{name}</title><style>{STYLE}</style>\n<h1>{name}</h1>\
         <p class=\"sub\">{} parameters · {:.0} s on {}</p>\n",
        outcome.parameters,
        outcome.seconds,
        escape(&outcome.device)
    );
    outcome.stages.iter().for_each(|stage| table(&mut page, stage));
    trained(&mut page, &outcome.trained);
    let mut stages: Vec<&str> = history.iter().map(|r| r.stage.as_str()).collect();
    stages.dedup();
    for stage in stages {
        let records: Vec<&EpochRecord> = history.iter().filter(|r| r.stage == stage).collect();
        let _ = write!(page, "<h2>{}</h2><div class=\"charts\">", escape(stage));
        chart(&mut page, "training loss", "a", &records.iter().map(|r| r.train_loss).collect::<Vec<_>>());
        let metrics = records.first().map(|r| r.valid.as_slice()).unwrap_or_default();
        for (i, (metric, _)) in metrics.iter().enumerate() {
            let values: Vec<f64> = records.iter().filter_map(|r| r.valid.get(i)).map(|m| m.1).collect();
            chart(&mut page, &format!("valid {metric}"), "b", &values);
        }
        page.push_str("</div>\n");
    }
    page.push_str(&flow_figure::html(flow));
    let _ = writeln!(page, "<h2>Manifest</h2><pre>{}</pre></html>", escape(manifest));
    page
}

fn table(page: &mut String, stage: &StageOutcome) {
    let _ = write!(
        page,
        "<h2>{}: test, {} patients</h2><p class=\"sub\">{}</p><table><thead><tr><th></th>",
        escape(&stage.objective),
        stage.examples,
        escape(&stage.caption)
    );
    for (name, _) in stage.rows.first().map(|r| r.metrics.as_slice()).unwrap_or_default() {
        let _ = write!(page, "<th>{}</th>", escape(name));
    }
    page.push_str("</tr></thead><tbody>");
    for (i, row) in stage.rows.iter().enumerate() {
        let class = if Some(i) == stage.model_row() { " class=\"model\"" } else { "" };
        let _ = write!(page, "<tr{class}><td>{}</td>", escape(&row.name));
        for (name, value) in &row.metrics {
            let _ = write!(page, "<td>{}</td>", row.cell(name, *value));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>\n");
}

/// What training each stage took; of those from the cache, when they were trained.
fn trained(page: &mut String, stages: &[TrainedStage]) {
    if stages.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Training</h2><table><thead><tr><th></th><th>kept epoch</th><th>seconds</th><th>peak memory</th>\
         <th>from the cache</th></tr></thead><tbody>",
    );
    for stage in stages {
        let memory = stage.peak_memory.map_or("–".to_owned(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9));
        let cached = if stage.from_cache { "yes" } else { "" };
        let (name, epoch, seconds) = (escape(&stage.stage), stage.epoch + 1, stage.seconds);
        let _ = write!(
            page,
            "<tr><td>{name}</td><td>{epoch}</td><td>{seconds:.1}</td><td>{memory}</td><td>{cached}</td></tr>"
        );
    }
    page.push_str("</tbody></table>\n");
}

/// A curve over epochs, from 1.
fn chart(page: &mut String, title: &str, colour: &str, values: &[f64]) {
    const W: f64 = 320.0;
    const H: f64 = 160.0;
    const LEFT: f64 = 48.0;
    const TOP: f64 = 8.0;
    const BOTTOM: f64 = 22.0;
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let span = (high - low).max(1e-12);
    let x =
        |i: usize| LEFT + (W - LEFT - 8.0) * if values.len() > 1 { i as f64 / (values.len() - 1) as f64 } else { 0.5 };
    let y = |v: f64| TOP + (H - TOP - BOTTOM) * (high - v) / span;
    let points: Vec<String> = values.iter().enumerate().map(|(i, &v)| format!("{:.1},{:.1}", x(i), y(v))).collect();
    let dots: String = points
        .iter()
        .filter_map(|p| p.split_once(','))
        .map(|(x, y)| format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"2.5\" fill=\"var(--{colour})\"/>"))
        .collect();
    let dots = if values.len() <= 30 { dots } else { String::new() };
    let _ = write!(
        page,
        "<figure><svg viewBox=\"0 0 {W} {H}\" role=\"img\" aria-label=\"{title}\">\
         <path d=\"M{LEFT} {TOP}V{base}H{W}\" fill=\"none\" stroke=\"var(--line)\"/>\
         <text x=\"{edge}\" y=\"{top}\" text-anchor=\"end\">{high:.3}</text>\
         <text x=\"{edge}\" y=\"{base}\" text-anchor=\"end\">{low:.3}</text>\
         <text x=\"{LEFT}\" y=\"{foot}\">1</text><text x=\"{end}\" y=\"{foot}\" text-anchor=\"end\">{count} epochs</text>\
         <polyline points=\"{line}\" fill=\"none\" stroke=\"var(--{colour})\" stroke-width=\"2\"/>{dots}</svg>\
         <figcaption>{title}</figcaption></figure>",
        title = escape(title),
        base = H - BOTTOM,
        edge = LEFT - 4.0,
        top = TOP + 8.0,
        foot = H - 6.0,
        end = W - 8.0,
        count = values.len(),
        line = points.join(" "),
    );
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
