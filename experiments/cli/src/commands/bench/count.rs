//! What a training step computes and moves, counted from the equations.
//!
//! A multiplication and an addition are two operations; an exponential, a division or a root is one. Bias, ReLU and
//! dropout between layers are below a hundredth and left out. With n nodes, E edges (one self loop a node included for
//! GAT and GCN), V visits, M codes in visits, and B patients:
//!
//! - a layer of `rows` × in → out: 2 · rows · in · out forward, as much again for the gradient of its weights where
//!   they train, and again for that of its input where something before it trains;
//! - GAT, h heads of width d together: 4·n·d for a_dst · h_i and a_src · h_j, and for each edge 2·d + 6·h (score,
//!   LeakyReLU, maximum, exponential, sum, division; weighted sum); backward 8·n·d and 4·d + 5·h an edge;
//! - GCN: 2·d an edge, and 2·d backward;
//! - attention fusion, for each member of a set and channel: 8 forward (maximum, difference, exponential, sum,
//!   division, dropout, product, sum), 10 backward; its projection is a layer over all rows of the table;
//! - Adam: 14 a trained number.
//!
//! What does not train in a stage and is computed before its first step is in no step.
//!
//! Bytes, of 4-byte numbers: a GAT layer reads 4·E·d of rows forward and 8·E·d backward, a GCN layer 4·E·d each way,
//! a fusion 8 bytes a member and channel forward and 16 backward, all of them rows of a table; Adam streams 28 bytes a
//! trained number (reads weight, gradient and both moments, writes all but the gradient), the lists of edges 8 bytes
//! an edge and pass.

use super::machine::Limits;
use super::setup::{Case, Stage};
use dualk_sdk::data::Batch;
use dualk_sdk::experiment::manifest::{ComponentRef, Model as Parts};
use dualk_sdk::model::{Parameter, Reads, parameters};
use dualk_sdk::train::FrozenPart;

const ADAM: f64 = 14.0;
const ADAM_BYTES: f64 = 28.0;

/// What a step computes and moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// All floating-point operations.
    pub flop: f64,
    /// The operations of matrix products.
    layers: f64,
    /// Bytes of table rows that edges and sets point at.
    gathered: f64,
    /// Bytes read or written in order, beside matrix products.
    streamed: f64,
}

impl Work {
    /// Seconds that the step takes at least where matrix products run at their measured rate and all else waits for
    /// memory, one after the other.
    pub fn floor(&self, limits: &Limits) -> f64 {
        (self.layers / limits.matmul + self.gathered / limits.table + self.streamed / limits.read) / 1e9
    }
}

/// What a step works on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Load {
    nodes: f64,
    /// One self loop a node included.
    edges: f64,
    visits: f64,
    codes: f64,
    patients: f64,
}

/// The components whose equations are counted, by the keys of parts. Those of `edges` are beside, tables and heads are counted
/// by their parameters.
const COUNTED: [(&str, &str); 4] =
    [("patient_encoder", "fusions"), ("code_fusion", "attention"), ("visit_fusion", "attention"), ("lab", "linear")];

/// Whether the equations of all parts are counted.
fn are_counted(parts: &Parts) -> bool {
    parts.named_parts().all(|(key, _, part)| match key {
        "node_init" | "graph_encoder" | "head" => true,
        _ => COUNTED.contains(&(key, part.r#type.as_str())),
    })
}

/// A training step on `batch`, or `None` for parts whose equations are not counted.
pub fn step(case: &Case, batch: &Batch) -> Option<Work> {
    let parts = &case.experiment.manifest().model;
    let graph = &case.data.graph;
    if !are_counted(parts) {
        return None;
    }
    let loops = (0..graph.nodes()).filter(|&n| graph.incoming(n).0.contains(&(n as u32))).count();
    let load = Load {
        nodes: graph.nodes() as f64,
        edges: (graph.edges() + graph.nodes() - loops) as f64,
        visits: batch.codes.len() as f64,
        codes: batch.codes.members().values().len() as f64,
        patients: batch.len() as f64,
    };
    let mut list = parameters(&case.model);
    let width = list.iter().find(|p| p.path.starts_with("code_fusion"))?.shape[0] as f64;
    let of_graph = case.model.parts().into_iter().filter(|(_, reads)| *reads == Reads::Graph);
    let of_graph: Vec<String> = of_graph.map(|(path, _)| path).collect();
    list.retain(|p| is_used(&p.path, &of_graph, case));
    let is_head = |p: &Parameter| ["heads", "decoders", "lab"].iter().any(|part| p.path.starts_with(part));
    let trains_below = list.iter().any(|p| p.trains && !is_head(p));
    let backward = |x: f64| if trains_below { x } else { 0.0 };
    let layers: f64 = list.iter().filter_map(|p| layer(p, &load, trains_below)).sum();
    let trained: f64 = list.iter().filter(|p| p.trains).map(|p| p.shape.iter().product::<usize>() as f64).sum();
    let members = if case.frozen_part == FrozenPart::Patients { 0.0 } else { width * (load.codes + load.visits) };
    let mut edges = edges(&parts.graph_encoder, &load, trains_below)?;
    if case.frozen_part != FrozenPart::Nothing {
        edges = Work { flop: 0.0, layers: 0.0, gathered: 0.0, streamed: 0.0 };
    }
    Some(Work {
        flop: layers + edges.flop + (8.0 + backward(10.0)) * members + ADAM * trained,
        layers,
        gathered: edges.gathered + (8.0 + backward(16.0)) * members,
        streamed: edges.streamed + ADAM_BYTES * trained,
    })
}

/// Whether a step computes with a parameter: a head depends on it, and it is not computed once for the stage, as parts `of_graph`
/// can be.
fn is_used(path: &str, of_graph: &[String], case: &Case) -> bool {
    let mut parts = path.split('.');
    match (parts.next(), parts.next()) {
        (Some("heads"), Some(head)) => head.parse().is_ok_and(|head| case.heads.contains(&head)),
        // Classifiers look at a decoder's second layer, not at its logits.
        (Some("decoders" | "lab"), _) => case.stage == Stage::Finetune && !path.contains("fc3"),
        (Some(part), _) if of_graph.iter().any(|of_graph| of_graph == part) => case.frozen_part == FrozenPart::Nothing,
        _ => case.frozen_part != FrozenPart::Patients,
    }
}

/// The products of a weight matrix with its rows.
fn layer(parameter: &Parameter, load: &Load, trains_below: bool) -> Option<f64> {
    let (&[input, output], path) = (parameter.shape.as_slice(), &parameter.path) else { return None };
    let part = path.split('.').next()?;
    let rows = match part {
        "nodes" => return None, // a table, not a layer
        "encoder" | "code_fusion" => load.nodes,
        "visit_fusion" => load.visits,
        _ => load.patients,
    };
    let input_gradient = match part {
        "lab" => false,
        "heads" => trains_below || !path.contains("fc1"),
        _ => trains_below,
    };
    let products = 1 + usize::from(parameter.trains) + usize::from(input_gradient);
    Some(2.0 * rows * (input * output * products) as f64)
}

/// What an encoder does at its edges, its products with weights left out.
fn edges(encoder: &ComponentRef, load: &Load, trains: bool) -> Option<Work> {
    let number = |key: &str| encoder.options.get(key).and_then(|v| v.as_integer()).unwrap_or(1) as f64;
    let dims = encoder.options.get("dims")?.as_array()?.iter().filter_map(|d| d.as_integer());
    let (layers, width) = dims.fold((0.0, 0.0), |(layers, width), d| (layers + 1.0, width + d as f64));
    let (n, e, heads, back) = (load.nodes, load.edges, layers * number("heads"), f64::from(u8::from(trains)));
    let (flop, rows) = match encoder.r#type.as_str() {
        "gat" => {
            let forward = 4.0 * n * width + e * (2.0 * width + 6.0 * heads);
            (forward + back * (8.0 * n * width + e * (4.0 * width + 5.0 * heads)), 1.0 + back)
        }
        "gcn" => ((1.0 + back) * 2.0 * width * e, 1.0 + back),
        _ => return None,
    };
    let streamed = layers * (1.0 + back) * 8.0 * e;
    Some(Work { flop, layers: 0.0, gathered: 4.0 * rows * e * width, streamed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::toml::Table;

    fn encoder(name: &str) -> ComponentRef {
        let options: Table = dualk_sdk::toml::from_str("dims = [3, 2]\nheads = 1").unwrap();
        ComponentRef { r#type: name.into(), options }
    }

    #[test]
    fn edges_are_counted_by_hand() {
        let load = Load { nodes: 4.0, edges: 10.0, visits: 0.0, codes: 0.0, patients: 0.0 };
        // GCN: 2·(3 + 2)·10 = 100. GAT: 4·4·5 = 80 for the nodes, 10·(2·5 + 2·6) = 220 for the edges.
        let flop = |name: &str, trains: bool| edges(&encoder(name), &load, trains).map(|work| work.flop);
        assert_eq!(flop("gcn", false), Some(100.0));
        assert_eq!(flop("gat", false), Some(300.0));
        // Backward: 8·4·5 = 160 and 10·(4·5 + 2·5) = 300.
        assert_eq!(flop("gat", true), Some(760.0));
        assert_eq!(flop("mine", true), None);
        // Rows: 10 edges of (3 + 2) numbers, once forward and once backward.
        assert_eq!(edges(&encoder("gat"), &load, true).unwrap().gathered, 400.0);
    }

    #[test]
    fn a_part_that_nobody_counted_is_not_counted_as_another() {
        let mut parts = Parts::default();
        assert!(are_counted(&parts), "a part that names no component does not count");
        parts.code_fusion = ComponentRef::named("attention");
        parts.graph_encoder = encoder("mine");
        assert!(are_counted(&parts), "encoders are for `edges` to refuse");
        parts.visit_fusion = ComponentRef::named("gru");
        assert!(!are_counted(&parts));
        parts.visit_fusion = ComponentRef::named("attention");
        parts.patient_encoder = ComponentRef::named("behrt");
        assert!(!are_counted(&parts));
    }

    #[test]
    fn the_floor_adds_what_cannot_overlap() {
        let work = Work { flop: 9e9, layers: 4e9, gathered: 6e9, streamed: 1e9 };
        let limits = Limits { read: 10.0, copy: 10.0, triad: 10.0, table: 20.0, matmul: 40.0 };
        assert_eq!(work.floor(&limits), 0.1 + 0.3 + 0.1);
    }
}
