//! Floating-point operations of a training step, counted from the equations.
//!
//! A multiplication and an addition are two; an exponential, a division or a root is one. Bias, ReLU and dropout
//! between layers are below a hundredth and left out. With n nodes, E edges (one self loop a node included for GAT
//! and GCN), V visits, M codes in visits, and B patients:
//!
//! - a layer of `rows` × in → out: 2 · rows · in · out forward, as much again for the gradient of its weights where
//!   they train, and again for that of its input where something before it trains;
//! - GAT, h heads of width d together: 4·n·d for a_dst · h_i and a_src · h_j, and for each edge 2·d + 6·h (score,
//!   LeakyReLU, maximum, exponential, sum, division; weighted sum); backward 8·n·d and 4·d + 5·h an edge;
//! - GCN: 2·d an edge, and 2·d backward;
//! - attention fusion, for each member of a set and channel: 8 forward (maximum, difference, exponential, sum,
//!   division, dropout, product, sum), 10 backward; its projection is a layer over all rows of the table;
//! - Adam: 14 a trained number.

use super::setup::{Case, Stage};
use dualk_sdk::data::Batch;
use dualk_sdk::experiment::manifest::ComponentRef;
use dualk_sdk::model::{Parameter, parameters};

const ADAM: f64 = 14.0;

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

/// The operations of a training step on `batch`, or `None` for parts whose equations are not counted.
pub fn step(case: &Case, batch: &Batch) -> Option<f64> {
    let parts = &case.experiment.manifest.model;
    let (graph, fusions) = (&case.data.graph, [&parts.code_fusion, &parts.visit_fusion]);
    if fusions.iter().any(|f| f.r#type != "attention") || parts.lab.r#type != "linear" {
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
    let trains_below = case.stage != Stage::Individual;
    let mut list = parameters(&case.model);
    list.retain(|p| is_used(&p.path, case));
    let layers: f64 = list.iter().filter_map(|p| layer(p, &load, trains_below)).sum();
    let trained = list.iter().filter(|p| p.trains).map(|p| p.shape.iter().product::<usize>()).sum::<usize>();
    let width = list.iter().find(|p| p.path.starts_with("code_fusion"))?.shape[0] as f64;
    let backward = |f: f64| if trains_below { f } else { 0.0 };
    let fusion = (8.0 + backward(10.0)) * width * (load.codes + load.visits);
    Some(layers + edges(&parts.graph_encoder, &load, trains_below)? + fusion + ADAM * trained as f64)
}

/// Whether a head of the stage depends on a parameter.
fn is_used(path: &str, case: &Case) -> bool {
    let mut parts = path.split('.');
    match (parts.next(), parts.next()) {
        (Some("heads"), Some(head)) => head.parse().is_ok_and(|head| case.heads.contains(&head)),
        // Classifiers look at a decoder's second layer, not at its logits.
        (Some("decoders" | "lab"), _) => case.stage == Stage::Finetune && !path.contains("fc3"),
        _ => true,
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

/// What an encoder does at its edges.
fn edges(encoder: &ComponentRef, load: &Load, backward: bool) -> Option<f64> {
    let number = |key: &str| encoder.options.get(key).and_then(|v| v.as_integer()).unwrap_or(1) as f64;
    let dims = encoder.options.get("dims")?.as_array()?.iter().filter_map(|d| d.as_integer()).map(|d| d as f64);
    let heads = number("heads");
    let back = f64::from(u8::from(backward));
    match encoder.r#type.as_str() {
        "gat" => {
            let layer = |d: f64| {
                let forward = 4.0 * load.nodes * d + load.edges * (2.0 * d + 6.0 * heads);
                forward + back * (8.0 * load.nodes * d + load.edges * (4.0 * d + 5.0 * heads))
            };
            Some(dims.map(layer).sum())
        }
        "gcn" => Some(dims.map(|d| (1.0 + back) * 2.0 * d * load.edges).sum()),
        _ => None,
    }
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
        assert_eq!(edges(&encoder("gcn"), &load, false), Some(100.0));
        assert_eq!(edges(&encoder("gat"), &load, false), Some(300.0));
        // Backward: 8·4·5 = 160 and 10·(4·5 + 2·5) = 300.
        assert_eq!(edges(&encoder("gat"), &load, true), Some(760.0));
        assert_eq!(edges(&encoder("mine"), &load, true), None);
    }
}
