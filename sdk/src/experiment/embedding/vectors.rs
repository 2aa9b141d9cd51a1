//! Embeddings for a model that names their manifest: what they are made from, and making them.

use super::experiment::KgeExperiment;
use super::fit::{Records, check_wanted, last_checkpoint};
use crate::boundary::guard;
use crate::cache::{Key, fingerprint};
use crate::data::knowledge::{GraphSource, OfCohort};
use crate::error::Blame;
use crate::experiment::components::{FORM, sdk, source_files, without_paths, written};
use crate::kge::{
    Checkpoint, Done, EMBEDDINGS, KnowledgeGraph, LinkMetrics, Parameters, Trained, ranks_on_while, save_embeddings,
};
use crate::{Error, Result, simd};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The files of a folder with triples, whichever of them are there.
const TRIPLES: [&str; 5] = ["train.txt", "valid.txt", "test.txt", "entities.dict", "relations.dict"];

/// What names of files of embeddings in the folder of a run begin with.
pub(in crate::experiment) const VECTORS: &str = "vectors";

/// An option of a part of the model that names the manifest of an embedding in the place of its folder.
pub(in crate::experiment) struct NamedEmbedding {
    /// Key of the part, such as `node_init`.
    pub part: &'static str,
    /// The option, such as `kge`.
    pub option: String,
    pub embedding: KgeExperiment,
}

/// What the files of an embedding that an option of a part names are called in the folder of a run, but for what follows.
pub(in crate::experiment) fn file_stem(part: &str, option: &str) -> String {
    format!("{VECTORS}-{part}-{option}")
}

impl NamedEmbedding {
    /// The [name](file_stem) of its files.
    pub fn file_stem(&self) -> String {
        file_stem(self.part, &self.option)
    }

    /// Its key in the experiment's manifest.
    pub fn key(&self) -> String {
        format!("model.{}.{}", self.part, self.option)
    }

    /// Puts the key around an error, whose own keys are those of the embedding's manifest.
    pub fn placed<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| named_at(error, &self.key()))
    }

    /// Looks at the files of the graph, as far as that is quick.
    pub fn check(&self) -> Result<()> {
        self.placed(self.embedding.check())
    }

    /// What the vectors are made from, but for the cohort.
    pub fn made_from(&self) -> Result<Value> {
        self.placed(self.embedding.made_from())
    }
}

/// The error of an embedding's manifest, which `key` names. The wish to stop is no mistake in it.
pub(in crate::experiment) fn named_at(error: Error, key: &str) -> Error {
    match error.blame() {
        Blame::Signal(_) => error,
        Blame::User | Blame::Program => error.of_other_manifest().at_key(key),
    }
}

/// A trained embedding.
pub(in crate::experiment) struct Vectors {
    graph: KnowledgeGraph,
    parameters: Parameters,
    /// Lines of `metrics.jsonl`.
    pub history: String,
    /// Mean reciprocal rank of the validation triples, both sides; `None` where there are none.
    pub valid_mrr: Option<f64>,
    /// Seconds of training.
    pub seconds: f64,
}

impl Vectors {
    /// Writes what [`load_embeddings`](crate::kge::load_embeddings) reads into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        save_embeddings(&folder.join(EMBEDDINGS), &self.parameters, &self.graph)
    }
}

impl KgeExperiment {
    /// Whether it is known what the embedding model is, which no program has linked in.
    pub(in crate::experiment) fn has_known_model(&self) -> bool {
        self.model_identity.is_some()
    }

    /// What the vectors are made from, but for the cohort: manifest, files, model and device.
    ///
    /// # Errors
    /// When a file cannot be read, or there is no such device.
    pub(in crate::experiment) fn made_from(&self) -> Result<Value> {
        self.placed(self.all_made_from())
    }

    fn all_made_from(&self) -> Result<Value> {
        let manifest = &self.manifest;
        let data = &manifest.data;
        Ok(json!({
            "seed": manifest.seed,
            "compat": manifest.compat,
            "sources": without_paths("the sources", &data.source)?,
            "least": data.least,
            "reciprocal": data.reciprocal,
            "split": written("the split", &data.split)?,
            "files": self.files()?,
            "model": self.model_identity.clone().map_or_else(|| written("the model", &manifest.model), Ok)?,
            "train": written("the training", &manifest.train)?,
            "device": self.device()?.name,
        }))
    }

    /// The files of the graph by content.
    fn files(&self) -> Result<Map<String, Value>> {
        let data = &self.manifest.data;
        let mut files: Map<String, Value> = source_files(&data.source, "data.source")?.into_iter().collect();
        if let Some(folder) = data.triples.given() {
            for file in TRIPLES.iter().map(|name| folder.join(name)).filter(|file| file.is_file()) {
                let found = fingerprint(&file).map_err(|e| e.at_key("data.triples"))?;
                files.insert(format!("triples {}", file.file_name().unwrap_or_default().to_string_lossy()), found);
            }
        }
        Ok(files)
    }

    /// Everything that determines the vectors; `None` when that is not known.
    ///
    /// # Errors
    /// When a file cannot be read, or the parser cannot say what it knows.
    pub(in crate::experiment) fn key(&self, cohort: &OfCohort<'_>) -> Result<Option<Key>> {
        if !self.has_known_model() {
            return Ok(None);
        }
        let key = || -> Result<Key> {
            let (of_cohort, made_from) = (self.told(cohort)?, self.all_made_from()?);
            // Sums over groups of rows are as many as there are threads, beyond four.
            let threads = rayon::current_num_threads();
            Ok(Key::of(json!({
                "form": FORM,
                "sdk": sdk(),
                "threads": threads,
                "instructions": simd::instructions(),
                "made_from": made_from,
                "of_cohort": of_cohort,
            })))
        };
        self.placed(key()).map(Some)
    }

    /// What each source that goes by the cohort is told of it, as a digest.
    fn told(&self, cohort: &OfCohort<'_>) -> Result<Vec<String>> {
        let told = |source: &GraphSource| match source {
            GraphSource::Parser { strength } => Some((cohort.facts)(*strength).map(|facts| json!(facts))),
            GraphSource::Icd { .. } => Some(Ok(json!(cohort.codes))),
            _ => None,
        };
        let told = self.manifest.data.source.iter().filter_map(told);
        told.map(|said| Ok(Key::of(said?).hex().to_owned())).collect()
    }

    /// Trains vectors, going on from the last checkpoint of the records where there is one, and ranks the validation triples;
    /// lines on the graph go to `log`.
    ///
    /// # Errors
    /// Those of reading the graph and of training, and when a file changed meanwhile.
    pub(in crate::experiment) fn vectors(
        &self,
        cohort: &OfCohort<'_>,
        records: &Records<'_>,
        log: &dyn Fn(&str) -> Result<()>,
    ) -> Result<Vectors> {
        self.placed(guard::catch(|| self.train_vectors(cohort, records, log)))
    }

    fn train_vectors(
        &self,
        cohort: &OfCohort<'_>,
        records: &Records<'_>,
        log: &dyn Fn(&str) -> Result<()>,
    ) -> Result<Vectors> {
        let before = self.files()?;
        let (graph, lines) = self.read_graph(Some(cohort))?;
        if self.files()? != before {
            return Err(Error::user("a file of the graph changed while it was read")
                .at_key("data")
                .help("wait until whatever writes it is done, and begin again"));
        }
        lines.iter().try_for_each(|line| log(line))?;
        self.check_sizes(&graph)?;
        let mut state = self.fresh(&graph);
        let checkpoints = records.checkpoints.as_ref();
        let saved = checkpoints.map(|of| last_checkpoint(of, &state.parameters, log)).transpose()?.flatten();
        if let Some(saved) = saved {
            log(&format!("going on after step {} of the vectors", saved.done.step))?;
            state = saved;
        }
        let Checkpoint { parameters, done: Done { seconds, history, .. } } = self.fit(&graph, state, records)?;
        let valid_mrr = self.valid_mrr(&graph, &parameters, records)?;
        Ok(Vectors { graph, parameters, history, valid_mrr, seconds })
    }

    fn valid_mrr(&self, graph: &KnowledgeGraph, parameters: &Parameters, records: &Records<'_>) -> Result<Option<f64>> {
        if graph.valid.is_empty() {
            return Ok(None);
        }
        let trained = Trained { model: self.model(), parameters };
        let (known, go_on) = (self.known(graph), || check_wanted(records.stop, self.manifest.train.steps));
        let ranks = ranks_on_while(&self.device()?, &trained, &graph.valid, &known, records.progress, &go_on)?;
        Ok(Some(LinkMetrics::new(&ranks, self.ties(), 0, self.manifest.seed).both.mrr))
    }

    /// Untrained vectors of one entity that is no code, as wide as trained ones, so that codes have zeros of the right shape. No file of
    /// the graph is read.
    ///
    /// # Errors
    /// When the model panics.
    pub(in crate::experiment) fn untrained(&self) -> Result<Vectors> {
        let one = || std::iter::once(String::new()).collect();
        let graph = KnowledgeGraph { entities: one(), relations: one(), ..KnowledgeGraph::default() };
        let make = || {
            let Checkpoint { parameters, done: Done { seconds, history, .. } } = self.fresh(&graph);
            Ok(Vectors { graph: graph.clone(), parameters, history, valid_mrr: None, seconds })
        };
        self.placed(guard::catch(make))
    }
}
