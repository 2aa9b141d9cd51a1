//! From tables to cohort as a figure: a box a step, and beside it what it left out and why, as in a CONSORT flow diagram.

use super::html::escape;
use crate::data::Step;
use crate::data::flow::{WORTH_A_WARNING, thousands};
use std::fmt::Write;

const WIDTH: usize = 720;
const BOX: usize = 300;
const LINE: usize = 16;
const GAP: usize = 22;

/// A section of the report; nothing without steps.
pub(super) fn html(steps: &[Step]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let (mut body, mut y) = (String::new(), 4);
    for (i, step) in steps.iter().enumerate() {
        let height = draw(&mut body, y, step);
        if i + 1 < steps.len() {
            let (from, to, x) = (y + height, y + height + GAP, 4 + BOX / 2);
            let _ = write!(body, "<path d=\"M{x} {from}V{to}\" marker-end=\"url(#to)\" class=\"way\"/>");
        }
        y += height + GAP;
    }
    format!(
        "<h2>From tables to cohort</h2><style>.flow text{{font:12px system-ui,sans-serif}}.flow .what{{fill:var(--ink);font-weight:600}}\
         .flow .way{{stroke:var(--soft);fill:none}}</style><figure class=\"flow\"><svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" \
         aria-label=\"flow from tables to cohort\"><defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"var(--soft)\"/></marker></defs>\
         {body}</svg><figcaption>What was read, kept and left out. Losses above {} % have a frame of another colour.\
         </figcaption></figure>\n",
        y - GAP + 4,
        100.0 * WORTH_A_WARNING,
    )
}

/// Draws a step at a height of the page, and beside it what it left out. Returns how tall that is.
fn draw(body: &mut String, y: usize, step: &Step) -> usize {
    let left_out = step.left_out.iter().filter(|l| l.count > 0);
    let left_out = left_out.map(|l| reason(step, l.count, &l.why, if l.by_rule { ", by rule" } else { "" }));
    let odd = step.odd.iter().map(|odd| reason(step, odd.count, &odd.what, ", but kept"));
    let reasons: Vec<String> = left_out.chain(odd).collect();
    let height = LINE * reasons.len().max(2) + 14;
    let middle = y + height / 2;
    boxed(body, 4, y, BOX, height, "line");
    let _ = write!(
        body,
        "<text x=\"16\" y=\"{}\" class=\"what\">{}</text><text x=\"16\" y=\"{}\">{} read, {} kept</text>",
        middle - 3,
        escape(&step.what),
        middle + 13,
        thousands(step.total),
        thousands(step.kept()),
    );
    if !reasons.is_empty() {
        let (right, large) = (BOX + 44, step.lost_part() > WORTH_A_WARNING);
        boxed(body, right, y, WIDTH - right - 4, height, if large { "b" } else { "line" });
        let _ = write!(body, "<path d=\"M{} {middle}H{right}\" marker-end=\"url(#to)\" class=\"way\"/>", BOX + 4);
        for (line, text) in reasons.iter().enumerate() {
            let at = y + 20 + LINE * line;
            let _ = write!(body, "<text x=\"{}\" y=\"{at}\">{}</text>", right + 12, escape(text));
        }
    }
    height
}

fn boxed(body: &mut String, x: usize, y: usize, width: usize, height: usize, colour: &str) {
    let _ = write!(
        body,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\" fill=\"var(--page)\" stroke=\"var(--{colour})\"/>"
    );
}

fn reason(step: &Step, count: u64, why: &str, how: &str) -> String {
    let part = 100.0 * count as f64 / step.total.max(1) as f64;
    format!("{} ({part:.1} %) {why}{how}", thousands(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_and_reason_has_a_place() {
        let steps = [
            Step::new("rows <of> a", 20).lost("without b", 3).odd_values("new", [("x", 1)], |_| true),
            Step::new("patients", 1200).by_rule("young", 4),
        ];
        let page = html(&steps);
        let texts = ["rows &lt;of&gt; a", "20 read, 17 kept", "3 (15.0 %) without b", "1 (5.0 %) new, but kept"];
        for text in texts.into_iter().chain(["4 (0.3 %) young, by rule"]) {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert_eq!(page.matches("stroke=\"var(--b)\"").count(), 1, "one loss is large");
        assert!(html(&[]).is_empty());
    }
}
