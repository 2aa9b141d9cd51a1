//! Small tables of eICU, written here.

use super::*;
use crate::testing::{Folder, parse, parse_learning_from};
use dualk_sdk::data::events::{EventKind, EventTable};
use dualk_sdk::data::{Demographics, Sex};

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write(
        "patient.csv",
        "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset\n11,1,-5\n12,1,-2258\n21,2,0\n31,3,0\n",
    );
    folder.write(
        "diagnosis.csv",
        "patientunitstayid,icd9code\n11,\"253.2, E23.0\"\n11,\"253.2, E23.0\"\n12,\"41.4, B96.2\"\n11,V45.81\n\
             21,\"E849.0, Y92\"\n21,\n21,\"038.9, A41.9\"\n31,\n",
    );
    let mut labs = String::from("patientunitstayid,labtypeid,labname,labresult,labmeasurenamesystem\n");
    // Glucose of 1 … 200, in one stay; of stay 21 one far above. Drug levels (2) do not count.
    (1..=200).for_each(|v| labs += &format!("12,1,glucose,{v},mg/dL\n"));
    labs += "21,1,glucose,500,mg/dL\n21,3,Hgb,7,g/dL\n21,2,vancomycin,1000,\n21,3,Hgb,,g/dL\n99,1,glucose,1,mg/dL\n";
    folder.write("lab.csv", &labs);
    folder
}

fn options(folder: &Folder) -> EicuOptions {
    EicuOptions { root: FilePath(folder.path().to_owned()), ..Default::default() }
}

#[test]
fn stays_codes_and_items_follow_the_rules() {
    let folder = folder();
    let cohort = parse(options(&folder), false).unwrap();
    assert_eq!(cohort.patients, [1, 2], "3 has a stay without codes");
    assert_eq!(cohort.admissions.row(0), [11, 12], "by -hospitaladmitoffset");
    let codes = |row: usize| -> Vec<&str> {
        cohort.codes.row(row).iter().map(|&c| cohort.code_names[c as usize].as_str()).collect()
    };
    assert_eq!([codes(0), codes(1), codes(2)], [vec!["253.2", "V45.81"], vec!["041.4"], vec!["E849.0", "038.9"]]);
    // Of 201 results six are below and six above.
    assert_eq!(cohort.lab_items, [LabItem { id: 2, category: Some(1) }], "Hgb has too few results");
    assert_eq!(cohort.labs.rows().map(<[u32]>::len).collect::<Vec<_>>(), [0, 1, 1]);
    let without = parse(EicuOptions { abnormal: Abnormal::None, ..options(&folder) }, false).unwrap();
    assert!(without.lab_items.is_empty() && without.codes == cohort.codes);
}

#[test]
fn what_is_left_out_of_results_is_counted() {
    let folder = folder();
    let mut labs = String::from("patientunitstayid,labtypeid,labname,labresult,labmeasurenamesystem\n");
    // As pandas writes numbers of a column that has empty cells.
    (1..=200).for_each(|v| labs += &format!("12,1.0,glucose,{v},mg/dL\n"));
    labs += "12,,glucose,500,mg/dL\n12,9.0,glucose,500,mg/dL\n21,1.0,,500,mg/dL\n21,2.0,vancomycin,1,\n";
    labs += "21,3.0,Hgb,,g/dL\n99,1.0,glucose,1,mg/dL\n";
    folder.write("lab.csv", &labs);
    let cohort = parse(options(&folder), false).unwrap();
    assert_eq!((cohort.lab_items.len(), cohort.lab_names.as_slice()), (1, &["glucose (mg/dL)".to_owned()][..]));
    let step = cohort.flow.last().unwrap();
    assert_eq!((step.what.as_str(), step.total, step.kept()), ("rows of lab", 206, 200));
    let left_out = step.left_out.iter().filter(|l| l.count > 0).map(|l| (l.why.as_str(), l.count, l.by_rule));
    let expected = [
        ("without a known type", 2, false),
        ("without a name", 1, false),
        ("of types that do not count", 1, true),
        ("without a result", 1, true),
        ("of admissions that are not in the cohort", 1, true),
    ];
    assert_eq!(left_out.collect::<Vec<_>>(), expected);
}

#[test]
fn treatments_drugs_and_other_tables_are_codes_of_further_kinds() {
    let folder = folder();
    folder.write(
        "treatment.csv",
        "patientunitstayid,treatmentstring\n12,pulmonary|ventilation\n21,renal|dialysis\n99,x\n",
    );
    folder.write(
            "medication.csv",
            "patientunitstayid,drugordercancelled,drugname\n11,No,ASPIRIN\n11,Yes,heparin\n12,No,\n21,No,Unknown\n21,No,aspirin\n",
        );
    folder.write("infusiondrug.csv", "patientunitstayid,drugname\n21,Norepinephrine (ml/hr)\n");
    folder.write("atc.csv", "drug,code\naspirin,B01AC06\nheparin,B01AB01\n");
    let infusions = EventTable { kind: "infusions".into(), table: "infusiondrug".into(), code: "drugname".into() };
    let with = EicuOptions {
        events: vec![EventKind::Procedures, EventKind::Drugs],
        event_tables: vec![infusions],
        drug_map: FilePath(folder.path().join("atc.csv")),
        ..options(&folder)
    };
    let cohort = parse(with.clone(), false).unwrap();
    let of = |kind: &str| {
        let events = cohort.events(kind).unwrap();
        let name = |&e: &u32| events.names[e as usize].as_str();
        events.rows.rows().map(|row| row.iter().map(name).collect()).collect::<Vec<Vec<&str>>>()
    };
    assert_eq!(of("procedures"), [vec![], vec!["pulmonary|ventilation"], vec!["renal|dialysis"]]);
    assert_eq!(of("drugs"), [vec!["B01AC06"], vec![], vec!["B01AC06"]]);
    assert_eq!(of("infusions"), [vec![], vec![], vec!["Norepinephrine (ml/hr)"]]);
    let step = |what: &str| cohort.flow.iter().find(|step| step.what == what).unwrap();
    assert_eq!((step("rows of medication").kept(), step("rows of medication").lost_count()), (3, 1));
    assert_eq!(step("drugs").left_out[1].unnamed, [("Unknown".to_owned(), 1)]);
    let missing = EicuOptions { drug: "drug".into(), ..with.clone() };
    let error = parse(missing, false).unwrap_err().to_string();
    assert!(error.starts_with("`events`") && error.contains("`drug` is missing"), "{error}");
    let twice = EicuOptions { events: vec![EventKind::Drugs; 2], ..with };
    assert!(parse(twice, false).unwrap_err().to_string().starts_with("`events`"));
}

#[test]
fn values_may_be_cut_into_parts() {
    let folder = folder();
    let cohort = parse(EicuOptions { quantiles: 4, ..options(&folder) }, false).unwrap();
    // Glucose is 1 … 200 and 500, so that its cuts are 51, 101 and 151; Hgb has one value.
    let names = ["Hgb (g/dL)", "glucose (mg/dL)"];
    let expected = [(0, 1), (1, 1), (1, 2), (1, 3), (1, 4)].map(|(n, part)| format!("{}, part {part} of 4", names[n]));
    assert_eq!(cohort.lab_names, expected);
    assert_eq!(cohort.labs.rows().collect::<Vec<_>>(), [&[][..], &[1, 2, 3, 4], &[0, 4]]);
    assert_eq!(cohort.lab_items[0], LabItem { id: 1, category: Some(0) });
    for (options, key) in [
        (EicuOptions { quantiles: 1, ..options(&folder) }, "`quantiles`"),
        (EicuOptions { quantiles: 4, abnormal: Abnormal::None, ..options(&folder) }, "`quantiles`"),
    ] {
        assert!(parse(options, false).unwrap_err().to_string().starts_with(key));
    }
}

/// numpy.quantile(range(1, 201), [0.25, 0.5, 0.75], method="inverted_cdf") is 50, 100, 150; of 500 alone each is 500.
#[test]
fn values_are_cut_by_those_who_are_learnt_from() {
    let folder = folder();
    let options = || EicuOptions { quantiles: 4, ..options(&folder) };
    let first = parse_learning_from(options(), 1);
    assert_eq!(first.lab_names, [1, 2, 3, 4].map(|part| format!("glucose (mg/dL), part {part} of 4")), "no Hgb");
    assert_eq!(first.labs.rows().collect::<Vec<_>>(), [&[][..], &[0, 1, 2, 3], &[3]]);
    let second = parse_learning_from(options(), 2);
    assert_eq!(second.lab_names, ["Hgb (g/dL), part 1 of 4", "glucose (mg/dL), part 1 of 4"]);
    assert_eq!(second.labs.rows().collect::<Vec<_>>(), [&[][..], &[1], &[0, 1]]);
    let cut_from = [first, second, parse(options(), false).unwrap()].map(|cohort| cohort.cut_from);
    assert_eq!(cut_from, [vec![0], vec![1], vec![0, 1]]);
    // The cache must know it.
    let depends = |options: EicuOptions| options.build().unwrap().inputs().unwrap().split;
    assert!(depends(options()) && !depends(EicuOptions { abnormal: Abnormal::None, ..self::options(&folder) }));
}

#[test]
fn hospital_stays_of_a_person_are_known() {
    let folder = folder();
    assert!(parse(options(&folder), false).unwrap().persons.is_empty(), "without uniquepid as before");
    let header = "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset,uniquepid";
    for (persons, expected) in [
        (["002-1", "002-1", "002-1", "002-1"], vec![0, 0]),
        (["002-1", "002-1", "002-2", "002-1"], vec![0, 1]),
        (["002-1", "", "", "002-2"], vec![0, 1]),
        (["7", "7", "7", "8"], vec![0, 0]),
        (["", "", "", ""], vec![]),
    ] {
        let [a, b, c, d] = persons;
        folder.write("patient.csv", &format!("{header}\n11,1,-5,{a}\n12,1,-2258,{b}\n21,2,0,{c}\n31,3,0,{d}\n"));
        let cohort = parse(options(&folder), false).unwrap();
        assert_eq!((cohort.patients.as_slice(), cohort.persons), (&[1, 2][..], expected), "{persons:?}");
    }
}

#[test]
fn the_published_code_knows_no_v_and_e_codes() {
    let cohort = parse(options(&folder()), true).unwrap();
    assert_eq!(cohort.code_names, ["253.2", "041.4", "038.9"]);
}

#[test]
fn codes_may_stay_icd10() {
    let folder = folder();
    folder.write("ccs.csv", "code,group\nE23.0,pituitary\nB962,bacteria\nA41.9,sepsis\n");
    let icd10 = || EicuOptions { code_system: CodeSystem::Icd10, ..options(&folder) };
    // V45.81 has no code of ICD-10 beside it: its equivalent is Z95.1.
    assert_eq!(parse(icd10(), false).unwrap().code_names, ["E23.0", "Z95.1", "B96.2", "Y92", "A41.9"]);
    assert_eq!(parse(icd10(), true).unwrap().code_names, ["E23.0", "B96.2", "Y92", "A41.9"]);
    let grouped = EicuOptions { group: FilePath(folder.path().join("ccs.csv")), ..icd10() };
    let cohort = parse(grouped, false).unwrap();
    assert_eq!(cohort.code_names, ["pituitary", "bacteria", "sepsis"]);
    assert_eq!(cohort.flow[1].left_out[2].most, [("V4581".to_owned(), 1), ("Y92".to_owned(), 1)]);
}

#[test]
fn rows_without_the_wanted_edition_have_an_equivalent() {
    let folder = folder();
    folder.write(
        "diagnosis.csv",
        "patientunitstayid,icd9code\n11,I48.91\n11,\"E23.0, 253.2\"\n12,\"A02.1, 41.4\"\n12,A02.1\n21,Y92\n21,486\n",
    );
    let codes = |cohort: &Cohort| -> Vec<String> {
        let name = |&code: &u32| cohort.code_names[code as usize].clone();
        cohort.codes.rows().map(|row| row.iter().map(name).collect::<Vec<_>>().join(" ")).collect()
    };
    // A02.1 is 003.1 and 995.91 together; the mapping does not know Y92, a heading.
    let cohort = parse(options(&folder), false).unwrap();
    assert_eq!(codes(&cohort), ["427.31 253.2", "041.4 003.1 995.91", "486"]);
    assert_eq!(cohort.flow[0].lost_count(), 0);
    assert_eq!(cohort.flow[1].left_out[1].most, [("Y92".to_owned(), 1)]);
    // The published code reads the first code of a row, and in one edition alone.
    folder.write(
        "diagnosis.csv",
        "patientunitstayid,icd9code\n11,I48.91\n11,\"253.2, E23.0\"\n12,\"A02.1, 41.4\"\n12,486\n",
    );
    let cohort = parse(options(&folder), true).unwrap();
    assert_eq!((codes(&cohort), cohort.flow[0].lost_count()), (vec!["253.2".to_owned(), "486".into()], 2));
}

#[test]
fn codes_of_both_editions_are_told_apart() {
    for (text, sound, compat) in [
        ("41.4", Some("0414"), Some("0414")),
        ("518.81", Some("51881"), Some("51881")),
        ("V45.81", Some("V4581"), None),
        ("E849.0", Some("E8490"), None),
        ("V92", None, None),
        ("E23.0", None, None),
        ("I50.9", None, None),
        ("1234", None, None),
        ("41.x", None, None),
        ("", None, None),
    ] {
        assert_eq!((icd9(text, false).as_deref(), icd9(text, true).as_deref()), (sound, compat), "{text}");
    }
    assert_eq!(
        ["E23.0", "Y92", "C7A.1", "V45.81", "41.4", "é", ""].map(is_icd10),
        [true, true, true, false, false, false, false]
    );
}

#[test]
fn broken_tables_are_refused() {
    for (file, content, says) in [
        (
            "patient.csv",
            "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset\n11,1,-5\n11,1,-6\n",
            "patient.csv:3",
        ),
        (
            "patient.csv",
            "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset\n11,1,soon\n",
            "must hold an integer",
        ),
        ("diagnosis.csv", "patientunitstayid,icd10code\n", "`icd9code` is missing"),
        (
            "lab.csv",
            "patientunitstayid,labtypeid,labname,labresult,labmeasurenamesystem\n12,1,glucose,high,mg\n",
            "lab.csv:2",
        ),
    ] {
        let folder = folder();
        folder.write(file, content);
        let error = parse(options(&folder), false).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let folder = folder();
    // All that is missing is named.
    std::fs::remove_file(folder.path().join("diagnosis.csv")).unwrap();
    folder.write("patient.csv", "patientunitstayid,age\n");
    let error = options(&folder).build().unwrap().check().unwrap_err().to_string();
    for says in ["`patienthealthsystemstayid` is missing", "`hospitaladmitoffset` is missing", "`diagnosis` is missing"]
    {
        assert!(error.contains(says), "{error}");
    }
    let folder = self::folder();
    folder
        .write("lab.csv", "patientunitstayid,labtypeid,labname,labresult,labmeasurenamesystem\n12,1,glucose,high,mg\n");
    let skipping = EicuOptions { on_bad_row: OnBadRow::Skip, ..options(&folder) };
    assert_eq!(parse(skipping, false).unwrap().flow.last().unwrap().lost_count(), 1);
}

#[test]
fn age_and_sex_are_read_and_hidden_ages_are_90() {
    let folder = folder();
    folder.write(
        "patient.csv",
        "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset,gender,age\n11,1,-5,Female,> 89\n\
         12,1,-2258,Female,> 89\n21,2,0,Unknown,\n31,3,0,Male,44\n",
    );
    let cohort = parse(options(&folder), false).unwrap();
    let known: Vec<_> = [(0, 0), (0, 1), (1, 2)].map(|(p, row)| cohort.demographics(p, row)).into();
    let (woman, nobody) = (Demographics { age: Some(90.0), sex: Some(Sex::Female) }, Demographics::default());
    assert_eq!(known, [woman, woman, nobody]);
}

#[test]
fn what_cannot_be_read_of_stays_is_counted() {
    let folder = folder();
    folder.write(
        "patient.csv",
        "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset,gender,age,unitdischargeoffset,\
         unitdischargestatus\n11,1,-5,Female,60,soon,Expired\n12,1,-2258,Female,60,20.0,gone\n21,2,0,?,old,,\n",
    );
    let cohort = parse(options(&folder), false).unwrap();
    for (what, total) in [("ends of visits", 2), ("deaths", 2), ("sexes", 2), ("ages", 3)] {
        let step = cohort.flow.iter().find(|step| step.what == what).unwrap();
        assert_eq!((step.total, step.lost_count()), (total, 1), "{what}");
    }
}

#[test]
fn an_end_before_its_start_is_unknown_and_counted() {
    let folder = folder();
    folder.write(
        "patient.csv",
        "patientunitstayid,patienthealthsystemstayid,hospitaladmitoffset,unitdischargeoffset\n11,1,-5,-1\n12,1,-2258,0\n\
         21,2,0,20\n31,3,0,\n",
    );
    let cohort = parse(options(&folder), false).unwrap();
    let days: Vec<_> =
        cohort.admission_facts.iter().map(|f| f.end.zip(f.start).map(|(end, start)| end - start)).collect();
    assert_eq!(days, [None, Some(0), Some(1200)]);
    let step = cohort.flow.iter().find(|step| step.what == "ends of visits").unwrap();
    assert_eq!((step.total, step.lost_count()), (3, 1));
}

#[test]
fn it_is_a_sound_parser() {
    let folder = folder();
    dualk_sdk::testing::check_parser(options(&folder));
}
