//! A client of MLflow's REST interface, version 2.0: experiments, runs, parameters, metrics.

use crate::error::{HIDDEN, server, without_passwords};
use crate::{Error, Result};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The variable of the environment in which a sweep hands its members the address with its password, which their manifests do not have.
pub const ADDRESS: &str = "DUALK_MLFLOW";
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most parameters and metrics of one request, as the interface has it.
const MOST_PARAMETERS: usize = 100;
/// Longest value of a parameter.
const LONGEST: usize = 6000;

/// A tracking server, and the run it was told of.
pub struct Mlflow {
    agent: ureq::Agent,
    address: String,
    experiment: String,
    run: String,
}

/// The address of a manifest, with the password that a sweep has handed to its members, where it is the same but for that.
pub fn with_password(address: &str, handed: Option<String>) -> String {
    handed.filter(|handed| server(handed) == address).unwrap_or_else(|| address.to_owned())
}

impl Mlflow {
    /// A server by its address.
    ///
    /// # Errors
    /// When it is no HTTP(S) URL.
    pub fn new(address: &str) -> Result<Self> {
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(Error::user(format!("expected the address of a server, found `{}`", server(address)))
                .help("for example http://localhost:5000, which `mlflow server` prints"));
        }
        if address.contains(&format!("://{HIDDEN}@")) {
            return Err(Error::user("runs do not keep the password of a server")
                .help("write the address with it, or remove the key"));
        }
        // Answers of any status are read: the server says in them what is wrong.
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.build().into(), address, experiment: String::new(), run: String::new() })
    }

    /// Starts a run of an experiment, which is made where there is none of that name. The manifest is its note, and the leaves of
    /// its table are its parameters.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub fn start(&mut self, experiment: &str, name: &str, manifest: &str, table: toml::Table) -> Result<()> {
        let found = self.get("experiments/get-by-name", experiment)?;
        self.experiment = match found["experiment"]["experiment_id"].as_str() {
            Some(id) => id.to_owned(),
            None => text(&self.post("experiments/create", &json!({ "name": experiment }))?["experiment_id"])?,
        };
        let tags = json!([
            { "key": "mlflow.source.name", "value": "dualk" },
            { "key": "mlflow.note.content", "value": format!("```toml\n{manifest}```") },
        ]);
        let request =
            json!({ "experiment_id": self.experiment, "run_name": name, "start_time": milliseconds(), "tags": tags });
        self.run = text(&self.post("runs/create", &request)?["run"]["info"]["run_id"])?;
        let mut parameters = Vec::new();
        leaves(&toml::Value::Table(table), "", &mut parameters);
        for some in parameters.chunks(MOST_PARAMETERS) {
            self.post("runs/log-batch", &json!({ "run_id": self.run, "params": some }))?;
        }
        Ok(())
    }

    /// Tells numbers of a step.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub fn metrics(&mut self, step: i64, scalars: &[(String, f64)]) -> Result<()> {
        let now = milliseconds();
        let finite = scalars.iter().filter(|(_, value)| value.is_finite());
        let metric = |(key, value): &(String, f64)| json!({ "key": accepted(key), "value": value, "timestamp": now, "step": step });
        let metrics: Vec<Value> = finite.map(metric).collect();
        self.post("runs/log-batch", &json!({ "run_id": self.run, "metrics": metrics })).map(drop)
    }

    /// Ends the run.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub fn finish(&mut self) -> Result<()> {
        let request = json!({ "run_id": self.run, "status": "FINISHED", "end_time": milliseconds() });
        self.post("runs/update", &request).map(drop)
    }

    /// Where a person looks at the run.
    pub fn page(&self) -> String {
        format!("{}/#/experiments/{}/runs/{}", server(&self.address), self.experiment, self.run)
    }

    fn get(&self, what: &str, name: &str) -> Result<Value> {
        let url = format!("{}/api/2.0/mlflow/{what}", self.address);
        let answer = self.agent.get(&url).query("experiment_name", name).call();
        self.answer(what, answer, true)
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/api/2.0/mlflow/{what}", self.address);
        let answer = self.agent.post(&url).header("Content-Type", "application/json").send(body.to_string());
        self.answer(what, answer, false)
    }

    /// What the server says; `absent` are answers that there is no such thing.
    fn answer(
        &self,
        what: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        absent: bool,
    ) -> Result<Value> {
        let no_server = |e: ureq::Error| {
            let (address, why) = (server(&self.address), without_passwords(&e.to_string()));
            Error::user(format!("the MLflow server at {address} does not answer: {why}")).at_key("output.mlflow")
        };
        let mut answer = answer.map_err(no_server)?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().map_err(no_server)?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        match status.as_u16() {
            200..=299 => Ok(value),
            404 if absent && value["error_code"] == "RESOURCE_DOES_NOT_EXIST" => Ok(Value::Null),
            code => {
                let says =
                    value["message"].as_str().unwrap_or("nothing more").lines().next().unwrap_or_default().to_owned();
                Err(Error::user(format!("MLflow refuses {what} with status {code}: {says}")).at_key("output.mlflow"))
            }
        }
    }
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| Error::user("MLflow gave no identifier").at_key("output.mlflow"))
}

fn milliseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// A name with the characters that MLflow takes: letters, digits, `_`, `-`, `.`, space and `/`.
fn accepted(name: &str) -> String {
    let name = name.replace('@', " at ");
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "_-. /".contains(c) { c } else { '_' }).collect()
}

/// Parameters: the leaves of the manifest by their dotted keys.
fn leaves(value: &toml::Value, path: &str, out: &mut Vec<Value>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(key, value)| leaves(value, &below(key), out)),
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().enumerate().for_each(|(i, value)| leaves(value, &below(&i.to_string()), out));
        }
        toml::Value::String(text) => out.push(json!({ "key": accepted(path), "value": cut(text) })),
        other => out.push(json!({ "key": accepted(path), "value": cut(&other.to_string()) })),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_page_nor_mistakes_show_a_password() {
        let full = "http://me:secret@host:1/";
        assert_eq!(with_password("http://***@host:1/", Some(full.to_owned())), full);
        // Another server gets none.
        assert_eq!(with_password("http://***@host:2/", Some(full.to_owned())), "http://***@host:2/");
        assert_eq!(with_password("http://host:1/", None), "http://host:1/");
        let page = Mlflow::new(full).unwrap().page();
        assert_eq!(page, "http://***@host:1/#/experiments//runs/");
        for wrong in ["me:secret@host", "ftp://me:secret@host", "http://***@host"] {
            let error = Mlflow::new(wrong).map(drop).unwrap_err().to_string();
            assert!(error.contains("server") && !error.contains("secret"), "{error}");
        }
    }
}
