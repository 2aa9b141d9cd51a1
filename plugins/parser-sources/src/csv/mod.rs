//! `csv`: any tables, by the names of their columns.

mod codes;
mod labs;
mod layout;
mod options;
mod visits;

pub use options::{CsvOptions, Written};

use dualk_sdk::component::Inputs;
use dualk_sdk::data::CodeTables;
use dualk_sdk::data::coding::Coding;
use dualk_sdk::data::tables::Opened;
use dualk_sdk::prelude::*;
use layout::Layout;
use std::collections::HashMap;
use std::sync::Arc;

/// Reads any tables that have a column for the patient.
struct Csv {
    options: CsvOptions,
    layout: Opened<Layout>,
}

impl Csv {
    fn layout(&self) -> Result<Arc<Layout>> {
        self.layout.get(layout::files(&self.options), || Layout::open(&self.options))
    }

    /// The tables, once all that can be known without reading them is as it should be.
    fn checked(&self) -> Result<Arc<Layout>> {
        let CsvOptions { icd_map, group, drug_map, .. } = &self.options;
        let tables = CodeTables { icd_map: icd_map.given(), group: group.given(), drug_map: drug_map.given() };
        tables.checked(self.layout())
    }
}

impl Parser for Csv {
    fn check(&self) -> Result<()> {
        self.checked().map(drop)
    }

    fn inputs(&self) -> Option<Inputs> {
        let layout = self.layout().ok()?;
        Some(Inputs { files: layout.files(), split: self.options.quantiles > 0, ..Inputs::default() })
    }

    fn parse(&self, context: &ParserContext<'_>) -> Result<Cohort> {
        let options = &self.options;
        let layout = self.checked()?;
        let mut coding = Coding::new(options.code_system, options.icd_map.given(), options.group.given())?;
        let task = context.progress.begin("visits", "tables", None);
        let visits = visits::read(&layout, options)?;
        task.finish("");
        let task = context.progress.begin("codes", "tables", None);
        let (codes, steps) = codes::diagnoses(&layout, options, &visits, &mut coding)?;
        task.finish("");
        let cohort = visits.stays.cohort(&codes, coding.names(), visits.step.iter().cloned().chain(steps));
        let mut cohort = cohort.map_err(|e| e.at_file(layout.visits.path()))?;
        if options.written != Written::Other {
            cohort.set_titles(|code| coding.title(code));
        }
        for (kind, source) in &layout.events {
            codes::others(source, kind, options, &visits, &mut cohort)?;
        }
        labs::add(&layout, options, &visits, &mut cohort, context)?;
        Ok(cohort)
    }
}

/// Per admission, by its number, what belongs to it.
type Rows = HashMap<i64, Vec<u32>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Folder, parse};
    use dualk_sdk::data::coding::CodeSystem;
    use dualk_sdk::data::events::EventTable;
    use dualk_sdk::data::{LabItem, Sex, Step};

    fn codes(cohort: &Cohort) -> Vec<Vec<&str>> {
        let name = |&code: &u32| cohort.code_names[code as usize].as_str();
        cohort.codes.rows().map(|row| row.iter().map(name).collect()).collect()
    }

    fn path(folder: &Folder, name: &str) -> FilePath {
        FilePath(folder.path().join(name))
    }

    /// One table, a row a diagnosis, with texts for identifiers and visits that are counted per patient.
    fn long(folder: &Folder) -> CsvOptions {
        folder.write(
            "all.csv",
            "pid,nr,day,icd,sex,age\nA-1,2,2020-05-01,I10,f,61\nA-1,1,2019-01-31,I50.9,f,60\nA-1,2,2020-05-01,E11.9,f,61\n\
             B 2,1,2018-01-01,I10,male,40\nB 2,1,2018-01-01,,male,40\n,1,2018-01-01,I10,m,1\n",
        );
        CsvOptions {
            visits: path(folder, "all.csv"),
            patient: "pid".into(),
            visit: "nr".into(),
            time: "day".into(),
            code: vec!["icd".into()],
            code_system: CodeSystem::Icd10,
            ..CsvOptions::default()
        }
    }

    #[test]
    fn one_long_table_is_enough() {
        let folder = Folder::new();
        let cohort = parse(long(&folder), false).unwrap();
        assert_eq!(cohort.patient_names, ["A-1", "B 2"]);
        assert_eq!(cohort.admission_names, ["A-1/1", "A-1/2", "B 2/1"]);
        assert_eq!(codes(&cohort), [vec!["I50.9"], vec!["I10", "E11.9"], vec!["I10"]]);
        assert_eq!(cohort.code_titles[0], "Heart failure, unspecified");
        assert_eq!(cohort.patient_facts[0].sex, Some(Sex::Female));
        assert_eq!(cohort.admission_facts[1].age, Some(61.0));
        let lost: Vec<u64> = cohort.flow.iter().map(Step::lost_count).collect();
        assert_eq!(lost, [1, 1, 1, 0, 0], "{:?}", cohort.flow);
        for step in &cohort.flow[..2] {
            assert_eq!((step.left_out[0].why.as_str(), step.left_out[0].count), ("without a patient", 1), "{step:?}");
        }
    }

    /// Several tables: visits with codes in numbered columns, results with limits, drugs.
    fn wide(folder: &Folder) -> CsvOptions {
        folder.write(
            "visits.csv",
            "patient,visit,time,dx1,dx2,dx10,end,died\n7,70,2020-01-01 10:00,4280,,25000,2020-01-03 10:00,0\n\
             7,71,2020-03-01,486,4280,,2020-03-02,1\n9,90,2020-01-01,E8490,,,,\n",
        );
        folder.write(
            "labs.csv",
            "visit,item,value,low,high,group\n70,Glucose,200,70,100,chemistry\n70,Glucose,90,70,100,chemistry\n\
             71,Hb,7,12,16,blood\n99,Hb,7,12,16,blood\n71,Na,140,,,chemistry\n71,,7,12,16,blood\n",
        );
        folder.write("rx.csv", "visit,atc\n70,A10BA02\n70,A10BA02\n71,C03CA01\n70,N02BE01\n");
        CsvOptions {
            visits: path(folder, "visits.csv"),
            code: vec!["dx*".into()],
            written: Written::Icd9,
            code_system: CodeSystem::Icd9,
            labs: path(folder, "labs.csv"),
            value: "value".into(),
            low: "low".into(),
            high: "high".into(),
            category: "group".into(),
            drugs: path(folder, "rx.csv"),
            drug: "atc".into(),
            ..CsvOptions::default()
        }
    }

    #[test]
    fn several_tables_and_numbered_columns() {
        let folder = Folder::new();
        let cohort = parse(wide(&folder), false).unwrap();
        assert_eq!((cohort.patients.as_slice(), cohort.admissions.values()), (&[7, 9][..], &[70, 71, 90][..]));
        assert_eq!(codes(&cohort), [vec!["428.0", "250.00"], vec!["486", "428.0"], vec!["E849.0"]]);
        assert_eq!(cohort.lab_categories, ["blood", "chemistry"]);
        assert_eq!(cohort.lab_names, ["Glucose", "Hb"]);
        assert_eq!(cohort.lab_items, [LabItem { id: 1, category: Some(1) }, LabItem { id: 2, category: Some(0) }]);
        assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[0][..], &[1], &[]]);
        let results = cohort.flow.last().unwrap();
        let lost: Vec<(&str, u64)> = results.left_out.iter().map(|l| (l.why.as_str(), l.count)).collect();
        assert_eq!((results.what.as_str(), results.total, results.lost_count()), ("rows of labs", 6, 2), "{lost:?}");
        assert!(lost.contains(&("without a name", 1)), "{lost:?}");
        let facts = &cohort.admission_facts;
        assert_eq!(facts[0].end.zip(facts[0].start).map(|(end, start)| end - start), Some(2 * 86_400));
        assert_eq!([facts[0].died, facts[1].died, facts[2].died], [Some(false), Some(true), None]);
        let drugs = cohort.events("drugs").unwrap();
        assert_eq!(drugs.names, ["A10BA02", "N02BE01", "C03CA01"]);
        assert_eq!(drugs.rows.rows().collect::<Vec<_>>(), [&[0, 1][..], &[2], &[]]);
    }

    #[test]
    fn cells_may_hold_several_codes_of_any_system_and_columns_may_be_items() {
        let folder = Folder::new();
        folder.write(
            "t.csv",
            "patient,time,codes,lab_na,lab_k\n1,2,a; b,1,\n1,1,b,H,0\n2,1,c;;a,,\n,1,c,H,\n1,,c,,H\n3,1,,,1\n",
        );
        let options = CsvOptions {
            visits: path(&folder, "t.csv"),
            visit: String::new(),
            code: vec!["codes".into()],
            separator: ";".into(),
            written: Written::Other,
            items: vec!["lab_*".into()],
            ..CsvOptions::default()
        };
        let cohort = parse(options, false).unwrap();
        assert_eq!(codes(&cohort), [vec!["b"], vec!["a", "b"], vec!["c", "a"]], "by number of the column time");
        assert_eq!(cohort.lab_names, ["na"]);
        assert_eq!(cohort.labs.rows().map(<[u32]>::len).collect::<Vec<_>>(), [1, 1, 0]);
        let cells = cohort.flow.last().unwrap();
        assert_eq!((cells.what.as_str(), cells.total, cells.kept()), ("cells of laboratory items", 6, 3));
        let why = cells.left_out.iter().map(|l| (l.why.as_str(), l.count)).collect::<Vec<_>>();
        let outside = "of admissions that are not in the cohort";
        assert_eq!(why, [("without a patient", 1), ("without a visit", 1), (outside, 1)]);
        assert!(cohort.admission_facts.is_empty() && cohort.code_titles.is_empty());
    }

    #[test]
    fn dates_semicolons_other_kinds_and_parts_of_values() {
        let folder = Folder::new();
        folder.write(
            "visits.csv",
            "patient;visit;time;code;end\n7;70;01.03.2020 08:00;I10;02.03.2020 08:00\n7;71;15.01.2020 00:00;I50.9;\n",
        );
        folder.write("devices.csv", "visit;device\n70;pacemaker\n70;pacemaker\n99;x\n");
        folder.write("labs.csv", "visit;item;value\n70;Na;140\n71;Na;120\n71;Na;\n");
        let options = CsvOptions {
            visits: path(&folder, "visits.csv"),
            date_format: "%d.%m.%Y %H:%M".into(),
            event_tables: vec![EventTable { kind: "devices".into(), table: "devices".into(), code: "device".into() }],
            labs: path(&folder, "labs.csv"),
            value: "value".into(),
            quantiles: 2,
            ..CsvOptions::default()
        };
        let cohort = parse(options.clone(), false).unwrap();
        assert_eq!(cohort.admissions.row(0), [71, 70]);
        let facts = &cohort.admission_facts[1];
        assert_eq!(facts.end.zip(facts.start).map(|(end, start)| end - start), Some(86_400));
        let devices = cohort.events("devices").unwrap();
        assert_eq!((devices.names.as_slice(), devices.rows.row(1)), (&["pacemaker".to_owned()][..], &[0][..]));
        assert_eq!(cohort.lab_names, ["Na, part 1 of 2", "Na, part 2 of 2"]);
        assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [[0], [1]]);
        let said = |options: CsvOptions| parse(options, false).unwrap_err().to_string();
        let error = said(CsvOptions { date_format: String::new(), ..options.clone() });
        assert!(error.contains("visits.csv:2") && error.contains("date_format"), "{error}");
        assert!(said(CsvOptions { date_format: "%d.%m".into(), ..options.clone() }).starts_with("`date_format`"));
        let table = EventTable { kind: "devices".into(), table: "device".into(), code: "device".into() };
        let error = said(CsvOptions { event_tables: vec![table], ..options });
        assert!(error.starts_with("`event_tables[0]`") && error.contains("did you mean `devices`"), "{error}");
    }

    #[test]
    fn visits_stand_in_the_order_of_utc() {
        let folder = Folder::new();
        // 23:00 ten hours ahead of UTC is 13:00, before 14:00; 10:00 five hours behind it is 15:00.
        folder.write(
            "zones.csv",
            "patient,visit,time,code\n1,13,2150-01-01T10:00:00-05:00,I10\n1,12,2150-01-01T14:00:00Z,I10\n\
             1,11,2150-01-01T23:00:00+10:00,I10\n",
        );
        let cohort = parse(CsvOptions { visits: path(&folder, "zones.csv"), ..CsvOptions::default() }, false).unwrap();
        assert_eq!(cohort.admissions.row(0), [11, 12, 13]);
    }

    #[test]
    fn what_cannot_be_read_of_visits_is_counted() {
        let folder = Folder::new();
        folder.write(
            "facts.csv",
            "patient,visit,time,end,age,sex,died,code\n1,1,2150-01-01,broken,60,f,1.0,I10\n\
             1,2,2150-02-01,2150-02-02,old,f,?,I10\n2,3,2150-01-01,,,2,,I10\n",
        );
        let read = || parse(CsvOptions { visits: path(&folder, "facts.csv"), ..CsvOptions::default() }, false).unwrap();
        let cohort = read();
        let died: Vec<_> = cohort.admission_facts.iter().map(|facts| facts.died).collect();
        assert_eq!(died, [Some(true), None, None]);
        let steps = |cohort: &Cohort| -> Vec<(String, u64, u64)> {
            let of = |step: &Step| (step.what.clone(), step.total, step.lost_count());
            cohort.flow.iter().filter(|step| !step.what.starts_with("rows")).map(of).collect()
        };
        let expected = [("ends of visits", 2, 1), ("ages", 2, 1), ("deaths", 2, 1), ("sexes", 2, 1)];
        for (what, total, lost) in expected {
            assert!(steps(&cohort).contains(&(what.to_owned(), total, lost)), "{what}: {:?}", cohort.flow);
        }
        // Where times are numbers, ends are, and nothing is lost that another way of writing would keep.
        folder.write("facts.csv", "patient,visit,time,end,code\n1,1,10,12,I10\n1,2,20,21.5,I10\n");
        assert!(steps(&read()).iter().all(|(what, ..)| what != "ends of visits"));
    }

    #[test]
    fn rows_of_a_visit_that_differ_are_counted_and_the_first_counts() {
        let folder = Folder::new();
        folder.write(
            "rows.csv",
            "patient,visit,time,end,age,died,code\n1,1,2150-01-01,2150-01-02,60,0,I10\n\
             1,1,2150-01-01,2150-01-03,60,0,E11.9\n1,1,2150-01-01,,,?,I50.9\n1,1,2150-01-01,2150-01-02 00:00,60.0,no,J18.9\n\
             2,2,2150-01-01,,40,,I10\n2,2,2150-01-01,,40,1,E11.9\n2,2,2150-01-01,,41,,N17.9\n",
        );
        let cohort = parse(CsvOptions { visits: path(&folder, "rows.csv"), ..CsvOptions::default() }, false).unwrap();
        assert_eq!(cohort.codes.rows().map(<[u32]>::len).collect::<Vec<_>>(), [4, 3]);
        let facts: Vec<_> = cohort.admission_facts.iter().map(|f| (f.end.is_some(), f.age, f.died)).collect();
        assert_eq!(facts, [(true, Some(60.0), Some(false)), (false, Some(40.0), None)]);
        assert_eq!(
            cohort.admission_facts[0].end.zip(cohort.admission_facts[0].start).map(|(e, s)| e - s),
            Some(86_400)
        );
        let step = &cohort.flow[0];
        assert_eq!((step.what.as_str(), step.total, step.lost_count()), ("rows of visits", 7, 0));
        let odd: Vec<(&str, u64)> = step.odd.iter().map(|odd| (odd.what.as_str(), odd.count)).collect();
        assert_eq!(odd, [("that differ from the first row of their visit, which counts", 3)]);
        assert!(cohort.flow.iter().all(|step| step.what != "deaths"), "cells of visits are those of their first rows");
    }

    #[test]
    fn an_end_before_its_start_is_unknown_and_counted() {
        let folder = Folder::new();
        folder.write(
            "ends.csv",
            "patient,visit,time,end,code\n1,1,2150-01-02 10:00,2150-01-01,I10\n1,2,2150-02-01 10:00,2150-02-01,I10\n\
             1,3,2150-03-01 10:00,2150-03-01 09:00,I10\n",
        );
        let cohort = parse(CsvOptions { visits: path(&folder, "ends.csv"), ..CsvOptions::default() }, false).unwrap();
        let ends: Vec<_> = cohort.admission_facts.iter().map(|facts| (facts.end, facts.end == facts.start)).collect();
        assert_eq!(ends, [(None, false), (cohort.admission_facts[1].start, true), (None, false)]);
        let step = cohort.flow.iter().find(|step| step.what == "ends of visits").unwrap();
        assert_eq!((step.total, step.lost_count()), (3, 2));
    }

    #[test]
    fn mistakes_name_the_place() {
        let folder = Folder::new();
        let said = |options: CsvOptions| parse(options, false).unwrap_err().to_string();
        let good = || wide(&folder);
        let none = String::new;
        let without_labs = || CsvOptions {
            labs: FilePath::default(),
            value: none(),
            low: none(),
            high: none(),
            category: none(),
            ..good()
        };
        for (options, says) in [
            (CsvOptions { patient: "pid".into(), ..good() }, "the column `pid` is missing"),
            (CsvOptions { code: vec!["icd*".into()], ..good() }, "`code`: no column of this table is called `icd*`"),
            (CsvOptions { code: vec![], ..good() }, "`code`"),
            (CsvOptions { value: "result".into(), ..good() }, "`result` is missing"),
            (CsvOptions { low: String::new(), high: String::new(), ..good() }, "`value`"),
            // What would not be looked at.
            (CsvOptions { value: String::new(), ..good() }, "`low`: limits alone do not say"),
            (CsvOptions { labs: FilePath::default(), ..good() }, "`value`: this is a column of laboratory results"),
            (CsvOptions { quantiles: 5, ..good() }, "`low`: limits are not looked at"),
            (CsvOptions { item: "test".into(), ..without_labs() }, "`item`: this is a column of laboratory results"),
            (CsvOptions { version: "edition".into(), ..good() }, "`version`: a column of editions is read with"),
            (CsvOptions { sex: "gender".into(), ..good() }, "`sex`: the column `gender` is missing"),
            (CsvOptions { end: "ended".into(), ..good() }, "`end`: the column `ended` is missing"),
            (CsvOptions { visits: FilePath::default(), ..good() }, "`visits`"),
            (CsvOptions { codes: path(&folder, "none.csv"), ..good() }, "`codes`: "),
        ] {
            let error = said(options);
            assert!(error.contains(says), "{error}");
        }
        // All that is missing is named.
        let error = said(CsvOptions { patient: "pid".into(), drug: "rx".into(), value: "result".into(), ..good() });
        for says in ["the column `pid` is missing", "`labs`: the column `result` is", "`drugs`: the column `rx` is"] {
            assert!(error.contains(says), "{error}");
        }
        for (text, says) in [
            ("patient,visit,time,dx1\n1,1,2020-01-01,a\n2,1,soon,a\n", "t.csv:3"),
            ("patient,visit,time,dx1\n1,1,2020-01-01,a\n1,1,2021-01-01,a\n", "t.csv:3"),
            ("patient,visit,time,dx1\n1,1,,486\n", "t.csv:2"),
            ("patient,visit,time,dx1\n1,1,2019-01-02,a\n1,2,20190103,a\n", "holds dates in rows before and a number"),
            ("patient,visit,time,dx1\n1,1,20190102,a\n2,2,2019-01-03,a\n", "t.csv:3"),
        ] {
            folder.write("t.csv", text);
            let error = said(CsvOptions { visits: path(&folder, "t.csv"), ..without_labs() });
            assert!(error.contains(says), "{error}");
        }
        // A column that is there twice is no missing one, and found before anything is read.
        folder.write("codes.csv", "patient,visit,visit,code\n7,70,71,I10\n");
        let twice = CsvOptions { codes: path(&folder, "codes.csv"), code: vec!["code".into()], ..good() };
        let error = twice.build().unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with("`codes`: the column `visit` occurs 2 times"), "{error}");
        // Two patients have a visit 1, and the table of drugs does not say whose.
        folder.write("t.csv", "patient,visit,time,dx1\n1,70,2020-01-01,486\n2,70,2020-01-01,486\n");
        let error = said(CsvOptions { visits: path(&folder, "t.csv"), ..without_labs() });
        assert!(error.contains("rx.csv:2") && error.contains("a column for the patient"), "{error}");
    }

    #[test]
    fn it_is_a_sound_parser() {
        let folder = Folder::new();
        dualk_sdk::testing::check_parser(long(&folder));
        dualk_sdk::testing::check_parser(wide(&folder));
    }
}
