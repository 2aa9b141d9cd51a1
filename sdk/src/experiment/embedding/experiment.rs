//! Embedding a knowledge graph as an experiment: from a manifest to a run folder.

use super::fit::{Records, check_wanted, last_checkpoint};
use super::manifest::KgeManifest;
use crate::boundary::guard;
use crate::component::{FilePath, Slot};
use crate::data::knowledge::{OfCohort, Triple, Triples, check_files};
use crate::device::{self, NamedDevice};
use crate::error::Mistakes;
use crate::experiment::components::{absolute, component_identity, named, plugin_path, resolve_component, sdk};
use crate::experiment::identity::Identity;
use crate::experiment::manifest::Source;
use crate::experiment::run_dir::RunDir;
use crate::experiment::states::States;
use crate::experiment::stop::Stop;
use crate::kge::{
    Adam, Backwards, Checkpoint, Done, EMBEDDINGS, EmbeddingModel, Embeddings, KgeModelSlot, KgeOutcome,
    KnowledgeGraph, Known, LinkMetrics, Parameters, Rank, SampleOptions, Sizes, Ties, Trained, check_sizes,
    load_embeddings, ranks_on_while, ranks_while, save_embeddings,
};
use crate::plugin::{LoadedPlugin, LockedPlugin, PluginsLock, Registry, Stamp};
use crate::progress::Silent;
use crate::storage::hex;
use crate::{Error, Progress, Result, memory, options, simd};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Instant;
use toml::Table;

/// An embedding that is ready to be trained.
pub struct KgeExperiment {
    /// The manifest with every default filled in and every path absolute.
    pub manifest: KgeManifest,
    model: Box<dyn EmbeddingModel>,
    /// What tells the model and its options from others; `None` for one that is linked into the program.
    pub(super) model_identity: Option<serde_json::Value>,
    plugins: Vec<LoadedPlugin>,
    source: Source,
    stop: Stop,
}

impl KgeExperiment {
    /// Loads the manifest's plugins and checks the model's options.
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn new(manifest: (KgeManifest, Source), mut registry: Registry) -> Result<Self> {
        let plan = Self::of(manifest, &mut registry)?;
        plan.placed(plan.manifest.check_without_cohort())?;
        Ok(plan)
    }

    /// The same with the registry of an experiment, by whose cohort sources may go.
    pub(in crate::experiment) fn of(
        (mut manifest, source): (KgeManifest, Source),
        registry: &mut Registry,
    ) -> Result<Self> {
        let model = resolve(&mut manifest, &source, registry).map_err(|e| source.place(e))?;
        let model_identity = component_identity(registry, Slot::KgeModel, &manifest.model)?;
        let plugins = registry.plugins().to_vec();
        Ok(Self { manifest, model, model_identity, plugins, source, stop: Stop::new() })
    }

    /// Looks at this wish to stop after every step.
    #[must_use]
    pub fn stopping_at(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// The model, without parameters.
    pub fn model(&self) -> &dyn EmbeddingModel {
        &*self.model
    }

    /// The device that the manifest names.
    ///
    /// # Errors
    /// When there is none.
    pub fn device(&self) -> Result<NamedDevice> {
        device::open(&self.manifest.backend.device)
    }

    /// The manifest with every default filled in and every path absolute, as TOML.
    ///
    /// # Errors
    /// When an option cannot be written as TOML.
    pub fn resolved(&self) -> Result<String> {
        toml::to_string(&self.table()?).map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))
    }

    fn table(&self) -> Result<Table> {
        let manifest = KgeManifest { output: self.manifest.output.without_password(), ..self.manifest.clone() };
        Table::try_from(&manifest).map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))
    }

    /// Checks the files of the graph, as far as that is quick.
    ///
    /// # Errors
    /// All mistakes that were found; they name the file and the manifest's line.
    pub fn check(&self) -> Result<()> {
        let data = &self.manifest.data;
        let mut mistakes = Mistakes::default();
        mistakes.note(self.device());
        if let Some(folder) = data.triples.given().filter(|folder| !folder.exists()) {
            let error = Error::user("no such file or directory").at_key("data.triples").at_file(folder);
            mistakes.note::<()>(Err(error));
        }
        mistakes.note(check_files(&data.source, "data.source"));
        self.placed(mistakes.done())
    }

    /// Reads the graph, and lines on what it is made of.
    ///
    /// # Errors
    /// Name the file and line, or the manifest's.
    pub fn graph(&self) -> Result<(KnowledgeGraph, Vec<String>)> {
        self.placed(guard::catch(|| self.read_graph(None)))
    }

    pub(super) fn read_graph(&self, cohort: Option<&OfCohort<'_>>) -> Result<(KnowledgeGraph, Vec<String>)> {
        let data = &self.manifest.data;
        let (graph, mut lines) = match data.triples.given() {
            Some(folder) => (KnowledgeGraph::read(folder).map_err(|e| e.at_key("data.triples"))?, Vec::new()),
            None => {
                let (joined, notes) = Triples::join(&data.source, "data.source", data.least, cohort)?;
                (data.split.apply(joined.entities, joined.relations, &joined.triples), notes)
            }
        };
        let graph = if data.reciprocal { graph.with_reciprocals() } else { graph };
        lines.extend(graph.statistics());
        Ok((graph, lines))
    }

    pub(in crate::experiment) fn placed<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|e| self.source.place(e))
    }

    /// Trains, ranks the test triples and writes the run; goes on from the last checkpoint of the same manifest with
    /// `resume`.
    ///
    /// # Errors
    /// Leave the run with what it recorded and its last checkpoint, and no folder where there is neither.
    pub fn train(&self, resume: bool, progress: &dyn Progress) -> Result<(KgeOutcome, RunDir)> {
        self.placed(guard::catch(|| self.run(resume, progress)))
    }

    fn run(&self, resume: bool, progress: &dyn Progress) -> Result<(KgeOutcome, RunDir)> {
        let start = Instant::now();
        let (output, name) = (&self.manifest.output, &self.manifest.name);
        let device = self.device()?;
        let (text, (graph, lines)) = (self.resolved()?, self.read_graph(None)?);
        self.check_sizes(&graph)?;
        let identity = self.identity(&graph, &device.name)?;
        let left = self.left(&identity, resume, progress);
        let goes_on = left.is_some();
        let run = match left {
            Some(run) => {
                run.go_on(&identity, &text)?;
                run
            }
            None => RunDir::create(&output.runs, name, &identity, &text, output.access)?,
        };
        let listening = self.stop.listen();
        let trained = guard::catch(|| {
            let mut outcome = self.run_in(&run, &graph, &lines, goes_on, progress)?;
            outcome.seconds = start.elapsed().as_secs_f64();
            run.write_json("result.json", &outcome)?;
            Ok(outcome)
        });
        drop(listening);
        match trained {
            Ok(outcome) => Ok((outcome, run.finish()?)),
            Err(error) => Err(run.end_with(error, self.stop.command())),
        }
    }

    /// The run to go on with; where nobody asks for it, it is said in one line.
    fn left(&self, identity: &Identity, resume: bool, progress: &dyn Progress) -> Option<RunDir> {
        let (output, name) = (&self.manifest.output, &self.manifest.name);
        let left = RunDir::unfinished(&output.runs, name, identity, output.access, progress);
        match &left {
            Some(run) if !resume => {
                let folder = run.path().display();
                progress.line(&format!("starting anew; --resume would go on with {folder}"));
            }
            None if resume => {
                let why = RunDir::why_none_is_left(&output.runs, name, identity);
                progress.line(&format!("{why}: starting anew"));
            }
            Some(_) | None => {}
        }
        left.filter(|_| resume)
    }

    fn run_in(
        &self,
        run: &RunDir,
        graph: &KnowledgeGraph,
        lines: &[String],
        goes_on: bool,
        progress: &dyn Progress,
    ) -> Result<KgeOutcome> {
        let log = |line: &str| {
            progress.line(line);
            run.append("log.txt", line)
        };
        self.write_environment(run)?;
        lines.iter().try_for_each(|line| log(line))?;
        let (mut state, checkpoints) = (self.fresh(graph), States::of(run, ""));
        if goes_on {
            match last_checkpoint(&checkpoints, &state.parameters, &log)? {
                Some(saved) => {
                    state = saved;
                    log(&format!("going on after step {}", state.done.step))?;
                }
                None => log("there is no whole checkpoint of this manifest: starting from the beginning")?,
            }
        }
        let records = Records {
            task: "training",
            metrics: Some(run.file("metrics.jsonl")),
            checkpoints: Some(checkpoints),
            minutes: self.manifest.output.checkpoint_minutes,
            stop: &self.stop,
            progress,
        };
        let state = self.fit(graph, state, &records)?;
        save_embeddings(&run.file(EMBEDDINGS), &state.parameters, graph)?;
        let trained = Trained { model: self.model(), parameters: &state.parameters };
        let outcome = self.evaluated(graph, &trained, progress)?;
        Ok(KgeOutcome { parameters: state.parameters.count(), train_seconds: state.done.seconds, ..outcome })
    }

    /// Refuses what the device cannot count, before anything is made of it.
    ///
    /// # Errors
    /// Name the sizes.
    pub(super) fn check_sizes(&self, graph: &KnowledgeGraph) -> Result<()> {
        let train = &self.manifest.train;
        let sizes = Sizes {
            entities: graph.entities.len(),
            relations: graph.relations.len(),
            triples: train.batch.min(graph.train.len()),
            candidates: train.negatives.saturating_add(1),
            ranks: !(graph.valid.is_empty() && graph.test.is_empty()),
        };
        let device = self.device()?;
        check_sizes(self.model(), &device, &sizes)?;
        let numbers = |rows: usize, width: usize| rows as f64 * width as f64;
        let model = self.model();
        let all = numbers(sizes.entities, model.entity_width()) + numbers(sizes.relations, model.relation_width());
        check_room(all, memory::available().filter(|_| device.name == "cpu"))
    }

    /// Before the first step.
    pub(super) fn fresh(&self, graph: &KnowledgeGraph) -> Checkpoint {
        let (entities, relations) = (graph.entities.len(), graph.relations.len());
        let parameters = Parameters::new(self.model(), entities, relations, self.manifest.seed);
        Checkpoint { parameters, done: Done::default() }
    }

    /// What decides the results: manifest, graph, plugins, the build of the SDK, device, threads and instructions.
    fn identity(&self, graph: &KnowledgeGraph, device: &str) -> Result<Identity> {
        let mut hash = Sha256::new();
        for name in graph.entities.list().iter().chain(graph.relations.list()) {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        for split in [&graph.train, &graph.valid, &graph.test] {
            hash.update((split.len() as u64).to_le_bytes());
            split.iter().for_each(|t| [t.head, t.relation, t.tail].iter().for_each(|id| hash.update(id.to_le_bytes())));
        }
        let mut table = self.table()?;
        table.remove("output");
        let plugins: Vec<_> = self.plugins.iter().map(|p| json!([p.name, p.sha256])).collect();
        Ok(Identity::of(json!({
            "manifest": table,
            "graph": hex(&hash.finalize()),
            "plugins": plugins,
            "sdk": Stamp::current().build,
            "device": device,
            // Up to four divide their work alike.
            "threads": rayon::current_num_threads().max(4),
            "instructions": simd::instructions_on(device),
        })))
    }

    /// Ranks test (and validation) triples by a scorer, and by the one-line baseline.
    fn evaluated(&self, graph: &KnowledgeGraph, trained: &Trained<'_>, progress: &dyn Progress) -> Result<KgeOutcome> {
        let (known, options) = (self.known(graph), &self.manifest.evaluate);
        let go_on: &dyn Fn() -> Result<()> = &|| check_wanted(&self.stop, self.manifest.train.steps);
        let device = self.device()?;
        let metrics = |ranks: Vec<Rank>, samples| LinkMetrics::new(&ranks, self.ties(), samples, self.manifest.seed);
        // Of no ranks there is nothing to say.
        let metrics = |ranks: Vec<Rank>, samples| (!ranks.is_empty()).then(|| metrics(ranks, samples));
        let of = |triples: &[Triple], progress: &dyn Progress, samples: usize| {
            ranks_on_while(&device, trained, triples, &known, progress, go_on).map(|ranks| metrics(ranks, samples))
        };
        let start = Instant::now();
        let test = of(&graph.test, progress, options.bootstrap)?;
        let test_seconds = start.elapsed().as_secs_f64();
        let valid = if options.valid { of(&graph.valid, progress, 0)? } else { None };
        let rule = ranks_while(&Backwards::new(graph), graph.entities.len(), &graph.test, &known, &Silent, go_on)?;
        Ok(KgeOutcome {
            name: self.manifest.name.clone(),
            model: self.manifest.model.r#type.clone(),
            device: device.name.clone(),
            threads: rayon::current_num_threads(),
            entities: graph.entities.len(),
            relations: graph.relations.len(),
            triples: [graph.train.len(), graph.valid.len(), graph.test.len()],
            ties: if self.manifest.is_compat() { "published" } else { "realistic" }.to_owned(),
            test,
            valid,
            baseline: metrics(rule, 0),
            test_seconds,
            ..KgeOutcome::default()
        })
    }

    /// A finished run: its experiment, its folder and its embeddings.
    ///
    /// # Errors
    /// When the folder is no run of `dualk kge train`.
    pub fn open(folder: &Path, registry: Registry) -> Result<(Self, RunDir, Embeddings)> {
        let run = RunDir::open(folder)?;
        let embeddings = load_embeddings(&run.file(EMBEDDINGS))?;
        let experiment = Self::new(KgeManifest::load(&run.file("manifest.toml"), &[])?, registry)?;
        Ok((experiment, run, embeddings))
    }

    /// Ranks the triples of a finished run again.
    ///
    /// # Errors
    /// When its graph cannot be read, or is another one by now.
    pub fn evaluate(&self, embeddings: &Embeddings, progress: &dyn Progress) -> Result<KgeOutcome> {
        let (graph, _) = self.graph()?;
        if graph.entities.list() != embeddings.entities.list() || graph.relations.list() != embeddings.relations.list()
        {
            let error = Error::user("the graph has other entities or relations than when the run was trained");
            return Err(self.source.place(error.at_key("data")));
        }
        let Embeddings { parameters, entities, relations } = embeddings;
        self.placed(parameters.check_finite("the run", entities, relations))?;
        let trained = Trained { model: self.model(), parameters };
        let start = Instant::now();
        let outcome = self.placed(self.evaluated(&graph, &trained, progress))?;
        let (parameters, seconds) = (parameters.count(), start.elapsed().as_secs_f64());
        Ok(KgeOutcome { parameters, seconds, ..outcome })
    }

    pub(super) fn ties(&self) -> Ties {
        if self.manifest.is_compat() { Ties::Published } else { Ties::Realistic }
    }

    pub(super) fn known(&self, graph: &KnowledgeGraph) -> Known {
        Known::new(&graph.all().copied().collect::<Vec<_>>())
    }

    pub(super) fn sample_options(&self) -> SampleOptions {
        let train = &self.manifest.train;
        SampleOptions {
            batch: train.batch,
            negatives: train.negatives,
            shared: train.shared_negatives,
            subsampling: train.subsampling,
            steps: train.steps,
            seed: self.manifest.seed,
        }
    }

    pub(super) fn adam(&self) -> Adam {
        let train = &self.manifest.train;
        let (lr, steps, schedule, unused) = (train.lr, train.steps, train.schedule, train.unused);
        Adam { lr, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps, schedule, unused }
    }

    fn write_environment(&self, run: &RunDir) -> Result<()> {
        let environment =
            json!({ "sdk": sdk(), "device": self.device()?.name, "threads": rayon::current_num_threads() });
        run.write_json("environment.json", &environment)?;
        let plugins = self.plugins.iter().map(LockedPlugin::from).collect();
        run.write("plugins.lock", PluginsLock::text(plugins)?.as_bytes())
    }
}

/// Refuses vectors that the machine has no memory for, before there is any for them: the system would end the program.
fn check_room(numbers: f64, available: Option<u64>) -> Result<()> {
    // Parameters and both moments of Adam, of four bytes each.
    let bytes = 12.0 * numbers;
    options::check_room("vectors and their moments", bytes, available)
        .map_err(|e| e.at_key("model").help("give the model fewer dimensions, or leave entities out"))
}

/// Loads the plugins, makes paths absolute and completes the model.
fn resolve(manifest: &mut KgeManifest, source: &Source, registry: &mut Registry) -> Result<Box<dyn EmbeddingModel>> {
    for (i, plugin) in manifest.plugin.iter_mut().enumerate() {
        let key = format!("plugin[{i}]");
        let path = plugin_path(&plugin.path, &source.folder_of(&key));
        registry.load(&path, plugin.sha256.as_deref()).map_err(|e| e.within_key(&key))?;
        plugin.path = path.to_string_lossy().into_owned();
    }
    let place = |path: &mut FilePath, key: &str| {
        if path.given().is_some() {
            path.0 = absolute(&source.folder_of(key), path.as_path());
        }
    };
    place(&mut manifest.data.triples, "data.triples");
    for (i, triples) in manifest.data.source.iter_mut().enumerate() {
        for (key, path) in triples.paths() {
            place(path, &format!("data.source[{i}].{key}"));
        }
    }
    let model = named(registry, Slot::KgeModel, "model", manifest.model.clone())?;
    manifest.model = resolve_component(registry, source, Slot::KgeModel, "model", model)?;
    let model = &manifest.model;
    registry.make::<KgeModelSlot>(&model.r#type, model.options.clone()).map_err(|e| e.within_key("model"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_no_memory_holds_are_refused() {
        let error = check_room(1e12, Some(16_000_000_000)).unwrap_err();
        assert_eq!((error.exit_code(), error.key()), (2, Some("model")));
        assert!(error.message().contains("take 12000.0 GB, of which the machine has 16.0 GB left"), "{error}");
        assert!(check_room(1e9, Some(12_000_000_000)).is_ok() && check_room(1e12, None).is_ok());
    }
}
