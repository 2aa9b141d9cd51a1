//! Files like those of MIMIC-IV, at any size: every patient has draws of its own, so that patients are made in parallel
//! and the files are written as they come.

use crate::draw::Draw;
use crate::generate::{FIRST_ADMISSION, FIRST_ITEM, FIRST_PATIENT, Patient, Sizes, Visit, number_of_visits};
use crate::knowledge::Knowledge;
use crate::patient_rows::{PatientRows, Texts, icd10};
use crate::world::{CATEGORIES, World};
use dualk_sdk::component::at_least;
use dualk_sdk::prelude::*;
use dualk_sdk::storage::{self, Access};
use flate2::{Compression, write::GzEncoder};
use rayon::prelude::*;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// Rows that are held as text at a time, for each of some workers.
const ROWS_AT_A_TIME: u64 = 20_000;
/// More rows than this for one patient would not be held in little memory.
const MOST_ROWS_OF_A_PATIENT: u64 = 10_000;
/// Codes of a cluster, as many as in a cohort of default size.
const CODES_OF_A_CLUSTER: usize = 20;
/// Texts of codes are different up to here.
const MOST_CODES: usize = 19_800;
/// What is held of each patient, and of each item, fits into some gigabytes.
const MOST_PATIENTS: usize = 100_000_000;
const MOST_LABS: usize = 100_000;

const PATIENTS: &str = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n";
const ADMISSIONS: &str = "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,\
    admission_location,discharge_location,insurance,language,marital_status,race,edregtime,edouttime,\
    hospital_expire_flag\n";
const DIAGNOSES: &str = "subject_id,hadm_id,seq_num,icd_code,icd_version\n";
const EVENTS: &str = "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,\
    valuenum,valueuom,ref_range_lower,ref_range_upper,flag,priority,comments\n";

/// How much to write.
#[derive(Debug, Clone)]
pub struct Files {
    /// Number of patients.
    pub patients: usize,
    /// Number of rows of `labevents`, shared evenly among admissions.
    pub lab_rows: u64,
    /// Seed: the same numbers give the same files.
    pub seed: u64,
    /// Whether tables are `.csv.gz`, each a single gzip stream as those of PhysioNet.
    pub gzip: bool,
    /// Number of diagnosis codes that there are.
    pub codes: usize,
    /// Number of laboratory items that there are.
    pub labs: usize,
    /// Fraction of the patients with two or more admissions.
    pub multi: f64,
    /// Further codes of each admission, from anywhere: they fill the graph of diseases.
    pub incidental: usize,
    /// Chance that a fact of the knowledge graph beside the tables is right; without one there is no graph.
    pub knowledge: Option<f64>,
}

impl Default for Files {
    fn default() -> Self {
        let Sizes { codes, labs, multi, .. } = Sizes::default();
        Self {
            patients: 10_000,
            lab_rows: 1_000_000,
            seed: 1,
            gzip: false,
            codes,
            labs,
            multi,
            incidental: 0,
            knowledge: None,
        }
    }
}

/// Refuses what is no proportion, in the words of an option of a manifest; NaN is none.
pub(crate) fn proportion(flag: &str, value: f64) -> Result<()> {
    match (0.0..=1.0).contains(&value) {
        true => Ok(()),
        false => Err(Error::user(format!("expected 0 to 1, found {value}")).at_key(flag)),
    }
}

impl Files {
    /// Writes patients, admissions, diagnoses_icd, labevents, d_labitems and `icd10-icd9.csv` into the folder `out`, all
    /// of it or nothing.
    ///
    /// # Errors
    /// When `out` holds something, or the numbers do not fit one another.
    pub fn write(&self, out: &Path, progress: &dyn Progress) -> Result<()> {
        at_least("--patients", self.patients, 1)?;
        at_least("--codes", self.codes, 2 * CODES_OF_A_CLUSTER)?;
        at_least("--labs", self.labs, 3)?;
        for (flag, found, most) in [
            ("--patients", self.patients, MOST_PATIENTS),
            ("--labs", self.labs, MOST_LABS),
            ("--incidental", self.incidental, self.codes),
        ] {
            if found > most {
                return Err(Error::user(format!("expected at most {most}, found {found}")).at_key(flag));
            }
        }
        proportion("--multi", self.multi)?;
        proportion("--knowledge", self.knowledge.unwrap_or(0.0))?;
        if self.codes > MOST_CODES {
            return Err(Error::user(format!("expected at most {MOST_CODES}, found {}", self.codes)).at_key("--codes"));
        }
        let most = MOST_ROWS_OF_A_PATIENT.saturating_mul(self.patients as u64);
        if self.lab_rows > most {
            let message = format!("{} patients have at most {most} lab rows, found {}", self.patients, self.lab_rows);
            return Err(Error::user(message).at_key("--lab-rows").help("ask for more patients"));
        }
        storage::check_free(out)?;
        let parent = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        storage::common_folder(parent)?;
        storage::checked_folder(out, Access::Private, storage::check_free, |new| {
            self.write_all(new, progress)?;
            match self.knowledge {
                Some(strength) => Knowledge::of_tables(self).write(new, strength),
                None => Ok(()),
            }
        })
    }

    /// How many of everything the world has.
    pub(crate) fn sizes(&self) -> Sizes {
        let Self { codes, labs, multi, .. } = *self;
        Sizes { codes, labs, multi, clusters: codes / CODES_OF_A_CLUSTER, ..Sizes::default() }
    }

    fn write_all(&self, folder: &Path, progress: &dyn Progress) -> Result<()> {
        let options = self.sizes();
        let world = World::new(&options, &mut Draw::new(self.seed));
        let table = |name: &str, header: &str| Output::create(folder, name, self.gzip, header);
        table("d_labitems", &lab_items(&world))?.finish()?;
        Output::create(folder, "icd10-icd9", false, &icd_map(&world))?.finish()?;
        let mut outputs = [
            table("patients", PATIENTS)?,
            table("admissions", ADMISSIONS)?,
            table("diagnoses_icd", DIAGNOSES)?,
            table("labevents", EVENTS)?,
        ];
        let first_visits = self.first_visits(&options);
        let maker = Maker { files: self, options: &options, world: &world, first_visits: &first_visits };
        let chunk = (ROWS_AT_A_TIME * self.patients as u64 / self.lab_rows.max(1)).clamp(1, 256) as usize;
        let group = chunk * 2 * rayon::current_num_threads();
        let mut task = progress.begin("made-up patients", "patients", Some(self.patients as u64));
        let (send, receive) = sync_channel::<Vec<Texts>>(1);
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || -> Result<()> {
                for texts in receive.iter().flatten() {
                    let texts = [texts.patients, texts.admissions, texts.diagnoses, texts.events];
                    outputs.iter_mut().zip(texts).try_for_each(|(output, text)| output.write(&text))?;
                }
                outputs.into_iter().try_for_each(Output::finish)
            });
            for start in (0..self.patients).step_by(group) {
                let end = self.patients.min(start + group);
                let starts: Vec<usize> = (start..end).step_by(chunk).collect();
                let texts = starts.into_par_iter().map(|s| maker.texts(s..end.min(s + chunk))).collect();
                if send.send(texts).is_err() {
                    break; // The writer has failed and says why.
                }
                task.advance((end - start) as u64);
            }
            drop(send);
            writer.join().map_err(|_| Error::program("the writer of made-up tables panicked"))?
        })?;
        task.finish("");
        Ok(())
    }

    /// Per patient the number of admissions before its own; at the end, of all.
    fn first_visits(&self, options: &Sizes) -> Vec<u64> {
        let numbers: Vec<usize> =
            (0..self.patients).into_par_iter().map(|p| number_of_visits(options, &mut self.draw(p))).collect();
        let mut sum = 0;
        let ends = numbers.into_iter().map(|n| {
            sum += n as u64;
            sum
        });
        std::iter::once(0).chain(ends).collect()
    }

    fn draw(&self, patient: usize) -> Draw {
        // Spread over all bits: neighbours must not have like seeds.
        Draw::new((self.seed ^ (patient as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// Makes the rows of patients.
struct Maker<'a> {
    files: &'a Files,
    options: &'a Sizes,
    world: &'a World,
    first_visits: &'a [u64],
}

impl Maker<'_> {
    fn texts(&self, patients: Range<usize>) -> Texts {
        let mut texts = Texts::default();
        for p in patients {
            let mut draw = self.files.draw(p);
            let number = number_of_visits(self.options, &mut draw);
            let mut visits = Patient::new(self.world, self.options, &mut draw).visits(number, &mut draw);
            visits.iter_mut().for_each(|visit| self.add_incidental(visit, &mut draw));
            let subject = FIRST_PATIENT + 3 * p as i64;
            // Every eighth patient was admitted too early for the published cohort.
            let mut rows = PatientRows::new(self.world, subject, p % 8 == 7, &mut texts, &mut draw);
            for (order, visit) in visits.iter().enumerate() {
                let v = self.first_visits[p] + order as u64;
                rows.visit(
                    order,
                    FIRST_ADMISSION + 7 * v as i64,
                    visit,
                    self.events_before(v)..self.events_before(v + 1),
                );
            }
        }
        texts
    }

    /// Codes of any cluster, some far more often than others: ranks fall as 1 / rank.
    fn add_incidental(&self, visit: &mut Visit, draw: &mut Draw) {
        let codes = self.world.codes.len();
        for _ in 0..self.files.incidental {
            let rank = (codes as f64).powf(draw.unit()) as usize - 1;
            // 7919 is a prime that divides no such number of codes: ranks are spread over clusters.
            visit.codes.push((rank * 7919 % codes) as u32);
        }
    }

    fn events_before(&self, visit: u64) -> u64 {
        let all = self.first_visits.last().copied().unwrap_or(1);
        (u128::from(self.files.lab_rows) * u128::from(visit) / u128::from(all)) as u64
    }
}

fn lab_items(world: &World) -> String {
    let mut text = String::from("itemid,label,fluid,category\n");
    for (i, &category) in world.labs.iter().enumerate() {
        let category = CATEGORIES[usize::from(category)].0;
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{},\"Item, {i}\",Blood,{category}", FIRST_ITEM + i as i64);
    }
    text
}

fn icd_map(world: &World) -> String {
    let mut text = String::from("TABLETYP,ICD10,ICD9\n");
    for (i, code) in world.codes.iter().enumerate() {
        let _ = writeln!(text, "D,{},{}", icd10(i as u32), code.replace('.', ""));
    }
    text
}

/// A table that is written.
struct Output {
    path: PathBuf,
    to: Sink,
}

enum Sink {
    Plain(storage::Output),
    Gzip(Box<GzEncoder<storage::Output>>),
}

impl Output {
    fn create(folder: &Path, name: &str, gzip: bool, start: &str) -> Result<Self> {
        let path = folder.join(if gzip { format!("{name}.csv.gz") } else { format!("{name}.csv") });
        let file = storage::create(&path)?;
        let to = match gzip {
            true => Sink::Gzip(Box::new(GzEncoder::new(file, Compression::new(4)))),
            false => Sink::Plain(file),
        };
        let mut output = Self { path, to };
        output.write(start)?;
        Ok(output)
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let written = match &mut self.to {
            Sink::Plain(file) => file.write_all(text.as_bytes()),
            Sink::Gzip(file) => file.write_all(text.as_bytes()),
        };
        written.map_err(|e| Error::io("write the table", &self.path, e))
    }

    fn finish(self) -> Result<()> {
        let finished = match self.to {
            Sink::Plain(mut file) => file.flush(),
            Sink::Gzip(file) => file.finish().and_then(|mut file| file.flush()),
        };
        finished.map_err(|e| Error::io("write the table", &self.path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dualk_sdk::progress::Silent;

    fn written(files: &Files) -> Vec<(String, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("hosp");
        files.write(&out, &Silent).unwrap();
        let mut tables: Vec<_> = std::fs::read_dir(&out)
            .unwrap()
            .map(|e| e.unwrap().path())
            .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(p).unwrap()))
            .collect();
        tables.sort();
        tables
    }

    #[test]
    fn the_numbers_are_kept_and_the_seed_decides() {
        let files = Files { patients: 700, lab_rows: 54_321, seed: 3, ..Files::default() };
        let tables = written(&files);
        let lines = |name: &str| tables.iter().find(|t| t.0 == name).unwrap().1.iter().filter(|&&b| b == b'\n').count();
        assert_eq!(lines("labevents.csv"), 54_321 + 1);
        assert_eq!(lines("patients.csv"), 700 + 1);
        assert_eq!(tables, written(&files));
        assert_ne!(tables, written(&Files { seed: 4, ..files }));
    }

    /// Figures of the book were measured on these files.
    #[test]
    fn default_files_stay_what_they_were() {
        let tables = written(&Files { patients: 50, lab_rows: 900, seed: 5, ..Files::default() });
        let bytes: Vec<u8> =
            tables.into_iter().flat_map(|(name, bytes)| name.into_bytes().into_iter().chain(bytes)).collect();
        let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        assert_eq!(format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv)), "48345d138874c166");
    }

    #[test]
    fn proportions_are_refused_in_the_words_of_options() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |files: Files| files.write(&folder.path().join("hosp"), &Silent).unwrap_err().to_string();
        for value in [3.0, -0.5, f64::NAN] {
            let multi = refused(Files { multi: value, ..Files::default() });
            assert!(multi.starts_with(&format!("`--multi`: expected 0 to 1, found {value}")), "{multi}");
            let knowledge = refused(Files { knowledge: Some(value), ..Files::default() });
            assert!(knowledge.starts_with(&format!("`--knowledge`: expected 0 to 1, found {value}")), "{knowledge}");
        }
        assert!(proportion("--multi", 0.0).and(proportion("--multi", 1.0)).is_ok());
    }

    #[test]
    fn as_many_codes_and_items_as_asked_for() {
        for codes in [40, 880, 2_000, 7_945, 19_800] {
            let files = Files { patients: 3, lab_rows: 0, codes, labs: 445, incidental: 4, ..Files::default() };
            let tables = written(&files);
            let table = |name: &str| String::from_utf8(tables.iter().find(|t| t.0 == name).unwrap().1.clone()).unwrap();
            let map = table("icd10-icd9.csv");
            let old: std::collections::BTreeSet<&str> =
                map.lines().skip(1).map(|l| l.rsplit(',').next().unwrap()).collect();
            assert_eq!(old.len(), codes, "different codes");
            assert_eq!(table("d_labitems.csv").lines().count(), 446);
        }
        let files = Files { codes: 19_801, ..Files::default() };
        let message = files.write(Path::new("nowhere"), &Silent).unwrap_err().to_string();
        assert!(message.contains("expected at most 19800, found 19801"), "{message}");
    }

    #[test]
    fn what_is_there_is_kept_and_impossible_numbers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "").unwrap();
        let files = Files { patients: 2, lab_rows: 10, gzip: true, ..Files::default() };
        let message = files.write(folder.path(), &Silent).unwrap_err().to_string();
        assert!(message.contains("not empty"), "{message}");
        let large = [
            Files { patients: 1 << 40, ..files.clone() },
            Files { labs: 1 << 40, ..files.clone() },
            Files { incidental: 1 << 40, ..files.clone() },
        ];
        for files in large {
            let message = files.write(&folder.path().join("new"), &Silent).unwrap_err().to_string();
            assert!(message.contains("found 1099511627776") && message.contains("expected at most"), "{message}");
        }
        let files = Files { lab_rows: 20_001, ..files };
        let message = files.write(&folder.path().join("new"), &Silent).unwrap_err().to_string();
        assert!(message.contains("at most 20000 lab rows, found 20001"), "{message}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
