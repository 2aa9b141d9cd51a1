//! What a parser finds of patients and their admissions, before their codes.

use super::{AdmissionFacts, Cohort, Ids, PatientFacts, Readings, Step};
use crate::Result;
use std::collections::HashMap;

/// Patients in the order of their first row, with their admissions in the order of time, and what is known of both.
///
/// ```
/// use dualk_sdk::data::{AdmissionFacts, Ids, Stays};
/// let mut stays = Stays::new(Ids::default(), Ids::default());
/// stays.add(7, 71, 2.0, AdmissionFacts::default());
/// stays.add(7, 70, 1.0, AdmissionFacts::default());
/// assert_eq!(stays.patients(), [(7, vec![70, 71])]);
/// ```
#[derive(Debug, Default)]
pub struct Stays {
    /// Identifiers of patients.
    pub patient_ids: Ids,
    /// Identifiers of admissions.
    pub admission_ids: Ids,
    /// Reads what is known of both, and counts what cannot be read.
    pub readings: Readings,
    place: HashMap<i64, usize>,
    /// Admissions with what orders them.
    patients: Vec<(i64, Vec<(f64, i64)>)>,
    patient_facts: HashMap<i64, PatientFacts>,
    persons: HashMap<i64, i64>,
    admission_facts: HashMap<i64, AdmissionFacts>,
}

impl Stays {
    /// Nobody yet.
    pub fn new(patient_ids: Ids, admission_ids: Ids) -> Self {
        Self { patient_ids, admission_ids, ..Self::default() }
    }

    /// Adds an admission. `order` says where it stands among those of the patient; what is at the same time stays in the
    /// order of adding. An end before the start is taken for unknown, and counted.
    pub fn add(&mut self, patient: i64, admission: i64, order: f64, facts: AdmissionFacts) {
        let facts = AdmissionFacts { end: self.readings.end(facts.start, facts.end), ..facts };
        let at = *self.place.entry(patient).or_insert_with(|| {
            self.patients.push((patient, Vec::new()));
            self.patients.len() - 1
        });
        self.patients[at].1.push((order, admission));
        self.admission_facts.insert(admission, facts);
    }

    /// What is known of a patient, to be filled in.
    pub fn patient(&mut self, patient: i64) -> &mut PatientFacts {
        self.patient_facts.entry(patient).or_default()
    }

    /// Says which person a patient is, where several may be one; the first that is said of a patient counts.
    pub fn person(&mut self, patient: i64, person: i64) {
        self.persons.entry(patient).or_insert(person);
    }

    /// Whether there is such an admission.
    pub fn contains(&self, admission: i64) -> bool {
        self.admission_facts.contains_key(&admission)
    }

    /// Whether a patient has admissions.
    pub fn has_patient(&self, patient: i64) -> bool {
        self.place.contains_key(&patient)
    }

    /// The patient of each admission.
    pub fn owners(&self) -> HashMap<i64, i64> {
        let of = |(patient, admissions): &(i64, Vec<(f64, i64)>)| {
            let patient = *patient;
            admissions.iter().map(move |(_, admission)| (*admission, patient)).collect::<Vec<_>>()
        };
        self.patients.iter().flat_map(of).collect()
    }

    /// Number of admissions.
    pub fn len(&self) -> usize {
        self.admission_facts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.admission_facts.is_empty()
    }

    /// Patients with their admissions in the order of time.
    pub fn patients(&self) -> Vec<(i64, Vec<i64>)> {
        let ordered = |(patient, admissions): &(i64, Vec<(f64, i64)>)| {
            let mut admissions = admissions.clone();
            admissions.sort_by(|a, b| a.0.total_cmp(&b.0));
            (*patient, admissions.into_iter().map(|a| a.1).collect())
        };
        self.patients.iter().map(ordered).collect()
    }

    /// The cohort of those whose admissions all have codes, as indices into `names`; `steps` are those from rows to codes, behind
    /// which those of the [readings](Self::readings) stand.
    ///
    /// # Errors
    /// When nobody is left, with the steps.
    pub fn cohort(
        &self,
        codes: &HashMap<i64, Vec<u32>>,
        names: &[String],
        steps: impl IntoIterator<Item = Step>,
    ) -> Result<Cohort> {
        let (mut cohort, _) = Cohort::of_admissions(self.patients(), codes, names);
        cohort.flow_begins_with(steps.into_iter().chain(self.readings.steps()));
        cohort.not_empty()?;
        cohort.set_names(&self.patient_ids, &self.admission_ids);
        if !self.persons.is_empty() {
            cohort.set_persons(|id| self.persons.get(&id).copied());
        }
        let patient = |id| self.patient_facts.get(&id).cloned().unwrap_or_default();
        cohort.set_facts(patient, |id| self.admission_facts.get(&id).copied().unwrap_or_default());
        Ok(cohort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admissions_are_in_the_order_of_time_and_patients_in_that_of_rows() {
        let mut stays = Stays::default();
        for (patient, admission, order) in [(9, 1, 5.0), (7, 2, 3.0), (9, 3, -1.0), (9, 4, 5.0)] {
            stays.add(patient, admission, order, AdmissionFacts { died: Some(patient == 7), ..Default::default() });
        }
        assert_eq!(stays.patients(), [(9, vec![3, 1, 4]), (7, vec![2])]);
        assert_eq!(stays.owners(), HashMap::from([(1, 9), (2, 7), (3, 9), (4, 9)]));
        stays.patient(9).ethnicity = Some("x".into());
        let codes = HashMap::from([(1, vec![0]), (3, vec![0]), (4, vec![0])]);
        let cohort = stays.cohort(&codes, &["a".into()], [Step::new("rows", 4)]).unwrap();
        assert_eq!((cohort.patients.as_slice(), cohort.patient_facts[0].ethnicity.as_deref()), (&[9][..], Some("x")));
        assert_eq!(cohort.admission_facts.iter().map(|f| f.died).collect::<Vec<_>>(), [Some(false); 3]);
        assert_eq!((cohort.flow[0].what.as_str(), cohort.flow.iter().any(|step| step.what == "ages")), ("rows", false));
        stays.readings.age(Some("old"));
        let cohort = stays.cohort(&codes, &["a".into()], [Step::new("rows", 4)]).unwrap();
        assert_eq!((cohort.flow[1].what.as_str(), cohort.flow[1].lost_count()), ("ages", 1));
        assert!(stays.cohort(&HashMap::new(), &[], []).unwrap_err().to_string().contains("no patient is left"));
    }

    #[test]
    fn an_end_before_its_start_is_unknown_and_counted() {
        let mut stays = Stays::default();
        for (admission, end) in [(1, Some(9)), (2, Some(7)), (3, Some(8)), (4, None)] {
            stays.add(1, admission, 0.0, AdmissionFacts { start: Some(8), end, ..Default::default() });
        }
        let codes = (1..=4).map(|admission| (admission, vec![0])).collect();
        let cohort = stays.cohort(&codes, &["a".into()], []).unwrap();
        let ends: Vec<_> = cohort.admission_facts.iter().map(|facts| facts.end).collect();
        assert_eq!(ends, [Some(9), None, Some(8), None]);
        let step = &cohort.flow[0];
        assert_eq!((step.what.as_str(), step.total, step.lost_count()), ("ends of visits", 3, 1));
    }
}
