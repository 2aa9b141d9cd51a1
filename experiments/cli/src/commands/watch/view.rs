//! The picture: progress, curves, last lines.

use super::course::Curve;
use super::follow::Standing;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};

/// Draws a run.
pub fn draw(frame: &mut Frame<'_>, run: &Standing) {
    let areas =
        Layout::vertical([Constraint::Length(2), Constraint::Length(1), Constraint::Min(8), Constraint::Length(8)])
            .split(frame.area());
    let course = &run.course;
    let (done, all) = (course.done, course.all);
    let bold = Style::default().add_modifier(Modifier::BOLD);
    let head = vec![Line::styled(run.title.clone(), bold), Line::from(state(run))];
    frame.render_widget(Paragraph::new(head), areas[0]);
    let part = if all == 0 { 0.0 } else { done as f64 / all as f64 };
    let gauge = Gauge::default().ratio(part.clamp(0.0, 1.0)).label(format!("{done}/{all} {}", course.unit));
    frame.render_widget(gauge.gauge_style(Style::default().fg(Color::Blue)), areas[1]);
    let charts = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).split(areas[2]);
    let colours = [Color::Yellow, Color::Green];
    for ((area, curve), colour) in charts.iter().zip(&course.curves).zip(colours) {
        draw_curve(frame, *area, curve, course.unit, colour);
    }
    let room = areas[3].height.saturating_sub(1) as usize;
    let lines: Vec<Line<'_>> = run.log.iter().rev().take(room).rev().map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::default().title("log")), areas[3]);
}

/// One line: what it does, rate, time left, memory.
fn state(run: &Standing) -> String {
    let (course, mut parts) = (&run.course, Vec::new());
    if run.finished {
        parts.push("complete".to_owned());
    } else {
        parts.push(course.doing.clone().unwrap_or_else(|| "preparing".to_owned()));
        parts.extend(course.pace.map(|pace| format!("{pace:.2} {}/s", course.unit)));
        parts.extend(course.seconds_left.map(|s| format!("ETA {}", time(s))));
        parts.extend(run.memory.map(|bytes| format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64)));
        parts.extend(run.quiet.filter(|q| q.as_secs() >= 60).map(|q| format!("quiet for {}", time(q.as_secs_f64()))));
    }
    parts.extend(course.valid.as_ref().map(|(name, value)| format!("valid {name} {value:.4}")));
    parts.join(" · ")
}

fn time(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=99 => format!("{whole} s"),
        100..=5999 => format!("{} min", (seconds / 60.0).round()),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

fn draw_curve(frame: &mut Frame<'_>, area: Rect, curve: &Curve, unit: &str, colour: Color) {
    let block = Block::bordered().title(curve.title.clone());
    let points = &curve.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        frame.render_widget(Paragraph::new(curve.missing).block(block), area);
        return;
    };
    let finite = || points.iter().map(|p| p.1).filter(|v| v.is_finite());
    let (low, high) = finite().fold((0.0f64, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    let high = if high > low { high * 1.05 } else { low + 1.0 };
    let data = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line);
    let data = data.style(Style::default().fg(colour)).data(points);
    let (left, right) = (first.0, last.0.max(first.0 + 1.0));
    let x = Axis::default().bounds([left, right]).labels([format!("{left:.0}"), format!("{right:.0} {unit}")]);
    let y = Axis::default().bounds([low, high]).labels([format!("{low:.3}"), format!("{high:.3}")]);
    frame.render_widget(Chart::new(vec![data]).block(block).x_axis(x).y_axis(y), area);
}
