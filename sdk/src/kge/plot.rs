//! A picture of a part of a hierarchy in polar coordinates: modulus as radius, phase as angle.

use super::files::Embeddings;
use super::model::EmbeddingModel;
use super::triples::KnowledgeGraph;
use crate::{Error, Result};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

/// Colours of the levels, from the root on.
const COLOURS: [&str; 6] = ["#b42318", "#dc6803", "#087443", "#0e7090", "#2563a8", "#7839ee"];
const SIZE: f64 = 640.0;
const CENTRE: f64 = SIZE / 2.0;
/// The radius of the outermost ring.
const RIM: f64 = CENTRE - 20.0;

/// An entity and what is below it, level by level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    /// Entities with their level, the root being 0.
    pub members: Vec<(u32, usize)>,
    /// The relation from an entity to the one above it.
    pub relation: u32,
}

impl Subtree {
    /// What reaches `root` by `relation` in at most `depth` steps. Without a relation, the one that most triples into the
    /// root have.
    ///
    /// # Errors
    /// When there is no such entity or relation, or nothing is below the root.
    pub fn new(graph: &KnowledgeGraph, root: &str, relation: Option<&str>, depth: usize) -> Result<Self> {
        let start = entity(graph, root)?;
        let relation = match relation {
            Some(name) => graph.relations.get(name).ok_or_else(|| {
                Error::user(format!("there is no relation `{name}`")).suggest(name, graph.relations.list())
            })?,
            None => {
                let mut counts: HashMap<u32, usize> = HashMap::new();
                graph.all().filter(|t| t.tail == start).for_each(|t| *counts.entry(t.relation).or_default() += 1);
                let most = counts.into_iter().max_by_key(|&(relation, n)| (n, std::cmp::Reverse(relation)));
                most.map(|(relation, _)| relation).ok_or_else(|| Error::user(format!("nothing is below `{root}`")))?
            }
        };
        let mut below: HashMap<u32, Vec<u32>> = HashMap::new();
        for t in graph.all().filter(|t| t.relation == relation) {
            below.entry(t.tail).or_default().push(t.head);
        }
        let (mut members, mut waiting) = (Vec::new(), VecDeque::from([(start, 0)]));
        let mut seen = std::collections::HashSet::from([start]);
        while let Some((entity, level)) = waiting.pop_front() {
            members.push((entity, level));
            let children = below.get(&entity).into_iter().flatten().filter(|_| level < depth);
            for &child in children {
                if seen.insert(child) {
                    waiting.push_back((child, level + 1));
                }
            }
        }
        match members.len() > 1 {
            true => Ok(Self { members, relation }),
            false => Err(Error::user(format!("nothing is below `{root}`")).help(format!(
                "by the relation `{}`; --relation names another",
                graph.relations.list()[relation as usize]
            ))),
        }
    }
}

/// The index of an entity, or an error with names that are near.
pub(super) fn entity(graph: &KnowledgeGraph, name: &str) -> Result<u32> {
    graph.entities.get(name).ok_or_else(|| {
        let start: String = name.chars().take(2).collect();
        let near = graph.entities.list().iter().filter(|other| other.starts_with(&start)).take(12);
        Error::user(format!("there is no entity `{name}`")).suggest(name, near)
    })
}

/// What is shown of a level.
#[derive(Clone, Default)]
struct Level {
    entities: usize,
    /// Angle and modulus, of each dimension of each entity.
    points: Vec<(f32, f32)>,
}

/// The picture, and for each level the number of entities and the mean of the moduli.
///
/// Every entity gives a point a dimension, at the angle of its phase. The radius is the logarithm of the modulus, from the
/// 2nd percentile of what is shown at the centre to the 98th at the rim: what is higher in a hierarchy should be nearer to
/// the centre.
///
/// # Errors
/// When the model has no polar coordinates.
pub fn polar_svg(
    model: &dyn EmbeddingModel,
    embeddings: &Embeddings,
    tree: &Subtree,
    title: &str,
) -> Result<(String, Vec<(usize, f64)>)> {
    let levels = levels(model, embeddings, tree)?;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIZE} {height}\" font-family=\"system-ui,sans-serif\" \
         font-size=\"13\"><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/><title>{}</title>\n",
        escape(title),
        height = SIZE + 60.0
    );
    for ring in 1..=4 {
        let r = RIM * f64::from(ring) / 4.0;
        let _ = writeln!(svg, "<circle cx=\"{CENTRE}\" cy=\"{CENTRE}\" r=\"{r}\" fill=\"none\" stroke=\"#d8dde6\"/>");
    }
    draw_points(&mut svg, &levels);
    let mut summary = Vec::new();
    for (i, Level { entities, points }) in levels.iter().enumerate() {
        let mean = points.iter().map(|(_, r)| f64::from(*r)).sum::<f64>() / points.len().max(1) as f64;
        summary.push((*entities, mean));
        draw_label(&mut svg, i, *entities);
    }
    svg += "</svg>\n";
    Ok((svg, summary))
}

fn levels(model: &dyn EmbeddingModel, embeddings: &Embeddings, tree: &Subtree) -> Result<Vec<Level>> {
    let mut levels: Vec<Level> = Vec::new();
    for &(entity, level) in &tree.members {
        let Some(points) = model.polar(embeddings.parameters.entities.row(entity)) else {
            return Err(
                Error::user("this model has no phases and moduli").help("`hake` has; train with model.type = \"hake\"")
            );
        };
        levels.resize(levels.len().max(level + 1), Level::default());
        levels[level].entities += 1;
        levels[level].points.extend(points);
    }
    Ok(levels)
}

/// Draws the points, those of the root last, so that the many do not hide it.
fn draw_points(svg: &mut String, levels: &[Level]) {
    const LEAST: f32 = 1e-6;
    let mut radii: Vec<f32> = levels.iter().flat_map(|level| &level.points).map(|(_, r)| r.max(LEAST).ln()).collect();
    radii.sort_by(f32::total_cmp);
    let at = |part: f64| radii[((radii.len() - 1) as f64 * part) as usize];
    let (low, high) = (at(0.02), at(0.98).max(at(0.02) + LEAST));
    for (i, Level { points, .. }) in levels.iter().enumerate().rev() {
        let size = if i == 0 { 2.2 } else { 1.1 };
        let _ = writeln!(svg, "<g fill=\"{}\" fill-opacity=\"0.55\">", COLOURS[i % COLOURS.len()]);
        for &(angle, modulus) in points {
            let r = f64::from(((modulus.max(LEAST).ln() - low) / (high - low)).clamp(0.0, 1.0)) * RIM;
            let (sine, cosine) = f64::from(angle).sin_cos();
            let _ =
                write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{size}\"/>", CENTRE + r * cosine, CENTRE - r * sine);
        }
        *svg += "</g>\n";
    }
}

/// Says below the picture which colour a level has, and how many entities.
fn draw_label(svg: &mut String, level: usize, entities: usize) {
    let (x, colour) = (20.0 + 150.0 * (level % 4) as f64, COLOURS[level % COLOURS.len()]);
    let y = SIZE + 16.0 + 20.0 * (level / 4) as f64;
    let _ = writeln!(
        svg,
        "<circle cx=\"{x}\" cy=\"{}\" r=\"5\" fill=\"{colour}\"/><text x=\"{}\" y=\"{y}\" fill=\"#1d2433\">level {level}: \
         {entities} entities</text>",
        y - 4.0,
        x + 10.0
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Entities nearest to one, by the model's distance, with that distance; the entity itself is left out.
///
/// # Errors
/// When there is no such entity.
pub fn nearest(
    model: &dyn EmbeddingModel,
    embeddings: &Embeddings,
    name: &str,
    most: usize,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, f32)>> {
    let graph = KnowledgeGraph { entities: embeddings.entities.clone(), ..KnowledgeGraph::default() };
    let own = entity(&graph, name)?;
    let parameters = &embeddings.parameters;
    let row = parameters.entities.row(own);
    let others = (0..).zip(embeddings.entities.list()).filter(|(e, other)| *e != own && wanted(other));
    let distance = |(e, other): (u32, &String)| {
        (other.clone(), model.distance(row, parameters.entities.row(e), &parameters.shared.values))
    };
    let mut all: Vec<(String, f32)> = others.map(distance).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all.truncate(most);
    Ok(all)
}
