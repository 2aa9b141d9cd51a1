//! `omop`: tables of the OMOP common data model, version 5.

use crate::abnormal::not_read;
use crate::events::{OF_NO_VISIT, Places, Source};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::events::{EventKind, read_mapping};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::labs::{self, Rule};
use dualk_sdk::data::tables::{Fault, NOT_IN_COHORT, OnBadRow, Pass, Row, Seen, Table, check_folder};
use dualk_sdk::data::{AdmissionFacts, Dates, Ids, LabItem, PatientFacts, Sex, Stays, Step, seconds, years_between};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use dualk_sdk::schemars::JsonSchema;
use dualk_sdk::serde::{Deserialize, Serialize};
use dualk_sdk::source_options;
use std::collections::{HashMap, HashSet};

source_options! {
    /// Options of `omop`.
    pub struct OmopOptions {
        /// Folder with visit_occurrence, condition_occurrence and, for laboratory items, measurement as `.csv`, `.csv.gz`
        /// or `.parquet`; names of files and columns in upper or lower case.
        pub root: FilePath = FilePath::default(),
        /// What a condition's code is: `icd10` or `icd9`, the edition in which condition_source_value is written, or
        /// `concept` for condition_concept_id.
        pub codes: OmopCodes = OmopCodes::Icd10,
        /// Concepts of the visits that count, such as 9201 for inpatient visits; all when empty.
        pub visit_concepts: Vec<i64> = Vec::new(),
        /// Whether to read measurements.
        pub labs: bool = true,
        /// How abnormal measurements are found: `range`, by range_low and range_high of the row, or `interval`, outside the
        /// central 95 % of the results of the same concept in the same unit.
        pub abnormal: Ranges = Ranges::Range,
        /// With procedures among `events`: column of procedure_occurrence, such as `procedure_source_value`.
        pub procedure: String = "procedure_concept_id".into(),
        /// With drugs among `events`: column of drug_exposure, such as `drug_source_value`.
        pub drug: String = "drug_concept_id".into(),
    }
    shares {
        code_system = CodeSystem::Icd9, icd_map, group, date_format, events, event_tables, drug_map, quantiles, on_bad_row,
    }
}

/// How abnormal measurements are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum Ranges {
    /// Below range_low or above range_high.
    #[default]
    Range,
    /// As [`Rule::Interval`] has it.
    Interval,
}

/// What a condition's code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "dualk_sdk::serde", rename_all = "snake_case")]
#[schemars(crate = "dualk_sdk::schemars")]
pub enum OmopCodes {
    /// condition_source_value, written in ICD-10-CM.
    #[default]
    Icd10,
    /// condition_source_value, written in ICD-9-CM.
    Icd9,
    /// condition_concept_id, as it is.
    Concept,
}

impl Component for OmopOptions {
    const NAME: &'static str = "omop";
    const ABOUT: &'static str = "OMOP common data model: visits, conditions, measurements";
    const CITATION: &'static str = "Observational Health Data Sciences and Informatics, OMOP CDM v5.4";
}

impl BuildParser for OmopOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        Dates::of_option(&self.date_format)?;
        if self.codes == OmopCodes::Concept && self.group.given().is_some() {
            let error = Error::user("groups are of ICD codes, and codes = \"concept\" has none").at_key("group");
            return Err(error.help("leave one of the two out"));
        }
        match self.labs {
            true => drop(Rule::of(self.quantiles, Rule::Said)?),
            false => not_read(self.quantiles, "labs = false")?,
        }
        Ok(Box::new(Omop { options: self }))
    }
}

/// Reads OMOP tables: visits of a person in the order of their starts, then of the file.
struct Omop {
    options: OmopOptions,
}

struct Tables {
    visits: Table,
    /// Columns of visit_occurrence that need not be there: beginning with its time, end, and end with its time.
    times: [Option<String>; 3],
    conditions: Table,
    measurements: Option<(Table, Rule)>,
    /// Needed by none, with columns that need not be there.
    persons: Option<(Table, PersonColumns)>,
    deaths: Option<Table>,
    concepts: Option<Table>,
    events: Vec<Source>,
}

/// Sex as a concept, year, month and day of birth, and race and ethnicity in the words of the source.
type PersonColumns = [Option<String>; 6];

const PERSON: [&str; 6] = [
    "gender_concept_id",
    "year_of_birth",
    "month_of_birth",
    "day_of_birth",
    "race_source_value",
    "ethnicity_source_value",
];

/// Columns of measurement, in the order in which they are asked for; where values are cut the unit stands for the range.
const VISIT: usize = 0;
const CONCEPT: usize = 1;
const VALUE: usize = 2;
const UNIT: usize = 3;
const RANGE: [usize; 2] = [3, 4];

/// The standard concept of males, and of females.
const MALE: &str = "8507";
const FEMALE: &str = "8532";

/// Persons with their visits.
struct Visits {
    stays: Stays,
    /// Visits of other concepts.
    left_out: u64,
}

/// What is known of a person.
#[derive(Default, Clone)]
struct Person {
    facts: PatientFacts,
    /// Birth and death, in seconds since 1970.
    birth: Option<i64>,
    death: Option<i64>,
}

/// Codes of each visit, and what was lost on the way to them.
type Conditions = (HashMap<i64, Vec<u32>>, [Step; 2]);

impl Omop {
    fn open(&self) -> Result<Tables> {
        let options = &self.options;
        let root = options.root.as_path();
        let open =
            |name: &str, columns: &[&str]| Table::open_any_case(root, name, columns).map_err(|e| e.at_key("root"));
        let there =
            |name: &str, columns: &[&str]| Table::open_if_there(root, name, columns).map_err(|e| e.at_key("root"));
        let mut columns = vec!["visit_occurrence_id", "person_id", "visit_start_date"];
        columns.extend((!options.visit_concepts.is_empty()).then_some("visit_concept_id"));
        check_folder(root).map_err(|e| e.at_key("root"))?;
        let mut mistakes = Mistakes::default();
        let visits = mistakes.note(open("visit_occurrence", &columns));
        let conditions = ["visit_occurrence_id", self.code_column()];
        let conditions = mistakes.note(open("condition_occurrence", &conditions));
        let measurements = mistakes.note(options.labs.then(|| self.measurements()).transpose());
        let persons = mistakes.note(there("person", &["person_id"]));
        let deaths = mistakes.note(there("death", &["person_id", "death_date"]));
        let concepts = mistakes.note(there("concept", &["concept_id", "concept_name"]));
        let places = Places {
            root,
            admission: "visit_occurrence_id",
            procedures: ("procedure_occurrence", &options.procedure),
            drugs: ("drug_exposure", &options.drug),
            cancelled: None,
        };
        let events = mistakes.note(places.open(&options.events, &options.event_tables));
        let needed = visits.zip(conditions).zip(measurements).zip(events);
        let found = needed.zip(persons.zip(deaths).zip(concepts));
        let ((((mut visits, conditions), measurements), events), ((persons, deaths), concepts)) =
            mistakes.finish(found)?;
        let times = ["visit_start_datetime", "visit_end_date", "visit_end_datetime"];
        let times = times.map(|column| visits.also(column));
        let persons = persons.map(|mut table| {
            let columns = PERSON.map(|column| table.also(column));
            (table, columns)
        });
        Ok(Tables { visits, times, conditions, measurements, persons, deaths, concepts, events })
    }

    fn measurements(&self) -> Result<(Table, Rule)> {
        let options = &self.options;
        let otherwise = match options.abnormal {
            Ranges::Range => Rule::Said,
            Ranges::Interval => Rule::Interval,
        };
        let rule = Rule::of(options.quantiles, otherwise)?;
        let mut columns = vec!["visit_occurrence_id", "measurement_concept_id", "value_as_number"];
        match rule {
            Rule::Said => columns.extend(["range_low", "range_high"]),
            _ => columns.push("unit_concept_id"),
        }
        let table = Table::open_any_case(options.root.as_path(), "measurement", &columns).map_err(|e| {
            e.at_key("root").help("labs = false reads no measurements, and abnormal = \"interval\" needs no ranges")
        })?;
        Ok((table, rule))
    }

    fn code_column(&self) -> &'static str {
        match self.options.codes {
            OmopCodes::Concept => "condition_concept_id",
            _ => "condition_source_value",
        }
    }

    /// Persons in the order of their first row, with their visits in the order of time.
    fn visits(&self, tables: &Tables) -> Result<Visits> {
        let rows = tables.visits.read()?;
        let (visit_ids, ids) = Ids::of(&rows, "visit_occurrence_id")?;
        let (person_ids, persons) = Ids::of(&rows, "person_id")?;
        visit_ids.each_once(&rows, &ids, "visit")?;
        let dates = Dates::of_option(&self.options.date_format)?;
        let wanted = &self.options.visit_concepts;
        let concepts = match wanted.is_empty() {
            true => Vec::new(),
            false => rows.integers("visit_concept_id")?,
        };
        let [start_times, end_dates, end_times] = &tables.times;
        let times = |column: &Option<String>| rows.texts_if(column.as_deref());
        let (start_times, end_dates, end_times) = (times(start_times)?, times(end_dates)?, times(end_times)?);
        let mut found = Visits { stays: Stays::new(person_ids, visit_ids), left_out: 0 };
        for (i, text) in rows.texts("visit_start_date")?.enumerate() {
            if !wanted.is_empty() && !wanted.contains(&concepts[i]) {
                found.left_out += 1;
                continue;
            }
            let read = |text: Option<&str>| text.and_then(|text| dates.read(text));
            let Some(date) = read(text) else {
                let error = rows.error(i, "the column `visit_start_date` must hold a date such as 2016-05-20");
                return Err(error.help("the option date_format says how other dates are written, such as %d.%m.%Y"));
            };
            let start = read(start_times[i]).unwrap_or(date);
            let end = read(end_times[i]).or_else(|| read(end_dates[i]));
            let facts = AdmissionFacts { start: Some(start), end, ..AdmissionFacts::default() };
            found.stays.add(persons[i], ids[i], start as f64, facts);
        }
        self.describe(tables, &dates, &mut found.stays)?;
        Ok(found)
    }

    /// Adds what is known of persons.
    fn describe(&self, tables: &Tables, dates: &Dates, stays: &mut Stays) -> Result<()> {
        let persons = persons(tables, dates, &stays.patient_ids)?;
        for (id, person) in &persons {
            *stays.patient(*id) = person.facts.clone();
        }
        let deaths_are_known = tables.deaths.is_some();
        stays.complete(|id, facts| {
            let person = persons.get(&id);
            let birth = person.and_then(|person| person.birth);
            let age = birth.zip(facts.start).and_then(|(birth, start)| years_between(birth, start));
            facts.age = age.map(|years| years as f32);
            // A death has a date alone, and the day on which a visit ends is its own.
            let death = person.and_then(|person| person.death);
            let within = |(start, end): (i64, i64)| {
                death.is_some_and(|death| death >= start.div_euclid(DAY) * DAY && death <= end)
            };
            facts.died = facts.start.zip(facts.end).filter(|_| deaths_are_known).map(within);
        });
        Ok(())
    }

    /// Per visit its codes, in the order of the file.
    fn conditions(&self, table: &Table, coding: &mut Coding, visits: &Visits) -> Result<Conditions> {
        let rows = table.read()?;
        let of = visits.stays.admission_ids.column(&rows, "visit_occurrence_id")?;
        let (mut codes, mut without, mut not_kept) = (HashMap::<i64, Vec<u32>>::new(), 0, 0);
        for (visit, text) in of.into_iter().zip(rows.texts(self.code_column())?) {
            let Some(visit) = visit else {
                without += 1;
                continue;
            };
            if !visits.stays.contains(visit) {
                not_kept += 1;
                continue;
            }
            let of_visit = codes.entry(visit).or_default();
            match (self.options.codes, text.unwrap_or("").trim()) {
                (OmopCodes::Icd9, text) => of_visit.extend_from_slice(coding.codes(Icd::Icd9, text)),
                (OmopCodes::Icd10, text) => of_visit.extend_from_slice(coding.codes(Icd::Icd10, text)),
                (OmopCodes::Concept, NO_CONCEPT) => of_visit.extend(coding.other("")),
                (OmopCodes::Concept, concept) => of_visit.extend(coding.other(concept)),
            }
        }
        let step = Step::new("rows of condition_occurrence", rows.len() as u64).lost(OF_NO_VISIT, without);
        let step = match self.options.visit_concepts.is_empty() {
            true => step.lost("of a visit that visit_occurrence lacks", not_kept),
            false => step.by_rule("of visits left out above", not_kept),
        };
        Ok((codes, [step, coding.step("conditions")]))
    }
}

const DAY: i64 = 86_400;
/// Stands for what has no concept.
const NO_CONCEPT: &str = "0";

/// What is known of persons, by identifier. A birth of which only the year is known is in the middle of it.
fn persons(tables: &Tables, dates: &Dates, ids: &Ids) -> Result<HashMap<i64, Person>> {
    let mut persons = HashMap::<i64, Person>::new();
    if let Some((table, columns)) = &tables.persons {
        let rows = table.read()?;
        let columns: Vec<Vec<Option<&str>>> =
            columns.iter().map(|column| rows.texts_if(column.as_deref())).collect::<Result<_>>()?;
        for (i, id) in ids.column(&rows, "person_id")?.into_iter().enumerate() {
            let Some(id) = id else { continue };
            let of = |which: usize| columns[which][i].map(str::trim).filter(|text| !text.is_empty());
            let sex = match of(0) {
                Some(MALE) => Some(Sex::Male),
                Some(FEMALE) => Some(Sex::Female),
                _ => None,
            };
            let facts = PatientFacts { sex, ethnicity: of(4).or(of(5)).map(str::to_owned) };
            let (month, day) = of(2).map_or(("7", "1"), |month| (month, of(3).unwrap_or("15")));
            let birth = of(1).and_then(|year| seconds(&format!("{year}-{month}-{day}")));
            persons.insert(id, Person { facts, birth, death: None });
        }
    }
    if let Some(table) = &tables.deaths {
        let rows = table.read()?;
        for (id, date) in ids.column(&rows, "person_id")?.into_iter().zip(rows.texts("death_date")?) {
            if let Some(id) = id {
                persons.entry(id).or_default().death = date.and_then(|date| dates.read(date));
            }
        }
    }
    Ok(persons)
}

/// The names of some concepts; nothing where there is no table of them. Rows that cannot be read count as none.
fn names(table: Option<&Table>, wanted: HashSet<String>) -> Result<HashMap<String, String>> {
    let mut names = HashMap::new();
    if let Some(table) = table {
        table.scan(
            OnBadRow::Skip,
            |found: &mut Vec<(String, String)>, row| {
                if wanted.contains(row.text(0)) {
                    found.push((row.text(0).to_owned(), row.text(1).to_owned()));
                }
                Ok(())
            },
            |found, _| {
                names.extend(found);
                Ok(())
            },
        )?;
    }
    Ok(names)
}

impl Parser for Omop {
    fn check(&self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        mistakes.note(self.open());
        mistakes.note(self.options.drug_map.given().map(read_mapping).transpose());
        mistakes.note(Coding::check(self.options.icd_map.given(), self.options.group.given()));
        mistakes.done()
    }

    fn inputs(&self) -> Option<Inputs> {
        let Tables { visits, conditions, measurements, persons, deaths, concepts, events, .. } = self.open().ok()?;
        let measurements = measurements.as_ref().map(|measurements| &measurements.0);
        let persons = persons.as_ref().map(|persons| &persons.0);
        let others = [measurements, persons, deaths.as_ref(), concepts.as_ref()].into_iter().flatten();
        let tables = [&visits, &conditions].into_iter().chain(others).chain(events.iter().map(Source::table));
        Some(Inputs { files: tables.map(|table| table.path().to_owned()).collect(), seed: false })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        self.check()?;
        let options = &self.options;
        if options.codes == OmopCodes::Icd10 {
            Coding::published(context.compat, options.code_system, options.icd_map.given())?;
        }
        let tables = self.open()?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("visits", "tables", None);
        let visits = self.visits(&tables)?;
        task.finish("");
        let task = context.progress.begin("conditions", "tables", None);
        let (codes, steps) = self.conditions(&tables.conditions, &mut coding, &visits)?;
        task.finish("");
        let all = visits.stays.len() as u64 + visits.left_out;
        let read = Step::new("rows of visit_occurrence", all).by_rule("of other concepts", visits.left_out);
        let cohort = visits.stays.cohort(&codes, coding.names(), [read].into_iter().chain(steps));
        let mut cohort = cohort.map_err(|e| {
            e.at_file(options.root.as_path())
                .help("visit_concepts = [9201] reads inpatient visits alone, which is often what has diagnoses")
        })?;
        if options.codes != OmopCodes::Concept {
            cohort.set_titles(|code| coding.title(code));
        }
        let ids = &visits.stays.admission_ids;
        for source in &tables.events {
            let drug_map = (options.drug_map.given(), NO_CONCEPT);
            source.add_to(&mut cohort, ids, drug_map, options.on_bad_row, context.progress)?;
        }
        if let Some((table, rule)) = &tables.measurements {
            measurements(table, *rule, &mut cohort, ids, options.on_bad_row, context.progress)?;
        }
        self.name_concepts(&tables, &mut cohort)?;
        Ok(cohort)
    }
}

impl Omop {
    /// The further kinds whose codes are concepts.
    fn kinds_of_concepts(&self) -> Vec<&str> {
        let options = &self.options;
        let known = options.events.iter().map(|&kind| match kind {
            EventKind::Procedures => (kind.name(), &options.procedure),
            EventKind::Drugs => (kind.name(), &options.drug),
        });
        let others = options.event_tables.iter().map(|table| (table.kind.as_str(), &table.code));
        let all = known.chain(others).filter(|(_, column)| column.to_lowercase().ends_with("_concept_id"));
        all.map(|(kind, _)| kind).collect()
    }

    /// Gives concepts their names, where the table of concepts is there.
    fn name_concepts(&self, tables: &Tables, cohort: &mut Cohort) -> Result<()> {
        let of_codes = (self.options.codes == OmopCodes::Concept).then_some(&cohort.code_names);
        // An item is called by its concept until here, and by its unit behind a blank where values are cut.
        let concept = |name: &String| name.split([' ', ',']).next().unwrap_or("").to_owned();
        let kinds = self.kinds_of_concepts();
        let events = cohort.events.iter().filter(|events| kinds.contains(&events.kind.as_str()));
        let events = events.flat_map(|events| events.names.iter().cloned());
        let items = cohort.lab_names.iter().map(concept);
        let wanted = of_codes.into_iter().flatten().cloned().chain(items).chain(events).collect();
        let names = names(tables.concepts.as_ref(), wanted)?;
        if of_codes.is_some() {
            cohort.set_titles(|code| names.get(code).cloned());
        }
        for kind in kinds {
            cohort.set_event_titles(kind, |code| names.get(code).cloned());
        }
        for item in &mut cohort.lab_names {
            if let Some(name) = names.get(&concept(item)) {
                *item = format!("{name}{}", &item[concept(item).len()..]);
            }
        }
        if cohort.lab_names.iter().zip(&cohort.lab_items).all(|(name, item)| *name == item.id.to_string()) {
            cohort.lab_names.clear();
        }
        Ok(())
    }
}

/// Adds the items: concepts with a value below range_low or above range_high, or concepts in a unit by their values. There is
/// one category.
fn measurements(
    table: &Table,
    rule: Rule,
    cohort: &mut Cohort,
    ids: &Ids,
    on_bad_row: OnBadRow,
    progress: &dyn Progress,
) -> Result<()> {
    let places = cohort.places();
    let losses = &[OF_NO_VISIT];
    let pass =
        Pass { table, rows: "rows of measurement".into(), on_bad_row, losses, rules: &[NOT_IN_COHORT], progress };
    let (sets, step) = labs::read(rule, places.len(), |show| {
        pass.each(|row| measured(row, rule, &places, ids), |at, (item, value)| show(at, item, value))
    })?;
    sets.add_to(cohort, rule, |&(concept, unit)| {
        let name = if unit == 0 { concept.to_string() } else { format!("{concept} in unit {unit}") };
        (LabItem { id: concept, category: Some(0) }, name)
    });
    if rule == Rule::Interval {
        // A concept in two units is two items.
        cohort.lab_items.iter_mut().zip(1..).for_each(|(item, number)| item.id = number);
    }
    cohort.lab_categories = vec!["laboratory".into()];
    cohort.flow.push(step);
    Ok(())
}

/// A concept in a unit; 0 stands for none.
type Item = (i64, i64);

/// The item of a row and its value: what is out of its range, or all, as the rule wants it.
fn measured(row: &Row<'_>, rule: Rule, places: &HashMap<i64, usize>, ids: &Ids) -> Result<Seen<(Item, f32)>, Fault> {
    let (visit, value) = (row.id(VISIT, ids)?, number(row, VALUE, "value_as_number")?);
    let (unit, counts) = match rule {
        Rule::Said => {
            let (low, high) = (number(row, RANGE[0], "range_low")?, number(row, RANGE[1], "range_high")?);
            (0, value.is_some_and(|v| low.is_some_and(|low| v < low) || high.is_some_and(|high| v > high)))
        }
        _ => (row.optional_integer(UNIT)?.unwrap_or(0), true),
    };
    Ok(match (visit.and_then(|visit| places.get(&visit)), value) {
        _ if row.bytes(VISIT).is_empty() => Seen::Lost(OF_NO_VISIT),
        (None, _) => Seen::LeftOut(NOT_IN_COHORT),
        (Some(&at), Some(value)) if counts => Seen::Of(at, ((row.integer(CONCEPT)?, unit), value as f32)),
        _ => Seen::Nothing,
    })
}

fn number(row: &Row<'_>, column: usize, name: &str) -> Result<Option<f64>, Fault> {
    match row.text(column) {
        "" => Ok(None),
        text => match text.parse::<f64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(row.fault(column, format!("the column `{name}` must hold a number"))),
        },
    }
}

#[cfg(test)]
mod tests;
