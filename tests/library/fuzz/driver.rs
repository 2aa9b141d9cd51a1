//! Tries a reader with damaged inputs for as long as it is told to.
//!
//! Nothing tells which code an input reached; what an error says does: an input that is refused in a way that was not seen
//! before is damaged further, as sound ones are. The seed decides everything.

use crate::damage::damaged;
use crate::inputs::{self, Files};
use dualk_sdk::boundary::guard;
use dualk_sdk::error::Blame;
use dualk_sdk::memory;
use dualk_sdk::prelude::{Error, Result};
use dualk_sdk::serde_json::{self, Map, Value, json};
use proptest::prelude::{BoxedStrategy, ProptestConfig, Strategy};
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest time for one input: these are a few kilobytes.
const LONGEST: Duration = Duration::from_secs(30);
/// How long a failing input is made smaller.
const SHRINKING: Duration = Duration::from_secs(20);
/// Most bytes of an input: larger ones would take memory for what they are.
const LARGEST: usize = 32 << 20;
/// Inputs that are damaged further.
const POOL: usize = 256;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .map_or(default, |text| text.parse::<u64>().unwrap_or_else(|e| panic!("{variable}: {e}")))
}

/// What is tried.
pub struct Target {
    pub name: &'static str,
    /// Inputs that it takes.
    pub sound: Vec<Files>,
    /// Inputs that it need not take.
    pub more: Vec<Files>,
    /// Inputs that are well formed, and say nonsense.
    pub nonsense: Option<BoxedStrategy<Files>>,
    /// Texts that mean something to it.
    pub words: &'static [&'static [u8]],
    pub read: fn(&Path) -> Result<()>,
}

impl Target {
    pub fn new(name: &'static str, sound: Vec<Files>, read: fn(&Path) -> Result<()>) -> Self {
        Self { name, sound, more: Vec::new(), nonsense: None, words: &[], read }
    }

    pub fn with(self, nonsense: impl Strategy<Value = Files> + 'static) -> Self {
        Self { nonsense: Some(nonsense.boxed()), ..self }
    }

    /// A second, or as long as `DUALK_FUZZ_SECONDS` says, from the seed 1 or `DUALK_FUZZ_SEED`; or the input of
    /// `DUALK_FUZZ_REPLAY` alone.
    ///
    /// # Panics
    /// At the first input that is neither read nor refused as the user's mistake. The process ends at one that takes more
    /// than [`LONGEST`] or than the mebibytes of `DUALK_FUZZ_MIB`.
    pub fn fuzz(self) {
        guard::keep_panics_quiet();
        let mut place = Place::new(self.name);
        let watch = Watch::start(self.name, &place);
        if let Some(file) = std::env::var_os("DUALK_FUZZ_REPLAY") {
            let files = inputs::packed(&case(Path::new(&file)));
            println!("{}: {:?}", self.name, self.give(&mut place, &watch, &files).map_err(|e| e.to_string()));
            return self.must_be_fine(&mut place, &watch, &files, "the input that was given");
        }
        for (file, files) in found(self.name) {
            self.must_be_fine(&mut place, &watch, &inputs::packed(&files), &format!("{file}, which was mended"));
        }
        for files in &self.sound {
            let outcome = self.give(&mut place, &watch, &inputs::packed(files));
            outcome
                .unwrap_or_else(|e| panic!("{}: a sound input is refused: {e}\n{}", self.name, inputs::shown(files)));
        }
        let (begun, time) = (Instant::now(), Duration::from_secs(number("DUALK_FUZZ_SECONDS", 1)));
        let (seed, mut tried, mut refused) = (number("DUALK_FUZZ_SEED", 1), 0u64, 0u64);
        println!("{}: DUALK_FUZZ_SEED={seed}, {} s", self.name, time.as_secs());
        let mut pool: Vec<Files> = self.sound.iter().chain(&self.more).cloned().collect();
        let largest = 4 * pool.iter().map(size).max().unwrap_or(0) + (1 << 16);
        let mut seen = HashSet::new();
        // A machine that stands still for that long has tried one, which may be fine.
        while begun.elapsed() < time || refused == 0 && tried < 1000 {
            let random = &mut StdRng::seed_from_u64(seed.wrapping_add(tried));
            tried += 1;
            let (parts, files) = self.input(&pool, random);
            if size(&files) > LARGEST {
                continue;
            }
            match self.give(&mut place, &watch, &files) {
                Ok(()) if random.random_ratio(63, 64) => continue,
                Ok(()) => {}
                Err(error) if error.blame() == Blame::User => {
                    refused += 1;
                    if !seen.insert(kind(error.message())) {
                        continue;
                    }
                }
                Err(error) => self.fail(&mut place, &watch, files, &format!("input {tried} of seed {seed}"), &error),
            }
            if size(&parts) <= largest {
                match pool.len() < POOL {
                    true => pool.push(parts),
                    false => pool[random.random_range(self.sound.len()..POOL)] = parts,
                }
            }
        }
        println!("{}: {tried} inputs, {refused} refused in {} ways", self.name, seen.len());
        assert!(refused > 0, "{}: whatever is done to the inputs, they are taken", self.name);
        place.remove();
    }

    /// An input, as its parts and as the reader gets it.
    fn input(&self, pool: &[Files], random: &mut StdRng) -> (Files, Files) {
        let (base, other) = (&pool[random.random_range(0..pool.len())], &pool[random.random_range(0..pool.len())]);
        let parts = match &self.nonsense {
            Some(nonsense) if random.random_ratio(1, 4) => {
                let parts = drawn(nonsense, random);
                if random.random() { parts } else { damaged(&parts, other, self.words, random) }
            }
            _ => damaged(base, other, self.words, random),
        };
        let files = inputs::packed(&parts);
        match random.random_ratio(1, 4) {
            // Outside of what lengths and checksums were made for.
            true => (parts, damaged(&files, &Files::new(), self.words, random)),
            false => (parts, files),
        }
    }

    fn give(&self, place: &mut Place, watch: &Watch, files: &Files) -> Result<()> {
        place.write(files);
        watch.begin();
        let outcome = guard::catch(|| (self.read)(&place.folder));
        watch.end();
        outcome
    }

    fn must_be_fine(&self, place: &mut Place, watch: &Watch, files: &Files, what: &str) {
        match self.give(place, watch, files) {
            Err(error) if error.blame() != Blame::User => self.fail(place, watch, files.clone(), what, &error),
            _ => place.remove(),
        }
    }

    fn fail(&self, place: &mut Place, watch: &Watch, files: Files, what: &str, error: &Error) -> ! {
        place.keep(&files);
        let small = self.smaller(place, watch, files);
        let file = place.keep(&small);
        panic!("{}: {what}: {error}\n{}{}", self.name, inputs::shown(&small), again(self.name, &file));
    }

    /// An input that fails as well and has as few bytes as can be found in a while.
    fn smaller(&self, place: &mut Place, watch: &Watch, files: Files) -> Files {
        let (begun, mut best) = (Instant::now(), files);
        let mut piece = best.values().map(Vec::len).max().unwrap_or(0).div_ceil(2);
        while piece > 0 {
            for name in best.keys().cloned().collect::<Vec<_>>() {
                let mut at = 0;
                while at < best[&name].len() {
                    if begun.elapsed() > SHRINKING {
                        return best;
                    }
                    let (mut bytes, end) = (best[&name].clone(), best[&name].len().min(at + piece));
                    bytes.drain(at..end);
                    let mut less = best.clone();
                    less.insert(name.clone(), bytes);
                    match self.give(place, watch, &less) {
                        Err(error) if error.blame() != Blame::User => best = less,
                        _ => at = end,
                    }
                }
            }
            piece /= 2;
        }
        best
    }
}

fn size(files: &Files) -> usize {
    files.values().map(Vec::len).sum()
}

/// A value of a strategy.
fn drawn(strategy: &BoxedStrategy<Files>, random: &mut StdRng) -> Files {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &random.random::<[u8; 32]>());
    strategy.new_tree(&mut TestRunner::new_with_rng(config, rng)).unwrap().current()
}

/// What an error says without what is different from input to input.
fn kind(message: &str) -> String {
    let words = message.split('`').step_by(2).flat_map(str::chars);
    words.filter(|c| c.is_alphabetic() || *c == ' ').take(100).collect()
}

/// How to see a failure again.
fn again(name: &str, file: &Path) -> String {
    format!(
        "the input is kept; again:\n  DUALK_FUZZ_REPLAY={} cargo test --release -p dualk-tests --test fuzz -- --exact {name} \
         --nocapture\nonce it is mended, it belongs to tests/library/fuzz/found/{name}",
        file.display()
    )
}

/// Where inputs are written.
struct Place {
    /// What was given last; what ended the process is still there.
    folder: PathBuf,
    /// Inputs that failed.
    kept: PathBuf,
    names: BTreeSet<String>,
}

impl Place {
    fn new(name: &str) -> Self {
        let process = std::process::id();
        let folder = std::env::temp_dir().join(format!("dualk-fuzz-{name}-{process}"));
        let kept = std::env::temp_dir().join(format!("dualk-found-{name}-{process}.json"));
        let _ = fs::remove_dir_all(&folder); // of a process that had this number
        fs::create_dir(&folder).unwrap();
        Self { folder, kept, names: BTreeSet::new() }
    }

    fn write(&mut self, files: &Files) {
        assert!(size(files) <= LARGEST, "{}: an input of {} bytes is made", self.folder.display(), size(files));
        for name in self.names.iter().filter(|name| !files.contains_key(*name)) {
            fs::remove_file(self.folder.join(name)).unwrap();
        }
        inputs::write(&self.folder, files);
        self.names = files.keys().cloned().collect();
    }

    fn keep(&self, files: &Files) -> PathBuf {
        fs::write(&self.kept, as_json(files)).unwrap();
        self.kept.clone()
    }

    fn remove(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        self.names.clear();
    }
}

/// Texts are texts, other bytes hexadecimal.
fn as_json(files: &Files) -> String {
    let value = |bytes: &Vec<u8>| match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() }),
    };
    let all: Map<String, Value> = files.iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect();
    Value::Object(all).to_string() + "\n"
}

/// The input of a file that was kept, or of a folder.
fn case(path: &Path) -> Files {
    if path.is_dir() {
        return inputs::files_of(path);
    }
    let text = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let all: Map<String, Value> = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let bytes = |value: &Value| match (value.as_str(), value["hex"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (_, Some(hex)) => (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect(),
        _ => panic!("{}: {value}", path.display()),
    };
    all.iter().map(|(name, value)| (name.clone(), bytes(value))).collect()
}

/// Inputs that failed once.
fn found(name: &str) -> Vec<(String, Files)> {
    let folder = dualk_tests::tests_dir().join("library/fuzz/found").join(name);
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<(String, Files)> = files.map(|path| (path.display().to_string(), case(&path))).collect();
    files.sort();
    files
}

/// Inputs that are being read, of every target: the process has one memory for all of them.
static IN_HAND: Mutex<BTreeMap<&'static str, InHand>> = Mutex::new(BTreeMap::new());

struct InHand {
    since: Instant,
    folder: PathBuf,
    kept: PathBuf,
}

/// Ends the process when an input takes too long, or too much memory: nothing else can stop it.
struct Watch {
    name: &'static str,
    folder: PathBuf,
    kept: PathBuf,
    over: Arc<AtomicBool>,
}

impl Watch {
    fn start(name: &'static str, place: &Place) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let most = number("DUALK_FUZZ_MIB", 2048) << 20;
        let ended = over.clone();
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                let in_hand = IN_HAND.lock().unwrap();
                match (in_hand.get(name).map(|input| input.since.elapsed()), memory::peak()) {
                    (Some(time), _) if time > LONGEST => {
                        let what = format!("an input takes more than {} s", LONGEST.as_secs());
                        end(&what, in_hand.iter().filter(|(other, _)| **other == name));
                    }
                    (Some(_), Some(peak)) if peak > most => {
                        end(
                            &format!("inputs took {} MiB, this one or what is read beside it", peak >> 20),
                            in_hand.iter(),
                        );
                    }
                    _ => {}
                }
            }
        });
        Self { name, folder: place.folder.clone(), kept: place.kept.clone(), over }
    }

    fn begin(&self) {
        let input = InHand { since: Instant::now(), folder: self.folder.clone(), kept: self.kept.clone() };
        IN_HAND.lock().unwrap().insert(self.name, input);
    }

    fn end(&self) {
        IN_HAND.lock().unwrap().remove(self.name);
    }
}

/// Keeps inputs, says why, and ends the process.
fn end<'a>(what: &str, inputs: impl Iterator<Item = (&'a &'static str, &'a InHand)>) -> ! {
    for (name, input) in inputs {
        let _ = fs::write(&input.kept, as_json(&inputs::files_of(&input.folder)));
        // Not through `eprintln`, which tests keep to themselves until they end.
        let _ = writeln!(std::io::stderr(), "{name}: {what}; {}", again(name, &input.kept));
    }
    std::process::abort();
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
