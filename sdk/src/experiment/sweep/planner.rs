//! From a manifest with a sweep to its members.

use super::{Member, Sweep};
use crate::cache::Cache;
use crate::component::Slot;
use crate::data::SplitOptions;
use crate::experiment::Experiment;
use crate::experiment::compare::{Facets, names, short};
use crate::experiment::manifest::{Configuration, Manifest, Setting, Source, SweepOptions};
use crate::plugin::Registry;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

/// What a manifest says of a quick sweep, put into it.
pub(super) fn quickened(base: Manifest, mut source: Source) -> Result<(Manifest, Source)> {
    let settings = base.sweep.as_ref().map(SweepOptions::quick).unwrap_or_default();
    if settings.is_empty() {
        return Err(Error::user("the manifest does not say what a quick sweep is")
            .at_file(source.path())
            .help("for example: [sweep.quick], \"sweep.seeds\" = [1], \"stage[0].epochs\" = 5"));
    }
    settings.iter().try_for_each(|s| source.set_from(&s.key, s.value.clone(), &s.written_at))?;
    Manifest::from_source(source)
}

/// Members as far as they are planned.
pub(super) struct Planner {
    base: Manifest,
    source: Source,
    options: SweepOptions,
    /// Given to each member's experiment, and taken back.
    registry: Registry,
    cache: Option<Cache>,
    members: Vec<Member>,
    /// The row of each member, and the facets of each row.
    rows: Vec<usize>,
    facets: Vec<Facets>,
    /// The patients of each member.
    patients: Vec<String>,
    notes: Vec<String>,
}

impl Planner {
    pub fn new(
        base: Manifest,
        source: Source,
        options: SweepOptions,
        registry: Registry,
        cache: Option<Cache>,
    ) -> Self {
        let (members, rows, facets, patients, notes) = Default::default();
        Self { base, source, options, registry, cache, members, rows, facets, patients, notes }
    }

    /// Plans a member for each configuration, setting that it is tuned by, and seed.
    pub fn plan(mut self) -> Result<Sweep> {
        let configurations = self.options.configurations().map_err(|e| self.source.place(e))?;
        let tunings = self.options.tunings(&configurations).map_err(|e| self.source.place(e))?;
        check_seeds(&self.options).map_err(|e| self.source.place(e))?;
        let seeds = if self.options.seeds.is_empty() { vec![self.base.seed] } else { self.options.seeds.clone() };
        let settings = settings_of(&tunings);
        let mut repeated = 0;
        for configuration in &configurations {
            let row = self.facets.len();
            for (tuning, setting) in tunings.iter().zip(&settings) {
                for (place, &seed) in seeds.iter().enumerate() {
                    let added = self.add(row, configuration, (tuning.as_slice(), setting.as_deref()), seed, place);
                    repeated += usize::from(!added.map_err(|e| in_row(e, configuration, tuning))?);
                }
            }
        }
        if repeated > 0 {
            self.notes.push(format!("{repeated} members are the same as others and are left out"));
        }
        self.name_members(&configurations).map_err(|e| self.source.place(e))?;
        self.check_patients(&configurations).map_err(|e| self.source.place(e))?;
        self.check_valid().map_err(|e| self.source.place(e))?;
        let Self { base, source, options, members, notes, .. } = self;
        let sweep = Sweep { name: base.name, baseline: options.baseline, notes, members };
        sweep.check_baseline().map_err(|e| source.place(e))?;
        Ok(sweep)
    }

    /// Adds a member with what it is tuned by and how that is called, a seed, and its place among the seeds; false when there is one
    /// like it. With the first its files are looked at.
    fn add(
        &mut self,
        row: usize,
        configuration: &Configuration,
        (tuning, setting): (&[Setting], Option<&str>),
        seed: u64,
        place_of_seed: usize,
    ) -> Result<bool> {
        let mut own = self.source.clone();
        for setting in configuration.settings.iter().chain(tuning) {
            own.set_from(&setting.key, setting.value.clone(), &setting.written_at)?;
        }
        let place = if self.options.seeds.is_empty() { "seed" } else { "sweep.seeds" };
        own.set_from("seed", Value::Integer(seed as i64), place)?;
        let experiment = Experiment::new(Manifest::from_source(own)?, std::mem::take(&mut self.registry))?;
        let patients = patients_of(experiment.manifest())?;
        let experiment = self.with_fixed_cohort(experiment, seed)?.with_cache(self.cache.clone());
        if place_of_seed == 0 {
            experiment.check()?;
        }
        self.note_unknown_files(&experiment);
        let mut member = Member::of(&experiment)?;
        self.registry = experiment.into_registry();
        if self.facets.len() == row {
            // Rows are told apart as they are with the first setting and seed: these are no difference between rows.
            let table = toml::Table::try_from(&member.manifest)
                .map_err(|e| Error::program(format!("the manifest cannot be written: {e}")))?;
            self.facets.push(Facets::of(&table).of_any_patients());
        }
        if self.members.iter().any(|other| other.id == member.id) {
            return Ok(false);
        }
        member.awaits_choice = self.options.tune_seeds.is_some_and(|deciding| place_of_seed >= deciding);
        member.setting = setting.map(str::to_owned);
        member.patients = said_of_patients(configuration);
        self.patients.push(patients);
        self.rows.push(row);
        self.members.push(member);
        Ok(true)
    }

    /// Names members by their rows: as the manifest does, else by what is different about them.
    fn name_members(&mut self, configurations: &[Configuration]) -> Result<()> {
        let mut distinct: Vec<&Facets> = Vec::new();
        for row in self.rows.iter().map(|&row| &self.facets[row]) {
            if !distinct.contains(&row) {
                distinct.push(row);
            }
        }
        let names = match distinct.len() {
            1 => vec![self.base.name.clone()],
            _ => apart(names(&distinct.iter().map(|&facets| facets.clone()).collect::<Vec<_>>())),
        };
        let mut taken: Vec<(&str, usize)> = Vec::new();
        for (member, &row) in self.members.iter_mut().zip(&self.rows) {
            let place = distinct.iter().position(|facets| **facets == self.facets[row]).unwrap_or_default();
            let name = configurations[row].name.as_ref().unwrap_or(&names[place]);
            match taken.iter().find(|(other, _)| *other == name.as_str()) {
                Some((_, other)) if *other != place => {
                    let message = format!("another row has the name `{name}`");
                    return Err(Error::user(message).at_key(self.options.named_at(name)));
                }
                Some(_) => {}
                None => taken.push((name, place)),
            }
            name.clone_into(&mut member.name);
            member.named = configurations[row].name.is_some();
        }
        Ok(())
    }

    /// Refuses rows on different patients, whose means would be no comparison, before anything is trained. A row may have runs on
    /// several cohorts or splits where every other has them, too.
    fn check_patients(&mut self, configurations: &[Configuration]) -> Result<()> {
        let mut rows: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (member, patients) in self.members.iter().zip(&self.patients) {
            rows.entry(&member.name).or_default().insert(patients);
        }
        let listed = |on: &BTreeSet<&str>| on.iter().copied().collect::<Vec<_>>().join("; ");
        let mut rows = rows.into_iter();
        let Some((row, on)) = rows.next() else { return Ok(()) };
        if let Some((other, others)) = rows.find(|(_, others)| *others != on) {
            let said = configurations.iter().flat_map(|one| &one.settings).find(|setting| setting.is_of_patients());
            let message = format!(
                "the rows are on different patients: `{row}` on {}, `{other}` on {}",
                listed(&on),
                listed(&others)
            );
            return Err(Error::user(message).at_key(said.map_or("sweep", |setting| setting.written_at.as_str())).help(
                "give every row the same ones: write `\"data.split.seed\" = [1, 2]` in `sweep.grid`, or an entry of \
                 `sweep.list` for each seed of each row",
            ));
        }
        if on.len() > 1 {
            let note =
                "patients differ between the runs of a row: the table is of means over them, and nothing is paired";
            self.notes.push(note.to_owned());
        }
        if self.facets.iter().any(|facets| !facets.differing(&self.facets[0], &["data.parser"]).is_empty()) {
            let note = "rows differ in `data.parser`: where that makes other patients of them, they are not compared";
            self.notes.push(note.to_owned());
        }
        Ok(())
    }

    /// Says of a parser that does not name its files that the sweep sees changes in those alone that its options name.
    fn note_unknown_files(&mut self, experiment: &Experiment) {
        let note = format!(
            "the parser `{}` does not say which files it reads (`Parser::inputs`): the sweep does not see when one changes \
             that no option names",
            experiment.manifest().data.parser.r#type
        );
        if !experiment.names_its_files() && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Refuses to tune where the split leaves nobody to choose a setting on. Where it gives few, members say whether anybody is there.
    fn check_valid(&self) -> Result<()> {
        let has_none = |member: &Member| match &member.manifest.data.split {
            SplitOptions::Random { valid, .. } => *valid <= 0.0,
            SplitOptions::Dualk { .. } => false,
        };
        match self.members.iter().any(|member| member.setting.is_some() && has_none(member)) {
            false => Ok(()),
            true => {
                Err(Error::user("settings of `sweep.tune` are chosen on valid, and `data.split` puts nobody there")
                    .at_key("data.split.valid")
                    .help("write a fraction above 0, such as valid = 0.1, or leave out `sweep.tune`"))
            }
        }
    }

    /// Seeds of a sweep are those of training: a parser that makes patients up by the experiment's seed gets that of the
    /// manifest itself, so that all members see the same patients.
    fn with_fixed_cohort(&mut self, experiment: Experiment, seed: u64) -> Result<Experiment> {
        let base = self.base.seed;
        let info = experiment.registry().info(Slot::Parser, &experiment.manifest().data.parser.r#type)?;
        let has_seed = info.schema.get("properties").and_then(|p| p.get("seed")).is_some();
        if seed == base || !has_seed || !experiment.is_made_up_by_seed() {
            return Ok(experiment);
        }
        let note = format!("the cohort is that of seed {base} in all members: seeds are of training alone");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        experiment.with_parser_option("seed", Value::Integer(base as i64))
    }
}

/// Who the patients of a manifest are, and who serves for what, as far as seeds and split say.
fn patients_of(manifest: &Manifest) -> Result<String> {
    let data = &manifest.data;
    let split =
        Value::try_from(&data.split).map_err(|e| Error::program(format!("the split cannot be written: {e}")))?;
    let seed = data.parser.options.get("seed").map_or(String::new(), |seed| format!(", parser seed {seed}"));
    Ok(format!("split {}{seed}", short(&split)))
}

/// A mistake that was found in a member: the row, by its name or by what it changes, and what it is tuned to.
fn in_row(error: Error, configuration: &Configuration, tuning: &[Setting]) -> Error {
    let row = configuration.name.clone().unwrap_or_else(|| described(&configuration.settings));
    let row = (!row.is_empty()).then(|| format!("in the row `{row}`"));
    let tuned = (!tuning.is_empty()).then(|| format!("tuned to {}", described(tuning)));
    let said: Vec<String> = row.into_iter().chain(tuned).collect();
    if said.is_empty() { error } else { error.of(&said.join(", ")) }
}

/// What a configuration says of its patients, for a reader.
fn said_of_patients(configuration: &Configuration) -> Option<String> {
    let said = configuration.settings.iter().filter(|setting| setting.is_of_patients());
    let texts: Vec<String> = said.map(|setting| format!("{} = {}", setting.key, short(&setting.value))).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Names that are each there once: short names of long values may be alike.
fn apart(names: Vec<String>) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let number = |name: String| {
        let n = seen.entry(name.clone()).or_default();
        *n += 1;
        if *n == 1 { name } else { format!("{name} ({n})") }
    };
    names.into_iter().map(number).collect()
}

/// What the settings that rows are tuned by are called, each differently; nothing where nothing is tuned.
fn settings_of(tunings: &[Vec<Setting>]) -> Vec<Option<String>> {
    let texts = apart(tunings.iter().map(|tuning| described(tuning)).collect());
    texts.into_iter().zip(tunings).map(|(text, tuning)| (!tuning.is_empty()).then_some(text)).collect()
}

/// What a row is tuned to, for a reader. A key goes by its last part, where that says which.
fn described(tuning: &[Setting]) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
    let alike = |key: &str| tuning.iter().filter(|other| last(&other.key) == last(key)).count() > 1;
    let text = |setting: &Setting| {
        let key = if alike(&setting.key) { setting.key.clone() } else { last(&setting.key) };
        format!("{key} = {}", short(&setting.value))
    };
    tuning.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn check_seeds(options: &SweepOptions) -> Result<()> {
    if let Some(deciding) = options.tune_seeds {
        let error = |message: String, help: &str| Err(Error::user(message).at_key("sweep.tune_seeds").help(help));
        let seeds = options.seeds.len().max(1);
        if options.tune.is_empty() {
            return error("nothing is tuned".to_owned(), "say what in `sweep.tune`, or leave this out");
        }
        if !(1..=seeds).contains(&deciding) {
            let message = format!("expected 1 to {seeds}, as many as there are seeds, found {deciding}");
            return error(message, "settings are compared with so many of `sweep.seeds`, from the first on");
        }
    }
    let mut seen = BTreeSet::new();
    match options.seeds.iter().enumerate().find(|(_, seed)| !seen.insert(**seed)) {
        None => Ok(()),
        Some((i, seed)) => {
            Err(Error::user(format!("the seed {seed} is there twice")).at_key(format!("sweep.seeds[{i}]")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of one name in several folders, such as vectors of several graphs, are called by that name.
    #[test]
    fn settings_that_are_called_alike_are_told_apart() {
        let of = |path: &str| {
            vec![Setting { key: "model.node_init.path".to_owned(), value: path.into(), written_at: String::new() }]
        };
        let settings = settings_of(&[of("icd/x.npz"), of("umls/x.npz"), of("y.npz")]);
        assert_eq!(settings, ["path = x.npz", "path = x.npz (2)", "path = y.npz"].map(|text| Some(text.to_owned())));
        assert_eq!(settings_of(&[Vec::new()]), [None::<String>]);
    }
}
