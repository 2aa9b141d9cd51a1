//! A cohort as files, for the cache.

use super::{Cohort, LabItem, Ragged};
use crate::{Error, Result, storage};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

const ARRAYS: &str = "cohort.safetensors";
const NAMES: &str = "cohort.json";

/// What is text, and short.
#[derive(Serialize, Deserialize)]
struct Names {
    codes: Vec<String>,
    lab_categories: Vec<String>,
    notes: Vec<(String, u64)>,
}

/// Writes `cohort.safetensors` (64-bit integers) and `cohort.json` into a folder.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn save(cohort: &Cohort, folder: &Path) -> Result<()> {
    let wide = |values: &[u32]| values.iter().map(|&v| i64::from(v)).collect::<Vec<_>>();
    let offsets = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<_>>();
    let arrays = [
        ("patients", cohort.patients.clone()),
        ("admissions.offsets", offsets(cohort.admissions.offsets())),
        ("admissions", cohort.admissions.values().to_vec()),
        ("codes.offsets", offsets(cohort.codes.offsets())),
        ("codes", wide(cohort.codes.values())),
        ("labs.offsets", offsets(cohort.labs.offsets())),
        ("labs", wide(cohort.labs.values())),
        ("lab_items", cohort.lab_items.iter().map(|item| item.id).collect()),
        ("lab_items.category", cohort.lab_items.iter().map(|item| item.category.map_or(-1, i64::from)).collect()),
    ];
    let file = folder.join(ARRAYS);
    let failed = |e| Error::program("cannot write tensors").at_file(&file).because(e);
    let bytes = arrays
        .map(|(name, values)| (name, values.len(), values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()));
    let views = bytes.iter().map(|(name, n, data)| Ok((*name, TensorView::new(Dtype::I64, vec![*n], data)?)));
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
    let serialized = safetensors::serialize(views, None).map_err(failed)?;
    storage::write(&file, &serialized)?;
    let names = Names {
        codes: cohort.code_names.clone(),
        lab_categories: cohort.lab_categories.clone(),
        notes: cohort.notes.clone(),
    };
    let text = serde_json::to_vec(&names).map_err(|e| Error::program(format!("cannot write {NAMES}: {e}")))?;
    storage::write(&folder.join(NAMES), &text)
}

/// Reads what [`save`] wrote; `None` when it does not make a cohort.
pub(crate) fn load(folder: &Path) -> Option<Cohort> {
    let bytes = fs::read(folder.join(ARRAYS)).ok()?;
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let array = |name: &str| -> Option<Vec<i64>> {
        let view = tensors.tensor(name).ok().filter(|view| view.dtype() == Dtype::I64)?;
        let (numbers, _) = view.data().as_chunks::<8>();
        Some(numbers.iter().map(|b| i64::from_le_bytes(*b)).collect())
    };
    let small = |name: &str| -> Option<Vec<u32>> { array(name)?.into_iter().map(|v| u32::try_from(v).ok()).collect() };
    let offsets =
        |name: &str| -> Option<Vec<usize>> { array(name)?.into_iter().map(|v| usize::try_from(v).ok()).collect() };
    let names: Names = serde_json::from_slice(&fs::read(folder.join(NAMES)).ok()?).ok()?;
    let items = array("lab_items")?.into_iter().zip(array("lab_items.category")?);
    let cohort = Cohort {
        patients: array("patients")?,
        admissions: Ragged::from_parts(offsets("admissions.offsets")?, array("admissions")?)?,
        codes: Ragged::from_parts(offsets("codes.offsets")?, small("codes")?)?,
        code_names: names.codes,
        labs: Ragged::from_parts(offsets("labs.offsets")?, small("labs")?)?,
        lab_items: items.map(|(id, category)| LabItem { id, category: u8::try_from(category).ok() }).collect(),
        lab_categories: names.lab_categories,
        notes: names.notes,
    };
    cohort.validate().ok().map(|()| cohort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cohort_is_read_as_it_was_written() {
        let rows = |rows: Vec<Vec<u32>>| rows.into_iter().collect::<Ragged<u32>>();
        let cohort = Cohort {
            patients: vec![7, -3],
            admissions: [vec![1i64, i64::MAX], vec![5]].into_iter().collect(),
            codes: rows(vec![vec![0, 1, 0], vec![1], vec![2]]),
            code_names: vec!["250.00".into(), "é".into(), String::new()],
            labs: rows(vec![vec![], vec![1], vec![0, 1]]),
            lab_items: vec![LabItem { id: 50_001, category: None }, LabItem { id: 50_002, category: Some(1) }],
            lab_categories: vec!["blood".into(), "chemistry".into()],
            notes: vec![("left out".into(), 3)],
        };
        let folder = tempfile::tempdir().unwrap();
        save(&cohort, folder.path()).unwrap();
        assert_eq!(load(folder.path()), Some(cohort));
        fs::write(folder.path().join(ARRAYS), b"x").unwrap();
        assert_eq!(load(folder.path()), None);
        assert_eq!(load(&folder.path().join("none")), None);
    }
}
