//! What the checks of a component found.

use crate::Result;
use crate::boundary::guard;
use std::fmt;

/// The checks of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Slot and name.
    pub component: String,
    /// The checks in the order that they ran.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was asked.
    pub name: String,
    /// The findings; empty where nothing is wrong.
    pub findings: Vec<String>,
}

impl Report {
    pub(super) fn new(component: String) -> Self {
        Self { component, checks: Vec::new() }
    }

    /// Whether nothing was found.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.findings.is_empty())
    }

    /// Runs a check. An error or a panic in it is a finding.
    pub(super) fn check(&mut self, name: impl Into<String>, body: impl FnOnce(&mut Vec<String>) -> Result<()>) {
        let mut findings = Vec::new();
        if let Err(error) = guard::catch(|| body(&mut findings)) {
            findings.push(error.to_string().trim_end().to_owned());
        }
        self.checks.push(Check { name: name.into(), findings });
    }
}

impl fmt::Display for Report {
    /// One line a check, and below it what was found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.component)?;
        for Check { name, findings } in &self.checks {
            writeln!(f, "  {} {name}", if findings.is_empty() { "ok    " } else { "FAILED" })?;
            for line in findings.iter().flat_map(|finding| finding.lines()) {
                writeln!(f, "           {line}")?;
            }
        }
        Ok(())
    }
}
