//! An experiment, as programs see it.

use super::dataset::{dataset, losses};
use super::evaluation::{Evaluation, adopt, evaluate};
use super::export::{Export, export};
use super::identity::Identity;
use super::inputs::identity;
use super::leaks::check_leaks;
use super::made::{Making, name_kept_manifests};
use super::manifest::{Manifest, Prior, Source, SweepOptions};
use super::model::{Entrance, fresh_model};
use super::outcome::Outcome;
use super::plan::Plan;
use super::rehearsal::{StageMemory, rehearse};
use super::run::run;
use super::run_dir::RunDir;
use super::stage::OpenStage;
use super::stop::Stop;
use super::training::{Keeping, Observers, Trained, train};
use super::{cached, resolve};
use crate::boundary::guard;
use crate::cache::{Cache, Key};
use crate::component::Objective;
use crate::data::Dataset;
use crate::device::{NamedDevice, generator};
use crate::error::Mistakes;
use crate::model::{Model, Weights};
use crate::plugin::Registry;
use crate::progress::Silent;
use crate::train::Optimizer;
use crate::{Progress, Result};
use burn::tensor::Device;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// An experiment that is ready to run: plugins are loaded, components exist, options are complete.
///
/// Each step takes what the one before it made: a manifest becomes a plan ([`Experiment::new`]), a plan a dataset
/// ([`Experiment::prepare`]), both a model that passes the stages ([`Experiment::model`], [`Experiment::enter_stage`],
/// [`Experiment::train_stage`]); [`Experiment::run`] does all of it and keeps the results in a folder.
pub struct Experiment {
    plan: Plan,
    cache: Option<Cache>,
    stop: Stop,
    sweep: Option<SweepOptions>,
}

impl Experiment {
    /// Loads the manifest's plugins and checks every component's options.
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn new(manifest: (Manifest, Source), registry: Registry) -> Result<Self> {
        Self::of(manifest, registry, resolve::plan)
    }

    /// The same without the model: enough for [`Experiment::prepare`], which must know what stages ask about.
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn data_only(manifest: (Manifest, Source), registry: Registry) -> Result<Self> {
        Self::of(manifest, registry, resolve::data_plan)
    }

    /// The same for the manifest's plugins and `[data]` alone: enough for [`Experiment::check`], whatever is wrong elsewhere.
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn tables_only(manifest: (Manifest, Source), registry: Registry) -> Result<Self> {
        Self::of(manifest, registry, resolve::table_plan)
    }

    fn of(
        (mut manifest, source): (Manifest, Source),
        registry: Registry,
        resolve: impl FnOnce((Manifest, Source), Registry) -> Result<Plan>,
    ) -> Result<Self> {
        // A run is one member: its resolved manifest has no sweep.
        let sweep = manifest.sweep.take();
        let plan = resolve((manifest, source), registry)?;
        let cache = plan.manifest.output.cache.as_deref().map(Cache::at);
        Ok(Self { plan, cache, stop: Stop::new(), sweep })
    }

    /// The same, which keeps cohorts and trained stages in `cache` and takes them from there, unless the manifest names
    /// another folder.
    pub fn with_cache(mut self, cache: Option<Cache>) -> Self {
        self.cache = self.cache.or(cache);
        self
    }

    /// The same without any cache, whatever the manifest says.
    pub fn without_cache(self) -> Self {
        Self { cache: None, ..self }
    }

    /// The same, which stops training when `stop` is asked for.
    pub fn stopping_at(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// The same as one of several that a row of a sweep is tuned by: which of them is best is told by metrics on valid, and nothing
    /// trains where nobody is there.
    pub fn chosen_on_valid(mut self) -> Self {
        self.plan.chosen_on_valid = true;
        self
    }

    /// The same, of which an option of the parser has another value.
    pub(super) fn with_parser_option(mut self, name: &str, value: Value) -> Result<Self> {
        self.plan.set_parser_option(name, value)?;
        Ok(self)
    }

    /// The manifest with every default filled in and every path absolute.
    pub fn manifest(&self) -> &Manifest {
        &self.plan.manifest
    }

    /// The same as TOML.
    ///
    /// # Errors
    /// When an option cannot be written as TOML.
    pub fn resolved(&self) -> Result<String> {
        self.plan.text()
    }

    /// The same as a table.
    ///
    /// # Errors
    /// Those of [`Experiment::resolved`].
    pub fn resolved_table(&self) -> Result<Table> {
        self.plan.table()
    }

    /// The sweep that the manifest describes; a run trains the manifest as it is.
    pub fn sweep(&self) -> Option<&SweepOptions> {
        self.sweep.as_ref()
    }

    /// What paths of parameters before the heads begin with, as the recipe is told.
    pub fn paths(&self) -> &[&'static str] {
        &self.plan.checked.paths
    }

    /// Components and plugins in use.
    pub fn registry(&self) -> &Registry {
        &self.plan.registry
    }

    /// The same, for another experiment.
    pub(super) fn into_registry(self) -> Registry {
        self.plan.registry
    }

    /// The device that was chosen.
    pub fn device(&self) -> &NamedDevice {
        &self.plan.device
    }

    /// What decides the results of this experiment, as far as it is known before the data are prepared. That of its run has
    /// digests of cohort and split beside it.
    ///
    /// # Errors
    /// When a file that it reads cannot be read.
    pub fn identity(&self) -> Result<Identity> {
        identity(&self.plan)
    }

    /// The keys of the stages in a cache, as far as they are known.
    pub(super) fn stage_keys(&self) -> Result<Vec<Key>> {
        self.cache.as_ref().map_or(Ok(Vec::new()), |_| cached::stage_keys(&self.plan))
    }

    /// What tells the embeddings that are trained first from others: equal keys are one training with a cache.
    pub(super) fn embedding_keys(&self) -> Result<Vec<Key>> {
        if self.cache.is_none() {
            return Ok(Vec::new());
        }
        let known = self.plan.embeddings.iter().filter(|named| named.embedding.has_known_model());
        known.map(|named| named.made_from().map(Key::of)).collect()
    }

    /// Whether the parser makes patients up by the experiment's seed.
    pub(super) fn is_made_up_by_seed(&self) -> bool {
        self.plan.parser.inputs().is_some_and(|inputs| inputs.seed)
    }

    /// Whether the parser says which files it reads.
    pub(super) fn names_its_files(&self) -> bool {
        self.plan.parser.inputs().is_some()
    }

    /// Checks raw tables, files that the components read and those of knowledge graphs, as far as that is quick.
    ///
    /// # Errors
    /// All mistakes that were found; they name the file, or the manifest's line.
    pub fn check(&self) -> Result<()> {
        let look = || {
            let mut mistakes = Mistakes::default();
            mistakes.note(self.plan.parser.check().map_err(|e| e.within_key("data.parser")));
            mistakes.note(self.plan.check_knowledge());
            mistakes.note(self.plan.check_embeddings());
            mistakes.done()
        };
        self.guarded(look)
    }

    /// Prepares the data and looks at every split of every stage: which patients it holds, and of which split they are.
    /// Returns a line for each thing that was found in order.
    ///
    /// # Errors
    /// Name what two sides share.
    pub fn check_leaks(&self, progress: &dyn Progress) -> Result<Vec<String>> {
        self.guarded(|| check_leaks(&self.plan, &dataset(&self.plan, self.cache.as_ref(), progress)?))
    }

    /// The largest memory of the process in each stage, found by doing a few of its steps with the real data, graph and
    /// sizes. On devices with memory of their own this is that of the computer alone. Ends the experiment, whose epochs
    /// it cuts.
    ///
    /// # Errors
    /// Those of preparing the data and of training.
    pub fn rehearse(self, progress: &dyn Progress) -> Result<Vec<StageMemory>> {
        let Self { mut plan, cache, .. } = self;
        let rehearsed = guard::catch(|| {
            let data = dataset(&plan, cache.as_ref(), progress)?;
            rehearse(&mut plan, &data)
        });
        plan.placed(rehearsed)
    }

    /// Reads the raw tables and prepares cohort, vocabulary, split and graph.
    ///
    /// # Errors
    /// Name the file and line, or the manifest's.
    pub fn prepare(&self, progress: &dyn Progress) -> Result<Dataset> {
        let data = self.guarded(|| dataset(&self.plan, self.cache.as_ref(), progress))?;
        losses(&data).iter().for_each(|line| progress.line(line));
        Ok(data)
    }

    /// Creates the model with fresh parameters, after the embeddings that its parts name by manifests are trained or come from
    /// the cache; notes go to `note`.
    ///
    /// # Errors
    /// Name the manifest's key.
    pub fn model(&self, data: &Dataset, device: &Device, mut note: impl FnMut(String)) -> Result<Model> {
        let Self { plan, cache, stop, .. } = self;
        let (cache, run, log) = (cache.as_ref(), None, &|_: &str| -> Result<()> { Ok(()) });
        let (made, vectors) = Making { plan, data, cache, run, stop, progress: &Silent, log }.trained()?;
        vectors.iter().for_each(|vectors| note(vectors.line()));
        fresh_model(plan, &made, data, device, note)
    }

    /// Gives the model the heads of a stage: new ones, or those that an earlier stage kept where they train in turn.
    ///
    /// # Errors
    /// When the objective refuses the data, a head cannot be made, or heads are to train in turn and no earlier stage kept them.
    pub fn enter_stage(
        &self,
        model: Model,
        index: usize,
        objective: &dyn Objective,
        data: &Dataset,
        device: &Device,
    ) -> Result<Model> {
        Entrance { plan: &self.plan, index, objective, data, train: None, device }.enter(model)
    }

    /// Trains stage `index` of a model that [entered](Experiment::enter_stage) it, with the optimizer of the stage before,
    /// which goes on where the manifest says so.
    ///
    /// # Errors
    /// Name the manifest's line.
    pub fn train_stage(
        &self,
        model: Model,
        optimizer: Optimizer,
        index: usize,
        data: &Dataset,
        observers: &mut Observers<'_>,
    ) -> Result<Trained> {
        let training = || {
            let stage = OpenStage::new(&self.plan, index, data)?;
            train(&stage, model, optimizer, observers, Keeping::default())
        };
        generator::alone(|| self.guarded(training))
    }

    /// Prepares the data, trains all stages and evaluates; returns the results and the run's folder.
    ///
    /// One run at a time: others of this process wait, because burn's generator is the process's and runs that drew from
    /// it in turns would not repeat. A run keeps all cores busy by itself.
    ///
    /// # Errors
    /// Leave no folder behind, or one that [`Experiment::resume`] goes on with.
    pub fn run(&self, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        self.run_alone(false, progress)
    }

    /// The same from the last checkpoint of a run of the same [identity](super::Identity) that was killed, stopped or
    /// failed; anew where there is none. On the CPU, weights and metrics are those of a run that was never interrupted,
    /// to the bit.
    ///
    /// # Errors
    /// Those of [`Experiment::run`].
    pub fn resume(&self, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        self.run_alone(true, progress)
    }

    fn run_alone(&self, resume: bool, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        let Self { plan, cache, stop, .. } = self;
        generator::alone(|| self.guarded(|| run(plan, cache.as_ref(), stop, resume, progress)))
    }

    /// Makes a run of weights that were trained elsewhere: those of the last stage, by the names of its parameters. The
    /// run can be evaluated, and its manifest be run to train anew.
    ///
    /// # Errors
    /// When the data cannot be read or the weights do not fit the model; nothing is left behind.
    pub fn adopt(&self, weights: Weights, progress: &dyn Progress) -> Result<(Outcome, RunDir)> {
        self.guarded(|| adopt(&self.plan, self.cache.as_ref(), weights, progress))
    }

    /// Repeats the evaluation of a run from its weights.
    ///
    /// # Errors
    /// When the run or its data cannot be read, the checkpoint belongs to no stage of it, or the predictions cannot be
    /// written.
    pub fn evaluate_run(
        folder: &Path,
        evaluation: Evaluation<'_>,
        registry: Registry,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        let (run, this) = Self::of_run(folder, registry, evaluation.cache.clone())?;
        this.guarded(|| evaluate(&this.plan, this.cache.as_ref(), &run, &evaluation, progress))
    }

    /// Writes `codes.parquet`: number, code, title, in how many admissions it is, and the vector that the graph encoder
    /// has for it; with [`Export::patients`] also `patients.parquet`: identifier and vector of each test patient. Returns
    /// the files.
    ///
    /// # Errors
    /// When the run or its data cannot be read, or the folder holds something.
    pub fn export_run(
        folder: &Path,
        wanted: Export<'_>,
        registry: Registry,
        progress: &dyn Progress,
    ) -> Result<Vec<PathBuf>> {
        let (run, this) = Self::of_run(folder, registry, wanted.cache.clone())?;
        this.guarded(|| export(&this.plan, this.cache.as_ref(), &run, &wanted, progress))
    }

    /// The experiment of a finished run.
    fn of_run(folder: &Path, registry: Registry, cache: Option<Cache>) -> Result<(RunDir, Self)> {
        let run = RunDir::open(folder)?;
        let (mut manifest, source) = Manifest::load(&run.file("manifest.toml"), &[])?;
        name_kept_manifests(&run, &mut manifest.model);
        // Runs record it, but for those that were trained before there was one.
        manifest.model.head.prior.get_or_insert(Prior::Nothing);
        let this = Self::new((manifest, source), registry)?;
        Ok((run, this.with_cache(cache)))
    }

    /// Runs code that may panic, and adds the manifest's lines to its error.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.plan.placed(guard::catch(work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::component::{BuildParser, Component, Inputs, Parser, ParserContext, ParserSlot};
    use crate::data::Cohort;
    use crate::plugin::Registrar;
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static BUILT: AtomicUsize = AtomicUsize::new(0);

    crate::options! {
        /// Options of `counted`.
        struct Counted {}
    }

    impl Component for Counted {
        const NAME: &'static str = "counted";
        const ABOUT: &'static str = "Counts how often it is built.";
    }

    impl BuildParser for Counted {
        fn build(self) -> Result<Box<dyn Parser>> {
            BUILT.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(self))
        }
    }

    impl Parser for Counted {
        fn inputs(&self) -> Option<Inputs> {
            Some(Inputs::default())
        }

        fn parse(&self, _: &ParserContext<'_>) -> Result<Cohort> {
            Err(Error::user("there are no patients"))
        }
    }

    crate::options! {
        /// Options of `handled`.
        struct Handled {
            /// The table.
            file: String = String::new(),
            /// Whether it gets longer while it is read.
            grows: bool = false,
        }
    }

    impl Component for Handled {
        const NAME: &'static str = "handled";
        const ABOUT: &'static str = "Gives its table another name, or more bytes, while it is read.";
    }

    impl BuildParser for Handled {
        fn build(self) -> Result<Box<dyn Parser>> {
            Ok(Box::new(self))
        }
    }

    impl Parser for Handled {
        fn inputs(&self) -> Option<Inputs> {
            Some(Inputs { files: vec![self.file.clone().into()], ..Inputs::default() })
        }

        fn parse(&self, _: &ParserContext<'_>) -> Result<Cohort> {
            match self.grows {
                true => fs::File::options().write(true).open(&self.file).unwrap().set_len(LARGE + 1).unwrap(),
                false => fs::hard_link(&self.file, format!("{}-2", self.file)).unwrap(),
            }
            Err(Error::user("there are no patients"))
        }
    }

    /// Bytes of a file that is known by samples of it.
    const LARGE: u64 = 17 << 20;

    fn register(registrar: &mut Registrar<'_>) {
        registrar.add::<ParserSlot, Counted>();
        registrar.add::<ParserSlot, Handled>();
    }

    #[test]
    fn a_table_that_is_linked_while_it_is_read_has_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        fs::File::create(&file).unwrap().set_len(LARGE).unwrap();
        for (grows, says) in [(false, "there are no patients"), (true, "this file changed while it was read")] {
            let registry = Registry::new().with(register).unwrap();
            let parser = format!("data.parser = {{ type = \"handled\", file = {file:?}, grows = {grows} }}");
            let manifest = Manifest::parse(&format!("name = \"x\"\n{parser}\n"), &[]).unwrap();
            let experiment = Experiment::data_only(manifest, registry).unwrap().without_cache();
            assert_eq!(experiment.prepare(&Silent).map(drop).unwrap_err().message(), says);
        }
    }

    #[test]
    fn a_parser_is_built_once_for_all_that_is_asked_of_it() {
        let registry = Registry::new().with(register).unwrap();
        let manifest = Manifest::parse("name = \"x\"\ndata.parser = \"counted\"\n", &[]).unwrap();
        let experiment = Experiment::data_only(manifest, registry).unwrap();
        experiment.check().unwrap();
        let decides = experiment.identity().unwrap().made_from;
        assert_eq!(decides["device"], "cpu");
        assert_eq!(decides["instructions"], crate::simd::instructions());
        let error = experiment.prepare(&Silent).map(drop).unwrap_err();
        assert_eq!(error.message(), "there are no patients");
        assert_eq!(BUILT.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_resolved_table_is_a_manifest_again_whose_mistakes_are_named_by_their_key() {
        let data_only = |manifest: (Manifest, Source)| {
            let registry = Registry::new().with(register).unwrap();
            Experiment::data_only(manifest, registry).unwrap()
        };
        let experiment = data_only(Manifest::parse("name = \"x\"\ndata.parser = \"handled\"\n", &[]).unwrap());
        let mut table = experiment.resolved_table().unwrap();
        let again = data_only(Manifest::of_table(table.clone()).unwrap());
        assert_eq!(again.resolved().unwrap(), experiment.resolved().unwrap());
        table.insert("sed".to_owned(), 3.into());
        let error = Manifest::of_table(table).map(drop).unwrap_err().to_string();
        assert!(error.contains("unknown key `sed`") && error.contains("did you mean `seed`?"), "{error}");
    }
}
