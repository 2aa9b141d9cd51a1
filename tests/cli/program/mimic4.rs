//! Tables like those of MIMIC-IV, written by hand.

use std::fs;
use std::path::Path;

/// Of 24 patients, half of them with two admissions.
pub struct Mimic4 {
    /// The identifiers of the first patient, the first admission and the first laboratory event.
    pub first: [u32; 3],
    /// What stands, before the number of the patient, in columns that no parser needs; `None` where tables are without them.
    pub text: Option<&'static str>,
}

impl Mimic4 {
    /// Writes the tables to `raw` of a folder, and a map of codes beside it.
    pub fn write(&self, folder: &Path) {
        let raw = folder.join("raw");
        fs::create_dir_all(&raw).unwrap();
        for (name, table) in [
            ("patients.csv", self.patients()),
            ("admissions.csv", self.admissions()),
            ("diagnoses_icd.csv", self.diagnoses()),
            ("labevents.csv", self.events()),
            ("d_labitems.csv", ITEMS.to_owned()),
        ] {
            fs::write(raw.join(name), table).unwrap();
        }
        fs::write(folder.join("map.csv"), "ICD10,ICD9\nI509,4289\nE119,25000\n").unwrap();
    }

    fn patients(&self) -> String {
        let mut table = "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n".to_owned();
        for p in 0..24 {
            table += &format!("{},F,60,2150,2014 - 2016,{}\n", self.first[0] + p, self.text_of(p));
        }
        table
    }

    fn admissions(&self) -> String {
        let mut table = format!("subject_id,hadm_id,admittime,dischtime{}\n", self.column("insurance"));
        for (p, v) in visits() {
            let ids = self.ids(p, v);
            table += &format!("{ids},2150-0{}-01 10:00:00,2150-09-09 10:00:00{}\n", v + 1, self.cell(p));
        }
        table
    }

    fn diagnoses(&self) -> String {
        let codes = ["4280", "25000", "4019", "5849", "2724", "41401"];
        let mut table = "subject_id,hadm_id,seq_num,icd_code,icd_version\n".to_owned();
        for (p, v) in visits() {
            for c in 0..3 {
                table += &format!("{},{},{},9\n", self.ids(p, v), c + 1, codes[(p + v + c) as usize % codes.len()]);
            }
        }
        table
    }

    fn events(&self) -> String {
        let comments = self.column("comments");
        let mut table = format!("labevent_id,subject_id,hadm_id,itemid,charttime,flag{comments}\n");
        for (p, v) in visits() {
            for item in 0..6 {
                let event = self.first[2] + 100 * p + 10 * v + item;
                let flag = if (p + v + item).is_multiple_of(2) { "abnormal" } else { "" };
                let (ids, cell) = (self.ids(p, v), self.cell(p));
                table += &format!("{event},{ids},{},2150-01-01 11:00:00,{flag}{cell}\n", 500 + item);
            }
        }
        table
    }

    /// The identifiers of a patient and of an admission.
    fn ids(&self, p: u32, v: u32) -> String {
        format!("{},{}", self.first[0] + p, self.first[1] + 10 * p + v)
    }

    /// What stands in a column that no parser needs.
    fn text_of(&self, p: u32) -> String {
        self.text.map_or_else(String::new, |text| format!("{text}{p}"))
    }

    /// A further column, where tables have such.
    fn column(&self, name: &str) -> String {
        self.text.map_or_else(String::new, |_| format!(",{name}"))
    }

    /// What stands there.
    fn cell(&self, p: u32) -> String {
        self.text.map_or_else(String::new, |_| format!(",{}", self.text_of(p)))
    }
}

/// The numbers of patients, and of their admissions.
fn visits() -> impl Iterator<Item = (u32, u32)> {
    (0..24).flat_map(|p| (0..1 + p % 2).map(move |v| (p, v)))
}

const ITEMS: &str = "itemid,label,fluid,category\n500,a,Blood,Chemistry\n501,b,Blood,Chemistry\n502,c,Blood,Hematology\n\
                     503,d,Blood,Hematology\n504,e,Blood,Blood Gas\n505,f,Blood,Blood Gas\n";
