//! Cohorts, vocabularies, splits, graphs and tasks against what the published preprocessing made of the same tables.

mod golden {
    use dualk_plugin_objectives::tasks::{
        LAB_SHUFFLE_SEED, LAB_TRAIN_FRACTION, RARE_THRESHOLD, heart_failure, single_visit_splits,
    };
    use dualk_plugin_parser_mimic::Mimic4Options;
    use dualk_sdk::data::{Cohort, Dataset, Ragged, SplitOptions, prepare};
    use dualk_sdk::prelude::*;
    use dualk_sdk::progress::Silent;
    use dualk_sdk::serde_json::{Map, Value};
    use dualk_tests::{data_dir, golden_dir, json};
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    struct Case {
        name: &'static str,
        expected: Value,
        data: Dataset,
    }

    /// The made-up cohort and the public demo.
    fn cases() -> &'static [Case] {
        static CASES: OnceLock<Vec<Case>> = OnceLock::new();
        CASES.get_or_init(|| {
            let (golden, data) = (golden_dir(), data_dir());
            let icd_map = data.join("icd10-icd9.csv");
            let roots =
                [("cohort-a", golden.join("cohort-a/raw")), ("mimic-iv-demo", data.join("mimic-iv-demo-2.2/hosp"))];
            // Other golden numbers may have no demo.
            let named = roots.into_iter().filter(|(name, _)| *name == "cohort-a" || golden.join(name).is_dir());
            named.map(|(name, root)| case(name, &golden.join(name).join("expected.json"), root, &icd_map)).collect()
        })
    }

    fn case(name: &'static str, expected: &Path, root: PathBuf, icd_map: &Path) -> Case {
        let expected = json(expected);
        let options =
            Mimic4Options { root: FilePath(root), icd_map: FilePath(icd_map.to_owned()), ..Mimic4Options::default() };
        let context = ParserContext { progress: &Silent, compat: true, seed: 0, learns: None };
        let cohort =
            options.build().and_then(|parser| parser.parse(&context)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let number = |key: &str| expected[key].as_u64().unwrap() as usize;
        let split =
            SplitOptions::Dualk { train: number("train_num"), test: number("test_num"), seed: number("seed") as u32 };
        let data = prepare(cohort, &split).unwrap_or_else(|e| panic!("{name}: {e}"));
        Case { name, expected, data }
    }

    fn integers(value: &Value) -> Vec<i64> {
        value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
    }

    fn object(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    fn sum(rows: &Ragged<u32>) -> i64 {
        rows.values().len() as i64
    }

    /// The parts of multi-visit patients, of which the expectations leave empty ones out here and there.
    fn parts(case: &Case) -> [(&'static str, &[usize]); 3] {
        let splits = &case.data.splits;
        [("train", &splits.train), ("valid", &splits.valid), ("test", &splits.test)]
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn counts() {
        for Case { name, expected, data } in cases() {
            assert_eq!(Value::Object(data.counts()), expected["counts"], "{name}");
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn patients_and_admissions() {
        for Case { name, expected, data } in cases() {
            let cohort = &data.cohort;
            let rows = cohort.patients.iter().zip(cohort.admissions.rows());
            let found: Vec<(i64, Vec<i64>)> = rows.map(|(&p, row)| (p, row.to_vec())).collect();
            let listed = expected["patients"].as_array().unwrap().iter();
            let listed: Vec<(i64, Vec<i64>)> = listed.map(|p| (p[0].as_i64().unwrap(), integers(&p[1]))).collect();
            assert!(found == listed, "{name}: patients differ");
        }
    }

    fn by_admission<'a, T>(cohort: &'a Cohort, of: impl Fn(usize) -> T + 'a) -> BTreeMap<String, T> {
        cohort.admissions.values().iter().enumerate().map(|(row, id)| (id.to_string(), of(row))).collect()
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn codes_of_admissions() {
        for Case { name, expected, data } in cases() {
            let cohort = &data.cohort;
            let codes = |row| cohort.codes.row(row).iter().map(|&c| cohort.code_names[c as usize].as_str()).collect();
            let found: BTreeMap<String, Vec<&str>> = by_admission(cohort, codes);
            let texts = |v: &'static Value| v.as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
            let listed = object(&expected["admission_codes"]).iter().map(|(id, v)| (id.clone(), texts(v)));
            assert!(found == listed.collect(), "{name}: codes differ");
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn abnormal_labs_of_admissions() {
        for Case { name, expected, data } in cases() {
            let cohort = &data.cohort;
            let labs = |row| cohort.labs.row(row).iter().map(|&l| cohort.lab_items[l as usize].id).collect();
            let found: BTreeMap<String, BTreeSet<i64>> = by_admission(cohort, labs);
            let listed = object(&expected["admission_abnormal_labs"]).iter();
            let listed = listed.map(|(id, v)| (id.clone(), integers(v).into_iter().collect()));
            assert!(found == listed.collect(), "{name}: labs differ");
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn categories_of_labs() {
        for Case { name, expected, data } in cases() {
            let categories = &data.cohort.lab_categories;
            let listed = object(&expected["lab_category"]);
            for item in &data.cohort.lab_items {
                let found = item.category.map(|c| categories[c as usize].as_str());
                let wanted = listed.get(&item.id.to_string()).and_then(Value::as_str);
                let wanted = wanted.filter(|w| categories.iter().any(|c| c == w));
                assert_eq!(found, wanted, "{name}: item {}", item.id);
            }
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn vocabularies() {
        for Case { name, expected, data } in cases() {
            let vocabulary = &data.vocabulary;
            let code_map = |n: usize| -> Vec<(&str, u64)> {
                vocabulary.codes[1..=n].iter().map(String::as_str).zip(1..).collect()
            };
            for (key, n) in [("code_map", vocabulary.target_codes), ("code_map_pretrain", vocabulary.codes.len() - 1)] {
                let mut listed: Vec<_> =
                    object(&expected[key]).iter().map(|(code, id)| (code.as_str(), id.as_u64().unwrap())).collect();
                listed.sort_by_key(|entry| entry.1);
                assert!(code_map(n) == listed, "{name}: {key} differs");
            }
            let ids = |items: &[u32]| -> BTreeSet<i64> {
                items.iter().map(|&item| data.cohort.lab_items[item as usize].id).collect()
            };
            let mut found: BTreeMap<&str, BTreeSet<i64>> = data
                .cohort
                .lab_categories
                .iter()
                .map(String::as_str)
                .zip(vocabulary.category_labs.iter().map(|l| ids(l)))
                .collect();
            found.insert("all", ids(&vocabulary.labs));
            let listed = object(&expected["lab_items"]).iter();
            assert!(
                found == listed.map(|(k, v)| (k.as_str(), integers(v).into_iter().collect())).collect(),
                "{name}: labs"
            );
            assert_eq!(ids(&vocabulary.labs).len(), vocabulary.labs.len(), "{name}: an item has two columns");
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn split_in_order() {
        for Case { name, expected, data } in cases() {
            let splits = &data.splits;
            let lists = [
                ("single_pids", &splits.single),
                ("pretrain_pids", &splits.pretrain),
                ("train_pids", &splits.train),
                ("valid_pids", &splits.valid),
                ("test_pids", &splits.test),
            ];
            for (key, list) in lists {
                let ids: Vec<i64> = list.iter().map(|&p| data.cohort.patients[p]).collect();
                assert_eq!(ids, integers(&expected[key]), "{name}: {key}");
            }
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn edges_and_weights() {
        for Case { name, expected, data } in cases() {
            let found: BTreeMap<(u32, u32), f64> = data.graph.iter().map(|(s, t, w)| ((s, t), f64::from(w))).collect();
            let listed = expected["edges"].as_array().unwrap();
            assert_eq!(data.graph.edges(), listed.len(), "{name}");
            assert_eq!(found.len(), listed.len(), "{name}: an edge repeats");
            assert_eq!(data.graph.nodes(), data.vocabulary.codes.len(), "{name}");
            for edge in listed {
                let (s, t, w) = (edge[0].as_u64().unwrap(), edge[1].as_u64().unwrap(), edge[2].as_f64().unwrap());
                let weight = found.get(&(s as u32, t as u32)).unwrap_or_else(|| panic!("{name}: no edge {s} → {t}"));
                assert!((weight - w).abs() < 1e-6 + 1e-6 * w.abs(), "{name}: {s} → {t} weighs {weight}, expected {w}");
            }
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn heart_failure_labels() {
        for case in cases() {
            for (part, patients) in parts(case) {
                let listed = case.expected["heart_failure"].get(part).map_or(Vec::new(), integers);
                let labels: Vec<i64> = heart_failure(&case.data, patients).rows().map(|row| row.len() as i64).collect();
                assert_eq!(labels, listed, "{}: {part}", case.name);
            }
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn rare_codes_and_label_sums() {
        for case in cases() {
            let rare = case.data.rare_labels(RARE_THRESHOLD);
            assert_eq!(rare.len() as u64, case.expected["counts"]["rare_codes"].as_u64().unwrap(), "{}", case.name);
            let mut rare_sum = Vec::new();
            for (part, patients) in parts(case) {
                let labels = case.data.last_visit_codes(patients);
                let listed = case.expected["label_sum"].get(part).map_or(0, |n| n.as_i64().unwrap());
                assert_eq!(sum(&labels), listed, "{}: {part}", case.name);
                rare_sum.push(sum(&dualk_sdk::data::tasks::restrict(&labels, &rare)));
            }
            assert_eq!(rare_sum, integers(&case.expected["rare_sum"]), "{}", case.name);
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn single_visit_lab_data() {
        for Case { name, expected, data } in cases() {
            let expected = &expected["single_lab"];
            let (train, rest) = single_visit_splits(data, LAB_SHUFFLE_SEED, LAB_TRAIN_FRACTION);
            assert_eq!(Some(train.len() as u64), expected["train_rows"].as_u64(), "{name}");
            let shuffled: Vec<usize> = train.into_iter().chain(rest).collect();
            let (x, y) = (data.last_visit_labs(&shuffled), data.last_visit_codes(&shuffled));
            let rows: Vec<i64> = x.rows().map(|row| row.len() as i64).collect();
            assert_eq!(rows, integers(&expected["shuffled_row_sums_x"]), "{name}");
            assert_eq!([sum(&x), sum(&y)], ["sum_x", "sum_y"].map(|key| expected[key].as_i64().unwrap()), "{name}");
            let shape = |columns: usize| vec![shuffled.len() as i64, columns as i64];
            assert_eq!(shape(data.vocabulary.labs.len()), integers(&expected["shape_x"]), "{name}");
            assert_eq!(shape(data.vocabulary.codes.len() - 1), integers(&expected["shape_y"]), "{name}");
        }
    }

    #[test]
    #[cfg_attr(not(golden_tables), ignore = "needs cohort-a of the golden numbers")]
    fn written_files() {
        for Case { name, expected, data } in cases() {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("prepared");
            for _ in 0..2 {
                dualk_sdk::data::write(data, &out).unwrap();
            }
            let mut summary = json(&out.join("summary.json"));
            let flow = summary.as_object_mut().unwrap().remove("flow").unwrap();
            assert_eq!(summary, expected["counts"], "{name}");
            assert!(flow.as_array().unwrap().len() >= 5, "{name}: {flow}");
            let splits = json(&out.join("splits.json"));
            for part in ["single", "pretrain", "train", "valid", "test"] {
                assert_eq!(splits[part], expected[format!("{part}_pids")], "{name}: {part}");
            }
            let vocabulary = json(&out.join("vocabulary.json"));
            assert_eq!(vocabulary["code_map"], expected["code_map"], "{name}");
            assert_eq!(vocabulary["code_map_pretrain"], expected["code_map_pretrain"], "{name}");
            let height = |file: &str| {
                dualk_sdk::data::tables::Table::at(&out.join(file), &[]).unwrap().read().unwrap().len() as u64
            };
            assert_eq!(Some(height("graph.parquet")), expected["counts"]["edges"].as_u64(), "{name}");
            assert_eq!(Some(height("patients.parquet")), expected["counts"]["admissions"].as_u64(), "{name}");
            let labs = &dualk_tests::load_i64(&out.join("tensors.safetensors"))["labs.offsets"];
            assert_eq!(labs.0, [height("patients.parquet") as usize + 1], "{name}");
            let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|e| e.file_name()).collect();
            assert_eq!(left, ["prepared"], "{name}: something is left beside the output");
            std::fs::write(out.join("notes.txt"), "mine").unwrap();
            let refused = dualk_sdk::data::write(data, &out).unwrap_err();
            assert_eq!(refused.exit_code(), 2);
            assert!(out.join("notes.txt").exists());
        }
    }
}
