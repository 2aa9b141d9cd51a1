use crate::commands::TrustArgs;
use clap::Args;
use dualk_sdk::component::Slot;
use dualk_sdk::plugin::inspect;
use dualk_sdk::testing::{Report, examine};
use dualk_sdk::toml::{Table, Value};
use dualk_sdk::{Error, Result};
use std::path::{Path, PathBuf};

/// Arguments of `dualk plugin check`.
#[derive(Args)]
pub struct Check {
    /// The shared library.
    file: PathBuf,
    /// Only the component of this name.
    #[arg(long)]
    component: Option<String>,
    /// Set an option, such as dim=8.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

impl Check {
    pub fn run(self) -> Result<()> {
        let options = self.options()?;
        let mut registry = self.trust.registry(Path::new("."))?;
        registry.load(&self.file, None)?;
        let found = inspect(&self.file)?.components;
        let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
        let wanted = self.component.as_deref();
        if let Some(name) = wanted.filter(|name| !names.contains(name)) {
            return Err(Error::user(format!("the plugin has no component `{name}`"))
                .at_file(&self.file)
                .suggest(name, names));
        }
        let mut failed = Vec::new();
        for (slot, name) in found.iter().filter(|(_, name)| wanted.is_none_or(|wanted| wanted == name)) {
            let report: Report = examine(&registry, Slot::from_name(slot)?, name, options.clone())?;
            print!("{report}");
            failed.extend((!report.passed()).then_some(report.component));
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(Error::user(format!("checks failed of {}", failed.join(", "))).at_file(&self.file)),
        }
    }

    /// Values are TOML, or else text, as with `--set` of an experiment.
    fn options(&self) -> Result<Table> {
        let option = |setting: &String| {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| Error::user(format!("expected KEY=VALUE, found `{setting}`")).at_key("--set"))?;
            let parsed = format!("value = {value}").parse::<Table>().ok().and_then(|mut table| table.remove("value"));
            Ok((key.trim().to_owned(), parsed.unwrap_or_else(|| Value::String(value.trim().to_owned()))))
        };
        self.settings.iter().map(option).collect()
    }
}
