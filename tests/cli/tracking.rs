//! What other programs read of a run: TensorBoard, MLflow, Parquet, the page, and `dualk watch`.
//!
//! The tests with other programs are ignored where these are absent when they are compiled: `python3`, or the interpreter
//! that `DUALK_PYTHON` names, with `tensorboard`, `mlflow`, `pandas` and `pyarrow`; and `chromium`, or what
//! `DUALK_CHROMIUM` names.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too
#![allow(clippy::too_many_lines)] // a test is one story

mod program;

use dualk_sdk::experiment::{RunDir, read_events};
use dualk_sdk::serde_json::{self, Value};
use program::{command, printed, refuse, run_folder, said, small, succeed};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const STAGES: &str = r#"[[stage]]
type = "lab"
epochs = 2

[[stage]]
type = "pretrain"
epochs = 2

[[stage]]
type = "finetune"
epochs = 3

[output]
tensorboard = true
"#;

/// Runs the manifest with settings; the run's folder and what was said.
fn run(folder: &Path, settings: &[&str]) -> (PathBuf, String) {
    fs::write(folder.join("small.toml"), small(STAGES)).unwrap();
    let set = settings.iter().flat_map(|s| ["--set", s]);
    let output = command(folder, &["run", "small.toml"]).args(set).output().unwrap();
    (folder.join(run_folder(&printed(&output))), said(&output))
}

/// All that is in the folder of a run is known to be the run's: anything else is carried over to the next one.
#[test]
fn the_names_of_a_run_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run(folder.path(), &[]);
    let names: Vec<_> = fs::read_dir(run).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|name| name == "tensorboard") && names.len() > 10, "{names:?}");
    for name in names {
        assert!(RunDir::is_own_name(&name), "{name}");
    }
    let others =
        ["notes.md", "export", "log.txt.bak", ".hidden", "patients-notes.md", "vectors-mine.txt", "vectors.md"];
    assert!(!others.into_iter().any(RunDir::is_own_name));
}

fn events(run: &Path) -> PathBuf {
    let mut files = fs::read_dir(run.join("tensorboard")).unwrap();
    files.next().unwrap().unwrap().path()
}

/// `(tag, step, value)` as `metrics.jsonl` has them.
fn recorded(run: &Path) -> Vec<(String, i64, f64)> {
    let mut all = Vec::new();
    for (step, line) in fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        let stage = record["stage"].as_str().unwrap();
        for key in ["train_loss", "valid_loss", "lr"] {
            all.push((format!("{stage}/{key}"), step as i64, record[key].as_f64().unwrap()));
        }
        for (name, value) in record["valid"].as_object().unwrap() {
            all.push((format!("{stage}/valid/{name}"), step as i64, value.as_f64().unwrap()));
        }
    }
    all
}

#[test]
fn event_files_have_the_metrics_of_every_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run(folder.path(), &[]);
    let events = read_events(&events(&run)).unwrap();
    let expected = recorded(&run);
    assert!(expected.len() > 30);
    for (tag, step, value) in expected {
        let event = events.iter().find(|e| e.tag == tag && e.step == step).unwrap_or_else(|| panic!("{tag} {step}"));
        assert_eq!(event.value, value as f32, "{tag} {step}");
    }
    assert!(events.iter().any(|e| e.tag == "test/R@10"));
}

/// The interpreter that has the other programs.
const PYTHON: Option<&str> = option_env!("DUALK_TEST_PYTHON");

#[test]
#[cfg_attr(not(tracking_readers), ignore = "needs Python with tensorboard, mlflow, pandas and pyarrow")]
fn tensorboard_and_pandas_read_what_is_written() {
    let python = PYTHON.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run(folder.path(), &[]);
    let script = "
import sys, json, pandas
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1] + '/tensorboard'); a.Reload()
t = pandas.read_parquet(sys.argv[1] + '/metrics.parquet')
v = t[(t.part == 'valid') & (t.metric == 'R@10')]
print(json.dumps({'tags': {k: [(e.step, e.value) for e in a.Scalars(k)] for k in a.Tags()['scalars']},
  'columns': list(t.columns), 'recall': list(zip(v.step.tolist(), v.value.tolist()))}))";
    let output = Command::new(python).args(["-c", script]).arg(&run).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (tag, step, value) in recorded(&run) {
        let points = read["tags"][&tag].as_array().unwrap_or_else(|| panic!("{tag}"));
        let point = points.iter().find(|p| p[0] == step).unwrap_or_else(|| panic!("{tag} {step}"));
        assert_eq!(point[1].as_f64().unwrap() as f32, value as f32, "{tag} {step}");
    }
    assert_eq!(read["columns"], serde_json::json!(["step", "stage", "epoch", "part", "metric", "value"]));
    let recall: Vec<(i64, f64)> =
        recorded(&run).into_iter().filter(|r| r.0.ends_with("/valid/R@10")).map(|r| (r.1, r.2)).collect();
    assert_eq!(read["recall"], serde_json::json!(recall));
}

/// A tracking server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It has workers: ask it to end them.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg_attr(not(tracking_readers), ignore = "needs Python with tensorboard, mlflow, pandas and pyarrow")]
fn mlflow_gets_parameters_and_metrics() {
    let python = PYTHON.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = format!("sqlite:///{}", folder.path().join("mlflow.db").display());
    let server = Command::new(python)
        .args([
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--workers",
            "1",
            "--port",
            &port.to_string(),
            "--backend-store-uri",
            &store,
        ])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server(server);
    let log = BufReader::new(server.0.stderr.take().unwrap());
    let mut lines = log.lines();
    assert!(lines.any(|l| l.unwrap().contains("startup complete")), "the server did not start");
    std::thread::spawn(move || lines.for_each(drop));
    let address = format!("output.mlflow=\"http://127.0.0.1:{port}\"");
    let (run, said) = run(folder.path(), &[&address, "output.mlflow_experiment=\"from tests\""]);
    assert!(said.contains("mlflow: http://127.0.0.1"), "{said}");
    let script = "
import sys, json
from mlflow.tracking import MlflowClient
c = MlflowClient(sys.argv[1])
e = c.get_experiment_by_name('from tests')
[r] = c.search_runs([e.experiment_id])
keys = list(r.data.metrics)
print(json.dumps({'status': r.info.status, 'name': r.info.run_name, 'params': r.data.params,
  'metrics': {k: [(m.step, m.value) for m in c.get_metric_history(r.info.run_id, k)] for k in keys}}))";
    let output = Command::new(python).args(["-c", script, &format!("http://127.0.0.1:{port}")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((read["status"].as_str(), read["name"].as_str()), (Some("FINISHED"), Some("small")));
    assert_eq!(read["params"]["model.graph_encoder.type"], "gat");
    assert_eq!(read["params"]["stage.2.epochs"], "3");
    for (tag, step, value) in recorded(&run) {
        let points = read["metrics"][tag.replace('@', " at ")].as_array().unwrap_or_else(|| panic!("{tag}"));
        assert!(points.contains(&serde_json::json!([step, value])), "{tag} {step} {value}: {points:?}");
    }
}

#[test]
fn a_server_that_is_away_costs_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (run, said) = run(folder.path(), &[&format!("output.mlflow=\"http://127.0.0.1:{port}\"")]);
    assert!(said.contains("warning: the run goes on without MLflow"), "{said}");
    assert!(run.join("result.json").is_file());
    let run = ["run", "small.toml", "--set", "output.mlflow=localhost"];
    refuse(folder.path(), &run, &["`output.mlflow`", "http://localhost:5000"]);
}

/// The address of a server may have a password, which is for that server alone.
#[test]
fn the_password_of_a_server_is_neither_said_nor_kept() {
    const SECRET: &str = "canary7secret";
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("output.mlflow=\"http://me:{SECRET}@127.0.0.1:{port}\"");
    let (run, said) = run(folder.path(), &[&address]);
    assert!(said.contains(&format!("at http://***@127.0.0.1:{port}")) && !said.contains(SECRET), "{said}");
    let mut open = vec![run.clone()];
    while let Some(next) = open.pop() {
        match next.is_dir() {
            true => open.extend(fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path())),
            false => {
                let found = String::from_utf8_lossy(&fs::read(&next).unwrap()).contains(SECRET);
                assert!(!found, "{}", next.display());
            }
        }
    }
    let manifest = run.join("manifest.toml");
    assert!(fs::read_to_string(&manifest).unwrap().contains("http://***@127.0.0.1"));
    refuse(folder.path(), &["run", manifest.to_str().unwrap()], &["do not keep the password"]);
    let resolved = succeed(folder.path(), &["check", "small.toml", "--resolved", "--set", &address]);
    assert!(!resolved.contains(SECRET), "{resolved}");
    let wrong = format!("output.mlflow=\"me:{SECRET}@host\"");
    let output = command(folder.path(), &["run", "small.toml", "--set", &wrong]).output().unwrap();
    let said = program::said(&output);
    assert!(said.contains("expected the address of a server") && !said.contains(SECRET), "{said}");
}

#[test]
fn watch_shows_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run(folder.path(), &[]);
    let watch = |path: &Path| succeed(folder.path(), &["watch", path.to_str().unwrap(), "--once"]);
    for path in [run.as_path(), Path::new("runs")] {
        let picture = watch(path);
        for part in ["small-", "complete", "7/7 epochs", "3-finetune: loss on train", "R@10 on valid", "3-finetune: "] {
            assert!(picture.contains(part), "{part}: {picture}");
        }
    }
    // A run that still has its temporary name, and has come to the second epoch of its last stage.
    let unfinished = folder.path().join("other/.small-12345678.4194304999");
    fs::create_dir_all(&unfinished).unwrap();
    fs::copy(run.join("manifest.toml"), unfinished.join("manifest.toml")).unwrap();
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let some: Vec<&str> = text.lines().take(5).collect();
    fs::write(unfinished.join("metrics.jsonl"), some.join("\n") + "\n{\"stage\"").unwrap();
    let picture = watch(&folder.path().join("other/small-12345678"));
    assert!(picture.contains("5/7 epochs") && picture.contains("ETA") && picture.contains("epochs/s"), "{picture}");
    refuse(folder.path(), &["watch", "nowhere/at-all"], &[]);
}

/// A browser without a window.
const CHROMIUM: Option<&str> = option_env!("DUALK_TEST_CHROMIUM");

/// What a browser finds on a page: widths, texts that are cut or overlap, and whether anything is fetched.
const LOOK: &str = r#"<script>
addEventListener('load', () => {
  const found = { wide: document.documentElement.scrollWidth - document.documentElement.clientWidth, cut: [], overlap: [], fetched: performance.getEntriesByType('resource').length };
  for (const svg of document.querySelectorAll('figure > svg')) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map(t => [t.textContent.trim(), t.getBoundingClientRect()]);
    texts.forEach(([text, b], i) => {
      if (b.left < frame.left - 1 || b.right > frame.right + 1 || b.top < frame.top - 1 || b.bottom > frame.bottom + 1) found.cut.push(text);
      texts.slice(i + 1).forEach(([other, o]) => {
        const apart = b.right <= o.left || o.right <= b.left || b.bottom <= o.top + 1 || o.bottom <= b.top + 1;
        if (!apart) found.overlap.push(text + ' / ' + other);
      });
    });
  }
  // Bars lie in their cells, and texts of neighbouring cells apart.
  for (const bar of document.querySelectorAll('.bar')) {
    const cell = bar.parentElement.getBoundingClientRect();
    for (const mark of bar.children) {
      const b = mark.getBoundingClientRect();
      if (b.left < cell.left - 8 || b.right > cell.right + 8 || b.bottom > cell.bottom + 1) found.cut.push('bar: ' + bar.parentElement.parentElement.textContent.trim());
    }
  }
  for (const row of document.querySelectorAll('tr')) {
    const cells = [...row.children].map(c => { const r = document.createRange(); r.selectNodeContents(c); return [c.textContent.trim(), r.getBoundingClientRect()]; });
    cells.slice(1).forEach(([text, b], i) => { if (text && cells[i][0] && b.left < cells[i][1].right - 1) found.overlap.push(cells[i][0] + ' | ' + text); });
  }
  for (const e of document.querySelectorAll('h1, h2, h3, p, li, summary, figcaption')) {
    if (e.getBoundingClientRect().right > innerWidth + 1) found.cut.push(e.textContent.slice(0, 40));
  }
  document.body.dataset.found = JSON.stringify(found);
});
</script>"#;

#[test]
fn the_page_of_a_run_is_that_of_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run(folder.path(), &[]);
    let page = || fs::read_to_string(run.join("report.html")).unwrap();
    let written = page();
    fs::remove_file(run.join("report.html")).unwrap();
    succeed(folder.path(), &["report", run.to_str().unwrap()]);
    assert!(written.contains("<h3>Plugins</h3>") && page() == written, "the two pages differ");
}

#[test]
#[cfg_attr(not(chromium), ignore = "needs Chromium")]
fn no_text_of_the_page_overlaps_or_is_cut() {
    let chromium = CHROMIUM.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (run, _) = run(folder.path(), &["stage[2].epochs=30"]);
    let other = folder.path().join("comparison.html");
    succeed(folder.path(), &["compare", run.to_str().unwrap(), "--report", other.to_str().unwrap()]);
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    for part in [
        "Recall at k on test",
        "How often what was predicted came true",
        "Are its probabilities true?",
        "Loss on train and valid",
    ] {
        assert!(report.contains(part), "the page has no `{part}`");
    }
    for by in ["the frequency of the code", "the chapter of the code", "the length of the history"] {
        assert!(report.contains(&format!(", by {by}</h3>")), "the page has no parts by {by}");
    }
    assert!(report.contains(", new and repeated codes</h3>"));
    for page in [run.join("report.html"), other] {
        let looked = folder.path().join("looked.html");
        let text = fs::read_to_string(&page).unwrap();
        assert!(
            !text.contains("http://")
                || text.matches("http://").count() == text.matches("http://www.w3.org/2000/svg").count()
        );
        fs::write(&looked, text.replace("</body>", &format!("{LOOK}</body>"))).unwrap();
        for width in [360, 800, 1400] {
            let frame = folder.path().join("frame.html");
            // A window of Chromium is never narrower than 500 pixels; a frame is.
            let inner = fs::read_to_string(&looked).unwrap().replace('&', "&amp;").replace('"', "&quot;");
            fs::write(&frame, format!(
                "<body style=\"margin:0\"><iframe id=\"f\" style=\"border:0;width:{width}px;height:3000px\" srcdoc=\"{inner}\"></iframe><script>\
                 addEventListener('load', () => setTimeout(() => document.title = f.contentDocument.body.dataset.found, 500))</script>"
            )).unwrap();
            let output = Command::new(chromium)
                .args([
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--virtual-time-budget=5000",
                    "--window-size=1600,3000",
                    "--dump-dom",
                ])
                .arg(format!("file://{}", frame.display()))
                .output()
                .unwrap();
            let dom = String::from_utf8_lossy(&output.stdout).into_owned();
            let title = dom
                .split("<title>")
                .nth(1)
                .and_then(|t| t.split("</title>").next())
                .unwrap_or_else(|| panic!("{dom:.2000}"));
            let found: Value =
                serde_json::from_str(&title.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<"))
                    .unwrap();
            let clean = serde_json::json!({ "wide": 0, "cut": [], "overlap": [], "fetched": 0 });
            assert_eq!(found, clean, "{} at {width}", page.display());
        }
    }
}
