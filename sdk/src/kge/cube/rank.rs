//! Ranks of true answers on a device.

use super::place::{DeviceTable, Lists, Place};
use super::score;
use super::sizes::{BLOCK, check_ranking, check_table};
use crate::data::knowledge::Triple;
use crate::kge::formula::Formula;
use crate::kge::known::Known;
use crate::kge::model::Side;
use crate::kge::rank::Rank;
use crate::kge::step::Parameters;
use crate::ops::cube::{Layout, UNITS, cubes, threads};
use crate::progress::Progress;
use crate::{Error, Result};
use burn::tensor::Device;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Scores that are held at a time.
const SCORES: usize = 1 << 24;

/// Ranks by a trained model on a device.
pub struct DeviceRanker {
    place: Place,
    formula: Formula,
    entities: DeviceTable,
    relations: DeviceTable,
    shared: DeviceTable,
}

impl DeviceRanker {
    /// Copies the parameters to a device.
    ///
    /// # Errors
    /// When the device runs no such kernels, or there are more entities or numbers than these can count.
    pub fn new(formula: Formula, parameters: &Parameters, device: &Device) -> Result<Self> {
        let place = Place::new(device)
            .ok_or_else(|| Error::user("this device runs no kernels of embeddings").at_key("backend.device"))?;
        for (of, table) in [("entities", &parameters.entities), ("relations", &parameters.relations)] {
            check_table(of, table.last.len(), table.width)?;
        }
        check_ranking(formula, parameters.entities.last.len())?;
        let bare = |table: &crate::kge::Table| {
            let (first, second) = (Vec::new(), Vec::new());
            DeviceTable::new(&place, &crate::kge::Table { first, second, ..table.clone() })
        };
        let (relations, shared) = (bare(&parameters.relations), bare(&parameters.shared));
        Ok(Self { formula, entities: bare(&parameters.entities), relations, shared, place })
    }

    /// Ranks of triples on both sides, tails first, as [`ranks`](crate::kge::ranks) gives them, as long as `go_on`, which is asked
    /// before each block, has nothing against it.
    ///
    /// # Errors
    /// Those of `go_on`, and when the device fails.
    pub fn ranks(
        &self,
        triples: &[Triple],
        known: &Known,
        progress: &dyn Progress,
        go_on: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Rank>> {
        let entities = self.entities.last.len();
        let block = (SCORES / entities.max(1)).clamp(1, BLOCK);
        let mut task = progress.begin("ranking", "queries", Some(2 * triples.len() as u64));
        let mut all = Vec::with_capacity(2 * triples.len());
        for open in Side::BOTH {
            for block in triples.chunks(block) {
                go_on()?;
                all.extend(self.block(block, open, known, entities)?);
                task.advance(block.len() as u64);
            }
        }
        task.finish("");
        Ok(all)
    }

    fn block(&self, block: &[Triple], open: Side, known: &Known, entities: usize) -> Result<Vec<Rank>> {
        let rows = block.len();
        let (lists, offsets) = lists(block, open, known, entities);
        let sent = self.place.send(lists);
        let list = |k: usize| sent[k].clone().into_buffer_arg();
        let scores = self.scores(self.queries(&sent, rows, open), rows, entities);
        let counts = self.place.empty(3 * rows);
        score::count_above::launch(
            self.place.client(),
            CubeCount::Static(rows as u32, 1, 1),
            CubeDim::new_1d(UNITS),
            scores.into_buffer_arg(),
            list(2),
            list(3),
            list(4),
            counts.clone().into_buffer_arg(),
            entities,
        );
        let counts = self.place.read(&counts, 3 * rows)?;
        let one = |(counts, ends): (&[f32], &[u32])| Rank {
            side: open,
            above: counts[0] as u32,
            equal: counts[1] as u32,
            equal_before: counts[2] as u32,
            candidates: entities as u32 - (ends[1] - ends[0]),
        };
        Ok(counts.chunks_exact(3).zip(offsets.windows(2)).map(one).collect())
    }

    /// The queries of `rows` triples, whose lists are `sent`.
    fn queries(&self, sent: &[CubeTensor], rows: usize, open: Side) -> CubeTensor {
        let Formula { equation, dim, scale, .. } = self.formula;
        let queries = self.place.empty(rows * dim * equation.of_query());
        score::make_queries::launch(
            self.place.client(),
            threads(rows * dim),
            CubeDim::new_1d(UNITS),
            sent[0].clone().into_buffer_arg(),
            sent[1].clone().into_buffer_arg(),
            self.entities.values.clone().into_buffer_arg(),
            self.relations.values.clone().into_buffer_arg(),
            queries.clone().into_buffer_arg(),
            rows,
            dim,
            scale,
            open == Side::Head,
            equation,
        );
        queries
    }

    /// The scores of all entities for each of `rows` queries: `[rows, entities]`.
    fn scores(&self, queries: CubeTensor, rows: usize, entities: usize) -> CubeTensor {
        let Formula { equation, dim, gamma, scale } = self.formula;
        let scores = self.place.empty(rows * entities);
        let layout = Layout::new(dim, 0, &[&self.entities.values, &queries]);
        score::score_all::launch(
            self.place.client(),
            cubes((rows * entities).div_ceil(score::PAIRS)),
            CubeDim::new_1d(UNITS),
            layout.vector,
            self.entities.values.clone().into_buffer_arg(),
            queries.into_buffer_arg(),
            self.shared.values.clone().into_buffer_arg(),
            scores.clone().into_buffer_arg(),
            entities,
            rows,
            dim / layout.vector,
            gamma,
            scale,
            equation,
        );
        scores
    }
}

/// What kernels need of a block: entities and relations of the queries, the answers, and the other known answers behind the
/// offsets of each query's, which are given beside.
fn lists(block: &[Triple], open: Side, known: &Known, entities: usize) -> (Lists, Vec<u32>) {
    let (mut lists, mut offsets, mut others) = (Lists::default(), vec![0u32], Vec::new());
    for triple in block {
        let answer = triple.sides(open).1;
        let known = known.answers(*triple, open).iter().copied();
        others.extend(known.filter(|&e| e != answer && (e as usize) < entities));
        offsets.push(others.len() as u32);
    }
    lists.add(block.iter().map(|t| t.sides(open).0));
    lists.add(block.iter().map(|t| t.relation));
    lists.add(block.iter().map(|t| t.sides(open).1));
    lists.add(offsets.iter().copied());
    lists.add(others);
    (lists, offsets)
}
