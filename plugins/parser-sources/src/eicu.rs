//! `eicu`: the tables of the eICU Collaborative Research Database.

use crate::{Abnormal, EVENT_LOSSES};
use dualk_sdk::component::Inputs;
use dualk_sdk::data::coding::{CodeSystem, Coding};
use dualk_sdk::data::events::{Places, Source};
use dualk_sdk::data::hierarchy::Icd;
use dualk_sdk::data::icd;
use dualk_sdk::data::labs::{self, Rule};
use dualk_sdk::data::tables::{Fault, NOT_IN_COHORT, OnBadRow, Opened, Pass, Row, Seen, Table, check_folder, files_in};
use dualk_sdk::data::{AdmissionFacts, CodeTables, Ids, LabItem, Stays, Step};
use dualk_sdk::error::Mistakes;
use dualk_sdk::prelude::*;
use dualk_sdk::source_options;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

source_options! {
    /// Options of `eicu`.
    pub struct EicuOptions {
        /// Folder with patient, diagnosis and lab as `.csv`, `.csv.gz` or `.parquet`.
        pub root: FilePath = FilePath::default(),
        /// How abnormal results are found, as the tables do not say: `interval` or `none`.
        pub abnormal: Abnormal = Abnormal::Interval,
        /// With procedures among `events`: column of treatment that says what was done.
        pub procedure: String = "treatmentstring".into(),
        /// With drugs among `events`: column of medication that says which drug it is, such as `drugname` or `drughiclseqno`.
        pub drug: String = "drugname".into(),
    }
    shares { code_system = CodeSystem::Icd9, group, events, event_tables, drug_map, quantiles, on_bad_row, }
}

impl Component for EicuOptions {
    const NAME: &'static str = "eicu";
    const ABOUT: &'static str = "eICU tables: stays of a hospital admission are its visits.";
    const CITATION: &'static str = "Pollard et al., The eICU Collaborative Research Database, 2018";
}

impl BuildParser for EicuOptions {
    fn build(self) -> Result<Box<dyn Parser>> {
        self.root.required("root")?;
        self.abnormal.rule(self.quantiles)?;
        Ok(Box::new(Eicu { options: self, tables: Opened::default() }))
    }
}

/// Reads eICU, as the published code of DuaLK does: a hospital stay (`patienthealthsystemstayid`) stands for a patient,
/// its unit stays for admissions, in the order of −`hospitaladmitoffset`. Which hospital stays are of one person (`uniquepid`)
/// stands beside; their order is not known.
struct Eicu {
    options: EicuOptions,
    tables: Opened<Tables>,
}

/// The categories of laboratory items, and the `labtypeid` of each.
const CATEGORIES: [(&str, &str); 3] = [("hematology", "3"), ("chemistry", "1"), ("blood gas", "7")];

/// The other types of laboratory items: levels of drugs, miscellaneous, not mapped and sensitive ones.
const OTHER_TYPES: [&str; 4] = ["2", "4", "5", "6"];

/// Why rows of lab are lost.
const UNKNOWN_TYPE: &str = "without a known type";
const NO_NAME: &str = "without a name";

/// By which rules they are left out.
const OTHER_TYPE: &str = "of types that do not count";
const NO_RESULT: &str = "without a result";

const LAB_COLUMNS: [&str; 5] = ["patientunitstayid", "labtypeid", "labname", "labresult", "labmeasurenamesystem"];

/// What patient says of a stay beside its identifiers.
const FACTS: [&str; 5] = ["gender", "age", "ethnicity", "unitdischargeoffset", "unitdischargestatus"];

/// What patient calls the person of a hospital stay.
const PERSON: &str = "uniquepid";

struct Tables {
    patients: Table,
    /// Columns of patient that need not be there, in the order of [`FACTS`].
    facts: Vec<Option<String>>,
    /// The column that says which hospital stays are of one person, where patient has it.
    person: Option<String>,
    diagnoses: Table,
    labs: Option<(Table, Rule)>,
    events: Vec<Source>,
}

impl Tables {
    fn files(&self) -> Vec<PathBuf> {
        let labs = self.labs.iter().map(|(table, _)| table);
        let tables = [&self.patients, &self.diagnoses].into_iter().chain(labs);
        let tables = tables.chain(self.events.iter().map(Source::table));
        tables.map(|table| table.path().to_owned()).collect()
    }
}

impl Eicu {
    fn tables(&self) -> Result<Arc<Tables>> {
        self.tables.get(files_in(self.options.root.as_path()), || self.open())
    }

    fn open(&self) -> Result<Tables> {
        let options = &self.options;
        let root = options.root.as_path();
        let open = |name: &str, columns: &[&str]| Table::open(root, name, columns).map_err(|e| e.at_key("root"));
        let names = ["patientunitstayid", "patienthealthsystemstayid", "hospitaladmitoffset"];
        check_folder(root).map_err(|e| e.at_key("root"))?;
        let rule = options.abnormal.rule(options.quantiles)?;
        let mut mistakes = Mistakes::default();
        let patients = mistakes.note(open("patient", &names));
        let diagnoses = mistakes.note(open("diagnosis", &["patientunitstayid", "icd9code"]));
        let labs = mistakes.note(rule.map(|rule| open("lab", &LAB_COLUMNS).map(|table| (table, rule))).transpose());
        let places = Places {
            root,
            admission: "patientunitstayid",
            procedures: ("treatment", &[options.procedure.as_str()]),
            drugs: ("medication", &options.drug),
            cancelled: Some("drugordercancelled"),
            losses: EVENT_LOSSES,
        };
        let events = mistakes.note(places.open(&options.events, &options.event_tables));
        let found = patients.zip(diagnoses).zip(labs).zip(events);
        let (((mut patients, diagnoses), labs), events) = mistakes.finish(found)?;
        let facts: Result<_> = FACTS.iter().map(|fact| patients.also(fact)).collect();
        let facts = facts.map_err(|e| e.at_key("root"))?;
        let person = patients.also(PERSON).map_err(|e| e.at_key("root"))?;
        Ok(Tables { patients, facts, person, diagnoses, labs, events })
    }

    /// The tables, once all that can be known without reading them is as it should be.
    fn checked(&self) -> Result<Arc<Tables>> {
        let EicuOptions { group, drug_map, .. } = &self.options;
        let tables = CodeTables { icd_map: None, group: group.given(), drug_map: drug_map.given() };
        tables.checked(self.tables())
    }
}

impl Parser for Eicu {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let tables = self.tables().ok()?;
        Some(Inputs { files: tables.files(), split: tables.labs.is_some(), ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let tables = self.checked()?;
        let options = &self.options;
        let mut coding = Coding::new(options.code_system, None, options.group.given())?;
        let task = context.progress.begin("patients and stays", "tables", None);
        let stays = stays(&tables)?;
        task.finish("");
        let task = context.progress.begin("diagnoses", "tables", None);
        let (codes, steps) = diagnoses(&tables.diagnoses, options.code_system, context.compat, &mut coding, &stays)?;
        task.finish("");
        let cohort = stays.cohort(&codes, coding.names(), steps);
        let mut cohort = cohort.map_err(|e| e.at_file(options.root.as_path()))?;
        cohort.set_titles(|code| coding.title(code));
        let ids = &stays.admission_ids;
        for source in &tables.events {
            let (drug_map, on_bad_row) = (options.drug_map.given(), options.on_bad_row);
            let code = |_: &Row<'_>, code: &str| Some(code.to_owned());
            source.add_to(&mut cohort, ids, drug_map, on_bad_row, context.progress, code)?;
        }
        if let Some((table, rule)) = &tables.labs {
            labs(table, *rule, &mut cohort, ids, options.on_bad_row, context)?;
        }
        Ok(cohort)
    }
}

/// Hospital stays in the order of their first row, with their unit stays in the order of time.
fn stays(tables: &Tables) -> Result<Stays> {
    let rows = tables.patients.read()?;
    let (unit_ids, units) = Ids::of(&rows, "patientunitstayid")?;
    let (hospital_ids, hospitals) = Ids::of(&rows, "patienthealthsystemstayid")?;
    unit_ids.each_once(&rows, &units, "stay")?;
    let offsets = rows.integers("hospitaladmitoffset")?;
    let facts: Vec<Vec<Option<&str>>> =
        tables.facts.iter().map(|column| rows.texts_if(column.as_deref())).collect::<Result<_>>()?;
    let mut stays = Stays::new(hospital_ids, unit_ids);
    for (i, (&unit, &hospital)) in units.iter().zip(&hospitals).enumerate() {
        let fact = |which: usize| facts[which][i].map(str::trim);
        if !stays.has_patient(hospital) {
            let sex = stays.readings.sex(fact(0));
            let known = stays.patient(hospital);
            (known.sex, known.ethnicity) = (sex, fact(2).map(str::to_owned));
        }
        let start = offsets[i].saturating_neg();
        // Times are minutes after the admission to the hospital; those of discharge are after that to the unit.
        let seconds = |minutes: i64| minutes.checked_mul(60);
        let minutes = |text: &str| text.strip_suffix(".0").unwrap_or(text).parse::<i64>().ok();
        let end = |text: &str| minutes(text).and_then(|end| start.checked_add(end)).and_then(seconds);
        let readings = &mut stays.readings;
        let facts = AdmissionFacts {
            start: seconds(start),
            end: readings.read("ends of visits", fact(3), end),
            age: readings.read("ages", fact(1), age),
            died: readings.read("deaths", fact(4), died),
        };
        stays.add(hospital, unit, start as f64, facts);
    }
    if let Some(column) = &tables.person {
        let (_, persons) = Ids::where_given(&rows, column)?;
        let known = hospitals.iter().zip(persons).filter_map(|(&hospital, person)| Some((hospital, person?)));
        known.for_each(|(hospital, person)| stays.person(hospital, person));
    }
    Ok(stays)
}

fn died(status: &str) -> Option<bool> {
    match status {
        "Expired" => Some(true),
        "Alive" => Some(false),
        _ => None,
    }
}

/// An age in years; `> 89`, which hides the age of the oldest, is 90.
fn age(text: &str) -> Option<f32> {
    match text.strip_prefix('>') {
        Some(rest) => rest.trim().parse().ok().map(|years: f32| years + 1.0),
        None => text.parse().ok(),
    }
}

/// Codes of each stay, and what was lost on the way to them.
type Diagnoses = (HashMap<i64, Vec<u32>>, [Step; 2]);

/// Per stay its codes, each once, in the order of the file.
fn diagnoses(table: &Table, system: CodeSystem, compat: bool, coding: &mut Coding, stays: &Stays) -> Result<Diagnoses> {
    let rows = table.read()?;
    let of = stays.admission_ids.column(&rows, "patientunitstayid")?;
    let (mut codes, mut without, mut unknown) = (HashMap::<i64, Vec<u32>>::new(), 0, 0);
    let mut unread = HashMap::<&str, u64>::new();
    let wanted = match system {
        CodeSystem::Icd9 => Icd::Icd9,
        CodeSystem::Icd10 | CodeSystem::Ccsr => Icd::Icd10,
    };
    for (stay, text) in of.into_iter().zip(rows.texts("icd9code")?) {
        let Some(stay) = stay.filter(|&stay| stays.contains(stay)) else {
            unknown += 1;
            continue;
        };
        let Some(text) = text else {
            without += 1;
            continue;
        };
        match code(text, wanted, compat) {
            None => *unread.entry(text).or_default() += 1,
            Some((edition, code)) => {
                for &number in coding.codes(edition, &code) {
                    let codes = codes.entry(stay).or_default();
                    if !codes.contains(&number) {
                        codes.push(number);
                    }
                }
            }
        }
    }
    let why = if compat { "without a code of that edition" } else { "without a code of either edition" };
    let step = Step::new("rows of diagnosis", rows.len() as u64)
        .lost("without a code", without)
        .lost_values(why, unread, |text| text.split(',').all(is_code))
        .lost("of a stay that patient lacks", unknown);
    Ok((codes, [step, coding.step("diagnoses")]))
}

/// Whether a text has the shape of a code of either edition.
fn is_code(text: &str) -> bool {
    [Icd::Icd9, Icd::Icd10].iter().any(|&edition| icd::has_shape(edition, text))
}

/// The first code of the wanted edition that a row has, else the first of the other one, which has an equivalent. With
/// `compat` there is no other one, and ICD-9-CM comes first, as in the published code.
fn code(text: &str, wanted: Icd, compat: bool) -> Option<(Icd, String)> {
    let first = |edition: Icd| {
        let mut written = text.split(',').map(str::trim);
        let code = match edition {
            Icd::Icd9 if compat => written.next().and_then(|code| icd9(code, true)),
            Icd::Icd9 => written.find_map(|code| icd9(code, false)),
            Icd::Icd10 => written.find(|code| is_icd10(code)).map(str::to_owned),
        };
        code.map(|code| (edition, code))
    };
    let other = match wanted {
        Icd::Icd9 => Icd::Icd10,
        Icd::Icd10 => Icd::Icd9,
    };
    first(wanted).or_else(|| if compat { None } else { first(other) })
}

/// A code of ICD-9-CM without its dot: numbers are filled up to three digits before the dot. With `compat` V and E codes
/// are none, as in the published code.
fn icd9(text: &str, compat: bool) -> Option<String> {
    let (category, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !(rest.is_empty() || digits(rest) && rest.len() <= 2) {
        return None;
    }
    let within = |number: &str, length: usize, range: std::ops::RangeInclusive<u32>| {
        digits(number) && number.len() == length && number.parse().is_ok_and(|n| range.contains(&n))
    };
    match category.split_at_checked(1) {
        Some(("V", number)) => (!compat && within(number, 2, 1..=91)).then(|| format!("{category}{rest}")),
        Some(("E", number)) => (!compat && within(number, 3, 800..=999)).then(|| format!("{category}{rest}")),
        _ => (digits(category) && category.len() <= 3).then(|| format!("{category:0>3}{rest}")),
    }
}

/// Whether a text looks like a code of ICD-10-CM and like none of ICD-9-CM.
fn is_icd10(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = bytes.len() >= 3 && bytes[0].is_ascii_uppercase() && bytes[1].is_ascii_digit();
    shape && bytes[2].is_ascii_alphanumeric() && bytes.get(3).is_none_or(|&b| b == b'.') && icd9(text, false).is_none()
}

/// A name of the table in one unit.
type Item = (Vec<u8>, Vec<u8>);

/// Adds the items, numbered from 1 in the order of the alphabet. Two passes over the table; results are held as numbers, rows
/// are not.
fn labs(
    table: &Table,
    rule: Rule,
    cohort: &mut Cohort,
    ids: &Ids,
    on_bad_row: OnBadRow,
    context: &ParserContext<'_>,
) -> Result<()> {
    let places = cohort.places();
    let cut_from = context.cut_from(cohort, rule);
    let (rows, progress) = ("rows of lab".into(), context.progress);
    let (losses, rules) = (&[UNKNOWN_TYPE, NO_NAME], &[OTHER_TYPE, NO_RESULT, NOT_IN_COHORT]);
    let pass = Pass { table, rows, on_bad_row, losses, rules, progress };
    let mut categories = BTreeMap::<Item, u8>::new();
    let (sets, step) = labs::read(rule, &cut_from, |show| {
        pass.each(
            |row| result(row, &places, ids),
            |at, (item, category, value): (Item, u8, f32)| {
                categories.entry(item.clone()).or_insert(category);
                show(at, item, value);
            },
        )
    })?;
    let numbers: HashMap<&Item, i64> = categories.keys().zip(1..).collect();
    sets.add_to(cohort, rule, |item| {
        let [name, unit] = [&item.0, &item.1].map(|text| String::from_utf8_lossy(text));
        let name = if unit.is_empty() { name.into_owned() } else { format!("{name} ({unit})") };
        (LabItem { id: numbers[item], category: categories.get(item).copied() }, name)
    });
    cohort.lab_categories = CATEGORIES.map(|(name, _)| name.to_owned()).to_vec();
    cohort.flow.push(step);
    Ok(())
}

/// The result of a row: item, category and value.
fn result(row: &Row<'_>, places: &HashMap<i64, usize>, ids: &Ids) -> Result<Seen<(Item, u8, f32)>, Fault> {
    let Some(&at) = row.id(0, ids)?.and_then(|stay| places.get(&stay)) else {
        return Ok(Seen::LeftOut(NOT_IN_COHORT));
    };
    let kind = row.text(1);
    // As pandas writes numbers of a column that has empty cells.
    let kind = kind.strip_suffix(".0").unwrap_or(kind);
    let Some(category) = CATEGORIES.iter().position(|(_, id)| *id == kind) else {
        return Ok(match OTHER_TYPES.contains(&kind) {
            true => Seen::LeftOut(OTHER_TYPE),
            false => Seen::Lost(UNKNOWN_TYPE),
        });
    };
    let Some(value) = row.number::<f32>(3)? else { return Ok(Seen::LeftOut(NO_RESULT)) };
    if row.bytes(2).trim_ascii().is_empty() {
        return Ok(Seen::Lost(NO_NAME));
    }
    let item = (row.bytes(2).to_vec(), row.bytes(4).to_vec());
    Ok(Seen::Of(at, (item, category as u8, value)))
}

#[cfg(test)]
mod tests;
