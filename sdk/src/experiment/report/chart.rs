//! Charts as SVG, drawn by plotters: inside of a page, coloured by its style sheet, or as files of their own.

use super::html::{escape, light, table};
use crate::{Error, Result};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::fmt::Write;

/// Size of a chart in its own units; about that of a phone, so that its text is as large as the text around it.
const WIDTH: u32 = 360;
const HEIGHT: u32 = 210;

/// Points of a line that are drawn as dots, too.
const FEW: usize = 12;

/// Colours that stand for those of the style sheet until the drawing is text.
const INK: RGBColor = RGBColor(1, 1, 1);
const LINE: RGBColor = RGBColor(1, 1, 2);
const SERIES: [RGBColor; 6] =
    [RGBColor(1, 2, 0), RGBColor(1, 2, 1), RGBColor(1, 2, 2), RGBColor(1, 2, 3), RGBColor(1, 2, 4), RGBColor(1, 2, 5)];

/// A line of a chart.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// What it shows.
    pub name: String,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
    /// Which of the six colours.
    pub colour: usize,
    /// Whether it is dashed.
    pub dashed: bool,
}

/// Where lines are drawn.
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Why something is not drawn.
type Failure<'b> = DrawingAreaErrorKind<<SVGBackend<'b> as DrawingBackend>::ErrorType>;

impl Series {
    /// Draws the line, and its points where they are few.
    fn draw<'b>(&self, chart: &mut Plane<'_, 'b>) -> Result<(), Failure<'b>> {
        let colour = SERIES[self.colour % SERIES.len()];
        let points: Vec<(f64, f64)> = self.points.iter().copied().filter(|p| p.1.is_finite()).collect();
        if points.len() <= FEW {
            chart.draw_series(points.iter().map(|&p| Circle::new(p, 3, colour.filled())))?;
        }
        let style = colour.stroke_width(2);
        match self.dashed {
            true => chart.draw_series(DashedLineSeries::new(points, 5, 3, style)).map(drop),
            false => chart.draw_series(LineSeries::new(points, style)).map(drop),
        }
    }
}

/// How words and numbers are written.
fn label() -> TextStyle<'static> {
    ("sans-serif", 12).into_font().color(&INK)
}

/// A chart of lines.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// What it shows, with its unit.
    pub title: String,
    /// What lies to the right, with its unit.
    pub x: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Where phases begin, with what they are.
    pub phases: Vec<(f64, String)>,
    /// Whether the vertical axis ends at 1 where values are parts.
    pub part: bool,
    /// Whether the vertical axis begins below the least value, and not at 0.
    pub zoomed: bool,
    /// Whether both axes go from 0 to 1 and the diagonal is drawn, on which a calibrated model lies.
    pub diagonal: bool,
    /// A table that stands for the points, in place of one of theirs.
    pub numbers: Option<String>,
}

impl Chart {
    /// As a figure with legend and numbers.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn figure(&self) -> Result<String> {
        let mut text = format!("<figure><h3>{}</h3>{}", escape(&self.title), self.svg()?);
        if self.series.len() > 1 || self.series.iter().any(|s| s.dashed) {
            text += "<ul class=\"legend soft\">";
            for series in &self.series {
                let dash = if series.dashed { " stroke-dasharray=\"5 3\"" } else { "" };
                let _ = write!(
                    text,
                    "<li><svg viewBox=\"0 0 28 8\" aria-hidden=\"true\"><path d=\"M0 4H28\" stroke=\"var(--c{})\" \
                     stroke-width=\"2.5\"{dash}/></svg>{}</li>",
                    series.colour % SERIES.len(),
                    escape(&series.name)
                );
            }
            text += "</ul>";
        }
        if self.phases.len() > 1 {
            let phases: Vec<String> =
                self.phases.iter().enumerate().map(|(i, (_, n))| format!("{} {n}", i + 1)).collect();
            let _ = write!(text, "<figcaption>{}</figcaption>", escape(&phases.join(" · ")));
        }
        Ok(text + &self.numbers() + "</figure>\n")
    }

    /// As a file: with its title above and its legend below, in the colours of a light page.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn picture(&self) -> Result<String> {
        let line = 18;
        let (below, height) = (line + HEIGHT, 2 * line + HEIGHT + line * self.series.len() as u32);
        let text = |x: u32, y: u32, text: &str| {
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-family=\"sans-serif\" font-size=\"10\" fill=\"var(--ink)\">{}</text>",
                escape(text)
            )
        };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\">\n<rect width=\"{WIDTH}\" \
             height=\"{height}\" fill=\"var(--page)\"/>\n{}\n",
            text(8, 14, &self.title)
        );
        let inside = format!("<svg y=\"{line}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role");
        out += &self.svg()?.replacen("<svg role", &inside, 1);
        for (i, series) in self.series.iter().enumerate() {
            let (y, colour) = (below + line * (i as u32 + 1), series.colour % SERIES.len());
            let dash = if series.dashed { " stroke-dasharray=\"5 3\"" } else { "" };
            let path = format!("M46 {0}H74", y - 4);
            let _ = writeln!(
                out,
                "<path d=\"{path}\" stroke=\"var(--c{colour})\" stroke-width=\"2.5\"{dash}/>{}",
                text(80, y, &series.name)
            );
        }
        out += "</svg>\n";
        let colours = (0..SERIES.len()).map(|i| format!("c{i}")).chain(["ink", "line", "page"].map(str::to_owned));
        Ok(colours.fold(out, |out, name| out.replace(&format!("var(--{name})"), light(&name))))
    }

    /// The points as a table, for those who cannot see the lines or want to copy them.
    fn numbers(&self) -> String {
        let mut xs: Vec<f64> = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
        xs.sort_unstable_by(f64::total_cmp);
        xs.dedup();
        let head: Vec<String> =
            std::iter::once(self.x.clone()).chain(self.series.iter().map(|s| s.name.clone())).collect();
        let row = |x: &f64| {
            let value = |s: &Series| s.points.iter().find(|p| p.0 == *x).map_or(String::new(), |p| short(p.1));
            std::iter::once(short(*x)).chain(self.series.iter().map(value)).collect::<Vec<_>>()
        };
        let rows: Vec<Vec<String>> = xs.iter().map(row).collect();
        let numbers = self.numbers.clone().unwrap_or_else(|| table(&head, &rows));
        format!("<details><summary>Numbers</summary>{numbers}</details>")
    }

    /// The drawing.
    fn svg(&self) -> Result<String> {
        let points = || self.series.iter().flat_map(|s| s.points.iter()).filter(|p| p.1.is_finite());
        let (mut left, mut right, mut top) = (f64::MAX, f64::MIN, 0.0f64);
        points().for_each(|&(x, y)| (left, right, top) = (left.min(x), right.max(x), top.max(y)));
        let least = points().fold(if self.zoomed { f64::MAX } else { 0.0 }, |low, p| low.min(p.1));
        if left > right {
            return Ok("<p class=\"soft\">nothing to show</p>".to_owned());
        }
        if self.diagonal {
            (left, right) = (0.0, 1.0);
        } else if left == right {
            (left, right) = (left - 0.5, right + 0.5);
        }
        let top = match self.diagonal || self.part && top > 0.5 {
            true => 1.0,
            // A twentieth of the height stays free on both sides.
            false if self.zoomed && top > least => top + (top - least) / 18.0,
            false => nice(if top > least { top } else { least + 1.0 }),
        };
        let bottom = if self.zoomed { least - (top - least) / 19.0 } else { least };
        let mut out = String::new();
        self.draw(&mut out, left..right, bottom..top)
            .map_err(|e| Error::program(format!("cannot draw the chart {}: {e}", self.title)))?;
        Ok(styled(&out, &self.spoken()))
    }

    fn draw(
        &self,
        out: &mut String,
        xs: std::ops::Range<f64>,
        ys: std::ops::Range<f64>,
    ) -> Result<(), Box<dyn std::error::Error + '_>> {
        let root = SVGBackend::with_string(out, (WIDTH, HEIGHT)).into_drawing_area();
        let fail = |e: DrawingAreaErrorKind<_>| -> Box<dyn std::error::Error> { format!("{e}").into() };
        let mut chart = ChartBuilder::on(&root)
            .margin_top(if self.phases.len() > 1 { 16 } else { 8 })
            .margin_right(14)
            .margin_left(2)
            .margin_bottom(4)
            .x_label_area_size(36)
            .y_label_area_size(46)
            .build_cartesian_2d(xs.clone(), ys.clone())
            .map_err(fail)?;
        self.draw_axes(&mut chart, &xs).map_err(fail)?;
        if self.phases.len() > 1 {
            self.draw_phases(&mut chart, &ys).map_err(fail)?;
            for (place, text) in self.phase_numbers(&xs) {
                root.draw(&Text::new(text, place, label())).map_err(fail)?;
            }
        }
        if self.diagonal {
            let end = xs.end.min(ys.end);
            chart.draw_series(LineSeries::new([(0.0, 0.0), (end, end)], INK.mix(0.4))).map_err(fail)?;
        }
        self.series.iter().try_for_each(|series| series.draw(&mut chart)).map_err(fail)?;
        root.present().map_err(fail)?;
        Ok(())
    }

    fn draw_axes<'b>(&self, chart: &mut Plane<'_, 'b>, xs: &std::ops::Range<f64>) -> Result<(), Failure<'b>> {
        let whole = xs.start.fract() == 0.0 && xs.end - xs.start >= 4.0;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(LINE)
            .light_line_style(TRANSPARENT)
            .axis_style(LINE)
            .label_style(label())
            .axis_desc_style(label())
            .x_desc(self.x.as_str())
            .x_labels(5)
            .y_labels(5)
            .x_label_formatter(&|x| if whole { format!("{x:.0}") } else { short(*x) })
            .y_label_formatter(&|y| short(*y))
            .draw()
    }

    /// A line where each phase but the first begins.
    fn draw_phases<'b>(&self, chart: &mut Plane<'_, 'b>, ys: &std::ops::Range<f64>) -> Result<(), Failure<'b>> {
        self.phases.iter().skip(1).try_for_each(|(at, _)| {
            let line = PathElement::new(vec![(*at, ys.start), (*at, ys.end)], INK.mix(0.5));
            chart.draw_series(std::iter::once(line)).map(drop)
        })
    }

    /// Numbers of the phases above the chart, where there is room for them.
    fn phase_numbers(&self, xs: &std::ops::Range<f64>) -> Vec<((i32, i32), String)> {
        let across = |x: f64| 42.0 + (x - xs.start) / (xs.end - xs.start) * (WIDTH as f64 - 42.0 - 14.0);
        let mut last = f64::MIN;
        let mut placed = Vec::new();
        for (i, (at, _)) in self.phases.iter().enumerate() {
            let place = across(at.max(xs.start)) + 2.0;
            if place >= last + 9.0 && place < WIDTH as f64 - 8.0 {
                placed.push(((place as i32, 3), (i + 1).to_string()));
                last = place;
            }
        }
        placed
    }

    /// What a screen reader says.
    fn spoken(&self) -> String {
        let ends = self.series.iter().filter_map(|s| {
            let (first, last) = (s.points.first()?, s.points.last()?);
            Some(format!("{} from {} to {}", s.name, short(first.1), short(last.1)))
        });
        format!("{}: {}", self.title, ends.collect::<Vec<_>>().join(", "))
    }
}

/// The colours of the style sheet, and a text for those who cannot see the drawing.
fn styled(svg: &str, spoken: &str) -> String {
    let hex = |c: &RGBColor| format!("#{:02X}{:02X}{:02X}", c.0, c.1, c.2);
    let mut text = svg.replace(&hex(&INK), "var(--ink)").replace(&hex(&LINE), "var(--line)");
    for (i, colour) in SERIES.iter().enumerate() {
        text = text.replace(&hex(colour), &format!("var(--c{i})"));
    }
    // The style sheet sizes it, by its viewBox.
    let size = format!("<svg width=\"{WIDTH}\" height=\"{HEIGHT}\"");
    text.replacen(&size, &format!("<svg role=\"img\" aria-label=\"{}\"", escape(spoken)), 1)
}

/// The next of 1, 2, 2.5 and 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.iter().map(|s| s * power).find(|&s| s >= value * 1.02).unwrap_or(10.0 * power)
}

/// A number in as few digits as tell it apart.
pub fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        v if v < 0.001 => format!("{value:.1e}"),
        v if v < 10.0 => trimmed(format!("{value:.4}")),
        v if v < 1000.0 => trimmed(format!("{value:.1}")),
        _ => format!("{value:.0}"),
    }
}

fn trimmed(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let points = |f: &dyn Fn(f64) -> f64| (1..=60).map(|x| (f64::from(x), f(f64::from(x)))).collect();
        Chart {
            title: "Loss <nats>".into(),
            x: "epoch".into(),
            series: vec![
                Series { name: "train".into(), points: points(&|x| 0.7 / x), ..Series::default() },
                Series { name: "valid".into(), points: points(&|x| 0.9 / x), colour: 1, dashed: true },
            ],
            phases: [(1.0, "lab"), (40.0, "joint"), (40.5, "individual"), (60.0, "finetune")]
                .map(|(at, name)| (at, name.to_owned()))
                .into(),
            ..Chart::default()
        }
    }

    /// Boxes of the texts of a drawing, letters 0.6 of their height wide: left, top, right, bottom.
    fn boxes(svg: &str) -> Vec<(String, [f64; 4])> {
        let parts: Vec<&str> = svg.split("<text ").skip(1).collect();
        let attribute = |part: &str, name: &str| -> Option<String> {
            let from = part.find(&format!("{name}=\""))? + name.len() + 2;
            Some(part[from..].split('"').next()?.to_owned())
        };
        let number = |part: &str, name: &str| attribute(part, name).and_then(|v| v.parse::<f64>().ok());
        let each = parts.iter().map(|part| {
            let text = part.split('>').nth(1).unwrap().split('<').next().unwrap().trim().to_owned();
            let (x, y) = (number(part, "x").unwrap(), number(part, "y").unwrap());
            let size = number(part, "font-size").unwrap();
            let width = 0.6 * size * text.chars().count() as f64;
            let left = match attribute(part, "text-anchor").as_deref() {
                Some("end") => x - width,
                Some("middle") => x - width / 2.0,
                _ => x,
            };
            let down = attribute(part, "dy").and_then(|d| d.trim_end_matches("em").parse::<f64>().ok()).unwrap_or(0.0);
            let base = y + down * size;
            (text, [left, base - 0.75 * size, left + width, base + 0.2 * size])
        });
        each.collect()
    }

    #[test]
    fn no_text_is_cut_and_none_overlaps() {
        let one = Chart { phases: Vec::new(), part: true, ..chart() };
        let large = Chart {
            series: vec![Series { points: vec![(0.0, 123456.0), (1.0, 98765.4)], ..Series::default() }],
            ..Chart::default()
        };
        let bins = |b: i32| (f64::from(b) / 15.0 + 0.03, f64::from(b) / 20.0);
        let reliability = Chart {
            series: vec![Series { points: (0..15).map(bins).collect(), ..Series::default() }],
            diagonal: true,
            x: "probability predicted".into(),
            ..Chart::default()
        };
        let recall = Chart {
            series: vec![Series { points: vec![(1.0, 0.2), (2.0, 0.3), (100.0, 0.97)], ..Series::default() }],
            part: true,
            x: "k, number of codes predicted".into(),
            ..Chart::default()
        };
        for chart in [chart(), one, large, reliability, recall] {
            let svg = chart.svg().unwrap();
            let boxes = boxes(&svg);
            assert!(boxes.len() >= 6, "{svg}");
            for (i, (text, b)) in boxes.iter().enumerate() {
                assert!(b[0] >= -0.5 && b[1] >= -0.5, "`{text}` is cut: {b:?}");
                assert!(b[2] <= f64::from(WIDTH) + 0.5 && b[3] <= f64::from(HEIGHT) + 0.5, "`{text}` is cut: {b:?}");
                for (other, o) in &boxes[i + 1..] {
                    let apart = b[2] <= o[0] || o[2] <= b[0] || b[3] <= o[1] || o[3] <= b[1];
                    assert!(apart, "`{text}` and `{other}` overlap: {b:?} {o:?}");
                }
            }
        }
    }

    #[test]
    fn colours_are_those_of_the_page() {
        let figure = chart().figure().unwrap();
        assert!(!figure.contains("=\"#"), "{figure}");
        assert!(figure.contains("stroke=\"var(--c1)\"") && figure.contains("Loss &lt;nats&gt;"));
        assert!(figure.contains("role=\"img\"") && figure.contains("1 lab · 2 joint"));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let empty = Chart { series: vec![Series::default()], ..Chart::default() };
        assert!(empty.svg().unwrap().contains("nothing to show"));
        let flat = Chart { series: vec![Series { points: vec![(1.0, 0.0)], ..Series::default() }], ..Chart::default() };
        assert!(flat.svg().unwrap().contains("<circle"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.5, 0.61234567, 12.0, 12.34, 4321.5, 0.0001].map(short),
            ["0", "0.5", "0.6123", "12", "12.3", "4322", "1.0e-4"]
        );
        assert_eq!([0.6, 0.99, 43.0, 1234.0].map(nice), [0.8, 1.0, 50.0, 1500.0]);
    }
}
